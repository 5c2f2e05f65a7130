"""The book's one visual language; the only file that imports matplotlib.

Data is blue, the model and its samples orange, the truth dark grey, noise light grey; colours are Okabe and Ito's, safe
for colour-blind readers. The ground is transparent and the text grey, so that a figure is legible in light and dark.
"""

import base64
import hashlib
import html
import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncsn_lib.extras import need
from ncsn_lib.protocol import ScoreFn

need("matplotlib", "plot", "ncsn_lib.plotting")
import matplotlib.pyplot as plt
from matplotlib.animation import FuncAnimation
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

DATA, MODEL, ACCENT = "#0072B2", "#D55E00", "#009E73"
TRUTH, NOISE, TEXT = "#6b6b6b", "#a8a8a8", "#767676"
DENSITY = LinearSegmentedColormap.from_list("density", [(0.0, 0.447, 0.698, a) for a in (0.0, 0.75)])
"""Density as the data's blue, from transparent to nearly opaque."""
ERROR = "cividis"
"""Errors, in a sequential map that everyone can read."""
LENGTH = LinearSegmentedColormap.from_list("length", plt.get_cmap("cividis")(np.linspace(0.25, 0.9, 64)))
"""Lengths of arrows: the middle of the same map, legible on a light and on a dark ground."""

# What matplotlib's player takes from an icon font, as characters that every font has.
ICONS = {
    "fa-minus": "−",
    "fa-fast-backward": "⏮",
    "fa-step-backward": "⏴",
    "fa-play fa-flip-horizontal": "◀",
    "fa-pause": "⏸",
    "fa-play": "▶",
    "fa-step-forward": "⏵",
    "fa-fast-forward": "⏭",
    "fa-plus": "+",
}


def use_style() -> None:
    """Set matplotlib to the book's style."""
    plt.rcParams.update(
        {
            "figure.dpi": 144,
            "figure.figsize": (6.4, 3.6),
            "figure.constrained_layout.use": True,
            "figure.facecolor": "none",
            "axes.facecolor": "none",
            "savefig.facecolor": "none",
            "legend.framealpha": 0.0,
            "font.size": 11,
            "axes.titlesize": 11,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "lines.linewidth": 1.8,
            "axes.prop_cycle": plt.cycler(color=[DATA, MODEL, ACCENT, "#CC79A7", "#56B4E9"]),
            **dict.fromkeys(["text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"], TEXT),
        }
    )


def grid_points(limits: tuple[float, float], num: int) -> Tensor:
    """The points of a square grid, (num * num, 2), the first coordinate running fastest."""
    axis = torch.linspace(*limits, num)
    second, first = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([first.flatten(), second.flatten()], dim=1)


def plot_density(ax: Axes, log_prob: Callable[[Tensor], Tensor], limits: tuple[float, float], *, num: int = 120) -> Any:
    """Draw a density in the plane as filled contours, transparent where it is 0.

    Args:
        ax: where to draw.
        log_prob: (B, 2) points to (B,) log-densities.
        limits: of both axes.
        num: grid points along each axis.

    Returns:
        The contour set, for a colour bar.
    """
    density = log_prob(grid_points(limits, num)).exp().view(num, num)
    axis = np.linspace(*limits, num)
    _square(ax, limits)
    return ax.contourf(axis, axis, density.numpy(), levels=np.linspace(0, density.max().item(), 11), cmap=DENSITY)


def plot_score_field(
    ax: Axes,
    score_fn: ScoreFn,
    limits: tuple[float, float],
    *,
    sigma: float = 0.0,
    num: int = 17,
    unit_length: bool = False,
    color: str = TRUTH,
) -> Any:
    """Draw a score in the plane as arrows.

    Args:
        ax: where to draw.
        score_fn: the score function.
        limits: of both axes.
        sigma: the noise level handed to it.
        num: arrows along each axis.
        unit_length: draw all arrows of one length, coloured by the score's; otherwise the longest spans 1.8 cells and
            the others are to its scale.
        color: of arrows whose length shows their size.

    Returns:
        The quiver, for a colour bar if lengths are colours.
    """
    points = grid_points(limits, num)
    score = score_fn(points, points.new_full((len(points),), sigma)).detach()
    size = score.norm(dim=1)
    cell = (limits[1] - limits[0]) / (num - 1)
    arrows = score / size.clamp_min(1e-12)[:, None] * 0.8 * cell if unit_length else score * (1.8 * cell / size.max())
    _square(ax, limits)
    style: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.004, "pivot": "mid"}
    if unit_length:
        return ax.quiver(*points.T, *arrows.T, size, cmap=LENGTH, **style)
    return ax.quiver(*points.T, *arrows.T, color=color, **style)


def plot_points(ax: Axes, x: Tensor, *, color: str = DATA, label: str | None = None, size: float = 4) -> None:
    """Draw points of the plane, (B, 2)."""
    ax.scatter(x[:, 0], x[:, 1], s=size, color=color, alpha=0.5, linewidths=0, label=label)


