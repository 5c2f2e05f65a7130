"""Sphinx extension: the directive `lab`, which puts a lab on a page.

    ```{lab} score
    ```

With a second word it is a part of that lab, one of its module's `SMALL`.

The files of `ncsn_lib/labs/static` are served as `_static/labs`, the same ones that JupyterLab gets; script and style
are loaded only by pages with a lab. There is no kernel: `mount.js` gives the lab a model of its own.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective
from sphinx.util.osutil import relative_uri

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "ncsn_lib" / "labs" / "static"
FILES = ROOT / "_build" / "lab_files"  # kept from one build to the next
SERVED = "<script>if (location.protocol !== 'file:') document.currentScript.previousElementSibling.remove()</script>"
FALLBACK = (
    "The lab takes its place here: it needs JavaScript, and a page that is served ({code}), not opened as a file."
)


def place(name, small="", static="_static"):
    """The HTML of the place that a lab takes; `mount.js` finds it by its attributes.

    A still picture stands in it where no lab comes: on a page that was opened as a file, or without JavaScript. A page
    that is served removes the picture at once, so that nobody loads it.
    """
    part = f' data-small="{small}"' if small else ""
    why = FALLBACK.format(code="<code>make serve</code>")
    still, words = f"{name}_{small}".strip("_"), f"A still picture of the {name} lab, as it stands after its first run"
    picture = f'<img src="{static}/stills/{still}.png" alt="{words}" loading="lazy">{SERVED}'
    return f'<div data-lab="{name}"{part}>{picture}<p>{why}</p></div>\n<noscript><p>JavaScript is off.</p></noscript>'


class lab(nodes.General, nodes.Element):
    """A lab on a page."""


class Lab(SphinxDirective):
    """Puts the lab that its argument names on the page."""

    required_arguments = 1
    optional_arguments = 1

    def run(self):
        """Make the node, if there is such a lab."""
        name, small = [*self.arguments, ""][:2]
        if not (STATIC / f"{name}_lab.js").exists():
            known = sorted(path.name.removesuffix("_lab.js") for path in STATIC.glob("*_lab.js"))
            raise self.error(f"no lab called {name}; there are: {', '.join(known)}")
        if small and small not in (known := small_labs(name)):
            raise self.error(f"no small {name} lab called {small}; there are: {', '.join(known)}")
        return [lab("", name=name, small=small)]


def small_labs(name):
    """The small labs that a module has: the keys of its `SMALL`."""
    text = (STATIC / f"{name}_lab.js").read_text(encoding="utf-8")
    own = re.search(r"^export const SMALL = \{\n(.*?)^\};", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"^  (\w+): \{", own[1], re.MULTILINE) if own else []


def write_html(translator, node):
    """Write the place."""
    builder = translator.builder
    static = relative_uri(builder.get_target_uri(builder.current_docname), "_static")
    translator.body.append(place(node["name"], node["small"], static))
    raise nodes.SkipNode


def write_text(translator, node):
    """Say what is missing where nothing can move."""
    translator.body.append(FALLBACK.format(code="make serve"))
    raise nodes.SkipNode


def copy_front_ends(app):
    """Put the modules, and what they load when they run, where pages find them, before the first page is written."""
    if app.builder.format != "html":
        return
    made = subprocess.run([sys.executable, str(ROOT / "book" / "_tools" / "lab_files.py"), str(FILES)])
    if made.returncode:
        raise ExtensionError("the network and the digits of the labs could not be written; the reason stands above")
    target = Path(app.outdir) / "_static" / "labs"
    shutil.copytree(STATIC, target, dirs_exist_ok=True)
    shutil.copytree(FILES, target / "files", dirs_exist_ok=True)


def load_front_ends(app, pagename, templatename, context, doctree):
    """Let a page with a lab load script and style."""
    if doctree is not None and next(doctree.findall(lab), None) is not None:
        app.add_css_file("labs/labs.css", priority=910)
        app.add_js_file("labs/mount.js", type="module")


def setup(app):
    """Connect the extension."""
    if not (STATIC / "mount.js").exists():
        raise ExtensionError(f"the labs' front ends are not in {STATIC}")
    app.add_node(lab, html=(write_html, None), text=(write_text, None), latex=(write_text, None))
    app.add_directive("lab", Lab)
    app.connect("builder-inited", copy_front_ends)
    # Before those that take scripts out of a page's list, and leave a list behind that is no longer the builder's.
    app.connect("html-page-context", load_front_ends, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
