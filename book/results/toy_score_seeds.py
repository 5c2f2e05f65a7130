"""The toy experiment of Song & Ermon (2019), Fig. 2, over ten seeds: python book/results/toy_score_seeds.py.

Trains the paper's perceptron by sliced score matching on the mixture 1/5 N((-5,-5), I) + 4/5 N((5,5), I), as the
chapter on low density does once, and writes the errors of its score, with where they come from, beside this file.
"""

import sys
from pathlib import Path

import torch

from ncsn_lib import (
    MLP,
    GaussianMixture,
    LossObjective,
    TrainingSettings,
    TrainingState,
    sliced_score_matching_vr_loss,
    train,
)
from ncsn_lib.losses import gaussian_projections
from ncsn_lib.plotting import grid_points

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_tools"))
from results import store

SEEDS = range(10)
mixture = GaussianMixture(torch.tensor([[-5.0, -5.0], [5.0, 5.0]]), 1.0, torch.tensor([0.2, 0.8]))
grid = grid_points((-8, 8), 100)
log_prob, true = mixture.log_prob(grid), mixture.score(grid)
REGIONS = {
    "dense": log_prob.exp() > 0.01 * log_prob.exp().max(),
    "emptiest": log_prob <= log_prob.quantile(0.1),
}


def main():
    """Train once for each seed; write what was measured after each, so that a run that is cut leaves what it has."""
    torch.set_num_threads(1)
    runs = []
    objective = LossObjective(
        sliced_score_matching_vr_loss, projections=lambda x, generator: gaussian_projections(x, 1, generator)
    )
    for seed in SEEDS:
        torch.manual_seed(seed)
        settings = TrainingSettings(num_steps=10_000, batch_size=128, learning_rate=1e-3, seed=seed)
        state = TrainingState.start(MLP(2), settings)
        train(state, mixture.sample(128 * 10_000), objective, settings)
        x, start = mixture.sample(100_000), 16 * torch.rand(100_000, 2) - 8
        run = {"seed": seed}
        with torch.no_grad():
            for region, inside in REGIONS.items():
                error = state.network(grid, torch.zeros(len(grid)))[inside] - true[inside]
                run[region] = (error.norm() / true[inside].norm()).item()
            for name, points in (("at_data", x), ("at_start", start)):
                error = state.network(points, torch.zeros(len(points))) - mixture.score(points)
                run[name] = error.square().sum(1).mean().sqrt().item()
        runs.append(run)
        store(__file__, runs)


if __name__ == "__main__":
    main()
