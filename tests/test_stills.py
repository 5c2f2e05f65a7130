"""What an output holds for where nothing runs: a picture and its text beside what moves."""

import base64
import io
import subprocess
import sys
from html.parser import HTMLParser

import jupytext
import matplotlib as mpl
import pytest
import torch
from IPython.core.formatters import DisplayFormatter
from PIL import Image

mpl.use("agg")

import refresh

from ncsn_lib import load_run
from ncsn_lib.labs import DenoiserLab, LadderLab, SamplerLab, ScoreLab
from ncsn_lib.plotting import animate_images, frame_slider, plt

GREYS = [0.0, 0.4, 0.6, 1.0]
ALT = 'a flat "grey" & no more'
ALTS = ["a line that rises", "a line of the chosen height", "four squares that turn white"]
CHAPTER = f"""---
kernelspec:
  name: python3
  display_name: Python 3
---

```{{code-cell}}
import torch
from ncsn_lib.plotting import animate_images, frame_slider, plt, use_style

use_style()


def draw(height):
    figure, ax = plt.subplots(figsize=(2, 1))
    ax.plot([0, 1], [height, height])
    return figure
```

```{{code-cell}}
---
mystnb:
  image:
    alt: {ALTS[0]}
---
plt.plot([0, 1])
plt.show()
```

```{{code-cell}}
frame_slider(draw, [1, 2, 3], "height", alt="{ALTS[1]}")
```

```{{code-cell}}
frames = torch.linspace(0, 1, 3).view(3, 1, 1, 1, 1).expand(3, 4, 1, 2, 2)
animate_images(frames, ["black", "grey", "white"], columns=2, alt="{ALTS[2]}")
```
"""


def paint(grey):
    figure, ax = plt.subplots(figsize=(1, 1))
    ax.imshow([[grey]], cmap="gray", vmin=0, vmax=1)
    ax.axis("off")
    return figure


def shown(thing):
    """The forms of a thing that a kernel sends, and what it says of them."""
    return DisplayFormatter().format(thing)


def centre(png):
    """The red of the pixel in the middle."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    return picture.getpixel((picture.width // 2, picture.height // 2))[0]


@pytest.mark.parametrize(("start", "first"), [(None, 2), (0.4, 1)])
def test_a_slider_leaves_the_picture_that_it_begins_at(start, first):
    box = frame_slider(paint, GREYS, "grey", alt=ALT, start=start)
    slider, stack = box.children
    assert slider.index == stack.selected_index == first
    data, metadata = shown(box)
    assert centre(data["image/png"]) == round(255 * GREYS[first])
    assert data["text/plain"] == metadata["image/png"]["alt"] == ALT
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == box.model_id
    assert data["image/png"] == shown(frame_slider(paint, GREYS, "grey", alt=ALT, start=start))[0]["image/png"]


def test_a_slider_begins_at_one_of_its_values():
    with pytest.raises(ValueError, match=r"start must be one of \[0.0, 0.4, 0.6, 1.0\], got 0.5"):
        frame_slider(paint, GREYS, "grey", alt=ALT, start=0.5)


def test_an_animation_leaves_its_last_frame_with_its_title():
    def still(*titles):
        data, metadata = shown(animate_images(frames, titles, columns=1, alt=ALT))
        assert data["text/plain"] == metadata["image/png"]["alt"] == ALT
        return data["image/png"]

    frames = [torch.full((1, 1, 2, 2), grey) for grey in (0.0, 0.4)]
    assert centre(still("a", "b")) == round(255 * 0.4)
    assert still("a", "b") == still("c", "b") != still("a", "c")


def test_each_lab_says_what_it_is():
    run = load_run(refresh.BOOK / "results" / "models" / "mnist_small_wide.safetensors")
    for lab, arguments in ((ScoreLab, []), (LadderLab, []), (SamplerLab, [run]), (DenoiserLab, [run])):
        told, again = (shown(lab(*arguments))[0]["text/plain"] for _ in range(2))
        assert told.startswith(f"{lab.__name__}: ")
        assert "run this cell" in told
        assert told == again


class Images(HTMLParser):
    """The attributes of each image of a page, in `found`."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.found.append(dict(attributes))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A chapter's notebook with a figure, a slider and an animation, as it is stored."""
    page = tmp_path_factory.mktemp("stills") / "stills.md"
    page.write_text(CHAPTER, encoding="utf-8")
    notebooks = {page.with_suffix(".ipynb"): jupytext.read(page)}
    refresh.execute(notebooks)
    refresh.write(notebooks)
    return page.with_suffix(".ipynb")


# nbconvert's template "lab" leaves out the alternative text of what is a PNG alone.
@pytest.mark.parametrize(("template", "told"), [("classic", ALTS), ("lab", ALTS[1:])])
def test_a_stored_notebook_shows_pictures_without_a_kernel(stored, template, told):
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--no-input", "--template", template]
    done = subprocess.run([*command, "--stdout", str(stored)], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    found = Images(done.stdout).found
    assert len(found) == 3
    for image in found:
        kind, _, png = image["src"].partition(",")
        assert kind == "data:image/png;base64"
        Image.open(io.BytesIO(base64.b64decode(png))).verify()
    assert [image["alt"] for image in found][-len(told) :] == told
