"""What Sphinx makes of the book's references, so that a notebook has the numbers and names that the pages have.

The sources are read by Sphinx as for the book, but nothing is executed and no page is written; a small picture stands
for each figure, since no number depends on what is drawn. Read again only where a source has changed.
"""

import json
import re
import shutil
import sys
from io import StringIO
from typing import NamedTuple

import jupytext
import nbformat
from chapters import BOOK, BUILD, ROOT, chapters, digest, files_below, pages, write_whole
from docutils import nodes
from docutils.frontend import get_default_settings
from docutils.utils import new_document
from jupyter_book.config import get_final_config
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from myst_nb.core.read import read_myst_markdown_notebook
from myst_parser.parsers.sphinx_ import MystParser
from sphinx.application import Sphinx
from sphinx.builders.dummy import DummyBuilder
from sphinx.util.docutils import docutils_namespace, patch_docutils, sphinx_domains

FOLDER = BUILD / "references"
ROLE = re.compile(r"\{(?P<name>[a-z]+(?::[a-z]+)?)\}`(?P<target>[^`]+)`")
ANSI = re.compile(r"\x1b\[[0-9;]*m")
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="


class Reference(NamedTuple):
    """What a role shows, and the page it leads to, as `01_score_functions`."""

    text: str
    page: str


class References(NamedTuple):
    """The numbers of the book's labels, as "Fig. 3", and what the roles of a page show, by the page's stem."""

    numbers: dict
    roles: dict


class PageNames(DummyBuilder):
    """Writes nothing; a reference leads to the name of a page."""

    name = "page_names"

    def get_target_uri(self, docname, typ=None):
        """The page itself."""
        return docname


def setup(app):
    """Tell Sphinx of the builder."""
    app.add_builder(PageNames)


def single_roles(match):
    """A role as it is written; a citation of several keys is taken apart."""
    name, target = match["name"], match["target"]
    targets = target.split(",") if name.startswith("cite:") else [target]
    return [f"{{{name}}}`{one.strip()}`" for one in targets]


def roles_of(page):
    """The roles in a page's prose and captions, each once."""
    cells = jupytext.read(page).cells
    prose = [cell.source for cell in cells if cell.cell_type == "markdown"]
    prose += [cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", "") for cell in cells]
    found = [role for text in prose for match in ROLE.finditer(text) for role in single_roles(match)]
    return list(dict.fromkeys(found))


def read_references():
    """The references of the book as it stands."""
    sources = [*pages(), ROOT / "_config.yml", ROOT / "_toc.yml", ROOT / "requirements.lock", BOOK / "references.bib"]
    key = digest([*sources, *files_below(BOOK / "_ext", "*.py"), BOOK / "_tools" / "references.py"])
    kept = FOLDER / f"{key[:16]}.json"
    if not kept.exists():
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        keep_placeholders()
        with docutils_namespace(), patch_docutils(str(ROOT)):
            app = read_book()
            roles = {page.stem: resolve_roles(app, page) for page in chapters()}
            write_whole(kept, json.dumps({"numbers": numbers(app), "roles": roles}))
    read = json.loads(kept.read_text(encoding="utf-8"))
    roles = {page: {role: Reference(*one) for role, one in shown.items()} for page, shown in read["roles"].items()}
    return References(read["numbers"], roles)


def keep_placeholders():
    """Tell Sphinx that each chapter was executed, and that the cell of each figure drew something."""
    cache = get_cache(str(FOLDER / "cache"))
    for page in chapters():
        notebook = read_myst_markdown_notebook(page.read_text(encoding="utf-8"), add_source_map=True, path=page)
        for cell in notebook.cells:
            if "figure" in cell.metadata.get("mystnb", {}):
                cell.outputs = [nbformat.v4.new_output("display_data", {"image/png": DOT})]
        cache.cache_notebook_bundle(CacheBundleIn(notebook, str(page)), check_validity=False)


def read_book():
    """Sphinx, with the book read; what leads nowhere ends the program, with its file and line."""
    settings, _ = get_final_config(
        user_yaml=ROOT / "_config.yml", sourcedir=ROOT, cli_config={"latex_individualpages": False}
    )
    settings |= {
        "extensions": [*settings["extensions"], "references"],
        "external_toc_path": str(ROOT / "_toc.yml"),
        "nb_execution_cache_path": str(FOLDER / "cache"),
        "nb_mime_priority_overrides": [(PageNames.name, "image/png", 1)],
        "nitpicky": True,
    }
    warnings = StringIO()
    app = Sphinx(
        ROOT, None, FOLDER / "out", FOLDER / "doctrees", PageNames.name,
        confoverrides=settings, status=None, warning=warnings,
    )  # fmt: skip
    app.build()
    if warnings.getvalue():
        sys.exit(ANSI.sub("", warnings.getvalue()).rstrip())
    return app


def numbers(app):
    """What the pages write for equations, figures and exercises, by their labels."""
    found = {label: str(number) for label, (_, number) in app.env.domains["math"].equations.items()}
    for kinds in app.env.toc_fignumbers.values():
        for kind, labels in kinds.items():
            if kind != "displaymath":
                found |= {label: app.config.numfig_format[kind] % number for label, number in labels.items()}
    return found


def resolve_roles(app, page):
    """What Sphinx shows for each role of a page, and the page it leads to."""
    name = page.relative_to(ROOT).with_suffix("").as_posix()
    app.env.prepare_settings(name)
    settings = get_default_settings(MystParser)
    settings.env = app.env
    document = new_document(str(page), settings)
    parser, roles = MystParser(), roles_of(page)
    parser.set_application(app)
    with sphinx_domains(app.env):
        parser.parse("\n\n".join(roles), document)
    app.env.apply_post_transforms(document, name)
    found = {}
    for role, paragraph in zip(roles, document.findall(nodes.paragraph), strict=True):
        link = next(paragraph.findall(nodes.reference))
        found[role] = Reference(paragraph.astext(), link.get("refuri", page.stem).partition("#")[0])
    return found
