"""The browser gate: every page of the built book, in a Chromium that reaches no other machine.

`defects` looks at one open page and returns what is wrong with it. One test holds each page of the book, which is
loaded once, to an empty list, light and wide, then dark and narrow; another gives it pages that are broken on purpose,
each in one way, and holds it to finding that.
"""

import gzip
import hashlib
import re
import runpy
import sys
from collections import Counter
from contextlib import closing, contextmanager
from types import SimpleNamespace

import nbformat
import pytest
from bs4 import BeautifulSoup
from lab_pages import PATIENCE, ROOT, browser, new_context

from ncsn_lib import plotting

HTML = ROOT / "_build" / "html"
VENDOR = ROOT / "book" / "assets" / "vendor"
PAGES = browser.built_pages(HTML)
BUILT = pytest.mark.skipif(not PAGES, reason="the book is not built: run `make book` first")
VISITS = {"light": browser.WIDE, "dark": browser.PHONE}

# What one look at a settled page finds. Text that is not shown, and code, may hold TeX.
LOOK = r"""() => {
  const found = [];
  const shown = e => e.getClientRects().length > 0;
  const formulas = document.querySelectorAll(".math").length;
  const typeset = document.querySelectorAll("mjx-container").length;
  if (typeset < formulas) found.push(`math: ${formulas} formulas, ${typeset} typeset`);
  const merror = '[data-mml-node="merror"], mjx-merror, mjx-container [style*="color: red"]';
  for (const e of document.querySelectorAll(merror)) found.push(`math: MathJax failed at ${e.textContent}`);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n; (n = walker.nextNode());) {
    if (n.parentElement.closest("code, pre, script, style, mjx-container, textarea")) continue;
    if (/\\[([]|\\[)\]]|\$\$|\\(frac|sum|log|nabla|sigma|mathbf)\b/.test(n.data))
      found.push(`math: raw TeX in the text: ${n.data.trim().slice(0, 60)}`);
  }
  const views = document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]').length;
  const alive = document.querySelectorAll(".widget-subarea > .jupyter-widgets").length;
  if (alive < views) found.push(`widget: ${views} on the page, ${alive} alive`);
  const labs = document.querySelectorAll("[data-lab]").length;
  const mounted = document.querySelectorAll("[data-lab] > .ncsn-lab").length;
  if (mounted < labs) found.push(`lab: ${labs} on the page, ${mounted} alive`);
  if (document.querySelector(".jupyter-widgets-error-widget")) found.push("widget: one shows an error");
  for (const i of document.images) {
    const name = i.currentSrc.slice(0, 80) || i.outerHTML.slice(0, 80);
    if (!i.alt.trim()) found.push(`image: no alternative text: ${name}`);
    const box = i.getClientRects()[0];
    if (!box) continue;
    if (!i.naturalWidth) found.push(`image: not loaded: ${name}`);
    const type = TYPE * box.width / i.getAttribute("width");
    const fits = type >= 10 && type <= 18;
    if (i.matches(".cell_output img[width]") && !fits) found.push(`image: type of ${type.toFixed(1)} px: ${name}`);
    if (i.matches(matchMedia("(prefers-color-scheme: dark)").matches ? ".only-light" : ".only-dark"))
      found.push(`image: drawn for the other page: ${name}`);
  }
  for (const box of document.querySelectorAll(".pst-scrollable-table-container")) {
    const hidden = box.scrollWidth - box.clientWidth;
    if (hidden > 0 && box.getAttribute("tabindex") !== "0")
      found.push(`table: ${hidden} px wider than its box, which the keyboard does not reach`);
  }
  const article = document.querySelector(".bd-article");
  if (article) {
    const linear = v => v <= .04 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const rgb = c => c.match(/[\d.]+/g).slice(0, 3).map(v => linear(v / 255));
    const light = c => { const [r, g, b] = rgb(c); return .2126 * r + .7152 * g + .0722 * b + .05; };
    const pair = [light(getComputedStyle(article).color), light(getComputedStyle(document.body).backgroundColor)];
    const ratio = Math.max(...pair) / Math.min(...pair);
    if (ratio < 7) found.push(`contrast: ${ratio.toFixed(1)} of text on its ground`);
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    if (dark != pair[1] < .18) found.push("contrast: the page does not follow the reader's light or dark");
  }
  return found;
}""".replace("TYPE", f"{plotting.TYPE * 96 / 72}")

WIDTH = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"

