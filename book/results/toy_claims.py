"""What the paper says of toy densities, measured over twenty seeds: python book/results/toy_claims.py

The chains of Fig. 3, with the authors' settings and with the ladder that the text prints; what the score knows of the
weights; Langevin dynamics beside its stationary law; the score beside a curve; what the losses cost; how large the
networks are; what CondInstanceNorm++ sees. Minutes on one core. Writes its figures beside this file.
"""

import functools
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_tools"))
from results import store

from ncsn_lib import (
    RECIPES,
    GaussianMixture,
    annealed_langevin_dynamics,
    denoising_score_matching_loss,
    geometric_sigmas,
    langevin_dynamics,
    sliced_score_matching_vr_loss,
)
from ncsn_lib.distributions import Ring
from ncsn_lib.losses import gaussian_projections, implicit_score_matching_loss
from ncsn_lib.metrics import count_flops, mode_mass
from ncsn_lib.networks.layers import CondInstanceNormPlusPlus

SEEDS, CHAINS = 20, 1280
MEANS, WEIGHTS = torch.tensor([[-5.0, -5.0], [5.0, 5.0]]), torch.tensor([0.2, 0.8])
MIXTURE = GaussianMixture(MEANS, 1.0, WEIGHTS)


def spread_replaced(x, sigma):
    """The toy code's score at a level: sigma in place of the components' spread."""
    replaced = GaussianMixture(MEANS, sigma[0].item(), WEIGHTS)
    return replaced.score(x)


def chains(seed):
    """Fig. 3: the mass of the larger mode by each sampler, and what is left of the printed ladder's chains."""
    torch.manual_seed(seed)
    start = 16 * torch.rand(CHAINS, 2) - 8
    anneal = functools.partial(annealed_langevin_dynamics, spread_replaced, start, eps=0.1, num_steps=100)
    samples = {
        "iid": MIXTURE.sample(CHAINS),
        "langevin": langevin_dynamics(MIXTURE.score, start, 0.0, step_size=0.1, num_steps=1000),
        "annealed": anneal(geometric_sigmas(20.0, 1.0, 10)),
    }
    masses = {f"mass_{name}": mode_mass(x, MEANS)[1].item() for name, x in samples.items()}
    return masses | {"finite_printed": anneal(geometric_sigmas(10.0, 0.1, 10)).isfinite().all(1).double().mean().item()}


def blind_to_weights(seed):
    """How much the score at the data changes, in relation, when the weights become equal."""
    torch.manual_seed(seed)
    x = MIXTURE.sample(10_000).double()
    unequal, equal = (
        GaussianMixture(MEANS.double(), 1.0, torch.tensor(weights, dtype=torch.float64))
        for weights in ([0.2, 0.8], [0.5, 0.5])
    )
    score = unequal.score(x)
    change = equal.score(x) - score
    return {"change_with_weights": (change.square().sum() / score.square().sum()).sqrt().item()}


def stationary(seed, step_size=0.01):
    """The variance of Langevin dynamics on a unit Gaussian after many steps, which has to be 1/(1 - step/4)."""
    torch.manual_seed(seed)
    x = langevin_dynamics(lambda x, sigma: -x, torch.rand(10_000, 2), 0.0, step_size=step_size, num_steps=1500)
    return {"langevin_variance": x.var().item()}


def beside_a_curve(seed):
    """The power of sigma with which the score at points beside a circle grows."""
    torch.manual_seed(seed)
    angle, sigmas = 6.2832 * torch.rand(100, dtype=torch.float64), (0.001, 0.1)
    beside = 1.15 * torch.stack([angle.cos(), angle.sin()], dim=1)
    lengths = [Ring().score(beside, sigma).norm(dim=1).mean().log() for sigma in sigmas]
    return {"power_beside_curve": ((lengths[1] - lengths[0]) / torch.tensor(sigmas[1] / sigmas[0]).log()).item()}


def sliced_by_forward_mode(score_fn, x, sigma):
    """(B,) sliced score matching with variance reduction, its product with the Jacobian taken in forward mode."""
    (v,) = gaussian_projections(x, 1).unbind(1)
    value, moved = torch.func.jvp(lambda x: score_fn(x, sigma), (x,), (v,))
    return (v * moved).sum(1) + 0.5 * value.square().sum(1)


def costs():
    """Operations of each loss with its gradient in the weights, in those of the denoising loss, at D = 784."""
    x, sigma = torch.rand(8, 784), torch.ones(8)
    weights = [torch.randn(shape, requires_grad=True) for shape in ((784, 128), (128, 128), (128, 784))]
    losses = {
        "denoising": lambda f: denoising_score_matching_loss(f, x, sigma, torch.randn_like(x)),
        "sliced": lambda f: sliced_score_matching_vr_loss(f, x, sigma, gaussian_projections(x, 1)),
        "sliced_forward": lambda f: sliced_by_forward_mode(f, x, sigma),
        "exact": lambda f: implicit_score_matching_loss(f, x, sigma),
    }

    def step(loss):
        first, second, third = weights
        value = loss(lambda x, sigma: torch.tanh(torch.tanh(x @ first) @ second) @ third)
        torch.autograd.grad(value.sum(), weights)

    counts = {name: count_flops(functools.partial(step, loss)) for name, loss in losses.items()}
    return {f"cost_{name}": count / counts["denoising"] for name, count in counts.items()}


def colour(seed):
    """The change of a norm's output, of unit variance, when one channel is shifted by 0.5: with and without its ++."""
    torch.manual_seed(seed)
    x, label = torch.rand(16, 3, 32, 32), torch.zeros(16, dtype=torch.int64)
    shifted, norm = x + torch.tensor([0.5, 0.0, 0.0]).view(3, 1, 1), CondInstanceNormPlusPlus(3, 1)
    plain = torch.nn.InstanceNorm2d(3)
    with torch.no_grad():
        seen = (norm(shifted, label) - norm(x, label)).square().mean().sqrt().item()
        return {"colour_seen": seen, "colour_seen_plain": (plain(shifted) - plain(x)).square().mean().sqrt().item()}


def main():
    """Measure for each seed; what is a count once."""
    torch.set_num_threads(1)
    begun, runs = time.perf_counter(), []
    for seed in range(SEEDS):
        row = {"seed": seed}
        for measure in (chains, blind_to_weights, stationary, beside_a_curve, colour):
            row |= measure(seed)
        runs.append(row)
        print(row, flush=True)
    sizes = {f"parameters_{name}": RECIPES[name].size()[0] for name in ("mnist", "cifar10", "fig1_raw")}
    store(__file__, [*runs, {"seed": 0, **costs(), **sizes, "seconds": round(time.perf_counter() - begun, 1)}])


if __name__ == "__main__":
    main()
