"""Where the book is on the web: the one setting that the pages' buttons and the notebooks' first cells follow.

Run as a script it prints the address, or says that there is none.
"""

import os
import re
import subprocess
from urllib.parse import urlsplit

import yaml
from chapters import ROOT, say

FORM = "https://github.com/OWNER/NAME"


def normalised(url):
    """An address as https://HOST/OWNER/NAME; None for a path, or for a host that only this machine or network knows.

    A user and a password in it are dropped, since the address is shown.
    """
    url = re.sub(r"^(?:[\w.-]+@)?([\w.-]+\.\w+):(?=\w)", r"ssh://\1/", url.strip())  # git@HOST:OWNER/NAME
    parts = urlsplit(url)
    host, path = parts.hostname or "", parts.path.strip("/").removesuffix(".git")
    is_host = re.fullmatch(r"(?:[\w-]+\.)+[a-z]{2,}", host)
    if parts.scheme not in ("http", "https", "ssh") or not is_host or not re.fullmatch(r"[\w.-]+(?:/[\w.-]+)+", path):
        return None
    return f"https://{host if parts.scheme == 'ssh' else parts.netloc.rpartition('@')[2].lower()}/{path}"


def origin(folder):
    """The url of git's remote `origin`; empty where the folder is no clone, or has none."""
    git = ["git", "config", "--get", "remote.origin.url"]
    bounds = os.environ | {"GIT_CEILING_DIRECTORIES": str(folder.parent)}  # a clone around the folder is another's
    try:
        return subprocess.run(git, cwd=folder, env=bounds, capture_output=True, text=True).stdout
    except OSError:  # no git here
        return ""


def checked(name, url):
    """A setting's address, None where it is not set.

    Raises:
        ValueError: one that is set and is not an address.
    """
    if url and not normalised(url):
        raise ValueError(f"{name} must be like {FORM}, got {url}")
    return normalised(url) if url else None


def configured(folder=ROOT):
    """The address in `_config.yml`, `repository: url`, which is the same on every machine; None where it has none."""
    config = yaml.safe_load((folder / "_config.yml").read_text(encoding="utf-8"))
    return checked("_config.yml's repository: url", config.get("repository", {}).get("url"))


def address(folder=ROOT):
    """The address: NCSN_REPOSITORY, else `repository: url` of `_config.yml`, else that of git's `origin`, else None.

    Args:
        folder: the one that holds `_config.yml` and the clone.

    Raises:
        ValueError: one that is set and is not an address.
    """
    set_by_hand = checked("NCSN_REPOSITORY", os.environ.get("NCSN_REPOSITORY")) or configured(folder)
    return set_by_hand or normalised(origin(folder))


if __name__ == "__main__":
    say(address() or f"no address: set NCSN_REPOSITORY, or git's remote origin, to one like {FORM}")