# The pictures that a widget shows now.
PICTURES = """view => [...view.querySelectorAll("img, canvas, svg")].filter(e => e.getClientRects().length)
  .map(e => e.currentSrc || (e.toDataURL ? e.toDataURL() : e.outerHTML)).join()"""


def still_sliders(page, patience):
    """Move every slider that stands beside pictures by a key; return those that changed no picture."""
    from playwright.sync_api import TimeoutError

    found = []
    for view in page.query_selector_all(".widget-subarea"):
        handle = view.query_selector("[role=slider], input[type=range]")
        before = view.evaluate(PICTURES)
        if not handle or not before:
            continue
        last = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
        handle.focus()
        page.keyboard.press("ArrowLeft" if last else "ArrowRight")
        try:
            changed = f"([view, before]) => ({PICTURES})(view) !== before"
            page.wait_for_function(changed, arg=[view, before], timeout=patience)
        except TimeoutError:
            found.append("widget: a slider moves and its picture stays")
    return found


@contextmanager
def opened(chromium, address, name, patience=PATIENCE):
    """A page, loaded; gives a function of the colour scheme, which returns what is wrong with it."""
    said = []
    with closing(new_context(chromium, viewport=browser.WIDE)) as context:
        page = browser.listen(context, address, said)
        page.goto(f"{address}/{name}")
        page.wait_for_function("() => !document.querySelector('meta[http-equiv=refresh]')")  # index.html leads on
        page.wait_for_load_state()
        browser.settle(page, patience)
        browser.reveal(page)
        yield lambda scheme: said + defects(page, scheme, patience)


def defects(page, scheme, patience):
    """What is seen to be wrong with a page, in one colour scheme, at both widths."""
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size(VISITS[scheme])
    browser.settle(page, patience)
    found = page.evaluate(LOOK) + still_sliders(page, patience)
    for viewport in sorted(VISITS.values(), key=lambda viewport: viewport != VISITS[scheme]):
        page.set_viewport_size(viewport)
        browser.rest(page, patience)
        if (too_wide := page.evaluate(WIDTH)) > 1:
            found.append(f"width: {too_wide} px wider than a window of {viewport['width']} px")
    return found


@pytest.fixture(scope="module")
def address():
    """Where the built book is served."""
    with browser.local_server(HTML) as served:
        yield served


@pytest.fixture(scope="module")
def look(chromium, address, request):
    """A page of the book, which stays open for all looks at it."""
    with opened(chromium, address, request.param) as look:
        yield look


@BUILT
def test_a_stored_page_holds_the_page_alone():
    """A tree that brought Sphinx's environment along made each of the reference's pages 46 MB, read at every build."""
    trees = sorted((ROOT / "_build" / ".doctrees").rglob("*.doctree"))
    assert len(trees) >= len(PAGES) - 2  # the front page and the search have none of their own
    assert [tree.name for tree in trees if b"BuildEnvironment" in tree.read_bytes()] == []


@BUILT
def test_the_book_is_whole():
    sources = runpy.run_path(str(ROOT / "book" / "_tools" / "chapters.py"))["pages"]()
    wanted = {source.relative_to(ROOT).with_suffix(".html").as_posix() for source in sources}
    assert set(PAGES) == wanted | {"index.html", "search.html"}


@BUILT
@pytest.mark.parametrize("scheme", VISITS)
@pytest.mark.parametrize("look", PAGES, indirect=True)
def test_page(look, scheme):
    assert look(scheme) == []


@BUILT
@pytest.mark.parametrize("scheme", VISITS)
def test_a_page_loads_no_picture_of_the_other(chromium, address, scheme):
    """Nor does paper show the dark one."""
    with closing(new_context(chromium, viewport=browser.WIDE, color_scheme=scheme)) as context:
        page, asked = browser.listen(context, address, []), set()
        page.on("request", lambda request: asked.add(request.url))
        page.goto(f"{address}/book/01_score_functions.html")
        browser.settle(page)
        pairs = page.evaluate("""() => ["light", "dark"].map(
          scheme => [...document.querySelectorAll(`.bd-article .only-${scheme}`)].map(i => i.src))""")
        on_screen = set(asked)
        page.emulate_media(media="print")
        printed = page.evaluate(
            "() => [...document.querySelectorAll('figure img')].filter(i => i.offsetWidth).map(i => i.src)"
        )
    shown, hidden = pairs if scheme == "light" else reversed(pairs)
    assert len(shown) == len(hidden) > 5
    assert set(shown) <= on_screen
    assert not set(hidden) & on_screen
    assert set(printed) <= set(pairs[0])


