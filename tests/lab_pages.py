"""Pages with labs on them for the tests: made by Sphinx with the book's own extension, served below a sub-path.

Opened in a browser that reaches no other machine.
"""

import json
import os
import runpy
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import nbformat

ROOT = Path(__file__).resolve().parents[1]
AXE = ROOT / "book" / "assets" / "vendor" / "axe-core" / "axe.min.js"
browser = SimpleNamespace(**runpy.run_path(str(ROOT / "book" / "_tools" / "browser.py")))
PATIENCE = 150_000  # ms; a busy machine may take long for a page, and longer for a kernel

CONF = f"""
import sys
sys.path.insert(0, {str(ROOT / "book" / "_ext")!r})
extensions = ["myst_parser", "labs"]
html_theme = "sphinx_book_theme"
html_context = {{"default_mode": "auto"}}
html_title = "Labs"
html_css_files = ["book.css"]
html_static_path = [{str(ROOT / "book" / "assets")!r}]
"""


def make_site(folder, pages):
    """Build pages, {name: text}, as the book is built; return what Sphinx said."""
    folder.mkdir()
    (folder / "conf.py").write_text(CONF, encoding="utf-8")
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "-b",
        "html",
        str(folder),
        str(folder / "html" / "a" / "book"),
    ]
    return subprocess.run(command, capture_output=True, text=True)


def make_lab_site(tmp_path_factory, labs):
    """A site with a page that has the named labs, `index`, and one that has none, `none`; returns its folder."""
    folder = tmp_path_factory.mktemp("site") / "source"
    places = "\n\n".join(f"## {name}\n\n```{{lab}} {name}\n```" for name in labs)
    toc = "```{toctree}\nnone\n```"
    done = make_site(folder, {"index": f"# Labs\n\n{places}\n\n{toc}", "none": "# No lab"})
    assert done.returncode == 0, done.stderr
    return folder / "html"


@contextmanager
def serve(site):
    """The address of such a site, for as long as it is served."""
    with browser.local_server(site) as served:
        yield f"{served}/a/book"


@contextmanager
def visits(chromium, address, ready):
    """Gives a function that opens the page of labs; what goes wrong on a page fails the test in the end.

    Its options are a browser context's; by default the reader asks for less motion, and then `ready(page)` waits.
    """
    found, contexts = [], []

    def open_page(**options):
        context = chromium.new_context(**{"viewport": browser.WIDE, "reduced_motion": "reduce", **options})
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = browser.listen(context, address, found)
        page.goto(f"{address}/index.html")
        browser.settle(page)
        if options.get("reduced_motion", "reduce") == "reduce":
            ready(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert found == []


@contextmanager
def quiet_page(chromium, address):
    """The page without a lab, for the tests that compute with the modules alone."""
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(f"{address}/none.html")
    yield page
    context.close()


def compute(page, module, expression, argument=None):
    """The value of an expression of a module `m` and an argument `a`; typed arrays come back as lists."""
    script = f"""async (a) => {{
      const m = await import("./_static/labs/{module}.js");
      const plain = v => ArrayBuffer.isView(v) ? [...v] : v;
      return plain(await ({expression}));
    }}"""
    return page.evaluate(script, argument)


def take_webassembly_away(page):
    """Let the worker of a page find none, as where a privacy mode has switched it off."""

    def without(route):
        response = route.fetch()
        route.fulfill(response=response, body=f"delete globalThis.WebAssembly;\n{response.text()}")

    page.route("**/network.js", without)


SETTINGS = [(size, scheme) for size in ("wide", "phone") for scheme in ("light", "dark")]


def visit_in(visit, size, scheme):
    """Open the page in one of the four settings."""
    viewport = {"wide": browser.WIDE, "phone": browser.PHONE}[size]
    page = visit(color_scheme=scheme, viewport=viewport, has_touch=size == "phone")
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    return page


def check_with_axe(page, expected):
    """Hold the labs of a page against axe, and the page against its window; `expected` rules must have been tried."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.add_script_tag(path=AXE)
    result = page.evaluate("axe.run('.ncsn-lab', {preload: false})")
    told = [f"{v['id']}: {v['help']}: {[node['html'][:120] for node in v['nodes']]}" for v in result["violations"]]
    assert told == []
    assert expected <= {p["id"] for p in result["passes"]}


@contextmanager
def jupyterlab(folder, cells):
    """A JupyterLab with a notebook, lab.ipynb, of these cells; gives its address."""
    cells = [nbformat.v4.new_code_cell(text.strip()) for text in cells]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "lab.ipynb")
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ServerApp.port=0",
        "--ServerApp.token=",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    folders = {f"JUPYTER_{name}_DIR": str(folder / name) for name in ("RUNTIME", "CONFIG")}
    environment = os.environ | folders | {"JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces")}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        yield wait_for_server(folder, server)
    finally:
        server.terminate()
        server.wait(20)


def wait_for_server(folder, server):
    """The address that JupyterLab notes in its runtime folder, once it answers."""
    for _ in range(600):
        assert server.poll() is None, (folder / "log").read_text()
        for note in (folder / "RUNTIME").glob("jpserver-*.json"):
            url = json.loads(note.read_text())["url"]
            try:
                urllib.request.urlopen(f"{url}api", timeout=2).close()
            except OSError:
                continue
            return url
        time.sleep(0.2)
    raise AssertionError((folder / "log").read_text())


@contextmanager
def notebook(chromium, folder, cells):
    """That notebook in the browser, its first cell run; gives the page."""
    with jupyterlab(folder, cells) as address:
        context = chromium.new_context(viewport=browser.WIDE, reduced_motion="reduce")
        context.route(lambda url: "127.0.0.1" not in url and url.startswith("http"), lambda route: route.abort())
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"{address}lab/tree/lab.ipynb?reset", wait_until="domcontentloaded")
        run_cell(page, 0)
        yield page
        context.close()


def run_cell(page, number):
    """Run a cell of the notebook to its end; a kernel that JupyterLab still connects to forgets what it was given."""
    cell = page.locator(".jp-Cell").nth(number)
    prompt = cell.locator(".jp-InputPrompt")
    before = prompt.inner_text()
    for _ in range(PATIENCE // 500):
        now = prompt.inner_text()  # [ ]:, while it runs [*]:, and then its number
        if now != before and any(map(str.isdigit, now)):
            return
        if "*" not in now:
            cell.locator(".cm-content").click()
            page.keyboard.press("Control+Enter")
        page.wait_for_timeout(500)
    raise AssertionError(f"cell {number} does not run; its prompt is {now}")
