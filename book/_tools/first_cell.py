"""The cell that stands first in a chapter's notebook, folded: it brings what is missing where it is opened."""

import json

CELL = """\
# Does nothing where the book is. Elsewhere, as on Colab, installs its library (torch stays as it is), fetches files.
import os
import subprocess
import sys
from importlib import metadata, util
from urllib.request import urlretrieve

address = os.environ.get("NCSN_ADDRESS", ADDRESS)
library = f"ncsn_lib[cli,labs,metrics,plot] @ {address}/archive/refs/heads/main.zip"
files = FILES
try:
    if not util.find_spec("ncsn_lib"):
        kept = [f"{name}=={metadata.version(name)}" for name in ("torch", "torchvision") if util.find_spec(name)]
        pip = [sys.executable, "-m", "pip", "install", "-qq", library, *kept]
        subprocess.run(pip, check=True, capture_output=True, text=True)
    for name in (name for name in files if not os.path.exists(name)):
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        urlretrieve(f"{address}/raw/main/book/{name}", f"{name}.part")
        os.replace(f"{name}.part", name)
except Exception as error:
    why = (getattr(error, "stderr", None) or str(error)).partition("\\n")[0]
    stop = RuntimeError(f"This chapter needs {library} (pip), {files or 'no files'} ({address}/raw/main/book): {why}")
    stop._render_traceback_ = lambda: [str(stop)]  # one line tells enough
    raise stop from None"""
NOWHERE = "ADDRESS-OF-THE-BOOK"


def listed(files):
    """A list of strings as ruff writes it: on one line, or on one each."""
    names = [json.dumps(file) for file in sorted(set(files))]
    line = f"[{', '.join(names)}]"
    return line if len(f"files = {line}") <= 120 else "".join(["[\n", *(f"    {name},\n" for name in names), "]"])


def first_cell(files, address):
    """The source of the cell.

    It installs `ncsn_lib` where that cannot be imported, and tells pip to keep the torch and torchvision that are
    there; then it fetches the files that do not exist. Both come from the address, whose layout is GitHub's. Where
    that fails, it ends the run in one line.

    Args:
        files: what the chapter reads, as paths below `book`, which are also those from the notebook.
        address: of the book's repository, as by `address.address()`; None for none. The environment variable
            NCSN_ADDRESS of who runs the notebook goes before it.
    """
    return CELL.replace("ADDRESS)", f"{json.dumps(address or NOWHERE)})").replace("FILES", listed(files))
