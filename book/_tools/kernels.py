"""How a chapter is executed: in folders of the build's own, by nbclient, and with nothing on stderr."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

from chapters import BOOK, ONLY, QUIET, ROOT
from nbclient import NotebookClient

TIMEOUT = 600  # seconds, for a cell
FOLDERS = ("MPLCONFIGDIR", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR")


def use_own_folders():
    """Keep the settings of whoever builds out of the book, and do without a home that can be written.

    Matplotlib lists the fonts first: a kernel in which that takes long would say so among its outputs.
    """
    for name in FOLDERS:
        folder = ROOT / "_build" / "home" / name.lower()
        folder.mkdir(parents=True, exist_ok=True)
        os.environ[name] = str(folder)
    subprocess.run([sys.executable, "-c", "import matplotlib.pyplot"], check=True, stderr=subprocess.DEVNULL)


def ask_for_twins():
    """Let kernels started from now on draw each figure for a light and for a dark page, too (ncsn_lib/plotting.py)."""
    os.environ["NCSN_TWINS"] = "yes"


def chapter_client(notebook, **options):
    """What executes a chapter's notebook, in the book's folder; what a cell prints is one output."""
    return NotebookClient(
        notebook, timeout=TIMEOUT, kernel_name="python3", record_timing=False, extra_arguments=QUIET,
        coalesce_streams=True, resources={"metadata": {"path": str(BOOK)}}, **options,
    )  # fmt: skip


def kill_kernels(clients):
    """End the kernels of clients that execute in other threads; each of those gets a `DeadKernelError`."""
    for client in clients:
        process = getattr(client.km, "provisioner", None)
        if process is not None and process.pid:
            with suppress(ProcessLookupError):  # one that has just ended
                os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def stop_all(clients, futures):
    """Kill what executes until nothing does, those included that are starting just now."""
    while any(future.running() for future in futures):
        kill_kernels(clients)
        time.sleep(0.2)


def code_cells(notebook):
    """The code cells, in their order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def is_silent(cell):
    """Whether a code cell is the notebook's alone and prints nothing, as the one in which a student answers."""
    tags = cell.metadata.get("tags", [])
    return ONLY in tags and "nbval-ignore-output" not in tags


def in_page_order(cells, page):
    """Cells that ran in the order of the notebooks, the chapter's before its solutions', in the order of the page."""
    left, found = list(cells), []
    for source in [cell.source for cell in code_cells(page)]:
        place = next((number for number, cell in enumerate(left) if cell.source == source), None)
        found += [] if place is None else [left.pop(place)]
    return found + left


def take_outputs(notebook, executed):
    """Give a notebook the outputs of another one; whether that had the same code in the cells that print."""
    cells = [cell for cell in code_cells(notebook) if not is_silent(cell)]
    ran = [cell for cell in code_cells(executed) if not is_silent(cell)]
    if [cell.source for cell in cells] != [cell.source for cell in ran]:
        return False
    for cell, done in zip(cells, ran, strict=True):
        cell.outputs = done.outputs
    for number, cell in enumerate(code_cells(notebook), 1):
        cell.execution_count = number
    return True


def faults(notebook):
    """One line for each output that no page may show: an error, or something on stderr."""
    found = []
    for number, cell in enumerate(code_cells(notebook)):
        for output in cell.outputs:
            if output.output_type == "error":
                found.append(f"code cell {number} raised {output.ename}: {output.evalue}")
            elif output.get("name") == "stderr":
                found.append(f"code cell {number} wrote to stderr: {output.text.strip()}")
    return found
