"""The checkpoints that the papers' authors publish, read into this library's networks."""

import pickle
import re
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from ncsn_lib.networks.ncsn import NCSN
from ncsn_lib.networks.ncsnv2 import NCSNv2
from ncsn_lib.schedules import check_sigmas, geometric_sigmas
from ncsn_lib.words import some

EXPECTED = (
    "a checkpoint.pth of the authors' NCSN (a list: network, Adam) "
    "or NCSNv2 (a list: network, Adam, epoch, step, EMA weights)"
)


def load_author_checkpoint(path: str | Path, *, sigmas: Tensor | None = None) -> NCSN | NCSNv2:
    """Load an NCSN (Song & Ermon 2019) or NCSNv2 (2020) from a `checkpoint.pth` of its authors.

    The file's tensors tell which network it is, its channels, its ngf and its number of levels. No code in the
    file is run. Where the file holds an exponential moving average of the weights, that is what is loaded.

    Args:
        path: the file.
        sigmas: (L,) the noise levels. An NCSN file holds only their number: by default they go geometrically
            from 1 to 0.01, as in all the 2019 experiments. An NCSNv2 file holds them, and these replace them.

    Returns:
        The network, in float32 on the CPU, in eval mode; its levels are `network.sigmas`.

    Raises:
        TypeError: `sigmas` is no floating-point tensor.
        ValueError: no file, no checkpoint of the authors, a damaged one, or `sigmas` that do not fit it; the
            message names the file, what was found and what was expected.
    """
    path = Path(path)
    if sigmas is not None:
        check_sigmas(sigmas)
    state = _network_state(path, _read(path))
    network_class, channels, ngf, sigmas = _describe(path, state, sigmas)
    with torch.device("meta"):  # the shapes alone: nothing is allocated for a file that does not fit
        expected = network_class(sigmas, channels, ngf).state_dict()
    _check_tensors(path, network_class.__name__, state, expected)
    network = network_class(sigmas, channels, ngf)
    network.load_state_dict({**state, "sigmas": sigmas} if "sigmas" in expected else state)
    return network.eval()


def _refuse(path: Path, found: str) -> ValueError:
    return ValueError(f"{path}: expected {EXPECTED}, found {found}")


def _read(path: Path):
    """The file's content: lists, dicts, numbers and tensors, nothing else."""
    if not path.is_file():
        raise _refuse(path, "a folder" if path.is_dir() else "no such file")
    size = f"{path.stat().st_size} bytes"
    try:
        damaged = _damaged_member(path)
        content = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own message advises to load the file unsafely, so it is not passed on.
        code = re.search(r"GLOBAL (\S+)", str(error))
        what = f"a pickle that would call {code[1]}" if code else "no pickle of tensors"
        raise _refuse(path, f"{size}, {what}; nothing in it was run") from None
    except Exception as error:  # a damaged file can raise anything: EOFError, KeyError, UnicodeDecodeError...
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise _refuse(path, f"{size} that cannot be read ({reason})") from error
    if damaged:
        raise _refuse(path, f"{size}, damaged: {damaged} does not match its checksum")
    return content


def _damaged_member(path: Path) -> str | None:
    """The first file in a zip that does not match its checksum: torch looks at none of them."""
    if not zipfile.is_zipfile(path):  # torch wrote no zip before 1.6, and no checksums
        return None
    with zipfile.ZipFile(path) as archive:
        return archive.testzip()


def _network_state(path: Path, content) -> dict[str, Tensor]:
    """The network's tensors by name, without "module.", the EMA weights in place of the raw ones."""
    if not isinstance(content, list) or len(content) < 2:
        raise _refuse(path, "content of type " + _type(content))
    state = _tensors(path, content[0], "the network")
    if len(content) > 4:
        ema = _tensors(path, content[4], "the EMA weights")
        # The average is taken of the parameters; the ladder is none.
        if ema.keys() != state.keys() - {"sigmas"}:
            odd = sorted(ema.keys() ^ (state.keys() - {"sigmas"}))
            raise _refuse(path, f"EMA weights of other tensors than the network's: {some(odd, 4)}")
        state |= ema
    return state


def _tensors(path: Path, value, what: str) -> dict[str, Tensor]:
    """`value` as a dict of finite floating-point tensors, their names without "module."."""
    if not isinstance(value, dict) or not value:
        raise _refuse(path, f"{what} of type {_type(value)}")
    for name, tensor in value.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            kind = getattr(tensor, "dtype", type(tensor).__name__)
            raise _refuse(path, f"in {what} an entry {name!r} of {kind}")
        if tensor.layout != torch.strided or not tensor.isfinite().all():
            raise _refuse(path, f"in {what} a tensor {name!r} with values that are not finite numbers")
    return {name.removeprefix("module."): tensor for name, tensor in value.items()}


def _describe(path: Path, state: dict[str, Tensor], sigmas: Tensor | None):
    """The network's class, channels, ngf and levels, from the names and shapes of its tensors."""
    first = state.get("begin_conv.weight")
    if first is None or first.ndim != 4 or first.shape[0] < 2 or first.shape[1] < 1:
        shape = "no" if first is None else f"a {tuple(first.shape)}"
        raise _refuse(path, f"{shape} begin_conv.weight among {len(state)} tensors: {some(state, 4)}")
    ngf, channels = first.shape[:2]
    if "normalizer.embed.weight" in state:
        embedding = state["normalizer.embed.weight"]
        num_levels = embedding.shape[0] if embedding.ndim else 0
        if num_levels == 0:
            raise _refuse(path, f"an embedding of no levels, {tuple(embedding.shape)}")
        if sigmas is None:
            sigmas = geometric_sigmas(1.0, 0.01, num_levels) if num_levels > 1 else torch.tensor([0.01])
        if len(sigmas) != num_levels:
            raise ValueError(f"{path}: an NCSN of {num_levels} noise levels, got {len(sigmas)} sigmas")
        return NCSN, channels, ngf, sigmas
    if "normalizer.alpha" in state and "sigmas" in state:
        try:
            return NCSNv2, channels, ngf, check_sigmas(state["sigmas"] if sigmas is None else sigmas)
        except ValueError as error:
            raise _refuse(path, f"a ladder of noise levels that is none ({error})") from error
    raise _refuse(path, f"neither network's norms among {len(state)} tensors: {some(state, 4)}")


def _check_tensors(path: Path, network: str, state: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Raise unless the names and shapes are the network's own."""
    missing = [f"no {name}" for name in expected if name not in state]
    unexpected = [f"an unknown {name}" for name in state if name not in expected]
    misshapen = [
        f"{name} {tuple(state[name].shape)} where {tuple(tensor.shape)} was expected"
        for name, tensor in expected.items()
        if name in state and name != "sigmas" and state[name].shape != tensor.shape
    ]
    if missing or unexpected or misshapen:
        raise _refuse(path, f"nearly {network}, but {some(missing + unexpected + misshapen, 4)}")


def _type(value) -> str:
    """What `value` is, and of what length where it has one."""
    return type(value).__name__ + (f" with {len(value)} entries" if isinstance(value, list | dict) else "")
