"""Pictures: the right numbers reach the axes, and what a page needs is in what is shown."""

import base64
import io
import re

import matplotlib as mpl
import numpy as np
import pytest
import torch
from PIL import Image

mpl.use("agg")

from ncsn_lib import GaussianMixture, show
from ncsn_lib.plotting import (
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
    pages = [animate_images(frames, ["a", "b"], columns=2, alt="from black to white").data for _ in range(2)]
    assert pages[0] == pages[1]
    assert "http" not in re.sub(r"https?://www\.w3\.org\S*", "", pages[0])
    assert 'alt="from black to white"' in pages[0]
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
        re.search(r'alt="three titles" src="data:image/png;base64,([^"]+)"', f.value)[1] for f in stack.children
    ]
    assert len(set(pictures)) == 3
    Image.open(io.BytesIO(base64.b64decode(pictures[0]))).verify()
    assert plt.get_fignums() == []


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
