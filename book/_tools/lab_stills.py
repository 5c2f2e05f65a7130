"""Photograph the labs of a built book for their places on pages opened as files: python book/_tools/lab_stills.py."""

from contextlib import closing
from pathlib import Path

from browser import built_pages, chromium, find_chromium, local_server, settle
from chapters import BOOK, HTML, command_line, say, use_utf8
from PIL import Image

STILLS = BOOK / "assets" / "stills"
WIDTH = {"width": 1000, "height": 900}
COLOURS = 64  # which a picture of two colours and greys hardly misses


def photograph(page, done):
    """Take the picture of each lab on a page that was not taken yet."""
    for place in page.locator("[data-lab]").all():
        name = place.evaluate("({ dataset }) => [dataset.lab, dataset.small].filter(Boolean).join('_')")
        if name in done:
            continue
        page.wait_for_function("place => !place.model.get('running')", arg=place.element_handle())
        target = STILLS / f"{name}.png"
        place.locator(".seen, .opening-lab > .stage").first.screenshot(path=target)
        Image.open(target).convert("RGB").quantize(COLOURS).save(target, optimize=True)
        done.add(name)
        say(target)


def main():
    """Take all pictures, from the pages of a folder."""
    use_utf8()
    parser = command_line(__doc__)
    parser.add_argument("html", type=Path, nargs="?", default=HTML)
    html, done = parser.parse_args().html, set()
    STILLS.mkdir(exist_ok=True)
    with local_server(html) as address, chromium(find_chromium()) as browser:
        for name in [name for name in built_pages(html) if "data-lab=" in (html / name).read_text(encoding="utf-8")]:
            with closing(browser.new_context(viewport=WIDTH, reduced_motion="reduce")) as context:
                page = context.new_page()
                page.goto(f"{address}/{name}")
                settle(page)
                photograph(page, done)


if __name__ == "__main__":
    main()
