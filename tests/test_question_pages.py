"""Questions on a page: answered by keyboard and mouse, covered and revealed, kept, printed, and without a script."""

from contextlib import closing

import pytest
from lab_pages import SETTINGS, browser, check_with_axe, make_site, new_context, visit_in, visits

EXTENSIONS = ("myst_nb", "questions")
PAGE = """---
jupytext: {text_representation: {format_name: myst}}
kernelspec: {name: python3, display_name: Python 3}
---

# Questions

```{predict} where
:assert: last > first
Where do the chains end?

- [ ] At the highest peak, and this option is so long that it has to be broken on the page of a telephone, twice.
  > The noise keeps them moving.
- [x] Spread over the density.
  > As {ref}`the second part <second>` says.
```

```{code-cell}
print("The variance is 1.05.")
```

(second)=
## The second part

```{predict} variance
:printed: variance is NUMBER.
:tolerance: 5%
:covers: 2
How large is the variance?

- [ ] 2
  > You added the noise twice.
- [x]
  > A little above one.
```

```{code-cell}
print("The variance is 1.25.")
```

```{code-cell}
print("The variance is 3.")
```

```{quiz} pixels
:key: 28 * 28 / 2
:tolerance: 1%
The loss of a zero score?

- [ ] 784
  > The factor one half is missing.
```

```{question} low-zero
```

```{question} sm-conditions
```
"""


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    """Where a site with this page is served."""
    folder = tmp_path_factory.mktemp("questions") / "source"
    done = make_site(folder, {"index": PAGE}, EXTENSIONS)
    assert done.returncode == 0, done.stderr
    with browser.local_server(folder / "html") as served:
        yield f"{served}/a/book"


@pytest.fixture
def visit(chromium, address):
    """Opens the page; what goes wrong on it fails the test in the end."""
    with visits(chromium, f"{address}/index.html", mounted) as open_page:
        yield open_page


def mounted(page):
    page.wait_for_selector("#question-sm-conditions .reply[aria-live]", state="attached")  # the last one


def is_covered(page):
    """Whether each output of the page is covered."""
    return page.eval_on_selector_all(".cell_output > *", "all => all.map(e => !e.checkVisibility())")


def told(page, name):
    """What is said to the answer of a question."""
    return " ".join(page.locator(f"#{name} .reply").inner_text().split())


def press(page, name, button):
    page.locator(f"#{name}").get_by_role("button", name=button, exact=True).click()


def answer(page, name, number):
    """Answer with a number; what is said."""
    page.locator(f"#{name}").get_by_label("Your number").fill(number)
    press(page, name, "Answer")
    return told(page, name)


def test_a_wrong_choice_is_told_why_and_the_right_one_uncovers(visit):
    page = visit()
    assert is_covered(page) == [True, True, True]
    press(page, "predict-where", "Answer")
    assert told(page, "predict-where") == "Answer first, or press Reveal."
    page.get_by_label("At the highest peak").check()
    press(page, "predict-where", "Answer")
    assert told(page, "predict-where") == "Not this one. The noise keeps them moving."
    assert is_covered(page) == [True, True, True]
    page.get_by_label("Spread over the density").check()
    press(page, "predict-where", "Answer")
    assert told(page, "predict-where") == "Right. As the second part says."
    assert is_covered(page) == [False, True, True]
    assert page.locator("#predict-where details").is_visible()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("2", "Not this one. You added the noise twice."),
        ("1.25", "Right. A little above one."),
        ("1.30", "Right. A little above one."),
        ("1.32", "Not yet: the number is smaller."),
        ("−1.25", "Not yet: the number is larger."),
        ("125 %", "Right. A little above one."),
        ("1,25", "“1,25” is no number: write it as 0.25, 1,500 or 2e-3."),
        ("", "Answer first, or press Reveal."),
    ],
)
def test_a_number_is_compared_with_what_the_cell_printed(visit, number, said):
    page = visit()
    assert answer(page, "predict-variance", number) == said
    assert is_covered(page) == [True] + 2 * [not said.startswith("Right")]


def test_numbers_are_read_as_people_write_them(visit):
    read = "text => import(document.querySelector('script[src*=questions]').src).then(m => m.readNumber(text))"
    page = visit()
    for text, number in {"1,500": 1500, " 2e-3": 2e-3, "-310,000.5": -310000.5, "40%": 0.4, ".5": 0.5}.items():
        assert page.evaluate(read, text) == pytest.approx(number, rel=1e-12), text
    for text in ("", "a", "0,5", "1,50", "%", "1 or 2"):
        assert page.evaluate(f"t => ({read})(t).then(Number.isNaN)", text), text


