"""The ladder lab's widget: what a ladder of noise levels does to data, loss and sampler."""

from ncsn_lib.labs.base import STATIC, Count, Lab, standalone


class LadderLab(Lab):
    """A ladder of noise levels: perturbed digits, weights in the loss, overlaps, step sizes, the noise carried.

    It begins with the ladder of Song & Ermon (2019). The overlap is that of Song & Ermon (2020), Technique 2.

        lab = LadderLab(num_levels=20)
        lab                                     # shows it
        lab.sigmas                              # the ladder, which may be set
    """

    _esm = standalone("ladder_lab.js")
    _css = (STATIC / "labs.css").read_text(encoding="utf-8")

    dim = Count(64, min=1).tag(sync=True)
    """D, the dimensions of an example, for the overlap."""
    digit = Count(3, min=0, max=9).tag(sync=True)
    """Which digit is shown."""
    seed = Count(0, min=0).tag(sync=True)
    """Of the noise on it."""
