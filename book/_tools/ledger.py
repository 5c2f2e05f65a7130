"""Write the ledger: every claim of claims.py beside what the stored results say of it.

    python book/_tools/ledger.py           write it into book/20_the_ledger.md, between its two marks
    python book/_tools/ledger.py --check   write nothing; fail where the page is not what the results say

Its numbers and verdicts are computed from the results, so a new result changes them.
"""

import sys
from collections import Counter

from chapters import BOOK, command_line, say, use_utf8
from claims import CLAIMS, LATER, load, measure, verdict

PAGE = BOOK / "20_the_ledger.md"
BEGIN, END = "<!-- the ledger begins: written by book/_tools/ledger.py -->", "<!-- the ledger ends -->"
VERDICTS = ("reproduced", "partly", "not", "not run yet")


def entries(parts=CLAIMS):
    """(part, claim, what was measured or None, verdict) of each claim."""
    for part, claims in parts.items():
        for claim in claims:
            measured = measure(claim)
            yield part, claim, measured, verdict(measured)


def numbered(measured):
    """Our number, with what it was measured on where that is not the paper's own experiment."""
    if measured is None:
        return "–"
    labels = dict.fromkeys([load(measured.result).get("data"), measured.stand_in])  # a copy is named once
    on = ", ".join(label for label in labels if label)
    return f"{measured.number} ({on})" if on else measured.number


def source(claim, measured):
    """What made the number, or what would."""
    told = [f"`{measured.result}`"] if measured is not None else []
    if claim.command and (measured is None or measured.stand_in):
        told.append(f"the paper's own: `{claim.command}`")
    return "; ".join(told)


def table(title, rows, told_each=False, subject="subject"):
    """Claims in the order of their subjects, each with its verdict where the title does not tell it."""
    lines = [f"### {title}", "", f"| {subject} | where | the claim | our number | made by |", "|---|---|---|---|---|"]
    for part, claim, measured, word in rows:
        says = f"{claim.says} [Chapter]({claim.chapter}.md)"
        number = f"{numbered(measured)}{f', **{word}**' if told_each else ''}"
        lines.append(f"| {part} | {claim.where} | {says} | {number} | {source(claim, measured)} |")
    return lines


def seconds(stored):
    """What a result cost, in words: all of it, or its training, or its runs, whichever is recorded."""
    for parts in ([stored], [stored.get("training", {})], stored.get("runs", [])):
        if found := [part["seconds"] for part in parts if "seconds" in part]:
            return f"{sum(found):,.0f} s"
    return "not recorded"


def origins(names):
    """What made each result."""
    lines = [
        "### What made the numbers",
        "",
        "| result | command | seeds | machine | date | cost |",
        "|---|---|---|---|---|---|",
    ]
    for name in names:
        stored = load(name)
        made, seeds = (
            stored["provenance"],
            sorted({run["seed"] for run in [stored, *stored.get("runs", [])] if "seed" in run}),
        )
        told = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else ", ".join(map(str, seeds))
        where = f"{made['machine']}; torch {made['versions']['torch']}"
        lines.append(f"| `{name}` | `{made['command']}` | {told} | {where} | {made['date']} | {seconds(stored)} |")
    return lines


TITLES = {
    "reproduced": "Reproduced: the paper's own experiment",
    "partly": "Partly: a smaller experiment, or a copy of the data",
    "not": "Not: the number does not support the claim",
    "not run yet": "Not run yet",
}


def written():
    """The ledger, as it stands between the marks: experiments by their verdict, then identities, then later papers."""
    rows, later = list(entries()), list(entries(LATER))
    experiments = [row for row in rows if not row[1].is_identity]
    identities = [row for row in rows if row[1].is_identity]
    counts = Counter(word for *_, word in experiments)
    verdicts = ", ".join(f"{counts[word]} {word}" for word in VERDICTS)
    hold = sum(word == "reproduced" for *_, word in identities)
    others = f"In addition there are {len(identities)} identities and counts; {hold} hold."
    blocks = [[f"**{len(experiments)} experiments: {verdicts}.** {others}"]]
    for word in VERDICTS:
        if found := [row for row in experiments if row[3] == word]:
            blocks.append(table(TITLES[word], found))
    blocks.append(table("Identities and counts", identities, told_each=True))
    blocks.append(table("After the paper", later, told_each=True, subject="paper"))
    blocks.append(origins(sorted({measured.result for _, _, measured, _ in rows + later if measured is not None})))
    return "\n\n".join("\n".join(block) for block in blocks)


def page_with(text, ledger):
    """The page's text with the ledger between its marks."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{ledger}\n\n{END}{after}"


def stale():
    """The page's text as it should be, or None if it is so."""
    text = PAGE.read_text(encoding="utf-8")
    wanted = page_with(text, written())
    return wanted if wanted != text else None


def write():
    """Write the page where it is not what the results say."""
    wanted = stale()
    if wanted is not None:
        PAGE.write_text(wanted, encoding="utf-8")
        say(f"{PAGE.name} written")


def main():
    """Write the page, or check it."""
    use_utf8()
    parser = command_line(__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail where the page is stale")
    if not parser.parse_args().check:
        write()
    elif stale() is not None:
        sys.exit(f"{PAGE.name} is not what the results say: run python book/_tools/ledger.py")


if __name__ == "__main__":
    main()
