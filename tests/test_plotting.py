"""Pictures: the right numbers reach the axes, and what a page needs is in what is shown."""

import base64
import html
import io
import json
import re

import matplotlib as mpl
import numpy as np
import pytest
import torch
from chapters import BOOK
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image

mpl.use("agg")

from ncsn_lib import GaussianMixture, plotting, show
from ncsn_lib.plotting import (
    DARK,
    DATA,
    MODEL,
    TEXT,
    TRUTH,
    TWINS,
    Picture,
    animate_images,
    frame_slider,
    grid_points,
    image_grid,
    plot_density,
    plot_images,
    plot_points,
    plot_score_field,
    plt,
    use_style,
)

NORMAL = GaussianMixture(torch.tensor([[1.0, 0.0]]), 1.0)


@pytest.fixture(autouse=True)
def figures():
    use_style()
    yield
    plt.close("all")


def test_grid_runs_along_the_first_axis():
    points = grid_points((-1.0, 1.0), 3)
    assert points[:3].tolist() == [[-1.0, -1.0], [0.0, -1.0], [1.0, -1.0]]
    assert points[3].tolist() == [-1.0, 0.0]


def test_a_density_is_not_transposed():
    """The authors' picture was, which their symmetric mixture hides; ours has its peak at (1, 0)."""
    _, ax = plt.subplots()
    contours = plot_density(ax, NORMAL.log_prob, (-3, 3), num=61)
    inner = [path for path in contours.get_paths() if len(path.vertices)][-1].vertices
    assert inner.mean(0) == pytest.approx([1.0, 0.0], abs=0.1)
    assert ax.get_xlabel() == "$x_1$"


def test_arrows_are_the_score_to_scale():
    _, ax = plt.subplots()
    arrows = plot_score_field(ax, NORMAL.score, (-3, 3), num=7)
    points = grid_points((-3, 3), 7)
    score = NORMAL.score(points)
    drawn = torch.tensor(np.stack([arrows.U, arrows.V], 1)).float()
    longest = score.norm(dim=1).max()
    torch.testing.assert_close(drawn, score * 1.8 / longest, rtol=1e-5, atol=1e-6)  # cells of 1, the longest 1.8


def test_unit_arrows_tell_their_length_by_colour():
    _, ax = plt.subplots()
    arrows = plot_score_field(ax, NORMAL.score, (-3, 3), num=6, unit_length=True)
    drawn = torch.tensor(np.stack([arrows.U, arrows.V], 1))
    torch.testing.assert_close(drawn.norm(dim=1), torch.full((36,), 0.8 * 6 / 5).to(drawn), rtol=1e-5, atol=0)
    torch.testing.assert_close(torch.tensor(arrows.get_array()), NORMAL.score(grid_points((-3, 3), 6)).norm(dim=1))


def test_no_arrow_stands_where_the_score_is_zero():
    _, ax = plt.subplots()
    arrows = plot_score_field(ax, lambda x, sigma: 1e-7 - x, (-3, 3), num=7, unit_length=True)
    lengths = np.hypot(arrows.U, arrows.V)
    assert lengths[24] < 1e-2
    assert np.delete(lengths, 24) == pytest.approx(0.8)


def test_images_side_by_side():
    images = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 1, 2, 2) / 2
    grid = image_grid(images, 2)
    assert grid.shape == (7, 7, 3)
    assert [grid[1, 1, 0], grid[1, 4, 0], grid[4, 1, 0]] == [0.0, 0.5, 1.0]
    assert grid[0, 0, 0] == 0.5  # the gap
    _, ax = plt.subplots()
    plot_images(ax, 5 * images, columns=2, title="three")
    assert ax.images[0].get_array().max() == 1.0  # clamped
    assert ax.get_title() == "three"


