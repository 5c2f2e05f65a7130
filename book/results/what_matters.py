"""Which of NCSN's choices matter, on MNIST in small: python book/results/what_matters.py

Trains the U-Net of the recipe mnist_small for 1,000 steps under other weightings, learning rates and levels, three
seeds each, samples it with other steps, levels and averages of the weights, and lets the classifier judge 200 images of
each (100 where T is the paper's 100): about an hour and a half on one core. What is done stays in runs/what_matters, so
a run that was cut goes on. Writes its figures beside this file after each piece.
"""

import dataclasses
import functools
import json
import sys
import time
from pathlib import Path

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_tools"))
from results import as_row, store

from ncsn_lib import NCSNObjective, denoising_score_matching_loss, load_mnist, load_run, sample_run, train
from ncsn_lib.classifiers import load_classifier
from ncsn_lib.files import record_path, write_result
from ncsn_lib.metrics import judge_images
from ncsn_lib.recipes import MNIST_SMALL, ONE_LEVEL
from ncsn_lib.runs import Run, export_run
from ncsn_lib.settings import NoiseSettings, SamplingSettings
from ncsn_lib.training import TrainingState

RESULTS = Path(__file__).resolve().parent
WORK = RESULTS.parents[1] / "runs" / "what_matters"
SEEDS, NUM, STEPS = (0, 1, 2), 200, 1000
CALLS = 100
TRAINING = dataclasses.replace(MNIST_SMALL.training, num_steps=STEPS)
BASE = dataclasses.replace(MNIST_SMALL, training=TRAINING, sampling=SamplingSettings(num_steps=CALLS // 10))
CONSTANT = dataclasses.replace(BASE, training=dataclasses.replace(TRAINING, cosine_decay=False))
BASELINE = dataclasses.replace(BASE, noise=ONE_LEVEL, sampling=SamplingSettings(num_steps=CALLS))
STEP_SIZES = (1e-6, 4e-6, 1e-5, 4e-5, 1e-4, 3e-4)
DECAYS = (0.9, 0.99, 0.999, 0.9999)


@functools.cache
def digits(split):
    """The images of a split, (N, 1, 28, 28)."""
    return load_mnist(split).images


def trained(name, recipe, seed, power=2, decays=()):
    """The trained run, and one for each decay of the average, "0" the weights themselves; from their files if made."""
    paths = {key: WORK / f"{name}-{seed}-{key}.safetensors" for key in ("own", "0", *map(str, decays))}
    recipe = dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, seed=seed))
    if not all(path.exists() and record_path(path).exists() for path in paths.values()):
        state = TrainingState.start(recipe.build_network(), recipe.training)
        averages = {decay: AveragedModel(state.network, multi_avg_fn=get_ema_multi_avg_fn(decay)) for decay in decays}

        def update(state, loss):
            for average in averages.values():
                average.update_parameters(state.network)

        objective = NCSNObjective(recipe.noise.sigmas(), weight=lambda sigma: sigma**power)
        begun = time.perf_counter()
        train(state, digits("train"), objective, recipe.training, callback=update)
        record = {"seconds": round(time.perf_counter() - begun, 1)}
        networks = {"own": state.ema.module, "0": state.network, **{str(d): a.module for d, a in averages.items()}}
        for key, network in networks.items():
            export_run(Run(network.eval(), recipe, STEPS), paths[key], record)
    return {key: load_run(path) for key, path in paths.items()}


def losses_by_level(run, images):
    """The held-out loss at each of the paper's levels, weighted by sigma^2; its draws follow from a seed."""
    noise, losses = torch.randn(images.shape, generator=torch.Generator().manual_seed(0)), []
    for sigma in BASE.noise.sigmas():
        with torch.no_grad():
            loss = denoising_score_matching_loss(run.network, images, sigma.expand(len(images)), noise)
        losses.append(sigma.item() ** 2 * loss.mean().item())
    return losses


