"""Sphinx extension: buttons that lead to the book's repository, to Colab and to Binder, where it has an address.

The address is that of `book/_tools/address.py`; without one no page shows such a button. They lead to a chapter's
`.ipynb`, which the theme prefers where it lies beside the `.md`, and the download button offers that file, too.
"""

import shutil
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "_tools"))
from address import address

CANNOT = {"https://github.com": (), "https://gitlab.com": ("colab_url", "deepnote_url")}  # what opens no notebook of it
PROVIDERS = ("github", "gitlab")  # in the name of a host, of which the theme knows all links


def set_address(app, config):
    """Tell the theme the address, and which buttons a repository there has."""
    found = address(Path(app.confdir)) or ""
    host = found.rsplit("/", 2)[0]
    shown = any(provider in host for provider in PROVIDERS)
    options = config.html_theme_options
    launchers = options.get("launch_buttons", {}) if host in CANNOT else {}
    options["launch_buttons"] = {name: value for name, value in launchers.items() if name not in CANNOT[host]}
    options["repository_url"] = found if shown else ""
    options |= dict.fromkeys(("use_repository_button", "use_issues_button", "use_edit_page_button"), shown)


def notebook_of(app, page):
    """The notebook beside a page's source, which need not exist."""
    return Path(app.srcdir) / f"{page}.ipynb"


def offer_notebook(app, pagename, templatename, context, doctree):
    """Show the button that downloads a chapter's notebook."""
    if notebook_of(app, pagename).exists():
        context["ipynb_source"] = f"{pagename}.ipynb"


def copy_notebooks(app, error):
    """Put the notebooks where that button looks, in the place of what was executed, which is in MyST."""
    if error or app.builder.format != "html":
        return
    for page in app.env.found_docs:
        if (notebook := notebook_of(app, page)).exists():
            target = Path(app.outdir) / "_sources" / f"{page}.ipynb"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(notebook, target)


def setup(app):
    """Connect the extension."""
    app.connect("config-inited", set_address)
    app.connect("html-page-context", offer_notebook)
    app.connect("build-finished", copy_notebooks)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