def test_questions_of_the_registry_and_of_a_quiz_cover_nothing(visit):
    page = visit()
    assert answer(page, "quiz-pixels", "784") == "Not this one. The factor one half is missing."
    assert answer(page, "quiz-pixels", "392") == "Right."
    assert answer(page, "question-low-zero", "7").endswith("the number is smaller. Put zero into the definition.")
    assert answer(page, "question-low-zero", "1") == "Right."
    form = page.locator("#question-sm-conditions")
    form.get_by_label("a", exact=True).check()
    press(page, "question-sm-conditions", "Answer")
    assert told(page, "question-sm-conditions").startswith("Not this one. The network is smooth")
    assert is_covered(page) == [True, True, True]


def test_reveal_uncovers_and_covers_again(visit):
    page = visit()
    press(page, "predict-variance", "Reveal")
    assert is_covered(page) == [True, False, False]
    assert page.locator("#predict-variance .reveal").get_attribute("aria-expanded") == "true"
    press(page, "predict-variance", "Cover")
    assert is_covered(page) == [True, True, True]


def test_the_keyboard_alone_answers(visit):
    page = visit()
    page.locator("#predict-where input").first.focus()
    page.keyboard.press("ArrowDown")  # to the second option
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Answer"
    page.keyboard.press("Enter")
    assert told(page, "predict-where").startswith("Right.")
    page.locator("#predict-variance input").focus()
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    assert told(page, "predict-variance").startswith("Not this one.")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert is_covered(page) == [False, False, False]


def test_answers_are_kept_in_the_browser(visit):
    page = visit()
    answer(page, "predict-variance", "2")
    press(page, "predict-where", "Reveal")
    answer(page, "quiz-pixels", "392")
    page.reload()
    mounted(page)
    assert told(page, "predict-variance").startswith("Not this one.")
    assert told(page, "quiz-pixels") == "Right."
    assert is_covered(page) == [False, True, True]


def test_a_browser_without_a_store_answers_too(visit):
    page = visit()
    page.add_init_script("delete Window.prototype.localStorage; window.localStorage = null")
    page.reload()
    mounted(page)
    assert answer(page, "quiz-pixels", "392") == "Right."


def test_a_damaged_store_is_no_answer(visit):
    page = visit()
    page.evaluate("localStorage.setItem('ncsn-book-answers', '{')")
    page.reload()
    mounted(page)
    assert is_covered(page) == [True, True, True]


def test_without_a_script_nothing_is_covered_and_the_answers_can_be_read(chromium, address):
    with closing(new_context(chromium, java_script_enabled=False)) as context:
        page = context.new_page()
        page.goto(f"{address}/index.html")
        assert page.locator(".cell_output").first.is_visible()
        assert page.get_by_role("button", name="Answer").count() == 0
        page.locator("#predict-where summary").click()
        assert page.locator("#predict-where").get_by_text("b is right.").is_visible()


def test_paper_shows_everything(visit):
    page = visit()
    page.emulate_media(media="print")
    assert is_covered(page) == [False, False, False]
    assert page.locator(".cover").first.is_hidden()
    assert page.locator("#predict-where .answers .said").first.is_visible()
    assert page.get_by_role("button", name="Answer").first.is_hidden()


def test_a_link_to_what_is_covered_uncovers_it(visit):
    page = visit()
    page.evaluate("document.querySelectorAll('.cell_output')[2].firstElementChild.id = 'inside'")
    page.evaluate("location.hash = 'inside'")
    page.wait_for_function("!document.querySelectorAll('.cell_output')[2].hasAttribute('hidden')")
    assert is_covered(page) == [True, False, False]


@pytest.mark.parametrize(("size", "scheme"), SETTINGS)
def test_no_reader_is_barred(visit, size, scheme):
    page = visit_in(visit, size, scheme)
    check_with_axe(page, {"label", "color-contrast", "button-name"}, ".question")
    answer(page, "predict-variance", "1.25")
    answer(page, "quiz-pixels", "784")
    check_with_axe(page, {"label", "color-contrast", "button-name"}, ".question")
    boxes = page.eval_on_selector_all(
        ".question :is(button, label, summary)", "all => all.map(e => e.getBoundingClientRect()).filter(b => b.width)"
    )
    assert min(box["height"] for box in boxes) >= 44
