"""The decks of slides: what is taken from a page, and each deck in a browser, by keys, on paper and to axe."""

import runpy
from contextlib import closing

import pytest
from bs4 import BeautifulSoup
from lab_pages import AXE, ROOT, ask_axe, browser, new_context

HTML = ROOT / "_build" / "html"
DECKS = sorted(path.relative_to(HTML).as_posix() for path in HTML.glob("book/*.slides.html"))
BUILT = pytest.mark.skipif(not DECKS, reason="the book is not built: run `make book` first")
slides = runpy.run_path(str(ROOT / "book" / "_ext" / "slides.py"))

PAGE = r"""<section id="a"><h1>Scores<a class="headerlink" href="#a">#</a></h1>
<p><strong>The claim.</strong></p><p>The question?</p><p>After this chapter you can</p><ul><li>do it.</li></ul>
<section><h2>Motion</h2><p>First words. They go on.</p>
<div class="math" id="eq"><span class="eqno">(1)</span>\[x\]</div><p>so that</p><div class="math">\[y\]</div>
<p>Said, not shown. Its end is <em>this</em>:</p><div class="math"><span class="eqno">(2)</span>\[z\]</div>
<div class="cell"><details><summary>code</summary></details><figure id="f"><img alt="a dot" src="a.png"><figcaption>
<span class="caption-number">Fig. 1</span><span class="caption-text">What is seen. What it means.</span></figcaption>
</figure></div>
<div class="proof"><p class="admonition-title">Algorithm</p><section id="content"><p>Step.</p></section></div>
<div class="no-slide proof"><p class="admonition-title">Left out</p></div>
<form data-question="a" class="question"><fieldset><legend>Predict</legend><div id="q-text"><p>Which?</p></div>
<label class="choice"><input type="radio"><span>A. this</span></label></fieldset>
<details>The answer is A.</details></form>
</section>
<section><h2>In code</h2><p>A loop over <span class="kept"><i>\(x\)</i>:</span></p>
<div class="cell"><div class="cell_input">for</div></div></section>
<section><h2>In the library</h2><p>Left out.</p></section>
<section><h2>Exercises</h2>
<div class="exercise"><p class="admonition-title">Exercise 1</p>
<section><p><strong>Check</strong> (two minutes). <em>One step.</em> Take it.</p></section></div>
<div class="solution">The step is 3.</div>
<div class="exercise"><p class="admonition-title">Exercise 2</p>
<section><p><strong>Modify</strong> (ten minutes). <em>Too long.</em> For a lecture.</p></section></div></section>
<section><h2>Summary</h2><ul><li>point</li></ul></section></section>"""

# What a slide shows beyond its page, and the slides that are there.
TOO_LARGE = """() => {
  const slide = document.querySelector("section.present > section.present");
  const page = slide.getBoundingClientRect();
  if (page.height < 600) return [`the slide is ${page.height} px high`];
  const parts = [...slide.querySelectorAll(":scope > :not(.notes), mjx-math, table")];
  const outside = (box) => box.bottom > page.bottom + 1 || box.right > page.right + 1 || box.left < page.left - 1;
  const shown = parts.filter((part) => part.getClientRects().length);
  return shown.filter((part) => outside(part.getBoundingClientRect())).map((part) => part.outerHTML.slice(0, 80));
}"""
NUMBER = """[...document.querySelectorAll(".slides > section > section")]
  .indexOf(document.querySelector("section.present > section.present"))"""
NUM_SLIDES = "document.querySelectorAll('.slides > section > section').length"


