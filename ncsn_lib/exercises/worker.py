"""The process that runs submissions, each in a child of its own: `python -m ncsn_lib.exercises.worker`.

It is handed one JSON line for each submission, and hands back one block of bytes: a JSON header and the outputs as
safetensors. Nothing that comes from a submission is ever unpickled, and nothing is judged here.
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import torch
from torch import Tensor

from ncsn_lib.exercises import ENTRIES, Exercise
from ncsn_lib.exercises.observing import observe

READY = b"ready\n"
LIMIT_BYTES = 64 << 20
"""Of what one submission may send back."""
MEMORY_BYTES = 3 << 30
"""That a submission may take beyond what the worker holds."""
FILE_BYTES = 16 << 20
"""Of the largest file that a submission may write."""
RUN_MAGICS = ("time", "timeit", "capture", "prun")
"""Cell magics whose cell is executed; all others are passed over."""


def variable(id: str) -> str:
    """The name under which a sheet keeps a number: 'langevin-half' -> 'langevin_half'."""
    return id.replace("-", "_")


def run_cells(cells: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Execute the cells of a notebook in one namespace, as Jupyter does, and go on after an error.

    Returns:
        The namespace, and for each cell that failed, its number and its error.
    """
    from IPython.core.inputtransformer2 import TransformerManager

    namespace: dict[str, Any] = {"__name__": "__main__"}

    def cell_magic(name: str, line: str, body: str) -> None:
        if name in RUN_MAGICS:
            exec(compile(body, "<cell>", "exec"), namespace)

    def nothing(*arguments: Any) -> None:
        """What a magic of a line or a command of the shell does here."""

    shell = SimpleNamespace(run_cell_magic=cell_magic, run_line_magic=nothing, system=nothing, getoutput=nothing)
    namespace["get_ipython"] = lambda: shell
    problems = []
    for number, cell in enumerate(cells, start=1):
        try:
            exec(compile(TransformerManager().transform_cell(cell), f"<cell {number}>", "exec"), namespace)
        except (Exception, SystemExit) as error:
            problems.append(f"cell {number} raised {type(error).__name__}: {' '.join(str(error).split())[:200]}")
    return namespace, problems


def as_number(answer: Any) -> float | str | None:
    """A number, a choice or nothing; of anything else, the type in angle brackets."""
    if answer is None or answer is Ellipsis:
        return None
    if isinstance(answer, str):
        return answer[:200]
    with contextlib.suppress(TypeError, ValueError, RuntimeError):
        return float(answer)
    return f"<{type(answer).__name__}>"


def observed(cells: list[str], ids: list[str], seed: int) -> bytes:
    """Run a submission; returns what its answers did: the header's length, the header, the tensors."""
    import safetensors.torch

    namespace, problems = run_cells(cells)
    answers: dict[str, Any] = {}
    tensors: dict[str, Tensor] = {}
    for id in ids:
        entry = ENTRIES[id]
        if not isinstance(entry, Exercise):
            answers[id] = {"number": as_number(namespace.get(variable(id)))}
            continue
        answer = namespace.get(entry.function)
        if not callable(answer):
            answers[id] = {"failure": ("missing", f"there is no function {entry.function}."), "outputs": {}}
            continue
        seen = observe(entry, answer, seed)
        outputs = {name: len(parts) for name, parts in seen.outputs.items()}
        answers[id] = {"failure": seen.failure, "draws": seen.draws, "changed": seen.changed, "outputs": outputs}
        for name, parts in seen.outputs.items():
            tensors |= {f"{id}/{name}/{number}": part.contiguous() for number, part in enumerate(parts)}
    head = json.dumps({"problems": problems, "answers": answers}).encode()
    return len(head).to_bytes(8, "big") + head + safetensors.torch.save(tensors)


def confine(seconds: float) -> None:
    """Limit this process's time, memory, files and children, whatever it does afterwards."""
    import resource

    statm = Path("/proc/self/statm")
    pages = int(statm.read_text().split()[0]) if statm.exists() else 0
    limits = {
        resource.RLIMIT_CPU: int(seconds) + 1,
        resource.RLIMIT_FSIZE: FILE_BYTES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 0,
    }
    if pages:
        limits[resource.RLIMIT_AS] = pages * resource.getpagesize() + MEMORY_BYTES
    for kind, value in limits.items():
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def run_in_child(job: dict[str, Any], channel: BinaryIO, alone: bool) -> bytes:
    """Run one submission in a forked process; returns its bytes, or a header that says why there are none."""
    folder = tempfile.mkdtemp()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            os.close(reading)
            channel.close()
            os.chdir(folder)
            for number in (0, 1, 2):
                os.dup2(os.open(os.devnull, os.O_RDWR), number)
            confine(job["seconds"])
            with open(writing, "wb") as pipe:
                try:
                    pipe.write(observed(job["cells"], job["ids"], job["seed"]))
                except BaseException as error:  # of what the submission made of Python, which ends with this process
                    pipe.write(refusal(f"it could not be marked: {type(error).__name__}: {error}"[:500]))
        finally:
            os._exit(0)
    os.close(writing)
    with contextlib.suppress(OSError):
        os.setpgid(child, child)
    data, why = _collect(child, reading, job["seconds"])
    os.close(reading)
    with contextlib.suppress(OSError):
        os.kill(-1, signal.SIGKILL) if alone else os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    shutil.rmtree(folder, ignore_errors=True)
    if alone:
        leave_nothing(Path(tempfile.gettempdir()))
    return data if not why else refusal(why)


def leave_nothing(folder: Path) -> None:
    """Delete what a submission left outside its own folder: the next one finds an empty place, and room."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def hide() -> None:
    """Keep this process's memory from what it forks, which is the same user's: PR_SET_DUMPABLE of Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)


def refusal(why: str) -> bytes:
    """The bytes of a submission that gave nothing."""
    head = json.dumps({"stopped": why}).encode()
    return len(head).to_bytes(8, "big") + head


def _collect(child: int, reading: int, seconds: float) -> tuple[bytes, str]:
    """What a child writes until it ends, and why that does not count, if it does not."""
    end, data, ended = time.monotonic() + seconds, bytearray(), False
    os.set_blocking(reading, False)
    while True:
        if select.select([reading], [], [], 0.0 if ended else 0.05)[0]:
            part = os.read(reading, 1 << 20)
            data += part
            if not part:
                break
        elif ended:
            break
        if len(data) > LIMIT_BYTES:
            return b"", f"it sent back more than {LIMIT_BYTES >> 20} MiB"
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            return b"", f"it did not end within {seconds:g} s"
        ended = ended or os.waitpid(child, os.WNOHANG)[0] != 0
    return (bytes(data), "") if len(data) >= 8 else (b"", "its process ended before it had answered")


def main() -> None:
    """Serve submissions until the input ends.

    With `--alone` no process of others is in sight, so that all may be ended; with `--once` none is forked.
    """
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)  # whatever prints, prints nowhere
    torch.set_num_threads(1)
    hide()
    observed([], [], 0)  # imports what every child needs, once for all
    for entry in ENTRIES.values():
        if isinstance(entry, Exercise):
            observe(entry, entry.oracle, 0)  # which imports more of torch
    channel.write(READY)
    channel.flush()
    for line in sys.stdin.buffer:
        job = json.loads(line)
        if "--once" in sys.argv:
            data = observed(job["cells"], job["ids"], job["seed"])
        else:
            data = run_in_child(job, channel, "--alone" in sys.argv)
        channel.write(len(data).to_bytes(8, "big") + data)
        channel.flush()


if __name__ == "__main__":
    main()
