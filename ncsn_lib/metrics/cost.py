"""What a computation costs, by count instead of by clock."""

from collections.abc import Callable
from typing import Any


def count_flops(function: Callable[[], Any]) -> int:
    """Floating-point operations of the matrix products and convolutions that a call makes, backward passes included.

    A product of (m, k) and (k, n) counts 2 m k n. What is done entry by entry, such as an activation, is left out. The
    count does not depend on how fast a machine is, but it is of what is done there: on a CPU the library pools the
    features of an NCSN by a convolution, which counts. On tensors of the device "meta" nothing is computed, and the
    network's own operations are counted, as `Recipe.size` does. A network given as a module must not be differentiated
    in its input inside the call: PyTorch's counter refuses; write it as a function of its weights.

    Args:
        function: is called once, without arguments; bind them with `functools.partial`.

    Returns:
        The number of operations.
    """
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()
