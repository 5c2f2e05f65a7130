"""The book's one visual language; the only file that imports matplotlib.

Data is blue, the model and its samples orange, the truth dark grey, noise light grey; colours are Okabe and Ito's, safe
for colour-blind readers. The ground is transparent. `DARK` holds the colours that the book's dark pages have instead.

All type has one size, and no figure is wider than `WIDTH`, so that its type is legible on a phone. A notebook shows a
figure as a PNG of twice the page's pixels, which every front end shows, trusted or not; a page, as SVG where that is
small.
"""

import base64
import hashlib
import html
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ncsn_lib.extras import need
from ncsn_lib.protocol import ScoreFn

need("matplotlib", "plot", "ncsn_lib.plotting")
import matplotlib.pyplot as plt
from matplotlib.animation import FuncAnimation
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import Collection, QuadMesh
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, to_hex, to_rgb, to_rgba, to_rgba_array
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.rcsetup import cycler
from matplotlib.transforms import Bbox

DATA, MODEL, ACCENT, OTHER = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
TRUTH, NOISE, TEXT = "#6b6b6b", "#909090", "#737373"
DARK = {
    DATA: "#46a6e0", MODEL: "#ef8433", ACCENT: "#2bc79b", OTHER: "#e38bbd",
    TRUTH: "#b8b8b8", NOISE: "#7d7d7d", TEXT: "#a9adb1",
}  # fmt: skip
"""The palette's colours on a dark page."""
WIDTH, TYPE = 5.0, 11
"""The most inches that a figure is wide, and the points of its type: with 96 pixels an inch, 15 pixels on a page, and
10 on a phone, whose column of 340 pixels shrinks the widest figure."""
TWINS = "NCSN_TWINS"
"""The environment variable with which the book's build asks for a light and a dark picture of each figure."""
MOST_SVG = 120_000  # characters; what is longer, as thousands of points are, is lighter as a PNG


def _density_map(color: str) -> Colormap:
    # Opaque with the root of the density, so that a small bump is seen beside a large one.
    opacities = 0.8 * np.linspace(0, 1, 64) ** 0.5
    return LinearSegmentedColormap.from_list("density", [to_rgba(color, opacity) for opacity in opacities])


def _part_of_cividis(start: float, end: float) -> Colormap:
    return LinearSegmentedColormap.from_list("length", plt.get_cmap("cividis")(np.linspace(start, end, 64)))


DENSITY = _density_map(DATA)
"""Density as the data's blue, from transparent to nearly opaque."""
ERROR = "cividis"
"""Errors, in a sequential map that everyone can read."""
LENGTH = _part_of_cividis(0.0, 0.6)
"""Lengths of arrows: the part of the same map that is legible on a light ground."""
DARK_MAPS = {"density": _density_map(DARK[DATA]), "length": _part_of_cividis(0.45, 1.0)}
"""The maps of a dark page, by the names of those that they replace."""

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
    """Set matplotlib to the book's style, and a notebook to show figures as the book does."""
    sizes = ["font.size", "axes.titlesize", "figure.titlesize", "figure.labelsize"]  # the others follow the first
    colors = ["text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"]
    style: dict[Any, Any] = {
        "figure.dpi": 96,
        "figure.figsize": (WIDTH, 3.0),
        "figure.constrained_layout.use": True,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
        "legend.framealpha": 0.0,
        "legend.handlelength": 1.4,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "lines.linewidth": 1.8,
        "axes.prop_cycle": cycler(color=[DATA, MODEL, ACCENT, OTHER, TRUTH]),
        "svg.fonttype": "path",
        "svg.hashsalt": "ncsn",  # the same figure is the same SVG
    }
    plt.rcParams.update(style | dict.fromkeys(sizes, TYPE) | dict.fromkeys(colors, TEXT))
    if "IPython" in sys.modules and (shell := sys.modules["IPython"].get_ipython()):
        plt.switch_backend(plt.get_backend())  # loaded later, it would undo what follows
        shell.display_formatter.formatters["image/png"].pop(Figure, None)
        shell.display_formatter.mimebundle_formatter.for_type(Figure, _bundle)


