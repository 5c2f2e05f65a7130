"""What makes pages easy to read: code that folds and hides, tables on a phone, paper, front page, search, the PDF."""

import gzip
import re
import runpy
import subprocess
import sys
import tomllib

import pytest
from bs4 import BeautifulSoup
from fontTools.ttLib import TTFont
from lab_pages import ROOT, browser, check_with_axe, new_context

BOOK = ROOT / "book"
HTML = ROOT / "_build" / "html"
BUILT = pytest.mark.skipif(not (HTML / "index.html").exists(), reason="needs the built book: run make book")
reading = runpy.run_path(str(BOOK / "_ext" / "reading.py"))
course = tomllib.loads((BOOK / "course.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def address():
    with browser.local_server(HTML) as served:
        yield served


@pytest.fixture
def visit(chromium, address):
    """Opens a page of the book in a context of its own; nothing may go wrong in it."""
    opened, said = [], []

    def open_page(name, **options):
        context = new_context(chromium, **{"viewport": browser.WIDE} | options)
        opened.append(context)
        page = browser.listen(context, address, said)
        page.goto(f"{address}/{name}.html")
        browser.settle(page)
        return page

    yield open_page
    for context in opened:
        context.close()
    assert said == []


# The parts


@pytest.mark.parametrize(
    ("code", "folded"),
    [
        ("x = 1\nassert x == 1\nprint(x)", {1}),
        ("def f(x):\n    check_count('x', x)\n    if x > 3:\n        raise ValueError\n    return x", {1, 2, 3}),
        ("def f(x):\n    if x:\n        raise E\n    else:\n        x = 1\n", set()),
        ("    def f(self):\n        assert (\n            self\n        )\n        return 1", {1, 2, 3}),
        ("check('mixing-mass', f)", set()),
        ("$ make book", set()),
    ],
)
def test_lines_that_only_check(code, folded):
    assert reading["checking_lines"](code) == folded


def test_a_listing_of_nothing_but_checks_is_not_folded():
    lay_out, listing = reading["lay_out"], reading["LISTING"]
    assert "checks" not in listing.sub(lay_out, "<pre><span></span>assert a\nassert b\n</pre>")
    mixed = listing.sub(lay_out, "<pre>a = 1\nassert a\n</pre>")
    assert mixed == '<pre>a = 1\n<span class="checks">assert a\n</span></pre>'


def test_the_cells_of_a_table_know_their_columns():
    rows = "<tr><td>s</td><td>score</td><td><em>see</em> 1</td></tr>"
    table = f"<table><thead><tr><th>a</th><th>in <b>code</b></th><th>c</th></tr></thead><tbody>{rows}</tbody></table>"
    stacked = BeautifulSoup(reading["TABLE"].sub(reading["stack"], table), "html.parser")
    assert [cell.select_one(".column").get_text() for cell in stacked.select("td")] == ["a", "in code", "c"]
    narrow = "<table><thead><tr><th>a</th><th>b</th></tr></thead></table>"
    assert reading["TABLE"].sub(reading["stack"], narrow) == narrow
    unnamed = table.replace("<th>a</th>", "<th></th>")
    stacked = BeautifulSoup(reading["TABLE"].sub(reading["stack"], unnamed), "html.parser")
    assert [head.get_text() for head in stacked.select("th")] == ["in code", "c"]
    assert len(stacked.select("thead td")) == 1
    formula = r'<th><p><span class="math notranslate nohighlight">\(\sigma_1\)</span></p></th>'
    named = BeautifulSoup(reading["TABLE"].sub(reading["stack"], table.replace("<th>a</th>", formula)), "html.parser")
    assert [words.get_text() for words in named.select("th .visually-hidden")] == ["sigma 1"]
    assert named.select_one("th .math")["aria-hidden"] == "true"


# The pages


@BUILT
def test_a_chapter_says_which_of_how_many_it_is(visit):
    last = max(int(number) for number in re.findall(r"book/(\d+)", (ROOT / "_toc.yml").read_text(encoding="utf-8")))
    page = visit("book/05b_correcting_and_crossing")
    assert page.locator(".place-in-book p").inner_text().startswith(f"Chapter 5b of {last} · ")


@BUILT
def test_a_reader_chooses_how_much_code_is_shown_and_the_next_page_remembers(visit):
    page = visit("book/04_denoising_score_matching")
    assert page.locator(".cell_input:visible").count() > 20
    page.get_by_label("all", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("details.above-input:visible").count() == 0
    assert page.locator(".cell_input:visible").count() > 10
    page.keyboard.press("ArrowRight")
    assert page.locator(":is(.cell_input, details.above-input):visible").count() == 0
    assert page.locator("figure img:visible").count() > 3
    page.goto(page.url.replace("04_denoising_score_matching", "08_slow_mixing"))
    browser.settle(page)
    assert page.get_by_label("none", exact=True).is_checked()
    assert page.locator(".cell_input:visible").count() == 0


@BUILT
def test_checks_fold_and_open_by_the_keyboard(visit):
    page = visit("book/04_denoising_score_matching")
    button = page.locator("pre .fold").first
    lines = button.locator("xpath=following-sibling::*[1]")
    assert "assert" in lines.text_content() or "check_" in lines.text_content()
    assert not lines.is_visible()
    button.press("Enter")
    assert lines.is_visible()
    assert button.get_attribute("aria-expanded") == "true"


@BUILT
def test_no_line_of_code_is_cut(visit):
    page = visit("book/08_slow_mixing", viewport=browser.PHONE)
    cut = (
        "() => [...document.querySelectorAll('.bd-article pre')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
    )
    assert page.evaluate(cut) == 0
    page.set_viewport_size(browser.WIDE)
    assert page.evaluate(cut) == 0


@BUILT
@pytest.mark.parametrize("name", ["notation", "20_the_ledger", "04_denoising_score_matching"])
def test_a_phone_stacks_the_rows_of_wide_tables(visit, name):
    page = visit(f"book/{name}", viewport=browser.PHONE)
    told = page.evaluate("""() => [...document.querySelectorAll("table.stacks")].map(table => [
      table.scrollWidth <= table.closest(".pst-scrollable-table-container, .cell_output").clientWidth,
      [...table.querySelectorAll("tbody td")].every(cell => cell.getBoundingClientRect().right <= innerWidth),
      Boolean([...table.querySelectorAll("tbody td:nth-child(2) .column")].every(c => c.getClientRects().length)),
    ])""")
    assert len(told) >= 1
    assert told == [[True, True, True]] * len(told)


@BUILT
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_paper_is_light_and_shows_what_is_to_be_read(visit, scheme):
    page = visit("book/04_denoising_score_matching", color_scheme=scheme)
    page.emulate_media(media="print", color_scheme=scheme)
    page.wait_for_function("() => document.documentElement.dataset.theme === 'light'")
    ink, ground = page.evaluate("""() => [getComputedStyle(document.querySelector(".bd-article section > p")).color,
      getComputedStyle(document.body).backgroundColor].map(c => c.match(/[0-9.]+/g).slice(0, 3).map(Number))""")
    assert max(ink) < 80
    assert min(ground) > 240
    hidden = [".solution", "details.above-input", ".code-switch", "pre .fold", ".bd-sidebar-primary", ".bd-header"]
    assert {selector: page.locator(f"{selector}:visible").count() for selector in hidden} == dict.fromkeys(hidden, 0)
    assert page.locator(".exercise:visible").count() > 5
    page.emulate_media(media="screen", color_scheme=scheme)
    page.wait_for_function(f"() => document.documentElement.dataset.theme === '{scheme}'")


FIRST_VIEW = 1e6
"""Bytes, as a server sends them, that a phone fetches before its reader scrolls or touches anything."""


def sent(response):
    """The bytes of a response: text is sent compressed, pictures and fonts are already."""
    body = response.body()
    return len(body) if response.url.split("?")[0].endswith((".png", ".woff", ".woff2")) else len(gzip.compress(body))


@BUILT
@pytest.mark.parametrize(
    "name",
    [
        "intro",
        "00_five_minutes",
        "01_score_functions",
        "04_denoising_score_matching",
        "13_mnist",
        "20_the_ledger",
        "24_few_steps",
    ],
)
def test_the_first_view_on_a_phone_is_light(chromium, address, name):
    context = new_context(chromium, viewport=browser.PHONE, device_scale_factor=3)
    page, answers = context.new_page(), []
    page.on("response", lambda response: answers.append(response))
    page.goto(f"{address}/book/{name}.html", wait_until="networkidle")
    browser.rest(page)
    sizes = {response.url.rsplit("/", 1)[1]: sent(response) for response in answers}
    assert sum(sizes.values()) <= FIRST_VIEW, sorted(sizes.items(), key=lambda pair: -pair[1])[:6]
    context.close()


@BUILT
def test_an_animation_begins_when_it_is_near(visit):
    page = visit("book/13_mnist")
    browser.reveal(page)
    players = page.locator(".animation")
    sliders = page.locator(".anim-slider").all()
    names = [slider.get_attribute("id").replace("_anim_slider", "anim") for slider in sliders]
    assert len(names) == players.count() > 0
    assert page.evaluate("names => names.filter(name => name in window)", names) == []
    for name, player in zip(names, players.all(), strict=True):
        player.scroll_into_view_if_needed()
        page.wait_for_function("name => name in window", arg=name)
        first = player.locator("img").get_attribute("src")
        player.get_by_role("button", name="Next frame").click()
        assert player.locator("img").get_attribute("src") != first


@BUILT
def test_a_slider_lives_when_it_is_near_and_until_then_its_picture_stands(chromium, address):
    context = new_context(chromium, viewport=browser.PHONE)
    page = context.new_page()
    page.goto(f"{address}/book/24_few_steps.html", wait_until="networkidle")
    still = page.locator(".before-widget img:visible")
    assert page.locator(".widget-subarea").count() == 0
    assert still.count() == 1
    picture = still.get_attribute("src")
    still.scroll_into_view_if_needed()
    page.wait_for_selector(".widget-subarea .noUi-handle")
    assert still.count() == 0
    assert page.locator(".widget-subarea img:visible").get_attribute("src") == picture
    context.close()


ICONS = {"bars": 0xF0C9, "magnifying-glass": 0xF002, "sun": 0xF185, "moon": 0xF186, "circle-half-stroke": 0xF042}
OF_STYLES = {"lightbulb": 0xF0EB, "triangle-exclamation": 0xF071, "circle-info": 0xF05A, "chevron-down": 0xF107}


@BUILT
def test_the_icon_font_holds_what_is_shown_and_little_else():
    (path,) = HTML.glob("_static/vendor/fontawesome/*/webfonts/fa-solid-900.woff")
    held = set(TTFont(path).getBestCmap())
    assert held >= set((ICONS | OF_STYLES).values())
    assert len(held) < 60
    assert not list(HTML.glob("_static/vendor/fontawesome/**/*.js"))
    page = (HTML / "book" / "intro.html").read_text(encoding="utf-8")
    assert all(f"fa-{name}" in page for name in ICONS)
    assert not re.search(r"fontawesome/[^\"]*\.(js|woff2)", page)


@BUILT
def test_an_exercise_has_title_grade_and_minutes_in_its_head(visit):
    page = visit("book/08_slow_mixing")
    heads = page.locator(".exercise > .admonition-title").all_inner_texts()
    assert len(heads) > 5
    for head in heads:
        assert re.fullmatch(r"Exercise \d+\s+\S.*[^.]\s+(check|modify|discover)\s+.*(minutes|hours?)", head), head


@BUILT
def test_the_front_page_has_four_doors_and_a_card_for_each_chapter(visit, address):
    page = visit("book/intro")
    doors = page.locator("section#learning-to-draw-from-noise > ul a")
    assert doors.all_inner_texts() == ["Start", "Play", "Teach", "Run"]
    cards = page.locator(".card-of-chapter").all()
    assert len(cards) == len(course["questions"]) == len(course["needs"])
    for card, (stem, question) in zip(cards, course["questions"].items(), strict=True):
        assert card.locator("a").get_attribute("href") == f"{stem}.html"
        assert card.locator("p").last.inner_text() == question
    check_with_axe(page, {"color-contrast", "link-name", "list"}, "article.bd-article")


@BUILT
@pytest.mark.parametrize("view", ["wide, light", "phone, dark"])
@pytest.mark.parametrize("name", ["08_slow_mixing", "09_perturbing_data", "14_cifar10", "teach", "references"])
def test_a_whole_page_bars_no_reader(visit, name, view):
    views = {
        "wide, light": {"viewport": browser.WIDE, "color_scheme": "light"},
        "phone, dark": {"viewport": browser.PHONE, "color_scheme": "dark"},
    }
    page = visit(f"book/{name}", **views[view])
    closed = [[".bd-sidebar-secondary"]] if view.startswith("phone") else []  # beside the window, where axe may break
    check_with_axe(page, {"color-contrast", "link-name"}, {"exclude": closed})


@BUILT
def test_what_a_search_finds_shows_no_tex(visit):
    page = visit("search")
    page.goto(f"{page.url}?q=tilde+score")
    page.wait_for_function("() => document.querySelectorAll('#search-results .context').length > 5")
    snippets = page.locator("#search-results .context").all_inner_texts()
    assert not [snippet for snippet in snippets if re.search(r"\\[a-zA-Z(\[]", snippet)]


@BUILT
def test_the_pdf_has_contents_page_numbers_and_links_within(tmp_path):
    from pypdf import PdfReader

    target = tmp_path / "book.pdf"
    command = [sys.executable, str(BOOK / "_tools" / "pdf.py"), "--out", str(target), "05b_", "07_", "teach"]
    subprocess.run(command, check=True, timeout=600)
    reader = PdfReader(target)
    begins = {m.title: reader.get_destination_page_number(m) + 1 for m in reader.outline if not isinstance(m, list)}
    (first, second) = ("Correcting and crossing", "Low-density regions")
    assert 2 == begins[first] < begins[second] <= len(reader.pages)
    rows = re.findall(rf"({first}|{second})\s*(\d+)", reader.pages[0].extract_text())
    assert {name: int(number) for name, number in rows} == {name: begins[name] for name in (first, second)}
    assert re.search(rf"\b{begins[second]}\s*$", reader.pages[begins[second] - 1].extract_text())
    uris = [
        link.get_object()["/A"]["/URI"]
        for page in reader.pages
        for link in page.get("/Annots", [])
        if "/URI" in link.get_object().get("/A", {})
    ]
    assert not [uri for uri in uris if "127.0.0.1" in uri or "localhost" in uri]
