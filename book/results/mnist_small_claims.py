"""What the paper says of image models, measured on MNIST in small: python book/results/mnist_small_claims.py

The size of loss and score by level, the ratio of signal to noise in the sampler, whether the last level can be seen,
where a sample is decided, whether samples are copies, whether completions fit and differ: on the stored networks
mnist_small (the paper's ladder) and mnist_small_wide, over three seeds. Minutes on one core. Writes its figures beside
this file.
"""

import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_tools"))
from results import store

from ncsn_lib import (
    denoising_score_matching_loss,
    denoising_step,
    load_mnist,
    load_run,
    sample_run,
)
from ncsn_lib.classifiers import load_classifier
from ncsn_lib.metrics import classify_images, mean_distance, nearest_distances, seam_jump
from ncsn_lib.samplers import make_mask
from ncsn_lib.sampling import inpaint_run, sample_trajectory

MODELS = Path(__file__).resolve().parent / "models"
SEEDS = (0, 1, 2)
CLASSIFIER = load_classifier(MODELS / "mnist_classifier.safetensors")
NARROW, WIDE = (load_run(MODELS / f"{name}.safetensors") for name in ("mnist_small", "mnist_small_wide"))
TRAIN, TEST = load_mnist("train").images, load_mnist("test")


def power(values, sigmas):
    """The power of sigma with which values go, by least squares in logarithms."""
    x, y = torch.tensor(sigmas).log(), torch.tensor(values).log()
    x, y = x - x.mean(), y - y.mean()
    return ((x * y).sum() / x.square().sum()).item()


@torch.no_grad()
def by_level(images, seed):
    """Largest over smallest level of the loss, weighted and not, the power of the score, and of its loss."""
    sigmas = NARROW.recipe.noise.sigmas().tolist()
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
    losses, lengths = [], []
    for sigma in sigmas:
        level = torch.full((len(images),), sigma)
        losses.append(denoising_score_matching_loss(NARROW.network, images, level, noise).mean().item())
        lengths.append(NARROW.network(images + sigma * noise, level).flatten(1).norm(dim=1).mean().item())
    weighted = [sigma**2 * loss for sigma, loss in zip(sigmas, losses, strict=True)]
    return {
        "power_of_score": power(lengths, sigmas),
        "power_of_loss": power(losses, sigmas),
        "loss_range": max(losses) / min(losses),
        "weighted_loss_range": max(weighted) / min(weighted),
    }


@torch.no_grad()
def on_the_way(seed):
    """Largest over smallest level of the ratio of signal to noise in the sampler, and which level decides."""
    frames = sample_trajectory(NARROW, 64, seed=seed, num_frames=11)  # the start, and the state after each level
    settings, sigmas = NARROW.recipe.sampling, NARROW.recipe.noise.sigmas().tolist()
    ratios = []
    for x, sigma in zip(frames[1:], sigmas, strict=True):
        step = settings.eps * (sigma / sigmas[-1]) ** 2
        score = NARROW.network(x, torch.full((len(x),), sigma)).flatten(1)
        ratios.append((step**0.5 * score.norm(dim=1).mean() / (2 * score.shape[1] ** 0.5)).item())
    expected = [denoising_step(NARROW.network, x, s) for x, s in zip(frames, [sigmas[0], *sigmas], strict=True)]
    seen = torch.stack([classify_images(CLASSIFIER, images)[1].argmax(1) for images in expected])
    decided = (seen == seen[-1]).double().mean(1).tolist()
    return {
        "signal_to_noise_range": max(ratios) / min(ratios),
        "decided_at_start": decided[0],
        "decided_halfway": decided[5],
    }


def last_level_seen(seed):
    """The classifier's accuracy on test digits, and with noise of the last level."""
    noise = torch.randn(TEST.images.shape, generator=torch.Generator().manual_seed(seed))
    accuracy = {}
    for name, images in (("clean", TEST.images), ("noisy", TEST.images + NARROW.recipe.noise.sigma_min * noise)):
        accuracy[f"accuracy_{name}"] = (
            (classify_images(CLASSIFIER, images)[1].argmax(1) == TEST.labels).double().mean().item()
        )
    return accuracy


def copies(seed, num=500):
    """Samples beside test digits, by the distance to the nearest training image: the ratio of the medians, and the rate
    of samples that are nearer than 99 of 100 test digits are; in pixels and in features.
    """
    sets = {"samples": sample_run(WIDE, num, seed=seed).clamp(0, 1), "test": TEST.images[num * seed : num * (seed + 1)]}
    spaces = {
        "pixels": (sets, TRAIN),
        "features": (
            {name: classify_images(CLASSIFIER, images)[0] for name, images in sets.items()},
            classify_images(CLASSIFIER, TRAIN)[0],
        ),
    }
    found = {}
    for space, (examples, references) in spaces.items():
        distances = {name: nearest_distances(x, references)[0] for name, x in examples.items()}
        found[f"nearest_{space}"] = (distances["samples"].median() / distances["test"].median()).item()
        near = distances["test"].quantile(0.01)
        found[f"copy_rate_{space}"] = (distances["samples"] <= near).double().mean().item()
    return found


def completions(seed, num=50, each=4):
    """The jump at the seam over that of real digits, where it is completed and where the half of another digit is
    pasted in; and how far completions of one digit are apart.
    """
    digits = TEST.images[num * seed : num * (seed + 1)]
    mask = make_mask("left", (28, 28))
    done = inpaint_run(WIDE, digits.repeat_interleave(each, 0), mask, seed=seed).clamp(0, 1)
    apart = [mean_distance(x[..., 14:]) for x in (*done.split(each), digits)]
    pasted = torch.where(mask, digits, digits.roll(1, 0))
    return {
        "seam": seam_jump(done) / seam_jump(digits),
        "seam_pasted": seam_jump(pasted) / seam_jump(digits),
        "variety": sum(apart[:-1]) / num / apart[-1],
    }


def main():
    """Measure for each seed."""
    torch.set_num_threads(1)
    runs = []
    for seed in SEEDS:
        begun, row = time.perf_counter(), {"seed": seed}
        row |= by_level(TEST.images[:500], seed) | on_the_way(seed) | last_level_seen(seed)
        row |= copies(seed) | completions(seed)
        runs.append(row | {"seconds": round(time.perf_counter() - begun, 1)})
        print(runs[-1], flush=True)
    store(__file__, runs)


if __name__ == "__main__":
    main()
