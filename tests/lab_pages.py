"""What the tests in a browser share, a plugin of pytest: the browser, pages with labs on them, one JupyterLab.

The pages are made by Sphinx with the book's own extension and served below a sub-path. What takes long to make is made
once in a process, and pytest-xdist gives neighbouring tests to the same one by `--dist worksteal`.
"""

import json
import os
import re
import runpy
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]
STATIC = ROOT / "ncsn_lib" / "labs" / "static"
AXE = ROOT / "book" / "assets" / "vendor" / "axe-core" / "axe.min.js"
FAILED = ROOT / "_build" / "failed_pages"
browser = SimpleNamespace(**runpy.run_path(str(ROOT / "book" / "_tools" / "browser.py")))
PATIENCE = browser.PATIENCE
SMALL = ["score field", "score plain", "score shares", "score annealed", "ladder overlap", "denoiser guess"]
PAGES = {"labs": ["score", "ladder"], "none": [], "small": SMALL}
PAGES |= {name: [name] for name in ("sampler", "denoiser", "opening")}
WHOLE = ("labs", "sampler", "denoiser")  # whose section gets the name, and so the width, of the book's page of labs

CONF = f"""
import sys
sys.path.insert(0, {str(ROOT / "book" / "_ext")!r})
extensions = EXTENSIONS
html_theme = "sphinx_book_theme"
html_context = {{"default_mode": "auto"}}
html_title = "Labs"
html_css_files = ["book.css"]
html_favicon = {str(ROOT / "book" / "assets" / "favicon.svg")!r}
html_static_path = [{str(ROOT / "book" / "assets")!r}]
"""


def make_site(folder, pages, extensions=("myst_parser", "labs")):
    """Build pages, {name: text}, as the book is built, with some of its extensions; return what Sphinx said."""
    folder.mkdir()
    (folder / "conf.py").write_text(CONF.replace("EXTENSIONS", repr(extensions)), encoding="utf-8")
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


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of a site with these PAGES; of several processes the first makes it."""
    base = tmp_path_factory.getbasetemp()
    note = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "lab_site.txt"
    with FileLock(f"{note}.lock"):
        if not note.exists():
            folder = tmp_path_factory.mktemp("site") / "source"
            directives = {name: [f"```{{lab}} {lab}\n```" for lab in labs] for name, labs in PAGES.items()}
            pages = {
                name: "\n\n".join(["# Labs" if name in WHOLE else f"# {name}", *places])
                for name, places in directives.items()
            }
            toc = "\n".join(["# Labs", "```{toctree}", *PAGES, "```"])
            done = make_site(folder, {"index": toc, **pages})
            assert done.returncode == 0, done.stderr
            note.write_text(str(folder / "html"), encoding="utf-8")
    return Path(note.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def address(site):
    """Where that site is served."""
    with browser.local_server(site) as served:
        yield f"{served}/a/book"


@pytest.fixture(scope="session")
def chromium():
    """A browser without a window."""
    executable = browser.find_chromium()
    if executable is None:
        pytest.skip("no Chromium on the path, and none named by NCSN_CHROMIUM")
    with browser.chromium(executable) as running:
        yield running


@pytest.fixture
def page(chromium):
    """A new page, which may complain."""
    with closing(new_context(chromium, viewport=browser.WIDE)) as context:
        yield context.new_page()


@pytest.fixture(scope="session")
def quiet(chromium, address):
    """The page without a lab, for the tests that compute with the modules alone."""
    with closing(new_context(chromium)) as context:
        page = context.new_page()
        page.goto(f"{address}/none.html")
        yield page


def new_context(chromium, **options):
    """A browser's context that has patience with a busy machine."""
    context = chromium.new_context(**options)
    context.set_default_timeout(PATIENCE)
    return context


