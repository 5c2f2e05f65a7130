"""Quality against calls of the network, for every sampler of the library: python book/results/few_steps.py

Samples MNIST from the stored networks by each sampler at 8 to 50 calls, and by annealed Langevin dynamics at 1,000. The
stored classifier judges 300 images at a time, three seeds each, beside real digits; and 5,000 of a network that was
told the classes, at its recipe's calls. All methods start and end at the noise levels of the network's recipe. What is
done stays in runs/few_steps, so a run that was cut goes on. About two hours on one core for each network. Writes its
figures beside this file after each piece.
"""

import json
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_tools"))
from results import as_row, store

from ncsn_lib import geometric_sigmas, load_mnist, load_run, sample_run
from ncsn_lib.classifiers import load_classifier
from ncsn_lib.files import write_result
from ncsn_lib.generators import randn
from ncsn_lib.metrics import judge_images
from ncsn_lib.samplers import (
    ancestral_sampling,
    annealed_langevin_dynamics,
    consistent_annealed_sampling,
    dpm_solver_2m,
    predictor_corrector,
    probability_flow_ode,
    reverse_sde,
)
from ncsn_lib.schedules import karras_sigmas, suggest_step_size
from ncsn_lib.settings import SamplerSettings

RESULTS = Path(__file__).resolve().parent
NETWORKS = {"mnist_small_wide": (12.0, 0.06), "mnist_edm": (20.0, 0.02)}  # the levels where their recipes begin and end
SEEDS, NUM, MANY = (0, 1, 2), 300, 5000
CALLS, MANY_CALLS = (8, 12, 20, 50), 1000
SLOW = "annealed Langevin, step of 2019"
MEAN = 0.131  # of MNIST's pixels
EPS_OF_2019 = 0.4  # the paper's epsilon over sigma_L^2: 4e-5 at sigma_L = 0.01


def consistent(score_fn, x, first, last, calls, **draws):
    """On as many geometric levels, with the recipe's part of the noise kept."""
    sigmas = geometric_sigmas(first, last, calls)
    return consistent_annealed_sampling(score_fn, x, sigmas, eta=1 - 0.3 * (sigmas[1] / sigmas[0]).item(), **draws)


def langevin(score_fn, x, first, last, calls, *, share=None, **draws):
    """The paper's, on 24 geometric levels or as many as there are calls; the step by Technique 4 unless it is given."""
    sigmas = geometric_sigmas(first, last, min(24, calls - 1))
    num_steps = (calls - 1) // len(sigmas)
    eps = suggest_step_size(sigmas, num_steps) if share is None else share * sigmas[-1].item() ** 2
    return annealed_langevin_dynamics(score_fn, x, sigmas, eps=eps, num_steps=num_steps, denoise=True, **draws)


def on_karras(sampler, calls_a_level=1):
    """A sampler on Karras' levels; one of two calls a level has one call at the last."""

    def sample(score_fn, x, first, last, calls, **draws):
        num_levels = calls if calls_a_level == 1 else (calls + 1) // 2
        return sampler(score_fn, x, karras_sigmas(first, last, num_levels), **draws)

    return sample


def without_draws(sampler):
    """A solver of the probability flow: it has no use for a generator."""
    return lambda score_fn, x, sigmas, generator=None, **options: sampler(score_fn, x, sigmas, **options)


METHODS = {
    "consistent": consistent,
    "Euler (DDIM)": on_karras(without_draws(partial(probability_flow_ode, method="euler"))),
    "Heun": on_karras(without_draws(probability_flow_ode), calls_a_level=2),
    "DPM-Solver++ (2M)": on_karras(without_draws(dpm_solver_2m)),
    "ancestral": on_karras(ancestral_sampling),
    "reverse SDE": on_karras(reverse_sde),
    "predictor-corrector": on_karras(predictor_corrector, calls_a_level=2),
    "annealed Langevin": langevin,
    SLOW: partial(langevin, share=EPS_OF_2019),
}


