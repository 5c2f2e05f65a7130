"""Sphinx extension: everything a page needs is served from the book itself.

`book/assets` is copied to `_static` (so `book/assets/vendor` is found at `_static/vendor`), the book's style
sheet is added to each page, and the one outside link that matplotlib writes into an animation is taken out:
the theme has the same icons already.
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


def setup(app):
    """Connect the extension."""
    app.connect("config-inited", serve_assets)
    app.connect("html-page-context", drop_outside_styles)
    app.add_css_file("book.css", priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
