"""Write the built book as one PDF, _build/ncsn_book.pdf, by the browser that looks at its pages.

Each page is opened as paper shows it, its mathematics set; what stands in it is put into one document, in which links
lead from chapter to chapter. The browser prints that twice, since only a print tells on which page a chapter begins.
"""

import html
import os
import sys
from contextlib import closing
from pathlib import Path

import pikepdf
from browser import PATIENCE, chromium, find_chromium, local_server, reveal, settle
from chapters import BUILD, HTML, ROOT, command_line, pages, say, use_utf8
from pypdf import PdfReader

TARGET = BUILD / "ncsn_book.pdf"
DOCUMENT = f"_static/one_page_{os.getpid()}.html"
"""The one document, which uses the pictures and styles of the pages; it is there only while it is printed."""
# The article of a page; what it names, and what leads to it, begins with the page's name.
TAKE = """name => {
  const article = document.querySelector("article.bd-article");
  for (const canvas of article.querySelectorAll("canvas")) {
    const still = new Image();
    still.src = canvas.toDataURL();
    canvas.replaceWith(still);
  }
  article.querySelectorAll("script, noscript, iframe, .solution").forEach(e => e.remove());
  for (const e of article.querySelectorAll("[id]")) e.id = `${name}--${e.id}`;
  for (const e of article.querySelectorAll("[name]")) e.removeAttribute("name");
  for (const link of article.querySelectorAll("a[href]")) {
    const url = new URL(link.getAttribute("href"), document.baseURI); // also of a link in a drawing
    if (url.origin !== location.origin) continue;
    const page = url.pathname.match(/([^/]+)[.]html$/)?.[1];
    if (page && !page.endsWith(".slides")) link.setAttribute("href", `#${page}--${url.hash.slice(1)}`);
    else link.removeAttribute("href");
  }
  for (const image of article.querySelectorAll("img")) {
    image.setAttribute("src", image.src);
    image.loading = "eager";
  }
  const rules = document.querySelector("#MJX-CHTML-styles")?.sheet.cssRules ?? [];
  return [article.innerHTML, [...rules].map(rule => rule.cssText)];
}"""
FRAME = """<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8"><title>{title}</title>
{sheets}<style>
@media print {{ section.page {{ break-before: page; }} .bd-article .contents td:last-child {{ text-align: right; }} }}
body {{ background: none; }}
{styles}
</style></head><body><main class="bd-article"><h1>{title}</h1>
<table class="contents table">{contents}</table>
{articles}
</main></body></html>"""
SHEETS = "() => [...document.querySelectorAll('link[rel=stylesheet]')].map(s => s.href)"
FOOTER = '<p style="width: 100%; text-align: center; font-size: 8pt"><span class="pageNumber"></span></p>'


def take(page, address, source):
    """A page's title, article, rules of its mathematics and style sheets."""
    page.goto(f"{address}/{source.relative_to(ROOT).with_suffix('.html').as_posix()}")
    settle(page)
    page.wait_for_function("() => [...document.querySelectorAll('.opening-lab')].every(lab => lab.dataset.frames)")
    reveal(page)
    title = page.locator("h1").first.evaluate("e => e.firstChild.textContent")
    sheets = page.evaluate(SHEETS)
    return title, *page.evaluate(TAKE, source.stem), sheets


def contents(taken, begins):
    """The rows of the table of contents; a page that is not known yet takes as much room."""
    return "".join(
        f'<tr><td><a href="#{stem}--">{html.escape(title)}</a></td><td>{begins.get(title, 999)}</td></tr>'
        for stem, (title, *_) in taken.items()
    )


def document(taken, begins):
    """The one document."""
    rules = dict.fromkeys(rule for _, _, rules, _ in taken.values() for rule in rules)
    sheets = dict.fromkeys(sheet for *_, sheets in taken.values() for sheet in sheets)
    return FRAME.format(
        title="The NCSN book",
        sheets="".join(f'<link rel="stylesheet" href="{sheet}">\n' for sheet in sheets),
        styles="\n".join(rules),
        contents=contents(taken, begins),
        articles="\n".join(
            f'<section class="page" id="{stem}--">{article}</section>' for stem, (_, article, *_) in taken.items()
        ),
    )


def print_once(page, address, target):
    """Print the document; the page, counted from 1, on which each heading of the first rank stands."""
    page.goto(f"{address}/{DOCUMENT}")
    settle(page)
    page.pdf(
        path=target, prefer_css_page_size=True, outline=True, tagged=True,
        display_header_footer=True, header_template="<p></p>", footer_template=FOOTER,
    )  # fmt: skip
    reader = PdfReader(target)
    marks = [mark for mark in reader.outline if not isinstance(mark, list)]
    return {mark.title: reader.get_destination_page_number(mark) + 1 for mark in marks}


def write(browser, address, sources, target):
    """Take the pages, and print them until the contents say where they begin."""
    with closing(browser.new_context()) as context:
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.emulate_media(media="print", color_scheme="light", reduced_motion="reduce")
        taken = {source.stem: take(page, address, source) for source in sources}
        begins = {}
        for _ in range(2):
            (HTML / DOCUMENT).write_text(document(taken, begins), encoding="utf-8")
            try:
                begins = print_once(page, address, target)
            finally:
                (HTML / DOCUMENT).unlink()
    with pikepdf.open(target, allow_overwriting_input=True) as printed:
        printed.save(target, object_stream_mode=pikepdf.ObjectStreamMode.generate)  # the browser packs no objects
    return begins


def main():
    """Write the PDF."""
    use_utf8()
    parser = command_line(__doc__)
    parser.add_argument("--out", type=Path, default=TARGET, help="where to write it")
    parser.add_argument("pages", nargs="*", help="parts of names, for example 01_score; all by default")
    arguments = parser.parse_args()
    sources = [page for page in pages() if not arguments.pages or any(part in page.stem for part in arguments.pages)]
    executable = find_chromium()
    if not (executable and sources and all((HTML / f"book/{page.stem}.html").exists() for page in sources)):
        sys.exit("It takes a built book (`make book`) and a Chromium, on the path or named by NCSN_CHROMIUM.")
    with local_server(HTML) as address, chromium(executable) as browser:
        begins = write(browser, address, sources, arguments.out)
    paper, size = len(PdfReader(arguments.out).pages), arguments.out.stat().st_size / 1e6
    say(f"{len(begins)} pages of the book on {paper} of paper, {size:.1f} MB: {arguments.out}")


if __name__ == "__main__":
    main()
