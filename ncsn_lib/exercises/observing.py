"""Runs an answer, and keeps what was seen as tensors and words, so that another process can judge it."""

import ctypes
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ncsn_lib.exercises.entries import Answer, Arguments, Exercise

SECONDS = 10.0  # for an exercise; the oracles take milliseconds


@dataclass
class Observation:
    """What an answer did on the cases of one seed.

    Args:
        outputs: what each case or probe returned, by its name.
        failure: the kind of the first failure ('stub', 'raised', 'nothing', 'type', 'time'), and its words; none where
            every case ran.
        draws: whether two runs on the same arguments differed.
        changed: the name of an argument that the answer changed in place.
    """

    outputs: dict[str, list[Tensor]] = field(default_factory=dict)
    failure: tuple[str, str] | None = None
    draws: bool = False
    changed: str | None = None


class OutOfTime(BaseException):
    """Raised in an answer that takes too long; no `Exception`, so that an answer's own handlers let it pass."""


def within(seconds: float, run: Callable[[], Any]) -> Any:
    """Return what `run` returns.

    Raises:
        OutOfTime: where it takes longer, in seconds.
    """
    if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
        return _within_by_signal(seconds, run)
    return _within_by_thread(seconds, run)


def _within_by_signal(seconds: float, run: Callable[[], Any]) -> Any:
    def ring(number: int, frame: Any) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.5)  # again, should an answer swallow the first
    try:
        return run()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _within_by_thread(seconds: float, run: Callable[[], Any]) -> Any:
    result: list[Any] = []
    problem: list[BaseException] = []

    def work() -> None:
        try:
            result.append(run())
        except BaseException as error:  # handed to the thread that asked
            problem.append(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(seconds)
    if worker.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(worker.ident or 0), ctypes.py_object(OutOfTime))
        raise OutOfTime
    if problem:
        raise problem[0]
    return result[0]


def as_tensors(value: Any) -> list[Tensor]:
    """A number, an array, a tensor, or a list or tuple of these, as detached tensors of double precision.

    Several numbers are one vector, whether they come as a list, a tuple or a tensor.

    Raises:
        TypeError: for anything else.
    """
    parts = value if isinstance(value, (tuple, list)) else [value]
    tensors = []
    for part in parts:
        if isinstance(part, (str, bytes)) or callable(part):
            raise TypeError(f"a {type(part).__name__}")
        try:
            tensors.append(torch.as_tensor(part).detach().to("cpu", torch.float64).clone())
        except (TypeError, ValueError, RuntimeError):
            raise TypeError(f"a {type(part).__name__}") from None
    return [torch.stack(tensors)] if len(tensors) > 1 and not any(tensor.ndim for tensor in tensors) else tensors


def copied(arguments: Arguments) -> Arguments:
    """The arguments with tensors of their own."""
    return {name: value.clone() if isinstance(value, Tensor) else value for name, value in arguments.items()}


def run_seeded(answer: Answer, arguments: Arguments, seed: int) -> Any:
    """What the answer returns, with torch's global generator at a seed, and as it was afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # that of the processor alone, which takes no time
        return answer(*arguments.values())


def observe(exercise: Exercise, answer: Answer, seed: int, seconds: float = SECONDS) -> Observation:
    """Run an answer on the cases of a seed and on the probes; never raises what the answer raises."""
    seen = Observation()
    try:
        within(seconds, lambda: _observe(exercise, answer, seed, seen))
    except OutOfTime:
        seen.failure = ("time", f"the function did not end within {seconds:g} s: is there a loop that never ends?")
    except NotImplementedError:
        seen.failure = ("stub", "not written yet.")
    except (Exception, SystemExit) as error:
        text = str(error).split("\n")[0]
        seen.failure = ("raised", f"the function raised {type(error).__name__}{': ' + text if text else ''}")
    return seen


def _observe(exercise: Exercise, answer: Answer, seed: int, seen: Observation) -> None:
    cases = exercise.cases(torch.Generator().manual_seed(seed))
    for name, arguments in cases.items():
        given = copied(arguments)
        if not _keep(seen, f"case {name}", run_seeded(answer, given, 1)):
            return
        for key, value in arguments.items():
            if isinstance(value, Tensor) and not torch.equal(value, given[key]):
                seen.changed = key
    name, arguments = next(iter(cases.items()))
    again = as_tensors(run_seeded(answer, copied(arguments), 2))
    first = seen.outputs[f"case {name}"]
    seen.draws = [part.nan_to_num().tolist() for part in first] != [part.nan_to_num().tolist() for part in again]
    if not _keep(seen, "example", run_seeded(answer, copied(exercise.example[1]), 1)):
        return
    for position, probe in enumerate(exercise.probes):
        try:
            seen.outputs[f"probe {position}"] = as_tensors(probe.run(answer))
        except (TypeError, ValueError, RuntimeError):  # such as a loss without a gradient
            seen.outputs[f"probe {position}"] = []


def _keep(seen: Observation, name: str, value: Any) -> bool:
    if value is None:
        seen.failure = ("nothing", "the function returned nothing: is there a return?")
        return False
    try:
        seen.outputs[name] = as_tensors(value)
    except TypeError as error:
        seen.failure = ("type", f"the function returned {error}, where a tensor or a number was asked for.")
        return False
    return True