def judged(run, seed, num=NUM, **changes):
    """What the classifier makes of the run's samples under other settings of its recipe."""
    run = run._replace(recipe=dataclasses.replace(run.recipe, **changes))
    return judge(sample_run(run, num, seed=seed, bfloat16=True))


def judge(images):
    """What the classifier makes of images beside real ones; what is not finite counts as zeros."""
    finite = images.flatten(1).isfinite().all(1)
    shown = torch.where(finite[:, None, None, None], images, 0.0)
    found = judge_images(
        load_classifier(RESULTS / "models" / "mnist_classifier.safetensors"), shown, digits("test")[NUM * len(SEEDS) :]
    )
    return as_row(found) | {"finite_share": finite.double().mean().item()}


def pieces():
    """(study, value, seed, function that measures), the most telling first."""
    base = functools.cache(lambda seed: trained("base", BASE, seed))
    constant = functools.cache(lambda seed: trained("constant", CONSTANT, seed, decays=DECAYS))

    def weighted(seed, power):
        run = trained(f"power{power}", BASE, seed, power)["own"] if power != 2 else base(seed)["own"]
        return judged(run, seed) | {"losses": losses_by_level(run, digits("test")[:NUM])}

    def single(seed):
        run = trained("single", BASELINE, seed)["own"]
        return judged(run, seed) | {"losses": losses_by_level(run, digits("test")[:NUM])[-1:]}

    def steps(seed, num_steps, eps=4e-5, num=NUM):
        return judged(base(seed)["own"], seed, num, sampling=SamplingSettings(eps=eps, num_steps=num_steps))

    def levels(seed, num_levels):
        ladder, sampling = NoiseSettings(num_levels=num_levels), SamplingSettings(num_steps=CALLS // num_levels)
        return judged(base(seed)["own"], seed, noise=ladder, sampling=sampling)

    studies = [
        ("weighting", 2, lambda seed: weighted(seed, 2)),
        ("single level", 0.01, single),
        *[("steps", t, functools.partial(steps, num_steps=t)) for t in (1, 2, 3, 5, 10, 30)],
        *[("weighting", p, functools.partial(weighted, power=p)) for p in (0, 1, 3)],
        *[("eps", e, functools.partial(steps, num_steps=CALLS // 10, eps=e)) for e in STEP_SIZES],
        *[("levels", n, functools.partial(levels, num_levels=n)) for n in (2, 3, 5, 10, 20, 50)],
        *[("average, constant rate", d, lambda seed, d=d: judged(constant(seed)[str(d)], seed)) for d in (0, *DECAYS)],
        *[("average, cosine", d, lambda seed, k=k: judged(base(seed)[k], seed)) for d, k in ((0, "0"), (0.999, "own"))],
        *[("eps, T = 100", e, functools.partial(steps, num_steps=100, eps=e, num=NUM // 2)) for e in STEP_SIZES[2:5]],
    ]  # fmt: skip
    return [(study, value, seed, measure) for study, value, measure in studies for seed in SEEDS]


def main():
    """Measure what is not measured yet, piece by piece."""
    torch.set_num_threads(1)
    real = [
        {"study": "real", "value": seed, "seed": seed} | judge(digits("test")[NUM * seed : NUM * (seed + 1)])
        for seed in SEEDS
    ]
    rows = []
    for study, value, seed, measure in pieces():
        path = WORK / f"{study}-{value}-{seed}.json"
        if not path.exists():
            begun = time.perf_counter()
            found = {"study": study, "value": value, "seed": seed} | measure(seed)
            write_result(path, found | {"seconds": round(time.perf_counter() - begun, 1)})
        rows.append(json.loads(path.read_text()))
        store(__file__, real + rows, seconds=sum(row["seconds"] for row in rows))
        print(f"{study} {value} seed {seed}: sure {rows[-1]['sure_share']:.2f}", flush=True)


if __name__ == "__main__":
    main()