class Picture(NamedTuple):
    """A figure as it is shown: SVG as text, or a PNG in base64; its size in pixels of the page."""

    kind: str
    data: str
    width: int
    height: int

    @classmethod
    def of(cls, figure: Figure, pixels: bool = False) -> "Picture":
        """Draw a figure without its margins: as SVG, or as a PNG if asked to, or if it holds pixels or is long."""
        figure.draw_without_rendering()  # it lays the figure out
        return cls.of_part(figure, figure.get_tightbbox().padded(0.04), pixels)

    @classmethod
    def of_part(cls, figure: Figure, box: Bbox, pixels: bool = False) -> "Picture":
        """Draw what a box of a figure holds, in inches, as `of` does."""
        width, height = round(96 * box.width), round(96 * box.height)
        # Surfaces of one colour that touch would show the ground between them in an SVG.
        if not pixels and not figure.findobj(lambda one: isinstance(one, (AxesImage, QuadMesh)) or _is_filled(one)):
            svg = _save(figure, format="svg", bbox_inches=box, metadata={"Date": None, "Creator": None}).decode()
            if len(svg) <= MOST_SVG:
                return cls("image/svg+xml", svg, width, height)
        png = _save(figure, format="png", bbox_inches=box, dpi=192)  # twice the page's pixels
        return cls("image/png", base64.b64encode(png).decode(), width, height)

    def tag(self, alt: str, names: str = "") -> str:
        """The HTML of the picture, with its alternative text and the classes that it has on a page."""
        data = self.data if self.kind == "image/png" else base64.b64encode(self.data.encode()).decode()
        shown = f'class="{names}" width="{self.width}" height="{self.height}"'
        return f'<img alt="{html.escape(alt)}" {shown} src="data:{self.kind};base64,{data}"/>'


def _is_filled(artist: Any) -> bool:
    return isinstance(artist, ContourSet) and artist.filled


def _save(figure: Figure, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, **options)
    return buffer.getvalue()


def _bundle(figure: Figure) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """What a notebook shows of a figure; it is told the size, and where it asks for them the pictures of a page."""
    picture = Picture.of(figure, pixels=True)
    told: dict[str, Any] = {"width": picture.width, "height": picture.height}
    if TWINS in os.environ:
        told["twins"] = [one._asdict() for one in _twins(figure)]
    return {picture.kind: picture.data}, {picture.kind: told}


def _twins(figure: Figure) -> list[Picture]:
    """A figure's pictures for a light and for a dark page."""
    with _laid_out(figure) as box:
        light = Picture.of_part(figure, box)
        _darken(figure)
        return [light, Picture.of_part(figure, box)]


@contextmanager
def _laid_out(figure: Figure) -> Iterator[Bbox]:
    """Lay a figure out once, which takes longer than to draw it; gives the box of all that is seen, in inches."""
    figure.draw_without_rendering()
    engine = figure.get_layout_engine()
    figure.set_layout_engine("none")
    yield figure.get_tightbbox().padded(0.04)
    figure.set_layout_engine(engine)


def _darken(figure: Figure) -> None:
    """Give all that is drawn in the palette's colours those that it has on a dark page."""
    artists = figure.findobj()
    # The box of a text and the arrow of an annotation are drawn by it, and are not found.
    artists += filter(None, (getattr(text, name, None) for text in artists for name in ("_bbox_patch", "arrow_patch")))
    for artist in artists:
        for name in ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor"):
            if hasattr(artist, f"get_{name}") and hasattr(artist, f"set_{name}"):
                _exchange(artist, name)
        if isinstance(artist, ScalarMappable) and artist.get_cmap().name in DARK_MAPS:
            artist.set_cmap(DARK_MAPS[artist.get_cmap().name])


def _exchange(artist: Any, name: str) -> None:
    """Replace one or more colours of an artist, each with its opacity, where one of them is the palette's."""
    old = to_rgba_array(getattr(artist, f"get_{name}")())
    dark = np.array([(*to_rgb(DARK.get(to_hex(color), color)), color[3]) for color in old]).reshape(old.shape)
    if not np.array_equal(old, dark):
        getattr(artist, f"set_{name}")(dark if isinstance(artist, Collection) else tuple(dark[0]))


def grid_points(limits: tuple[float, float], num: int) -> Tensor:
    """The points of a square grid, (num * num, 2), the first coordinate running fastest."""
    axis = torch.linspace(*limits, num)
    second, first = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([first.flatten(), second.flatten()], dim=1)


