"""Photograph the built book, to be looked at: python book/_tools/screenshots.py FOLDER [PAGE ...].

Every page (or those whose path contains a PAGE) is taken whole, wide and as on a phone, light and dark.
"""

import sys
from contextlib import closing
from pathlib import Path

from browser import PHONE, WIDE, built_pages, chromium, find_chromium, local_server, reveal, settle
from chapters import HTML, command_line, say, use_utf8


def photograph(browser, address, name, folder):
    """Take the four pictures of one page, which is loaded once."""
    with closing(browser.new_context()) as context:
        page = context.new_page()
        page.goto(f"{address}/{name}")
        reveal(page)
        for scheme in ("light", "dark"):
            for size, viewport in (("wide", WIDE), ("phone", PHONE)):
                page.emulate_media(color_scheme=scheme)
                page.set_viewport_size(viewport)
                settle(page)
                stem = name.removesuffix(".html").replace("/", "_")
                target = folder / f"{stem}_{size}_{scheme}.png"
                page.screenshot(path=target, full_page=True)
                say(target)


def main():
    """Take every picture that was asked for."""
    use_utf8()
    parser = command_line(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("pages", nargs="*", help="parts of paths, for example 01_score")
    arguments = parser.parse_args()
    executable = find_chromium()
    names = [p for p in built_pages(HTML) if not arguments.pages or any(part in p for part in arguments.pages)]
    if not (executable and names):
        sys.exit("It takes a built book (`make book`) and a Chromium, on the path or named by NCSN_CHROMIUM.")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with local_server(HTML) as address, chromium(executable) as browser:
        for name in names:
            photograph(browser, address, name, arguments.folder)


if __name__ == "__main__":
    main()
