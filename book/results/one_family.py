"""What a network should predict, on scikit-learn's digits at equal budget: python book/results/one_family.py

Trains the preconditioned U-Net with each form of prediction, three seeds each: once with the loss in the form's own
units, once with the weight of the form "edm" for all. The draws are the same for all. Heun's method samples each at 35
calls. Stored are the Frechet distance of the pixels from held-out digits and the error at nine noise levels. About an
hour on one core. What is done stays in runs/one_family, so a run that was cut goes on. Writes its figures
beside this file after each piece.
"""

import itertools
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_tools"))
from results import store

from ncsn_lib import TrainingState, denoising_score_matching_loss, frechet_distance, load_digits, sample_run, train
from ncsn_lib.files import write_result
from ncsn_lib.losses import log_normal_sigmas
from ncsn_lib.networks.preconditioning import FORMS, prediction_weight
from ncsn_lib.recipes import DIGITS
from ncsn_lib.runs import Run
from ncsn_lib.settings import HeunSettings, PreconditionedUNetSettings
from ncsn_lib.training import DenoisingObjective

SEEDS, STEPS = (0, 1, 2), 250
MEAN, STD = 0.305, 0.376  # of the pixels
LEVELS = torch.logspace(-2, 1, 9).tolist()
WORK = Path(__file__).resolve().parents[2] / "runs" / "one_family"


def train_form(form, weight, seed):
    """A network that predicts the form, trained with the weight that is natural to the form `weight`."""
    recipe = replace(
        DIGITS,
        training=replace(DIGITS.training, num_steps=STEPS, seed=seed),
        network=PreconditionedUNetSettings(widths=(32, 64), form=form, data_mean=MEAN, data_std=STD),
        sampling=HeunSettings(num_levels=18, sigma_max=10.0, sigma_min=0.02, data_mean=MEAN),
    )
    objective = DenoisingObjective(
        lambda x, generator: log_normal_sigmas(x, -1.0, 1.3, generator),
        lambda sigma: prediction_weight(weight, sigma, STD),
    )
    state = TrainingState.start(recipe.build_network(), recipe.training)
    train(state, load_digits("train").images, objective, recipe.training)
    return Run(state.ema.module.eval(), recipe, STEPS)


@torch.no_grad()
def errors(network, images):
    """The mean squared error of the noise that the network sees, per pixel, at each of the levels."""
    noise, found = torch.randn(images.shape, generator=torch.Generator().manual_seed(0)), []
    for sigma in LEVELS:
        loss = denoising_score_matching_loss(network, images, torch.full((len(images),), sigma), noise).mean()
        found.append(2 * sigma**2 * loss.item() / images[0].numel())
    return found


def measure(form, weight, seed):
    """One network, trained and judged."""
    begun, held_out = time.perf_counter(), load_digits("test").images
    run = train_form(form, weight, seed)
    samples = sample_run(run, len(held_out), seed=seed)
    distance = frechet_distance(samples.clamp(0, 1), held_out)
    row = {"form": form, "weight": weight, "seed": seed, "pixel_distance": distance}
    return row | {"errors": errors(run.network, held_out), "seconds": round(time.perf_counter() - begun, 1)}


def main():
    """Measure what is not measured yet, piece by piece."""
    torch.set_num_threads(1)
    train_images, held_out = load_digits("train").images, load_digits("test").images
    rows = [{"form": "real", "pixel_distance": frechet_distance(train_images[: len(held_out)], held_out)}]
    own, common = [(form, form) for form in FORMS], [(form, "edm") for form in FORMS if form != "edm"]
    for pairs in (own, common):
        for seed, (form, weight) in itertools.product(SEEDS, pairs):
            done = WORK / f"{form}-{weight}-{seed}.json"
            if not done.exists():
                write_result(done, measure(form, weight, seed))
            rows.append(json.loads(done.read_text()))
            store(__file__, rows, seconds=sum(row.get("seconds", 0) for row in rows))
            print(f"{form}, weight of {weight}, seed {seed}: {rows[-1]['pixel_distance']:.2f}", flush=True)


if __name__ == "__main__":
    main()
