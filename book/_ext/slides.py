"""Sphinx extension: a deck of slides beside each chapter, NAME.slides.html, made from the page itself.

A deck takes the parts of the page as they are written there: claim and goals, the first words of each section,
predictions, numbered equations, algorithms, figures with their captions, the code from scratch, labs, quizzes, the
quick exercises and the summary. The rest of the prose becomes the speaker's notes. So a chapter needs no line of its
own for its slides; a part with the class `no-slide` is left out. A link to the deck stands where the chapter says how
long its lecture is.
"""

import re
from pathlib import Path

from bs4 import BeautifulSoup, NavigableString

CHAPTER = re.compile(r"book/\d\w+")
SKIPPED = {"In the library", "Further reading", "Play with it"}
END = re.compile(r"(?<=[.?!])\s+(?=[A-Z\\])")
LONG = 70
"""Words of a section's first paragraph that a slide shows whole; of a longer one it shows the first sentence."""
SHORT = 30
"""Words of a paragraph that goes on below a formula."""
NUM_EXERCISES, LINES = 4, 15
TEMPLATE = """<!DOCTYPE html>
<html lang="en" data-theme="light">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: slides</title>
<link rel="icon" href="{static}/favicon.svg">
<link rel="stylesheet" href="{static}/vendor/reveal/reveal.css">
<link rel="stylesheet" href="{static}/pygments.css">
<link rel="stylesheet" href="{static}/book.css">
<link rel="stylesheet" href="{static}/slides.css">
<script>
window.MathJax = {{startup: {{typeset: false}}}};
</script>
<script defer src="{static}/vendor/mathjax/tex-mml-chtml.js"></script>
<script type="module" src="{static}/slides.js"></script>
{scripts}
</head>
<body>
<main>
<div class="reveal"><div class="slides">
{slides}
</div></div>
</main>
</body>
</html>
"""


def sentences(paragraph):
    """The sentences of a paragraph, as HTML; what stands within a tag is not cut."""
    found = [""]
    for child in paragraph.children:
        first, *others = END.split(str(child)) if isinstance(child, NavigableString) else [str(child)]
        found[-1] += first
        found += others
    return [sentence.strip() for sentence in found if sentence.strip()]


class Deck:
    """The slides of a page, section by section, each with the prose since the last one as notes."""

    def __init__(self):
        self.stacks, self.notes = [], []

    def stack(self, title):
        """Begin a new section; its title stands, small, over those slides that have none."""
        self.stacks.append([])
        self.title = title

    def add(self, html, kind="", titled=False):
        """Add a slide, with its notes."""
        over = "" if titled else f'<p class="section">{self.title}</p>'
        self.stacks[-1].append({"kind": kind, "html": f"{over}{html}", "notes": self.notes})
        self.notes = []

    def add_below(self, html):
        """Add to the last slide."""
        self.stacks[-1][-1]["html"] += html

    def html(self):
        """All slides."""
        return "\n".join(f"<section>{''.join(map(self.slide, stack))}</section>" for stack in self.stacks if stack)

    @staticmethod
    def slide(one):
        """One slide; what leads on to code, which no slide shows, ends as a sentence."""
        html = re.sub(r":((</span>)?</p>\s*)$", r".\1", one["html"])  # a formula keeps its colon in a span
        notes = f'<aside class="notes">{"".join(one["notes"])}</aside>' if one["notes"] else ""
        return f'<section class="{one["kind"]}">{html}{notes}</section>'


def clean(page):
    """Take out what no slide shows, and the names that would stand twice, in the deck and its notes."""
    for tag in page.select(".headerlink, .no-slide, .solution, style, script, details, figcaption small"):
        tag.decompose()
    for figure in page.select("figure[id]"):
        figure.attrs.pop("id")
    for image in page.select("img"):
        image["loading"] = "eager"  # what is printed is all of it
    return page


def make_deck(body):
    """The slides of a page's body, as HTML."""
    page = clean(BeautifulSoup(body, "html.parser"))
    chapter, deck = page.find("section"), Deck()
    opening(chapter, deck)
    for section in chapter.find_all("section", recursive=False):
        title = section.find("h2").decode_contents()
        if title in SKIPPED:
            continue
        deck.stack(title)
        {"Exercises": exercises, "Summary": summary, "From scratch": from_scratch}.get(title, add_section)(
            section, deck
        )
        deck.notes = []
    return deck.html()


def opening(chapter, deck):
    """The title with the claim, and the goals."""
    claim, question, *_ = chapter.find_all("p", recursive=False)
    deck.stack("")
    deck.notes.append(str(question))
    deck.add(f'<h1>{chapter.find("h1").decode_contents()}</h1><div class="claim">{claim}</div>', "title", titled=True)
    deck.add(f"<h2>After this chapter you can</h2>{chapter.find('ul', recursive=False)}", titled=True)


