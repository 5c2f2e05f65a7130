"""The book's address is one setting: where it comes from, which buttons follow it, and that nothing else names one."""

import re
import shutil
import subprocess
import sys

import pytest
import yaml
from address import address, configured
from chapters import ROOT

HERE = "https://github.com/owner/name"


def git(folder, *arguments):
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone without a remote, with the book's own settings."""
    monkeypatch.delenv("NCSN_REPOSITORY", raising=False)
    folder = tmp_path / "clone"
    folder.mkdir()
    git(folder, "init", "--quiet")
    shutil.copy(ROOT / "_config.yml", folder)
    return folder


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("git@github.com:owner/name.git", HERE),
        ("github.com:owner/name", HERE),
        ("ssh://git@github.com:22/owner/name.git", HERE),
        ("https://github.com/owner/name.git", HERE),
        ("http://GitHub.com/owner/name/", HERE),
        ("https://x-access-token:secret@github.com/owner/name", HERE),
        ("https://gitlab.example.org:8443/group/part/name.git", "https://gitlab.example.org:8443/group/part/name"),
        ("/srv/git/name.git", None),
        ("../owner/name", None),
        ("file:///srv/owner/name", None),
        ("C:/Users/owner/name", None),
        (r"C:\Users\owner\name", None),
        ("http://127.0.0.1:8000/owner/name", None),
        ("http://localhost/owner/name", None),
        ("git@my-alias:owner/name.git", None),
        ("https://github.com/owner", None),
    ],
)
def test_the_address_of_a_remote(clone, url, wanted):
    assert address(clone) is None
    git(clone, "remote", "add", "origin", url)
    assert address(clone) == wanted


def test_what_is_set_goes_before_the_remote(clone, monkeypatch):
    git(clone, "remote", "add", "origin", HERE)
    settings = yaml.safe_load((clone / "_config.yml").read_text())
    settings["repository"]["url"] = "https://github.com/a/fork"
    (clone / "_config.yml").write_text(yaml.safe_dump(settings))
    assert address(clone) == "https://github.com/a/fork"
    monkeypatch.setenv("NCSN_REPOSITORY", "git@gitlab.com:a/course.git")
    assert address(clone) == "https://gitlab.com/a/course"
    monkeypatch.setenv("NCSN_REPOSITORY", "a/course")
    with pytest.raises(ValueError, match=r"NCSN_REPOSITORY must be like https://.*, got a/course"):
        address(clone)


def test_the_notebooks_know_what_is_configured_alone(clone, monkeypatch):
    monkeypatch.setenv("NCSN_REPOSITORY", "https://github.com/a/fork")
    assert configured(clone) is None
    (clone / "_config.yml").write_text("repository:\n  url: https://github.com/a/course\n")
    assert configured(clone) == "https://github.com/a/course"


def test_the_repository_around_a_folder_is_another(clone):
    git(clone, "remote", "add", "origin", HERE)
    unpacked = clone / "unpacked"
    unpacked.mkdir()
    shutil.copy(clone / "_config.yml", unpacked)
    assert address(unpacked) is None


CONF = """
import sys
from pathlib import Path
import yaml
from jupyter_book.config import yaml_to_sphinx
sys.path.append({extensions!r})
html_theme_options = yaml_to_sphinx(yaml.safe_load(Path("_config.yml").read_text()))[0]["html_theme_options"]
html_theme = "sphinx_book_theme"
extensions = ["myst_nb", "buttons"]
nb_execution_mode = "off"
exclude_patterns = ["**.ipynb"]
"""
BUILD = """
import os, sys
from sphinx.cmd.build import build_main
for folder in sys.argv[1:]:
    os.chdir(folder)
    if build_main(["-q", "-W", "-b", "html", ".", "html"]):
        sys.exit(folder)
"""
HEAD = "---\njupytext:\n  text_representation:\n    format_name: myst\nkernelspec:\n  name: python3\n---\n"
CHAPTER = HEAD + "# A chapter\n"
PLACES = {
    "nowhere": "",
    "github": "git@github.com:owner/name.git",
    "gitlab": "https://gitlab.com/owner/name.git",
    "codeberg": "https://codeberg.org/owner/name",
}
LICENCE = "https://creativecommons.org/licenses/by/4.0/"


def links(place, folder):
    """Where the pages of the small book lead that was built in a folder."""
    pages = [folder / place / "html" / name for name in ("index.html", "book/chapter.html")]
    found = {link for page in pages for link in re.findall(r'href="([^"]*)"', page.read_text(encoding="utf-8"))}
    assert "../_sources/book/chapter.ipynb" in found  # to be downloaded, wherever the book is
    assert (folder / place / "html/_sources/book/chapter.ipynb").read_text() == "the committed notebook"
    assert LICENCE in found
    return {link for link in found if re.match("https?:", link)} - {LICENCE}


def test_buttons_follow_the_address(tmp_path, monkeypatch):
    """On a small book with the book's settings, theme and buttons; built in one process, since the theme takes long."""
    monkeypatch.delenv("NCSN_REPOSITORY", raising=False)
    for place, remote in PLACES.items():
        folder = tmp_path / place
        (folder / "book").mkdir(parents=True)
        git(folder, "init", "--quiet")
        git(folder, "config", "remote.origin.url", remote)
        shutil.copy(ROOT / "_config.yml", folder)
        (folder / "conf.py").write_text(CONF.format(extensions=str(ROOT / "book" / "_ext")))
        (folder / "index.md").write_text("# A book\n\n```{toctree}\nbook/chapter\n```\n")
        (folder / "book" / "chapter.md").write_text(CHAPTER)
        (folder / "book" / "chapter.ipynb").write_text("the committed notebook")
    command = [sys.executable, "-c", BUILD, *(str(tmp_path / place) for place in PLACES)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    assert links("nowhere", tmp_path) == set()
    assert links("codeberg", tmp_path) == set()
    found = links("github", tmp_path)
    assert {link for link in found if not link.startswith(HERE)} == {
        "https://colab.research.google.com/github/owner/name/blob/main/book/chapter.ipynb",
        "https://mybinder.org/v2/gh/owner/name/main?urlpath=lab/tree/book/chapter.ipynb",
    }
    assert {HERE, f"{HERE}/edit/main/book/chapter.md"} <= found
    assert len([link for link in found if link.startswith(f"{HERE}/issues/new")]) == 2  # of each page one
    found = links("gitlab", tmp_path)
    assert {link for link in found if not link.startswith("https://gitlab.com/owner/name")} == {
        "https://mybinder.org/v2/gl/owner%2Fname/main?urlpath=lab/tree/book/chapter.ipynb"
    }
    assert "https://gitlab.com/owner/name/-/edit/main/book/chapter.md" in found


OTHERS = {
    "owner/name",
    "OWNER/NAME",
    "a/fork",
    "a/course",
    "someone/a-book",
    "ermongroup/ncsn",
    "ermongroup/ncsnv2",
    "toshas/torch-fidelity",
    "zalandoresearch/fashion-mnist",
}  # examples, and what others published


def test_no_file_names_an_address_of_its_own():
    """The notebooks are made with the setting, and what others wrote names theirs."""
    files = git(ROOT, "grep", "-lIE", "(github|gitlab)[.]com", "--", ".", ":!*.ipynb", ":!book/assets/vendor").split()
    assert "book/_tools/address.py" in files
    for name in files:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert set(re.findall(r"git(?:hub|lab)\.com(?::\d+)?[/:]([\w-]+/[\w-]+)", text)) <= OTHERS, name