def plot_density(ax: Axes, log_prob: Callable[[Tensor], Tensor], limits: tuple[float, float], *, num: int = 120) -> Any:
    """Draw a density in the plane as filled contours, transparent below a hundredth of its peak.

    Args:
        ax: where to draw.
        log_prob: (B, 2) points to (B,) log-densities.
        limits: of both axes.
        num: grid points along each axis.

    Returns:
        The contour set, for a colour bar.
    """
    density = log_prob(grid_points(limits, num)).exp().view(num, num)
    axis, levels = np.linspace(*limits, num), density.max().item() * np.linspace(0.1, 1, 10) ** 2
    _square(ax, limits)
    return ax.contourf(axis, axis, density.numpy(), levels=levels, cmap=DENSITY, norm=Normalize(0, levels[-1]))


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
        unit_length: draw all arrows of one length, coloured by the score's, which takes a colour bar; otherwise the
            longest spans 1.8 cells and the others are to its scale.
        color: of arrows whose length shows their size.

    Returns:
        The quiver, for a colour bar if lengths are colours.
    """
    points = grid_points(limits, num)
    score = score_fn(points, points.new_full((len(points),), sigma)).detach()
    size = score.norm(dim=1)
    cell = (limits[1] - limits[0]) / (num - 1)
    # Where the score is zero, but for rounding, an arrow of one length has no direction, and vanishes.
    length = size.clamp_min(1e-4 * size.median())[:, None] / 0.8 if unit_length else size.max() / 1.8
    arrows = score * cell / length
    _square(ax, limits)
    style: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.006, "pivot": "mid"}
    if unit_length:
        return ax.quiver(*points.T, *arrows.T, size, cmap=LENGTH, **style)
    return ax.quiver(*points.T, *arrows.T, color=color, **style)


def plot_points(ax: Axes, x: Tensor, *, color: str = DATA, label: str | None = None, size: float = 4) -> None:
    """Draw points of the plane, (B, 2)."""
    ax.scatter(x[:, 0], x[:, 1], s=size, color=color, alpha=0.7, linewidths=0, label=label)


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
        titles: one title a frame, without formulas.
        columns: images per row.
        alt: what is seen, in words, for who cannot see it.
        fps: frames per second.

    Returns:
        An `IPython.display.HTML` object, whose output also holds the last frame as a picture, for where no script runs.
    """
    display = need("IPython.display", "plot", "a player")
    height, width, _ = image_grid(frames[-1], columns).shape
    fig, ax = plt.subplots(figsize=(4.2, 4.2 * height / width))
    fig.set_layout_engine("constrained", w_pad=0, h_pad=0)  # images alone: the titles are text of the page
    plot_images(ax, frames[-1], columns=columns)
    shown = ax.images[0]
    film = FuncAnimation(fig, lambda index: shown.set_data(image_grid(frames[index], columns)), frames=len(frames))
    player = film.to_jshtml(fps=fps, default_mode="once")
    page = _own_player(player, Picture.of(fig).tag(alt), titles)
    with_title, ax = plt.subplots(figsize=(4.2, 4.6))
    plot_images(ax, frames[-1], columns=columns, title=titles[-1])
    still = Picture.of(with_title)
    plt.close(fig)
    plt.close(with_title)
    return _with_still(display.HTML(page), page, still, alt)


def _own_player(player: str, image: str, titles: Sequence[str]) -> str:
    """Matplotlib's player with titles, with no icon font from elsewhere, and a picture where no script runs."""
    start, end = player.index("<link"), player.index("<script")
    player = player[:start] + player[end:]
    for icon, character in ICONS.items():
        player = player.replace(f'<i class="fa {icon}"></i>', character)
    number = "this.parentNode.querySelector('input').value"
    show = f"this.previousElementSibling.textContent = JSON.parse(this.dataset.titles)[{number}]"
    told = f'data-titles="{html.escape(json.dumps(titles))}" onload="{show}"'
    player = player.replace("<img id=", f"<p>{titles[-1]}</p>{image.removesuffix('/>')} {told} id=")
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
    frames = []  # an Image widget would take no alternative text
    for number, value in enumerate(values):
        figure = draw(value)
        if number == first:
            still = Picture.of(figure, pixels=True)
        frames.append(widgets.HTML(_page_of(figure, alt)))
        plt.close(figure)
    slider = widgets.SelectionSlider(
        options=[(f"{v:g}", i) for i, v in enumerate(values)], value=first, description=label
    )
    stack = widgets.Stack(frames, selected_index=first)
    widgets.jslink((slider, "index"), (stack, "selected_index"))
    return _with_still(widgets.VBox([slider, stack]), still.tag(alt), still, alt)


def _page_of(figure: Figure, alt: str) -> str:
    """The HTML that shows a figure on a page: where the book's build asks for them, its twins."""
    if TWINS not in os.environ:
        return Picture.of(figure, pixels=True).tag(alt)
    return "".join(one.tag(alt, f"only-{name}") for one, name in zip(_twins(figure), ("light", "dark"), strict=True))


def _with_still(moving: Any, page: str, still: Picture, alt: str) -> Any:
    """Put a picture and its text into the output of what moves: front ends take the first form that they can show."""
    view: dict[str, Any] = getattr(moving, "_repr_mimebundle_", dict)()
    bundle = view | {"text/html": page, still.kind: still.data, "text/plain": alt}
    told = {"alt": alt, "width": still.width, "height": still.height}
    moving._repr_mimebundle_ = lambda **_: (bundle, {still.kind: told})
    return moving


def _square(ax: Axes, limits: tuple[float, float]) -> None:
    ax.set(xlim=limits, ylim=limits, aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
