"""The library's types, as a stranger's mypy in strict mode reads them."""

import os
import subprocess
import sys

from chapters import ROOT

# mypy's strict flags, for the program alone: so what the check of the library has read of torch is of use here, too.
PROGRAM = """
# mypy: disallow-any-generics, disallow-subclassing-any, disallow-untyped-calls, disallow-untyped-defs
# mypy: disallow-incomplete-defs, disallow-untyped-decorators, warn-return-any, strict-equality, extra-checks
import torch
from torch import Tensor, nn
from ncsn_lib import GaussianMixture, NCSNObjective, TrainingSettings, annealed_langevin_dynamics, train
from ncsn_lib.protocol import ScoreFn

class Network(nn.Module):
    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return -x / sigma[:, None]

sigmas, images = torch.tensor([1.0, 0.1]), torch.rand(8, 2)
objective, settings = NCSNObjective(sigmas), TrainingSettings(num_steps=1, batch_size=4, learning_rate=1e-3)
exact: ScoreFn = GaussianMixture(torch.zeros(1, 2), 1.0).score
network = train(Network(), images, objective, settings).ema.module
for score_fn in (exact, network):
    images = annealed_langevin_dynamics(score_fn, images, sigmas, eps=1e-5, num_steps=1)
images = annealed_langevin_dynamics(lambda x, sigma: -x, images, sigmas, eps=1e-5, num_steps=1)
"""
WRONG = [
    'train(Network(), "images", objective, settings)',
    "annealed_langevin_dynamics(lambda x: -x, images, sigmas, eps=1e-5, num_steps=1)",
]


def test_a_stranger_gets_the_types_and_only_errors_are_found(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM + "\n".join(WRONG))
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(program)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"MYPYPATH": str(ROOT)}, capture_output=True, text=True)
    first = 1 + PROGRAM.count("\n")
    found = [line.split(":")[1] for line in done.stdout.splitlines() if ": error:" in line]
    expected = [str(first + index) for index in range(len(WRONG))]
    assert sorted(set(found)) == expected, done.stdout + done.stderr