def test_thebe_is_dropped_and_no_slider_whose_picture_spells_it():
    drop = runpy.run_path(str(ROOT / "book" / "_ext" / "offline.py"))["drop_thebe"]
    state = {"type": "application/vnd.jupyter.widget-state+json", "body": "iVBORthEbeAAA"}
    scripts = [SimpleNamespace(attributes=told) for told in (state, {"body": "const THEBE_JS_URL = 1"}, {})]
    context = {"script_files": [*scripts, "sphinx-thebe.js"]}
    drop(None, "page", "template", context, None)
    assert context["script_files"] == [scripts[0], scripts[2]]


CHAPTERS = [name for name in PAGES if (ROOT / name).with_suffix(".ipynb").exists()]
LINKED = re.compile(r"\[([^\]]+)\]\([^)]+\)")


def plain_text(name):
    """The prose of the notebooks of a chapter; a link is its text alone, and the solutions repeat no exercise."""
    chapter = (ROOT / name).with_suffix(".ipynb")
    solutions = chapter.parent / "solutions" / chapter.name
    notebooks = [nbformat.read(path, as_version=4) for path in (chapter, solutions) if path.exists()]
    cells = [cell.source for notebook in notebooks for cell in notebook.cells if cell.cell_type == "markdown"]
    return "\n\n".join(dict.fromkeys(LINKED.sub(r"\1", source) for source in cells))


@BUILT
@pytest.mark.parametrize("name", CHAPTERS)
def test_the_notebooks_have_the_numbers_of_the_page(name):
    """Figures, equations and exercises in their order; each reference and each citation as the page has it."""
    page = BeautifulSoup((HTML / name).read_text(encoding="utf-8"), "html.parser").select_one(".bd-article")
    text = plain_text(name)

    def on_page(selector):
        return [found.get_text().replace("#", "").strip() for found in page.select(selector)]

    assert re.findall(r"^\*\*(Fig\. \d+)\.\*\* ", text, re.MULTILINE) == on_page("figcaption .caption-number")
    assert [f"({number})" for number in re.findall(r"\\tag\{(\d+)\}", text)] == on_page(".eqno")
    assert re.findall(r"^### (Exercise \d+) · ", text, re.MULTILINE) == on_page(".exercise .caption-number")
    for told, number in Counter(on_page("a.reference.internal:not(.bibtex-citation *)")).items():
        assert text.count(told) >= number, told
    for cited in on_page(".bibtex-citation"):
        for one in re.findall(r"[^,\d][^,]*?,? \d{4}", re.sub(r"[\[\]]", "", cited)):
            assert one in re.sub(r"[()]", "", text), cited


PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
VIEW = '<script type="application/vnd.jupyter.widget-view+json">{}</script>'
SLIDER = (
    '<div class="widget-subarea"><div class="jupyter-widgets"><input type="range" {}><img alt="a" src="{}"></div></div>'
)
MOVED = "oninput=\"this.nextSibling.src += '#'\""
DARK = "<style>@media (prefers-color-scheme: dark) { body { background: #000 !important; color: #fff } }</style>"
SOUND = f'{DARK}<p>A sound page.</p><img alt="a dot" src="{PIXEL}">{VIEW}{SLIDER.format(MOVED, PIXEL)}'
BROKEN = {
    "outside": '<img alt="a" src="https://example.org/a.png">',
    "script": "<script>undefined_function()</script>",
    "console": "<script>console.error('something')</script>",
    "missing": '<script src="absent.js"></script>',
    "math: 1 formulas": '<span class="math">x</span>',
    "math: MathJax failed": '<mjx-container><g data-mml-node="merror">x</g></mjx-container>',
    "math: raw TeX": r"<p>The score \(s\) of it</p>",
    "math: raw TeX in the text: $$": "<p>$$s = 1$$</p>",
    "widget: 1 on the page, 0 alive": VIEW,
    "lab: 1 on the page, 0 alive": '<div data-lab="score"></div>',
    "widget: one shows an error": '<div class="jupyter-widgets-error-widget">no</div>',
    "widget: a slider moves": VIEW + SLIDER.format("", PIXEL),
    "image: no alternative text": f'<img src="{PIXEL}">',
    "image: not loaded": '<img alt="a" src="data:image/png;base64,AAAA">',
    "image: type of 9.8 px": '<div class="cell_output">'
    f'<img alt="a" width="300" style="width: 200px" src="{PIXEL}"></div>',
    "image: drawn for the other page": f'<img alt="a" class="only-dark" src="{PIXEL}">',
    "table: ": '<div class="pst-scrollable-table-container" style="overflow: auto">'
    '<table width="3000"><tr><td>1</td></tr></table></div>',
    "width: ": '<div style="width: 1000px">wide</div>',
    "contrast: 1.": "<style>body { background: #fff } .bd-article { color: #eee }</style>",
    "contrast: the page does not": "<style>body { background: #000 } .bd-article { color: #fff }</style>",
}


