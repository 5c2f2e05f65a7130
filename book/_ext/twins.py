"""Sphinx extension: each figure in the colours of the page, light or dark.

A kernel that is asked for twins (ncsn_lib/plotting.py) sends a figure's pictures in the metadata of its output, and
those of a slider's in one HTML. A page shows one of them, by the theme's classes, and loads no other: pictures are
files beside the page, which a browser fetches when they are to be seen.
"""

import hashlib
import re
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

from myst_nb.core.render import load_mime_renders

SIZE = re.compile(r'style="width: (\d+)px; height: (\d+)px;"')
INLINE = re.compile(r'src=(?P<quote>\\?")data:image/(?P<kind>png|svg)(?:\+xml)?;base64,(?P<data>[\w+/=]+)\\?"')


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


def move_out(app, pagename, templatename, context, doctree):
    """Put pictures that stand in the page, as those of sliders do, in files beside it."""
    folder = Path(app.outdir) / app.builder.imagedir
    root = "../" * pagename.count("/")

    def write(match):
        picture = b64decode(match["data"])
        name = f"{hashlib.sha256(picture).hexdigest()}.{match['kind']}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture)
        quote = match["quote"]
        return f"loading={quote}lazy{quote} src={quote}{root}{app.builder.imagedir}/{name}{quote}"

    if "body" in context:
        context["body"] = INLINE.sub(write, context["body"])
    for script in context.get("script_files", []):
        inside = getattr(script, "attributes", {})
        if "body" in inside:  # the state of widgets
            inside["body"] = INLINE.sub(write, inside["body"])


def setup(app):
    """Connect the extension."""
    load_mime_renders().append(Twins)
    app.connect("html-page-context", keep_room)
    app.connect("html-page-context", move_out, priority=900)  # after myst-nb has put the state of widgets there
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