@contextmanager
def visits(chromium, url, ready):
    """Gives a function that opens a page of labs; what goes wrong on it fails the test in the end.

    Its options are a browser context's; by default the reader asks for less motion, and then `ready(page)` waits.
    """
    found, contexts = [], []

    def open_page(**options):
        context = new_context(chromium, **{"viewport": browser.WIDE, "reduced_motion": "reduce", **options})
        contexts.append(context)
        page = browser.listen(context, url.rpartition("/")[0], found)
        page.goto(url)
        browser.settle(page)
        if options.get("reduced_motion", "reduce") == "reduce":
            ready(page)
        return page

    yield open_page
    assert found == []  # while the pages are open: those of a failed test are photographed
    for context in contexts:
        context.close()


def compute(page, module, expression, argument=None):
    """The value of an expression of a module `m` and an argument `a`; typed arrays come back as lists."""
    script = f"""async (a) => {{
      const m = await import("./_static/labs/{module}.js");
      const plain = v => ArrayBuffer.isView(v) ? [...v] : v;
      return plain(await ({expression}));
    }}"""
    return page.evaluate(script, argument)


def needed(name):
    """A module and all that it imports."""
    found = {name}
    for other in re.findall(r'from "\./(\w+\.js)"', (STATIC / name).read_text(encoding="utf-8")):
        found |= needed(other)
    return found


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


# What breaks a rule is told with its elements; of what keeps one, of which there are thousands, the rule alone.
ASK_AXE = """async where => {
  const { violations, passes } = await axe.run(where, { preload: false, resultTypes: ["violations"] });
  const told = violations.map(v => `${v.id}: ${v.help}: ${v.nodes.map(node => node.html.slice(0, 120))}`);
  return [told, passes.map(rule => rule.id)];
}"""


def ask_axe(page, where):
    """What breaks a rule in a part of a page that has axe, in words, and the names of the rules that something kept."""
    told, passed = page.evaluate(ASK_AXE, where)
    return told, set(passed)


def check_with_axe(page, expected, where=".ncsn-lab"):
    """Hold a part of a page against axe, and the page against its window; `expected` rules must have been tried."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.add_script_tag(path=AXE)
    told, passed = ask_axe(page, where)
    assert told == []
    assert expected <= passed


def frames(page, num):
    """Wait until a page has drawn some frames more, in which whatever moves has moved."""
    script = "async num => { while (num--) await new Promise(r => requestAnimationFrame(r)); }"
    page.evaluate(script, num)


def tab_to(page, target):
    """Press Tab until a control has the focus, as who has no pointer does."""
    for _ in range(200):
        if target.evaluate("e => e === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {target}")


def press(page, target, key, times=1):
    """Go to a control by Tab, and press a key there."""
    tab_to(page, target)
    for _ in range(times):
        page.keyboard.press(key)


@contextmanager
def processor_time(page):
    """Gives a dictionary, and in the end puts in a processor's seconds for the page's own thread and the whole browser.

    Workers compute in the browser and not in the page. A busy machine changes these seconds little.
    """
    session, whole = page.context.new_cdp_session(page), page.context.browser.new_browser_cdp_session()
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def read():
        metrics = session.send("Performance.getMetrics")["metrics"]
        own = next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")
        return own, sum(info["cpuTime"] for info in whole.send("SystemInfo.getProcessInfo")["processInfo"])

    before, spent = read(), {}
    yield spent
    spent.update({name: end - begin for name, begin, end in zip(("page", "browser"), before, read(), strict=True)})


@pytest.fixture(scope="session")
def jupyterlab(chromium, tmp_path_factory):
    """A JupyterLab: its folder, its address, and a browser's context that keeps what it has loaded of it."""
    folder = tmp_path_factory.mktemp("jupyterlab")
    settings = ["ServerApp.port=0", "ServerApp.token=", "ServerApp.ip=127.0.0.1", f"ServerApp.root_dir={folder}"]
    settings += ["LabApp.news_url=", "LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    settings += ["LabApp.expose_app_in_browser=True"]  # for RUN_CELL
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", *(f"--{text}" for text in settings)]
    folders = {f"JUPYTER_{name}_DIR": str(folder / name) for name in ("RUNTIME", "CONFIG")}
    environment = os.environ | folders | {"JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces")}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        address = wait_for_server(folder, server)
        with closing(new_context(chromium, viewport=browser.WIDE, reduced_motion="reduce")) as context:
            yield SimpleNamespace(folder=folder, address=address, context=context)
    finally:
        server.terminate()
        server.wait(PATIENCE / 1000)