@pytest.fixture(scope="module")
def broken_book(tmp_path_factory):
    """A folder of small pages: a sound one, and one for each defect."""
    folder = tmp_path_factory.mktemp("broken")
    frame = '<!doctype html><html><head><link rel="icon" href="data:,"><style>body {{ background: #fff }}</style>{}'
    for number, body in enumerate(["", *BROKEN.values()]):
        page = frame.format(f'</head><body><div class="bd-article">{body or SOUND}</div></body></html>')
        (folder / f"{number}.html").write_text(page, encoding="utf-8")
    with browser.local_server(folder) as served:
        yield served


@pytest.mark.parametrize("scheme", VISITS)
def test_the_gate_passes_a_sound_page(chromium, broken_book, scheme):
    with opened(chromium, broken_book, "0.html") as look:
        assert look(scheme) == []


@pytest.mark.parametrize("number", range(len(BROKEN)), ids=list(BROKEN))
def test_the_gate_finds(chromium, broken_book, number):
    wanted = list(BROKEN)[number]
    with opened(chromium, broken_book, f"{number + 1}.html", patience=1000) as look:
        found = look("light")
    assert any(line.startswith(wanted) for line in found), found


def test_each_look_tells_what_went_wrong_on_load_and_the_second_what_is_wrong_in_the_dark(chromium, broken_book):
    with opened(chromium, broken_book, f"{1 + list(BROKEN).index('missing')}.html") as look:
        light, dark = look("light"), look("dark")
    assert any(line.startswith("missing") for line in light)
    assert set(dark) - set(light) == {"contrast: the page does not follow the reader's light or dark"}
    assert set(light) <= set(dark)


def test_what_a_file_is_does_not_depend_on_the_machine(monkeypatch):
    monkeypatch.setattr("mimetypes.guess_type", lambda *_: ("text/plain", None))
    for name, kind in (("a.js", "javascript"), ("a.mjs", "javascript"), ("a.wasm", "wasm"), ("a.css", "css")):
        assert kind in browser.QuietHandler.guess_type(browser.QuietHandler, name)


def test_vendored_files_are_as_published():
    lines = (VENDOR / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    listed = {name: wanted for wanted, name in (line.split(maxsplit=1) for line in lines)}
    here = {p.relative_to(VENDOR).as_posix(): p for p in VENDOR.rglob("*") if p.is_file()}
    assert set(here) - {"SHA256SUMS", "VENDOR.md"} == set(listed)
    for name, wanted in listed.items():
        assert hashlib.sha256(here[name].read_bytes()).hexdigest() == wanted, name


def test_packed_vendored_files_hold_what_was_published():
    """Their authors publish them unpacked: VENDOR.md has the hashes."""
    packed = sorted(VENDOR.rglob("*.gz"))
    assert packed
    listed = (VENDOR / "VENDOR.md").read_text(encoding="utf-8")
    for path in packed:
        inner = hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest()
        assert re.search(rf"{re.escape(path.stem)}` \((?:SHA-256 )?`{inner}`\)", listed), path.name


@BUILT
def test_the_first_view_of_the_labs_page_is_light(chromium, address, record_property):
    """What a host that compresses sends before a reader has pressed anything: at most 2 MB, no runtime, no weights."""
    with closing(new_context(chromium, viewport=browser.WIDE)) as context:
        page, responses = browser.listen(context, address, []), []
        page.on("response", lambda response: responses.append(response))
        page.goto(f"{address}/book/labs.html")
        browser.settle(page)
        page.wait_for_selector(".denoiser-lab button.main:has-text('MB')")
        loads = {response.url: len(gzip.compress(response.body())) for response in responses}
    total = sum(loads.values())
    record_property("bytes of the first view", total)
    sys.stdout.write(f"first view of the labs page: {total / 1e6:.2f} MB in {len(loads)} files\n")
    assert total <= 2e6
    assert not [url for url in loads if url.endswith((".gz", ".mjs"))]
