"""The processes that train together, one a GPU, as `torchrun` starts them; without it there is one."""

import contextlib
import datetime
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


class ProcessLostError(RuntimeError):
    """Another process of the run ended, or cannot be reached."""


@dataclass(frozen=True)
class Processes:
    """Who trains: this process's rank among so many."""

    rank: int = 0
    """This process's number, from 0; the first one writes the files."""
    size: int = 1
    """How many processes there are."""

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network, its gradients averaged over the processes as the backward pass makes them."""
        if self.size == 1:
            return network
        return DistributedDataParallel(network)

    def averages_later(self, network: nn.Module) -> contextlib.AbstractContextManager:
        """Within it a backward pass of what `wrap` returned adds to the gradients and does not average them yet."""
        return network.no_sync() if isinstance(network, DistributedDataParallel) else contextlib.nullcontext()

    def mean(self, values: Tensor) -> Tensor:
        """The mean of a tensor over the processes; the same in all."""
        if self.size == 1:
            return values
        values = values.clone()
        torch.distributed.all_reduce(values)
        return values / self.size

    def wait(self) -> None:
        """Go on when every process has come here."""
        if self.size > 1:
            torch.distributed.barrier()


ALONE = Processes()
"""One process."""


@contextlib.contextmanager
def join_processes(device_type: str) -> Iterator[Processes]:
    """The processes that `torchrun` started, joined for as long as the context lasts; one, if it did not.

    Args:
        device_type: "cuda" lets them speak through NCCL, each on the GPU of its local rank; "cpu" through gloo.

    Yields:
        This process and its company.

    Raises:
        ProcessLostError: within the context, when another process ends or does not answer for two hours.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    if device_type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    backend = "nccl" if device_type == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, timeout=datetime.timedelta(hours=2))
    try:
        yield Processes(torch.distributed.get_rank(), size)
    except RuntimeError as error:
        if not _is_of_the_connection(error):
            raise
        raise ProcessLostError("another process of this run ended or cannot be reached") from error
    finally:
        torch.distributed.destroy_process_group()


def _is_of_the_connection(error: RuntimeError) -> bool:
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error) or "NCCL" in str(error)
