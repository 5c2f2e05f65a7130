"""List the numbers of prose that nothing accounts for: python book/_tools/prose_numbers.py [NAME ...].

A number with a decimal point or of three digits and more is accounted for where the chapter's code or its mathematics
holds it, where one of its cells or a stored result that it names gives it, rounded as the prose rounds it or as a
percentage, or where prose_numbers.txt lists it, with the reason: definitions, and what a source says. Years are left
alone; so are smaller whole numbers, which mostly count what is seen.
"""

import json
import re
import sys
from functools import cache

import nbformat
from chapters import BOOK, chapters, command_line, read_results, use_utf8
from items import KINDS
from ledger import PAGE as LEDGER
from ledger import written
from plain import read_parts

ALLOWED = BOOK / "_tools" / "prose_numbers.txt"
NUMBER = re.compile(r"(?<![\w.,/])(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(?:e(-?\d+))?(?![\w/]|\.\w)")
ANY = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.?\d*(?:e[+-]?\d+)?")
MATHS = re.compile(r"\$\$.*?\$\$|\$[^$]*\$", re.DOTALL)
# What is no prose: code, roles, directives' options, links' addresses, comments.
OTHER = re.compile(r"```.*?```|`[^`]*`|\{[\w:-]+\}|^:[\w-]+:.*$|\]\([^)]*\)|https?://\S+|<!--.*?-->", re.DOTALL | re.M)
WRONG = re.compile(r"^- \[ \].*(?:\n  (?!> ).*)*", re.MULTILINE)  # the options of a question that are not true
YEAR = re.compile(r"(18|19|20)\d\d")


def numbers_in(text):
    """Every number of a text, as floats."""
    found = set()
    for token in ANY.findall(text):
        found.add(float(token.replace(",", "")))
    return found


def prose_of(parts):
    """The texts of a chapter, exercises and solutions among them."""
    for part in parts:
        if part.parts:
            yield from prose_of(part.parts)
        elif part.kind not in ("code", "raw"):
            yield WRONG.sub("", part.text) if part.kind in KINDS else part.text


def outputs_of(notebook):
    """What the cells of a notebook give, as text."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {"text/plain": output.get("text", "")})
            for kind in ("text/plain", "text/html", "text/markdown"):
                text = data.get(kind, "")
                yield re.sub(r"data:[^\"']*|<[^>]*>", " ", text)


@cache
def known_numbers(page):
    """Every number that the chapter's code, mathematics, outputs and stored results hold."""
    source = page.read_text(encoding="utf-8")
    found = numbers_in("\n".join(re.findall(r"```\{code-cell\}.*?```", source, re.DOTALL)))
    found |= numbers_in("\n".join(MATHS.findall(source)))
    if page == LEDGER:  # whose tables are written from the claims and the results
        found |= numbers_in(written() + (BOOK / "_tools" / "claims.py").read_text(encoding="utf-8"))
    for path in (page.with_suffix(".ipynb"), BOOK / "solutions" / f"{page.stem}.ipynb"):
        if path.exists():
            found |= numbers_in("\n".join(outputs_of(nbformat.read(path, as_version=4))))
    for name in read_results(page):
        if name.endswith(".json"):
            found |= numbers_in(json.dumps(json.loads((BOOK / name).read_text(encoding="utf-8"))))
    return sorted(found)


def is_known(value, digits, page):
    """Whether a known number rounds to this one, as it stands or as a percentage of it."""
    half = 0.5 * 10.0**-digits * (1 + 1e-9)
    return any(abs(scale * known - value) <= half for known in known_numbers(page) for scale in (1, 100))


def allowed(page):
    """The numbers of prose_numbers.txt for a chapter."""
    lines = ALLOWED.read_text(encoding="utf-8").splitlines() if ALLOWED.exists() else []
    rows = (line.split(maxsplit=2) for line in lines if line and not line.startswith("#"))
    return {number for name, number, _ in rows if name == page.stem}


def prose(page):
    """The prose of a chapter, text by text, an X for what is code or mathematics."""
    for text in prose_of(read_parts(page)):
        yield OTHER.sub(lambda found: " X " if found[0][0] == "`" else " ", MATHS.sub(" X ", text))


def unaccounted(page):
    """(number, what stands around it) of each number in a chapter's prose that nothing accounts for."""
    for text in prose(page):
        for match in NUMBER.finditer(text):
            whole, fraction, exponent = match.groups()
            if not fraction and (len(whole.replace(",", "")) < 3 or YEAR.fullmatch(whole)):
                continue
            value = float(whole.replace(",", "") + (fraction or "")) * 10.0 ** int(exponent or 0)
            digits = (len(fraction) - 1 if fraction else 0) - int(exponent or 0)
            if not is_known(value, digits, page) and match[0] not in allowed(page):
                yield match[0], " ".join(text[max(0, match.start() - 60) : match.end() + 40].split())


def sentences(page):
    """The sentences of a chapter, of its lists and captions too; not those of tables."""
    for text in prose(page):
        for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*>|#]|\d+\.) ?)", text):
            if not block.lstrip().startswith(("|", "#", ":")):
                yield from re.split(r"(?<=[.!?])[*)\"]*\s+(?=[\"(*A-Z])", " ".join(block.split()))


def main():
    """Print what is found; the exit status says whether anything is."""
    use_utf8()
    parser = command_line(__doc__)
    parser.add_argument("names", nargs="*", help="chapters by name; all by default")
    names = parser.parse_args().names
    found = False
    for page in chapters():
        if names and page.stem not in names:
            continue
        for number, around in unaccounted(page):
            found = True
            print(f"{page.stem}: {number} in: ... {around} ...")
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
