"""Labs: knobs to turn, as widgets in JupyterLab and as parts of the book's pages.

Each lab is one ES module in `static/`, with anywidget's `render({model, el})`. JupyterLab shows it with this package's
widget as its model, so that Python reads and sets what the knobs show; a page of the book mounts the same file with
a model of its own and no kernel. It needs the package anywidget (`pip install "ncsn_lib[labs]"`).
"""

from ncsn_lib.extras import need

need("anywidget", "labs", "ncsn_lib.labs")
from ncsn_lib.labs.denoiser_lab import DenoiserLab
from ncsn_lib.labs.ladder_lab import LadderLab
from ncsn_lib.labs.sampler_lab import SamplerLab
from ncsn_lib.labs.score_lab import ScoreLab

__all__ = ["DenoiserLab", "LadderLab", "SamplerLab", "ScoreLab"]
