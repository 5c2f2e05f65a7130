"""Sliced score matching on the digits with and without noise, five seeds: python book/results/digits_ssm_seeds.py.

The experiment of Song & Ermon (2019), Fig. 1, as the chapter on the manifold hypothesis runs it once, on digits in the
place of CIFAR-10. Writes how the loss moves late in training, with where it comes from, beside this file.
"""

import sys
from pathlib import Path

import torch

from ncsn_lib import (
    MLP,
    LossObjective,
    TrainingSettings,
    TrainingState,
    load_digits,
    sliced_score_matching_vr_loss,
    train,
)
from ncsn_lib.losses import gaussian_projections

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_tools"))
from results import store

SEEDS, STEPS = range(5), 3000
OBJECTIVES = {
    # The network is told the same level in both, so that it is the same network.
    name: LossObjective(
        sliced_score_matching_vr_loss,
        sigma=0.01,
        perturb=perturb,
        projections=lambda x, generator: gaussian_projections(x, 1, generator),
    )
    for name, perturb in [("raw", False), ("noise", True)]
}


def main():
    """Train both for each seed; write after each, so that a run that is cut leaves what it has."""
    torch.set_num_threads(1)
    digits, runs = load_digits("all").images.flatten(1), []
    for seed in SEEDS:
        for name, objective in OBJECTIVES.items():
            torch.manual_seed(seed)
            settings, losses = TrainingSettings(STEPS, 128, 1e-3, seed=seed), []
            state = TrainingState.start(MLP(64, conditional=True), settings)
            train(state, digits, objective, settings, callback=lambda state, loss, losses=losses: losses.append(loss))
            tenths = torch.tensor(losses).view(10, -1)
            means, spreads = tenths.mean(1).tolist(), tenths.std(1).tolist()
            runs.append({"data": name, "seed": seed, "tenth_means": means, "tenth_spreads": spreads})
        store(__file__, runs)


if __name__ == "__main__":
    main()
