"""Sphinx extension: the directive `cards`, which shows the chapters as cards, part by part, as the contents have them.

A card has the chapter's title, the question that it answers (book/course.toml) and the top of its first figure, small.
"""

import tomllib
from pathlib import Path

from docutils import nodes
from PIL import Image
from questions import make
from sphinx.util.docutils import SphinxDirective

COURSE = Path(__file__).resolve().parents[1] / "course.toml"
SMALL = (640, 420)
"""Pixels of a picture on a card, in width and height."""


class cards(nodes.General, nodes.Element):
    """The place of the cards, until all chapters are read."""


class Cards(SphinxDirective):
    """Puts the cards on the page."""

    def run(self):
        """Make their place."""
        self.env.note_dependency(str(COURSE))
        self.env.metadata[self.env.docname]["cards"] = True
        return [cards()]


def thumbnail(app, here, image):
    """Let the picture of a figure be that of a card: its top, small, in a file of its own; a drawing in SVG stays."""
    source = Path(app.srcdir, image["uri"])
    image["loading"] = "lazy"
    if source.suffix == ".svg":
        return image
    small = source.with_name(f"{source.stem}-small.webp")
    if not small.exists() or small.stat().st_mtime < source.stat().st_mtime:
        with Image.open(source) as picture:
            width, height = SMALL[0], round(SMALL[0] * picture.height / picture.width)
            picture.convert("RGBA").resize((width, height)).crop((0, 0, width, min(height, SMALL[1]))).save(small)
    image["uri"] = small.relative_to(app.srcdir).as_posix()
    image["candidates"] = {"*": image["uri"]}
    app.env.images.add_file(here, image["uri"])
    return image


def first_figure(app, here, name):
    """The pictures of a chapter's first figure for its card, a light and a dark one where it has twins."""
    figure = next(app.env.get_doctree(name).findall(nodes.figure), None)
    images = [] if figure is None else figure.findall(nodes.image)
    return [thumbnail(app, here, image.deepcopy()) for image in images]


def card(app, here, name, question):
    """A chapter's card."""
    title = make("a", nodes.Text(app.env.titles[name].astext()), href=app.builder.get_relative_uri(here, name))
    words = make("div", make("p", title, class_="title"), make("p", nodes.Text(question)))
    return make("li", make("div", *first_figure(app, here, name), class_="thumbnail"), words, class_="card-of-chapter")


def put_cards(app, doctree, docname):
    """Fill the place with a list for each part."""
    for node in list(doctree.findall(cards)):
        questions = tomllib.loads(COURSE.read_text(encoding="utf-8"))["questions"]
        found = []
        for part in app.config.external_site_map.root.subtrees:
            chapters = [name for name in part.items if Path(name).name in questions]
            if chapters:
                listed = (card(app, docname, name, questions[Path(name).name]) for name in chapters)
                found += [make("p", nodes.Text(part.caption), class_="part"), make("ul", *listed, class_="cards")]
        node.replace_self(found)


def write_again(app, env):
    """Write the pages with cards again, since any chapter may have changed."""
    return [name for name, told in env.metadata.items() if "cards" in told]


def setup(app):
    """Connect the extension."""
    app.add_node(cards)
    app.add_directive("cards", Cards)
    app.connect("doctree-resolved", put_cards)
    app.connect("env-updated", write_again)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
