"""The five techniques of Song & Ermon (2020), alone and together: python book/results/five_rules.py

Trains a small U-Net on the 8x8 digits for as many steps as the recipe digits, at a constant rate, on the ladders of
2019 and of 2020, told its noise level or divided by it, three seeds each. Samples each with 200 calls of the network an
image and compares 898 samples with as many real digits: about an hour on one core. Writes its figures beside this
file after each set of samples.
"""

import dataclasses
import functools
import math
import sys
from pathlib import Path

import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.svm import SVC

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_tools"))
from results import store

from ncsn_lib import NCSNObjective, annealed_langevin_dynamics, frechet_distance, load_digits, train
from ncsn_lib.metrics.classes import sure_share
from ncsn_lib.networks.unet import RawUNet
from ncsn_lib.protocol import per_example
from ncsn_lib.recipes import DIGITS
from ncsn_lib.schedules import geometric_sigmas, suggest_num_levels, suggest_sigma_max, suggest_step_size

SEEDS, NUM, CALLS = (0, 1, 2), 898, 200
PIXELS, SIGMA_MIN = 64, 0.01
EPS_2019, RATIO_2019 = 4e-5, 100 ** (1 / 9)
EVERY = frozenset({1, 2, 3, 4, 5})
SETTINGS = [frozenset(), *[frozenset({rule}) for rule in EVERY], EVERY, *[EVERY - {rule} for rule in EVERY]]


class Told(RawUNet):
    """The score, from a U-Net that is told the level (2019)."""

    def forward(self, x, sigma):
        """(B, C, H, W) and (B,) -> (B, C, H, W)."""
        return super().forward(2 * x - 1, sigma.log())


class Divided(RawUNet):
    """The score, from a U-Net that is told nothing and is divided by the level (2020, Technique 3)."""

    def forward(self, x, sigma):
        """(B, C, H, W) and (B,) -> (B, C, H, W)."""
        return super().forward(2 * x - 1, torch.zeros_like(sigma)) / per_example(sigma, x)


@functools.cache
def digits(split):
    """The images of a split, (N, 1, 8, 8)."""
    return load_digits(split).images


def ladder(rules):
    """The noise levels: Technique 1 says where they begin, Technique 2 how close they lie."""
    sigma_max = suggest_sigma_max(digits("train")) if 1 in rules else 1.0
    if 2 in rules:
        return geometric_sigmas(sigma_max, SIGMA_MIN, suggest_num_levels(sigma_max, SIGMA_MIN, PIXELS))
    return geometric_sigmas(sigma_max, SIGMA_MIN, 1 + round(math.log(sigma_max / SIGMA_MIN) / math.log(RATIO_2019)))


@functools.cache
def trained(rules, seed):
    """The weights at the end and their average, after training by rules 1 to 3."""
    settings = dataclasses.replace(DIGITS.training, cosine_decay=False, ema_decay=0.999, seed=seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = (Divided if 3 in rules else Told)(1, (16, 32), num_blocks=1)
    state = train(network, digits("train"), NCSNObjective(ladder(rules)), settings)
    return state.network.eval(), state.ema.module


def sampled(rules, seed):
    """Samples (NUM, 1, 8, 8), and how they were drawn."""
    sigmas = ladder(rules)
    num_steps = round(CALLS / len(sigmas))
    eps = suggest_step_size(sigmas, num_steps) if 4 in rules else EPS_2019
    network = trained(rules & {1, 2, 3}, seed)[5 in rules]
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(NUM, 1, 8, 8, generator=generator)
    x = annealed_langevin_dynamics(
        network, start, sigmas, eps=eps, num_steps=num_steps, denoise=True, generator=generator
    )
    return x, {"sigma_max": sigmas[0].item(), "num_levels": len(sigmas), "num_steps": num_steps, "eps": eps}


@functools.cache
def classifier():
    """A support vector machine that knows the training digits."""
    data = load_digits("train")
    machine = CalibratedClassifierCV(SVC(C=10, gamma=0.05), ensemble=False)
    return machine.fit(data.images.flatten(1).numpy(), data.labels.numpy())


def halves(seed):
    """Two random halves of all digits: the one that is compared, and the reference."""
    everything = digits("all")
    return everything[torch.randperm(len(everything), generator=torch.Generator().manual_seed(seed))].split(NUM)[:2]


def judged(x, seed):
    """The Frechet distance in pixels from the reference half, and how often the classifier is sure."""
    probabilities = torch.from_numpy(classifier().predict_proba(x.clamp(0, 1).flatten(1).numpy()))
    return {"distance": frechet_distance(x.clamp(0, 1), halves(seed)[1]), "sure_share": sure_share(probabilities)}


def main():
    """Measure real digits, then each set of rules with each seed."""
    torch.set_num_threads(1)
    rows = [{"rules": "real", "seed": seed} | judged(halves(seed)[0], seed) for seed in SEEDS]
    for rules in SETTINGS:
        for seed in SEEDS:
            x, drawn = sampled(rules, seed)
            rows.append({"rules": sorted(rules), "seed": seed} | drawn | judged(x, seed))
            store(__file__, rows)
            print(f"{sorted(rules)} seed {seed}: {rows[-1]['distance']:.3f}", flush=True)


if __name__ == "__main__":
    main()