def wait_for_server(folder, server):
    """The address that JupyterLab notes in its runtime folder, once it answers; no proxy is asked for it."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < deadline:
        assert server.poll() is None, (folder / "log").read_text()
        for note in (folder / "RUNTIME").glob("jpserver-*.json"):
            url = json.loads(note.read_text())["url"]
            try:
                opener.open(f"{url}api", timeout=10).close()
            except OSError:
                continue
            return url
        time.sleep(0.1)
    raise AssertionError((folder / "log").read_text())


@contextmanager
def lab_notebook(jupyterlab, lab, cells):
    """A notebook in JupyterLab that begins with its chapter's cell for a lab, and goes on with these; the first is run.

    Gives the page, and the folder its kernel is in, where the stored results are as for the chapter.
    """
    import nbformat  # here, since the tests without a browser need not spend the time

    book = [nbformat.read(path, as_version=4) for path in sorted((ROOT / "book").glob("*.ipynb"))]
    (cell,) = [cell.source for chapter in book for cell in chapter.cells if f" = {lab}(" in cell.source]
    folder = Path(tempfile.mkdtemp(dir=jupyterlab.folder))
    (folder / "results").symlink_to(ROOT / "book" / "results")
    cells = [nbformat.v4.new_code_cell(text.strip()) for text in (cell, *cells)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "lab.ipynb")
    page = jupyterlab.context.new_page()
    page.goto(f"{jupyterlab.address}lab/tree/{folder.name}/lab.ipynb?reset", wait_until="domcontentloaded")
    page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.sessionContext")
    run_cell(page, 0)
    yield page, folder
    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.close()


# JupyterLab itself says when a kernel takes cells, and when a cell has run. Whoever presses Ctrl+Enter and watches the
# prompt cannot know whether a cell that does not begin was forgotten or waits, and may run it twice.
RUN_CELL = """([number, patience]) => {
  const late = new Promise((_, refuse) => setTimeout(() => refuse(new Error(`cell ${number} does not end`)), patience));
  const run = async () => {
    const { content, context, sessionContext } = jupyterapp.shell.currentWidget;
    await context.ready;
    await sessionContext.ready;
    await sessionContext.session.kernel.info;
    content.activeCellIndex = number;
    return jupyterapp.commands.execute("notebook:run-cell");
  };
  return Promise.race([run(), late]);
}"""


def run_cell(page, number):
    """Run a cell of the notebook, once and to its end."""
    assert page.evaluate(RUN_CELL, [number, PATIENCE]), page.locator(".jp-Cell").nth(number).inner_text()


def wait_for_python(page, number, said, wanted):
    """Run the cell that writes what Python has until it is what is wanted: what a widget sends travels for a while."""
    deadline = time.monotonic() + PATIENCE / 1000
    told = None
    while told != wanted and time.monotonic() < deadline:
        run_cell(page, number)
        told = json.loads(said.read_text())
    assert told == wanted


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Keep what the pages of a failed test showed and said."""
    report = yield
    if report.failed:
        browsers = [value for value in item.funcargs.values() if hasattr(value, "contexts")]
        pages = [page for running in browsers for context in running.contexts for page in context.pages]
        stem = re.sub(r"\W+", "_", f"{item.path.stem} {item.name} {report.when}").strip("_")
        for number, page in enumerate(pages):
            report.sections.append(("page", keep_page(page, FAILED / f"{stem}_{number}.txt")))
    return report


def keep_page(page, path):
    """Write what a page said, and beside it its picture; returns where."""
    from playwright.sync_api import Error

    path.parent.mkdir(parents=True, exist_ok=True)
    said = [page.url, *(f"{message.type}: {message.text}" for message in page.console_messages())]
    said += [f"script: {error}" for error in page.page_errors()]
    try:
        page.screenshot(path=path.with_suffix(".png"), timeout=PATIENCE / 5)
    except Error as error:  # of a page that hangs there is none
        said.append(f"no picture: {error}")
    path.write_text("\n".join(said) + "\n", encoding="utf-8")
    return f"{path} and .png"