def add_section(section, deck):
    """A section: its title with its first words, and then each of its parts that a slide can show."""
    title, *parts = section.find_all(True, recursive=False)
    if title.get_text() in SKIPPED:
        return
    shown = None  # what the last slide ends with
    for number, tag in enumerate(parts):
        before, shown = shown, None
        follows = number > 0 and before is parts[number - 1]
        is_math = "math" in tag.get("class", [])
        if tag.name == "section":
            add_section(tag, deck)
        elif follows and (is_math or tag.name in ("ul", "ol") or goes_on(tag)):
            deck.add_below(str(tag))
            shown = tag
        elif is_math and tag.select_one(".eqno"):
            lead = sentences(parts[number - 1])[-1] if number and parts[number - 1].name == "p" else ""
            deck.add(f"<p>{lead}</p>{tag}", "equation")
            shown = tag
        elif tag.name == "p" and (number == 0 or begins_a_part(tag)):
            head = f"<h2>{title.decode_contents()}</h2>" if number == 0 else ""
            shown = tag if len(tag.get_text(" ").split()) <= LONG else None
            deck.notes.append(str(tag))
            deck.add(f"{head}<p>{tag.decode_contents() if shown else sentences(tag)[0]}</p>", titled=number == 0)
        else:
            add_part(tag, deck)


def goes_on(tag):
    """Whether a paragraph is the rest of a sentence that a formula interrupts."""
    return tag.name == "p" and tag.get_text()[:1].islower() and len(tag.get_text(" ").split()) <= SHORT


def begins_a_part(paragraph):
    """Whether a paragraph begins with a title in bold type."""
    first = next(iter(paragraph.children), None)
    return getattr(first, "name", None) == "strong" and first.get_text().endswith((".", "?"))


def add_part(tag, deck):
    """A part of a section: what is to be seen becomes a slide, and what is to be said its notes."""
    classes = set(tag.get("class", []))
    if "proof" in classes:
        title = tag.select_one(".admonition-title").extract()
        for part in tag.select("section"):
            part.unwrap()  # to reveal.js it would be a slide
        deck.add(f"<h3>{title.get_text()}</h3><div>{tag.decode_contents()}</div>", "algorithm")
    elif tag.has_attr("data-lab"):
        deck.add(str(tag), "lab")
    elif tag.has_attr("data-question"):
        add_question(tag, deck)
    elif tag.name == "figure" or "cell" in classes:
        for figure in tag.select("figure") or ([tag] if tag.name == "figure" else []):
            add_figure(figure, deck)
    elif tag.name in ("p", "ul", "ol", "dl", "blockquote") or "math" in classes:
        deck.notes.append(str(tag))


def add_question(form, deck):
    """A question and its options, without the answer."""
    options = "".join(f"<li>{choice.find('span').decode_contents()}</li>" for choice in form.select(".choice"))
    text = form.select_one("[id$=-text]").decode_contents()
    deck.add(f'<h3>{form.find("legend").get_text()}</h3>{text}<ul class="choices">{options}</ul>', "question")


def add_figure(figure, deck):
    """A figure: the first sentence of its caption as the title, the others as a second step."""
    caption = figure.select_one(".caption-text") or figure.select_one("figcaption")
    if caption is None:
        return
    first, *others = sentences(caption)
    images = "".join(str(image) for image in figure.select("img, table"))
    rest = f'<p class="caption fragment">{" ".join(others)}</p>' if others else ""
    deck.add(f"<h3>{first}</h3>{images}{rest}", "figure")


def from_scratch(section, deck):
    """The code from scratch, if it fits a slide."""
    for code in section.select(".cell_input .highlight"):
        if len(code.get_text().strip().splitlines()) <= LINES:
            deck.add(str(code), "code")


def exercises(section, deck):
    """The quick exercises, without their solutions."""
    checks = []
    for exercise in section.select(".exercise"):
        first = exercise.find("p", class_=lambda name: name is None)
        grade = first.find("strong").extract()
        title = first.find("em").extract().get_text().rstrip(".")
        if grade.get_text() == "Check":
            minutes, _, question = first.decode_contents().strip().partition(".")
            checks.append(f'<h3>{title} <span class="minutes">{minutes}</span></h3><p>{question.strip()}</p>')
    for check in checks[:NUM_EXERCISES]:
        deck.add(check, "exercise")


def summary(section, deck):
    """The summary: its table, and its points."""
    for part in section.select("table, section > ul"):
        deck.add(f"<h2>Summary</h2>{part}", "summary", titled=True)


SPECIAL = {"Exercises": exercises, "Summary": summary, "From scratch": from_scratch}


def write_deck(app, pagename, templatename, context, doctree):
    """Write a chapter's deck beside its page, and a link to it into the page."""
    if app.builder.format != "html" or not CHAPTER.fullmatch(pagename):
        return
    lecture = re.compile(r"(<p><em>A lecture on this (?:chapter|page) takes \d+ minutes)\.(</em></p>)")
    name = Path(pagename).name
    link = rf'\1</em>: <a href="{name}.slides.html">its slides</a><em>.\2'
    deck = make_deck(context["body"])
    context["body"] = lecture.sub(link, context["body"])
    static = "../_static"
    mounted = f'<script type="module" src="{static}/labs/mount.js"></script>' if "data-lab" in deck else ""
    labs = f'<link rel="stylesheet" href="{static}/labs/labs.css">\n{mounted}' if mounted else ""
    html = TEMPLATE.format(title=context["title"], static=static, slides=deck, scripts=labs)
    target = Path(app.outdir) / f"{pagename}.slides.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(html, encoding="utf-8")


def setup(app):
    """Connect the extension."""
    app.connect("html-page-context", write_deck, priority=950)  # after the pictures of the page are files
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
