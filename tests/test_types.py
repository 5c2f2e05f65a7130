"""The library's types, as a stranger's mypy in strict mode reads them."""

from chapters import ROOT
from mypy import api

PROGRAM = """
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


def test_a_stranger_gets_the_types_and_only_errors_are_found(tmp_path, monkeypatch):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM + "\n".join(WRONG))
    monkeypatch.setenv("MYPYPATH", str(ROOT))
    report, errors, _ = api.run(
        ["--strict", "--config-file=", "--follow-imports=silent", f"--cache-dir={tmp_path}", str(program)]
    )
    first = 1 + PROGRAM.count("\n")
    found = [line.split(":")[1] for line in report.splitlines() if ": error:" in line]
    assert sorted(set(found)) == [str(first + index) for index in range(len(WRONG))], report + errors
