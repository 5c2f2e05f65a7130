"""Sphinx extension: each figure in the colours of the page, light or dark, and none before it is to be seen.

A kernel that is asked for twins (ncsn_lib/plotting.py) sends a figure's pictures in the metadata of its output, and
those of a slider's in one HTML. A page shows one of them, by the theme's classes, and loads no other: pictures are
files beside the page, which a browser fetches when they are to be seen, the frames of an animation among them. Until
a slider lives, and on paper, its first picture stands there.
"""

import hashlib
import json
import re
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

from myst_nb.core.render import load_mime_renders

SIZE = re.compile(r'style="width: (\d+)px; height: (\d+)px;"')
INLINE = re.compile(r'src=(?P<quote>\\?")data:image/(?P<kind>png|svg)(?:\+xml)?;base64,(?P<data>[\w+/=]+)\\?"')
FRAME = re.compile(r'(?P<frame>frames\[\d+\] = )"data:image/(?P<kind>png);base64,(?P<data>[\w+/=\\\n]+)"')
START = re.compile(r"setTimeout\((function\(\) \{\s*anim\w+ = new Animation\(.*?\}), 0\);", re.DOTALL)
WHEN_NEAR = r"""new IntersectionObserver((seen, watcher) => {
        if (seen.some((entry) => entry.isIntersecting)) { watcher.disconnect(); start(); }
    }, { rootMargin: "400px" }).observe(document.getElementById(img_id));
    const start = \1;"""
VIEW = re.compile(r'<script type="application/vnd\.jupyter\.widget-view\+json">(.*?)</script>', re.DOTALL)
STATE = "application/vnd.jupyter.widget-state+json"


class Twins:
    """A renderer of myst-nb: what it does with a figure that has a twin."""

    @staticmethod
    def handle_mime(renderer, data, inline):
        """Put both on the page; None leaves an output to others."""
        told = data.output_metadata.get(data.mime_type, {})
        if inline or "twins" not in told:
            return None
        pair = []
        for twin, name in zip(told["twins"], ("only-light", "only-dark"), strict=True):
            own = replace(data, mime_type=twin["kind"], content=twin["data"], output_metadata={twin["kind"]: twin})
            (image,) = renderer.render_image(own)
            image["classes"].append(name)
            image["loading"] = "lazy"
            pair.append(image)
        return pair


def keep_room(app, pagename, templatename, context, doctree):
    """Say how large figures are in attributes, by which a page keeps their room; they shrink with it, in proportion."""
    if "body" in context:
        context["body"] = SIZE.sub(r'width="\1" height="\2"', context["body"])


def shown_first(models, name):
    """The HTML that a widget shows at first, or nothing."""
    state = models[name]["state"]
    if models[name]["model_name"] == "HTMLModel":
        return state["value"]
    children = [child.removeprefix("IPY_MODEL_") for child in state.get("children", [])]
    if models[name]["model_name"] == "StackModel":
        children = [children[state["selected_index"]]]
    return "".join(shown_first(models, child) for child in children)


def move_out(app, pagename, templatename, context, doctree):
    """Put pictures that stand in the page, as those of sliders and animations do, in files beside it."""
    folder = Path(app.outdir) / app.builder.imagedir
    root = "../" * pagename.count("/")

    def write(data, kind):
        picture = b64decode(data)
        name = f"{hashlib.sha256(picture).hexdigest()}.{kind}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture)
        return f"{root}{app.builder.imagedir}/{name}"

    def of_page(match):
        quote = match["quote"]
        return f"loading={quote}lazy{quote} src={quote}{write(match['data'], match['kind'])}{quote}"

    def of_animation(match):
        path = write(match["data"].replace("\\\n", ""), match["kind"])
        return f'{match["frame"]}"{path}"'

    if "body" not in context:
        return
    body = FRAME.sub(of_animation, INLINE.sub(of_page, context["body"]))
    context["body"] = START.sub(WHEN_NEAR, body)
    for script in context["script_files"]:
        inside = getattr(script, "attributes", {})
        if inside.get("type") == STATE:
            inside["body"] = INLINE.sub(of_page, inside["body"])
            models = json.loads(inside["body"])["state"]

            def with_still(match, models=models):
                first = shown_first(models, json.loads(match[1])["model_id"])
                return f'<div class="before-widget">{first}</div>{match[0]}'

            context["body"] = VIEW.sub(with_still, context["body"])


def setup(app):
    """Connect the extension."""
    load_mime_renders().append(Twins)
    app.connect("html-page-context", keep_room)
    app.connect("html-page-context", move_out, priority=900)  # after myst-nb has put the state of widgets there
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