def test_points_are_where_they_are():
    _, ax = plt.subplots()
    plot_points(ax, torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert ax.collections[0].get_offsets().tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_the_ground_is_transparent():
    _, ax = plt.subplots()
    plot_points(ax, torch.zeros(1, 2))
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, format="png")
    assert Image.open(buffer).convert("RGBA").getpixel((0, 0))[3] == 0


def test_a_player_calls_no_other_machine_and_is_the_same_each_time():
    frames = [torch.zeros(4, 1, 2, 2), torch.ones(4, 1, 2, 2)]
    pages = [animate_images(frames, ["a", 'b "<"'], columns=2, alt="from black to white").data for _ in range(2)]
    assert pages[0] == pages[1]
    assert "http" not in re.sub(r"https?://www\.w3\.org\S*", "", pages[0])
    assert 'alt="from black to white"' in pages[0]
    assert json.loads(html.unescape(re.search(r'data-titles="([^"]+)"', pages[0])[1])) == ["a", 'b "<"']
    assert "fa-play" not in pages[0]


def test_a_slider_holds_a_frame_for_each_value():
    drawn = []

    def draw(value):
        drawn.append(value)
        figure, ax = plt.subplots()
        ax.set_title(str(value))
        return figure

    box = frame_slider(draw, [0.5, 1.0, 2.0], "sigma", alt="three titles")
    slider, stack = box.children
    assert drawn == [0.5, 1.0, 2.0]
    assert slider.options == (("0.5", 0), ("1", 1), ("2", 2))
    pictures = [
        re.search(r'alt="three titles" .*src="data:image/png;base64,([^"]+)"', f.value)[1] for f in stack.children
    ]
    assert len(set(pictures)) == 3
    Image.open(io.BytesIO(base64.b64decode(pictures[0]))).verify()
    assert plt.get_fignums() == []


# --- how a figure is shown


def lightness(color):
    """The relative luminance of WCAG 2, plus its 0.05."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in mpl.colors.to_rgb(color)]
    return np.dot([0.2126, 0.7152, 0.0722], linear) + 0.05


def contrast(one, other):
    return max(lightness(one), lightness(other)) / min(lightness(one), lightness(other))


def ground(scheme):
    """The colour of the book's pages."""
    style = (BOOK / "assets" / "book.css").read_text(encoding="utf-8")
    return re.search(rf'data-theme="{scheme}"\] {{\s+--pst-color-background: (#\w+);', style)[1]


def test_colours_stand_out_on_light_and_dark_pages():
    for light, dark in DARK.items():
        least = 4.5 if light == TEXT else 3
        assert contrast(light, "white") >= contrast(light, ground("light")) >= least
        assert contrast(dark, ground("dark")) >= least
    for name, page in ((plotting.LENGTH, "light"), (plotting.DARK_MAPS["length"], "dark")):
        assert min(contrast(color, ground(page)) for color in name(np.linspace(0, 1, 32))) >= 3


def test_type_has_one_size_that_a_phone_can_show():
    figure, ax = plt.subplots()
    ax.plot([0, 1], label="a line")
    ax.set(title="title", xlabel="x", ylabel="y")
    ax.legend()
    figure.suptitle("figure")
    texts = [text for text in figure.findobj(mpl.text.Text) if text.get_text()]
    assert {text.get_fontsize() for text in texts} == {plotting.TYPE}
    on_page = plotting.TYPE * 96 / 72
    assert 13 <= on_page <= 18
    assert on_page * min(1, 334 / (96 * plotting.WIDTH)) >= 10  # the column of a solution, 390 pixels wide


def draw_lines():
    figure, ax = plt.subplots()
    ax.plot([0, 1], [0, 1], "o-", color=DATA, markerfacecolor="none")
    ax.scatter([0], [1], color=MODEL)
    ax.text(0.5, 0.2, "boxed", bbox={"facecolor": "none", "edgecolor": MODEL})
    ax.annotate("", (0, 0), (1, 0), arrowprops={"arrowstyle": "->", "color": TRUTH})
    return figure


