"""Write the tables of the teacher's guide, from the chapters, the course and the registry of exercises.

python book/_tools/teach.py           write them into book/teach.md, each between its two marks
python book/_tools/teach.py --check   write nothing; fail where the page is not what they say
"""

import re
import sys
import tomllib
from collections import Counter

from chapters import BOOK, command_line, say, use_utf8

from ncsn_lib.exercises import ENTRIES, Exercise

PAGE = BOOK / "teach.md"
LECTURE = re.compile(r"A lecture on this (?:chapter|page) takes (\d+) minutes")
ACROSS, DOWN = 96, 44
"""The distance of two chapters in the graph, in units of its view box."""


def course():
    """The course as `book/course.toml` has it."""
    return tomllib.loads((BOOK / "course.toml").read_text(encoding="utf-8"))


def number(stem):
    """A chapter's number, as its file has it."""
    return re.sub(r"^0(?=\d)", "", stem.split("_")[0])


def text(stem):
    """The source of a chapter."""
    return (BOOK / f"{stem}.md").read_text(encoding="utf-8")


def link(stem):
    """A chapter's number and title, as a link."""
    title = re.search(r"^# (.+)", text(stem), re.MULTILINE)[1]
    return f"[{number(stem)} {title}]({stem}.md)"


def lecture(stem):
    """The minutes of a chapter's lecture."""
    return int(LECTURE.search(text(stem))[1])


def row(*cells):
    """A row of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def table(head, rows):
    """A table in Markdown."""
    return "\n".join([row(*head), "|" + "---|" * len(head), *rows])


def depth(stem, needs):
    """How many chapters have to be read before one, along the longest way."""
    return 1 + max((depth(before, needs) for before in needs[stem]), default=-1)


def graph():
    """The chapters as circles from left to right, each with lines from those that it builds on; links."""
    needs = course()["needs"]
    rows, places = Counter(), {}
    for stem in needs:
        column = depth(stem, needs)
        places[stem] = (30 + ACROSS * column, 30 + DOWN * rows[column])
        rows[column] += 1
    lines = [
        f'<line x1="{places[before][0]}" y1="{places[before][1]}" x2="{x}" y2="{y}"/>'
        for stem, (x, y) in places.items()
        for before in needs[stem]
    ]
    circles = [
        f'<a href="{stem}.html"><circle cx="{x}" cy="{y}" r="17"/><text x="{x}" y="{y + 5}">{number(stem)}</text></a>'
        for stem, (x, y) in places.items()
    ]
    width, height = (max(values) + 30 for values in zip(*places.values()))
    told = (
        "Chapters as circles; lines lead from left to right to the chapters that build on them. The table has the same."
    )
    head = f'<svg class="chapter-graph" viewBox="0 0 {width} {height}" role="group" aria-label="{told}">'
    return "\n".join(["```{raw} html", head, *lines, *circles, "</svg>", "```"])


def chapters():
    """What each chapter builds on, how long its lecture takes, and how many graded exercises it has."""
    counts = Counter(entry.chapter for entry in ENTRIES.values())
    needs = course()["needs"]
    rows = [
        row(link(stem), ", ".join(map(number, needs[stem])) or "–", f"{lecture(stem)} min", counts[stem] or "–")
        for stem in needs
    ]
    return table(("chapter", "builds on", "lecture", "graded exercises"), rows)


def weeks():
    """The six weeks: what is read, the hours, the lab, the sheet."""
    rows = []
    for count, week in enumerate(course()["week"], start=1):
        pages = ", ".join(f"[{number(page)}]({page}.md)" for page in week["pages"])
        labs = ", ".join(f"{{ref}}`{lab} <lab-{lab}>`" for lab in week["labs"])
        hours = sum(map(lecture, week["pages"])) / 60
        minutes = sum(ENTRIES[id].minutes for id in week["exercises"])
        sheet = f"`make sheet WEEK={count}`: {len(week['exercises'])} exercises, {minutes} min"
        rows.append(row(week["title"].partition(": ")[2], pages, f"{hours:.2g} h", labs or "–", sheet))
    return table(("week", "chapters", "lectures", "lab", "sheet"), rows)


def hint(entry, name):
    """What is said to a known wrong answer, by its name or its number."""
    wrong = {str(key): value for key, value in entry.wrong.items()}[name]
    return wrong.hint if isinstance(entry, Exercise) else wrong


def misconceptions():
    """What students say, the exercise that exposes it, the lab that shows it, and what to reply."""
    rows = []
    for one in course()["misconception"]:
        entry = ENTRIES[one["exercise"]]
        lab, _, task = one.get("lab", "").partition(" ")
        shown = f"{{ref}}`{lab} lab, task {task} <lab-{lab}>`" if lab else "–"
        reply = one.get("reply") or hint(entry, one["wrong"])
        exercise = f"`{entry.id}` in [{number(entry.chapter)}]({entry.chapter}.md)"
        rows.append(row(f'"{one["said"]}"', exercise, shown, reply[0].upper() + reply[1:]))
    return table(("heard", "exposed by", "shown by", "reply"), rows)


def written():
    """The page with its tables."""
    page = PAGE.read_text(encoding="utf-8")
    for part in (graph, chapters, weeks, misconceptions):
        begin, end = f"<!-- {part.__name__}: written by book/_tools/teach.py -->", f"<!-- {part.__name__} ends -->"
        before, rest = page.split(begin)
        page = f"{before}{begin}\n\n{part()}\n\n{end}{rest.split(end)[1]}"
    return page


def main():
    """Write or check the page."""
    use_utf8()
    parser = command_line(__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    if not parser.parse_args().check:
        PAGE.write_text(written(), encoding="utf-8")
    elif written() != PAGE.read_text(encoding="utf-8"):
        say(f"{PAGE} is not what the chapters and exercises say: run python book/_tools/teach.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