@dataclass(frozen=True)
class MethodSettings(SamplerSettings):
    """One of the methods, from normal noise around the data's mean."""

    method: str
    calls: int
    first: float
    last: float

    def start(self, shape, sigmas, generator):
        """Normal noise of the first level around the data's mean."""
        return MEAN + self.first * randn(shape, generator, like=sigmas)

    def sample(self, score_fn, x, sigmas, *, generator=None, randn_like=None, callback=None):
        """Samples by the method, on levels of its own."""
        return METHODS[self.method](score_fn, x, self.first, self.last, self.calls, generator=generator)

    def num_calls(self, num_levels):
        """About so many; they are counted."""
        return self.calls


def judge(images, references):
    """What the stored classifier makes of images beside real ones."""
    return as_row(
        judge_images(load_classifier(RESULTS / "models" / "mnist_classifier.safetensors"), images, references)
    )


def measure(run, method, seed, references, num=NUM, **how):
    """One row: the images' judgement, how often the network was called, and the seconds."""
    begun, seen = time.perf_counter(), []
    images = sample_run(run, num, seed=seed, classes=run.recipe.classes, bfloat16=True, callback=seen.append)
    row = {"network": run.recipe.name, "method": method, "seed": seed, "calls": sum(seen) // num, **how}
    return row | judge(images, references) | {"seconds": round(time.perf_counter() - begun, 1)}


def pieces(run, digits):
    """(name, function that measures), the most telling first."""
    first, last = NETWORKS[run.recipe.name]
    references = digits[NUM * len(SEEDS) :]

    def by(method, calls, seed):
        settings = MethodSettings(method, calls, first, last)
        return measure(run._replace(recipe=replace(run.recipe, sampling=settings)), method, seed, references)

    def named(method, calls, seed):
        return f"{method}-{calls}-{seed}", partial(by, method, calls, seed)

    few = [named(method, calls, seed) for calls in CALLS[:-1] for seed in SEEDS for method in METHODS if method != SLOW]
    own = [(f"recipe-{seed}", partial(measure, run, "recipe", seed, references)) for seed in SEEDS]
    thousand = [named(method, MANY_CALLS, seed) for seed in SEEDS for method in (SLOW, "annealed Langevin")]
    fifty = [named(method, CALLS[-1], seed) for seed in SEEDS for method in METHODS if method != SLOW]
    return [*own, *few, *thousand, *fifty]


def large(run, digits):
    """(name, function that measures): the recipe's sampler as it is, 5,000 images against 5,000 real."""
    return [
        (f"large-{seed}", partial(measure, run, "recipe", seed, digits[MANY:], num=MANY, large=True)) for seed in SEEDS
    ]


def real(digits):
    """Real digits judged as the samples are: as many at a time, and 5,000 against 5,000."""
    references = digits[NUM * len(SEEDS) :]
    few = [{"method": "real", "seed": s} | judge(digits[NUM * s : NUM * (s + 1)], references) for s in SEEDS]
    return [*few, {"method": "real", "seed": 0, "large": True} | judge(digits[:MANY], digits[MANY:])]


def main():
    """Measure what is not measured yet, piece by piece."""
    torch.set_num_threads(1)
    digits = load_mnist("test").images
    digits = digits[torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))]  # its first half is easier
    rows, compared = [], real(digits)
    for name in NETWORKS:
        path = RESULTS / "models" / f"{name}.safetensors"
        if not path.exists():
            continue
        run = load_run(path)
        for piece, find in (large(run, digits) if run.recipe.classes else []) + pieces(run, digits):
            done = RESULTS.parents[1] / "runs" / "few_steps" / name / f"{piece}.json"
            if not done.exists():
                write_result(done, find())
            rows.append(json.loads(done.read_text()))
            store(__file__, [*compared, *rows], seconds=sum(row["seconds"] for row in rows))
            print(f"{name} {piece}: distance {rows[-1]['feature_distance']:.1f}", flush=True)


if __name__ == "__main__":
    main()