def test_lines_are_svg_the_same_each_time_and_without_a_font():
    one, again = Picture.of(draw_lines()), Picture.of(draw_lines())
    assert one == again
    assert one.kind == "image/svg+xml"
    assert "<text" not in one.data
    assert "dc:date" not in one.data
    inches = float(re.search(r'width="([\d.]+)pt"', one.data)[1]) / 72
    assert one.width == round(96 * inches) <= 96 * plotting.WIDTH


def test_pixels_are_png_at_twice_the_size():
    figure, ax = plt.subplots()
    plot_density(ax, NORMAL.log_prob, (-3, 3), num=21)
    picture = Picture.of(figure)
    assert picture.kind == "image/png"
    size = Image.open(io.BytesIO(base64.b64decode(picture.data))).size
    assert size == pytest.approx((2 * picture.width, 2 * picture.height), abs=1)


def test_many_points_are_png():
    figure, ax = plt.subplots()
    plot_points(ax, torch.randn(3000, 2))
    assert Picture.of(figure).kind == "image/png"


def test_a_notebook_gets_one_picture_and_the_pages_theirs_where_they_ask(monkeypatch):
    shell = InteractiveShell.instance()
    try:
        use_style()
        monkeypatch.delenv(TWINS, raising=False)
        data, told = shell.display_formatter.format(draw_lines())
        assert set(data) == {"image/png", "text/plain"}
        assert set(told["image/png"]) == {"width", "height"}
        monkeypatch.setenv(TWINS, "yes")
        again, told = shell.display_formatter.format(draw_lines())
    finally:
        InteractiveShell.clear_instance()
    assert data == again
    light, dark = (twin["data"] for twin in told["image/png"]["twins"])
    for color in (DATA, MODEL, TRUTH, TEXT):
        assert color in light
        assert color not in dark
        assert DARK[color] in dark


def test_a_figure_that_changes_after_it_was_shown_is_laid_out_again(monkeypatch):
    monkeypatch.setenv(TWINS, "yes")
    figure = draw_lines()
    plotting._bundle(figure)
    before = figure.axes[0].get_position().x0
    figure.axes[0].set_ylabel("an axis\nwith a name")
    plotting._bundle(figure)
    assert figure.axes[0].get_position().x0 > before + 0.03


def test_a_density_has_the_dark_page_s_blue_on_it(monkeypatch):
    monkeypatch.setenv(TWINS, "yes")

    def draw(value):
        figure, ax = plt.subplots()
        plot_density(ax, NORMAL.log_prob, (-3, 3), num=21)
        return figure

    page = frame_slider(draw, [1.0], "x", alt="a bump").children[1].children[0].value
    blues = []
    for name in ("only-light", "only-dark"):
        png = base64.b64decode(re.search(rf'class="{name}" [^>]*base64,([^"]+)"', page)[1])
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGBA")).reshape(-1, 4)
        blue = pixels[pixels[:, 2] > pixels[:, 0].astype(int) + 80]
        blues.append(mpl.colors.to_hex(blue[blue[:, 3].argmax()] / 255))
    for found, wanted in zip(blues, (DATA, DARK[DATA]), strict=True):
        assert mpl.colors.to_rgb(found) == pytest.approx(mpl.colors.to_rgb(wanted), abs=0.03)


# --- sources


def test_source_without_its_docstring_is_the_code():
    shown = show.show_source(plot_points).data
    assert shown.startswith("def plot_points(")
    assert '"""' not in shown
    namespace = {"Axes": object, "Tensor": torch.Tensor, "DATA": "b"}
    exec(compile(shown, "shown", "exec"), namespace)
    assert namespace["plot_points"].__defaults__ is None
    assert '"""Draw points' in show.show_source(plot_points, docstring=True).data


def test_a_method_is_shown_from_the_margin():
    assert show.show_source(GaussianMixture._score).data.startswith("def _score(self")