def plot_images(ax: Axes, images: Tensor, *, columns: int, title: str = "") -> None:
    """Draw images in a grid, black to white for 0 to 1.

    Args:
        ax: where to draw.
        images: (B, C, H, W), C 1 or 3; values outside [0, 1] are clamped.
        columns: images per row.
        title: written above.
    """
    ax.imshow(image_grid(images, columns), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_title(title)
    ax.axis("off")


def image_grid(images: Tensor, columns: int) -> np.ndarray:
    """Images (B, C, H, W) side by side with a gap of one pixel, as an array (height, width, 3) in [0, 1]."""
    utils = need("torchvision.utils", "data", "a grid of images")
    return utils.make_grid(images.clamp(0, 1), nrow=columns, padding=1, pad_value=0.5).permute(1, 2, 0).numpy()


def animate_images(frames: Sequence[Tensor], titles: Sequence[str], *, columns: int, alt: str, fps: int = 8) -> Any:
    """A small player of image grids, for a notebook and the rendered book; it can be paused, and needs no kernel.

    Args:
        frames: one (B, C, H, W) tensor a frame.
        titles: one title a frame.
        columns: images per row.
        alt: what is seen, in words, for who cannot see it.
        fps: frames per second.

    Returns:
        An `IPython.display.HTML` object, whose output also holds the last frame as a picture, for where no script runs.
    """
    display = need("IPython.display", "plot", "a player")
    fig, ax = plt.subplots(figsize=(4.2, 4.6), dpi=100)
    plot_images(ax, frames[0], columns=columns, title=titles[0])
    picture = ax.images[0]

    def draw(index: int) -> None:
        picture.set_data(image_grid(frames[index], columns))
        ax.set_title(titles[index])

    player = FuncAnimation(fig, draw, frames=len(frames), interval=1000 / fps).to_jshtml(default_mode="once")
    draw(len(frames) - 1)
    still = _png_base64(fig)
    page = _own_player(player, _image_tag(still, alt))
    return _with_still(display.HTML(page), page, still, alt)


def _own_player(player: str, image: str) -> str:
    """Matplotlib's player without its icon font from another machine, and with a picture where no script runs."""
    start, end = player.index("<link"), player.index("<script")
    player = player[:start] + player[end:]
    for icon, character in ICONS.items():
        player = player.replace(f'<i class="fa {icon}"></i>', character)
    player = player.replace("<img id=", image.removesuffix("/>") + " id=")
    # A name that follows from the content, so that the same animation is the same page.
    random_name = re.findall(r"anim([0-9a-f]{32})", player)[0]
    return player.replace(random_name, hashlib.sha1(player.replace(random_name, "").encode()).hexdigest()[:32])


def frame_slider(
    draw: Callable[[float], Figure], values: Sequence[float], label: str, *, alt: str, start: float | None = None
) -> Any:
    """A slider over figures drawn beforehand, which moves in JupyterLab and in the rendered page alike.

    Args:
        draw: makes the figure of a value.
        values: what the slider chooses from.
        label: what it changes.
        alt: what is seen, in words.
        start: the value that it begins at; by default the middle one.

    Returns:
        A widget that holds slider and pictures; its output also holds the picture that it begins at, for where no
        widget is shown.

    Raises:
        ValueError: a start that is not one of the values.
    """
    widgets = need("ipywidgets", "plot", "a slider")
    values = list(values)
    if start is not None and start not in values:
        raise ValueError(f"start must be one of {values}, got {start}")
    first = len(values) // 2 if start is None else values.index(start)
    stills = [_png_base64(draw(value)) for value in values]
    # An Image widget would take no alternative text.
    frames = [widgets.HTML(_image_tag(still, alt)) for still in stills]
    slider = widgets.SelectionSlider(
        options=[(f"{v:g}", i) for i, v in enumerate(values)], value=first, description=label
    )
    stack = widgets.Stack(frames, selected_index=first)
    widgets.jslink((slider, "index"), (stack, "selected_index"))
    return _with_still(widgets.VBox([slider, stack]), _image_tag(stills[first], alt), stills[first], alt)


def _with_still(moving: Any, page: str, still: str, alt: str) -> Any:
    """Put a picture and its text into the output of what moves: front ends take the first form that they can show."""
    view: dict[str, Any] = getattr(moving, "_repr_mimebundle_", dict)()
    bundle = view | {"text/html": page, "image/png": still, "text/plain": alt}
    moving._repr_mimebundle_ = lambda **_: (bundle, {"image/png": {"alt": alt}})
    return moving


def _image_tag(png: str, alt: str) -> str:
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{png}"/>'


def _png_base64(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    return base64.b64encode(buffer.getvalue()).decode()


def _square(ax: Axes, limits: tuple[float, float]) -> None:
    ax.set(xlim=limits, ylim=limits, aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