def test_a_deck_shows_what_is_to_be_seen_and_says_the_rest():
    deck = BeautifulSoup(slides["make_deck"](PAGE), "html.parser")
    for notes in (found := deck.select(".notes")):
        notes.extract()
    shown = [" ".join(slide.get_text(" ").split()) for slide in deck.select("section > section")]
    assert shown == [
        "Scores The claim.",
        "After this chapter you can do it.",
        r"Motion First words. They go on. (1) \[x\] so that \[y\]",
        r"Motion Its end is this : (2) \[z\]",
        "Motion What is seen. What it means.",
        "Motion Algorithm Step.",
        "Motion Predict Which? A. this",
        r"In code A loop over \(x\) .",
        "Exercises One step (two minutes) Take it.",
        "Summary point",
    ]
    said = " ".join(notes.get_text(" ") for notes in found)
    assert all(words in said for words in ("The question?", "Said, not shown."))
    assert not any(word in deck.get_text() + said for word in ("Left out", "The step is 3", "The answer is A"))
    assert deck.select_one(".figure img")["alt"] == "a dot"
    assert deck.select_one(".figure .caption.fragment").get_text() == "What it means."


def test_a_page_with_no_paragraph_of_its_own_in_a_section_has_slides_all_the_same():
    page = PAGE.replace("<p>First words. They go on.</p>", "")
    deck = BeautifulSoup(slides["make_deck"](page), "html.parser")
    assert r"\[x\]" in deck.get_text()


@pytest.fixture(scope="module")
def address():
    """Where the built book is served."""
    with browser.local_server(HTML) as served:
        yield served


def open_deck(context, address, name, said):
    """A page with a deck that is ready."""
    page = browser.listen(context, address, said)
    page.goto(f"{address}/{name}")
    page.wait_for_function("document.documentElement.dataset.deck === 'ready'")
    return page


@BUILT
def test_every_chapter_has_a_deck_and_a_link_to_it():
    pages = runpy.run_path(str(ROOT / "book" / "_tools" / "chapters.py"))["pages"]()
    wanted = [f"book/{page.stem}.slides.html" for page in pages if page.stem[0].isdigit()]
    assert sorted(wanted) == DECKS
    for name in DECKS:
        page = BeautifulSoup((HTML / name.replace(".slides", "")).read_text(encoding="utf-8"), "html.parser")
        assert page.select(f'a[href="{name.removeprefix("book/")}"]'), name


@BUILT
@pytest.mark.parametrize("name", DECKS)
def test_a_deck_is_presented_by_keys(chromium, address, name):
    """The right arrow leads through all of it, each slide holds what it shows, and the deck asks no other machine."""
    said = []
    with closing(new_context(chromium, viewport={"width": 1280, "height": 720})) as context:
        page = open_deck(context, address, name, said)
        seen, total = [], page.evaluate(NUM_SLIDES)
        for _ in range(3 * total):
            number = page.evaluate(NUMBER)
            if number not in seen:
                assert page.evaluate(TOO_LARGE) == []
                seen.append(number)
            page.keyboard.press("ArrowRight")
    assert seen == list(range(total))
    assert total >= 5
    assert said == []


@BUILT
@pytest.mark.parametrize("name", DECKS)
def test_a_deck_on_paper_is_complete_and_legible(chromium, address, name):
    """The print view lays all slides out: axe reads them, light and dark, and the browser's PDF has a page for each."""
    with closing(new_context(chromium, viewport={"width": 1280, "height": 720})) as context:
        page = open_deck(context, address, f"{name}?print-pdf", [])
        page.wait_for_selector(".pdf-page")
        page.add_script_tag(path=AXE)
        for theme in ("light", "dark"):
            page.evaluate("theme => (document.documentElement.dataset.theme = theme)", theme)
            browser.rest(page)
            told, passed = ask_axe(page, "html")
            assert told == []
            assert "color-contrast" in passed
        total = page.locator(".pdf-page").count()
        assert page.pdf(prefer_css_page_size=True).count(b"/Type /Page\n") == total
    slides = BeautifulSoup((HTML / name).read_text(encoding="utf-8"), "html.parser").select(
        ".slides > section > section"
    )
    assert total == len(slides)
    for slide in slides:
        for notes in slide.select(".notes"):
            notes.extract()
        assert not slide.get_text().strip().endswith(":"), slide
