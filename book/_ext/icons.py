"""Sphinx extension: the theme's icons by fonts that hold the few which the pages show.

The theme loads all of Font Awesome twice, as fonts and as a script that draws: two thirds of what a phone would fetch
before it shows a chapter. The script is taken out, and the fonts are cut down to the icons that pages and style sheets
name.
"""

import re
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

LOADED = re.compile(
    r'[ ]*(?:<script src="[^"]*fontawesome/[^"]*"></script>|<link rel="preload"[^>]*fontawesome/[^>]*>)\n?'
)
SOURCES = re.compile(r'url\(\.\./webfonts/([\w-]+)\.woff2\) format\("woff2"\),url\([^)]*\) format\("truetype"\)')
ICON = re.compile(r"\bfa-([a-z0-9-]+)")
RULE = re.compile(r"[^{}]+\{[^{}]*\}")
CODE = re.compile(r"\\([ef][0-9a-f]{3})\b|([\ue000-\uf8ff])")


def codes(style):
    """The characters of a style sheet that are icons."""
    return {int(escaped, 16) if escaped else ord(character) for escaped, character in CODE.findall(style)}


def cut_down(app, exception):
    """Cut the fonts that were copied, and let no page load the script."""
    if exception or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    (theme_styles,) = static.glob("vendor/fontawesome/*/css/all.min.css")
    style = theme_styles.read_text(encoding="utf-8")
    names = set()
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        names.update(ICON.findall(text))
        if LOADED.search(text):
            page.write_text(LOADED.sub("", text), encoding="utf-8")
    shown = set()
    for rule in RULE.findall(style):
        if names & set(ICON.findall(rule)):
            shown |= codes(rule)
    for sheet in [*static.glob("styles/*.css"), *static.glob("*.css")]:
        shown |= codes(sheet.read_text(encoding="utf-8"))
    fonts = theme_styles.parents[1] / "webfonts"
    for source in fonts.glob("*.ttf"):
        font = TTFont(source)
        cutter = Subsetter(Options())
        cutter.populate(unicodes=shown)
        cutter.subset(font)
        font.flavor = "woff"
        font.save(source.with_suffix(".woff"))
    theme_styles.write_text(SOURCES.sub(r'url(../webfonts/\1.woff) format("woff")', style), encoding="utf-8")
    for unused in [*fonts.glob("*.ttf"), *fonts.glob("*.woff2"), *theme_styles.parents[1].glob("js/*")]:
        unused.unlink()


def setup(app):
    """Connect the extension."""
    app.connect("build-finished", cut_down)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
