"""Sphinx extension: everything a page needs is served from the book itself.

`book/assets` is copied to `_static` (so `book/assets/vendor` is found at `_static/vendor`), the book's style
sheet is added to each page, and the script that names what the theme leaves without a name. Two things are taken out:
the icon font on a CDN that matplotlib's animations link to (the theme has the same icons), and thebe, which
jupyter-book loads even where it is switched off, twice, so that every page would begin with a script error.
"""

import re
from pathlib import Path

OUTSIDE_STYLE = re.compile(r'<link\s+rel="stylesheet"\s+href="https?://[^"]*font-awesome[^"]*">')


def serve_assets(app, config):
    """Add `book/assets` to the folders that Sphinx copies to `_static`."""
    config.html_static_path.append(str(Path(app.confdir) / "book" / "assets"))


def drop_outside_styles(app, pagename, templatename, context, doctree):
    """Remove the link to an icon font on a CDN from the page's body."""
    if "body" in context:
        context["body"] = OUTSIDE_STYLE.sub("", context["body"])


def is_thebe(script):
    """Whether a script is thebe's; the state of widgets is data, and pictures in it may spell the name by chance."""
    attributes = getattr(script, "attributes", {})
    return "json" not in attributes.get("type", "") and "thebe" in f"{script} {attributes}".lower()


def drop_thebe(app, pagename, templatename, context, doctree):
    """Remove thebe's scripts from the page's head."""
    context["script_files"] = [script for script in context.get("script_files", []) if not is_thebe(script)]


def setup(app):
    """Connect the extension."""
    app.connect("config-inited", serve_assets)
    app.connect("html-page-context", drop_outside_styles)
    app.connect("html-page-context", drop_thebe)
    app.add_css_file("book.css", priority=900)
    app.add_js_file("access.js", loading_method="defer")
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
