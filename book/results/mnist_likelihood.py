"""Bits per dimension of MNIST by the stored network mnist_small_wide: python book/results/mnist_likelihood.py

The probability flow's log-likelihood of 16 test and 16 training images, dequantised, with two projections for each,
from three smallest noise levels: about five minutes on one core. Writes its figures beside this file.
"""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_tools"))
from results import store

from ncsn_lib import load_mnist, load_run
from ncsn_lib.data import unit_images
from ncsn_lib.data.transforms import dequantize
from ncsn_lib.likelihood import bits_per_dim, log_likelihood
from ncsn_lib.losses import rademacher_projections

NUM, PROJECTIONS, SIGMAS_MIN = 16, 2, (0.01, 0.02, 0.05)
SEED = 0
MODEL = Path(__file__).resolve().parent / "models" / "mnist_small_wide.safetensors"


def main():
    """Measure each split from each smallest level, the recipe's own first."""
    torch.set_num_threads(1)
    network, recipe, _ = load_run(MODEL)
    network.requires_grad_(False)
    mean, rows = unit_images(load_mnist("train").images).mean().item(), []
    for sigma_min in SIGMAS_MIN:
        for split in ("test", "train"):
            generator = torch.Generator().manual_seed(SEED)
            images = unit_images(load_mnist(split).images[:NUM])
            x = dequantize(images, generator)
            found = log_likelihood(
                network,
                x,
                recipe.noise.sigma_max,
                sigma_min,
                projections=rademacher_projections(x, PROJECTIONS, generator),
                mean=mean,
            )
            rows.append(
                {
                    "split": split,
                    "seed": SEED,
                    "sigma_min": sigma_min,
                    "bits": bits_per_dim(found.log_prob, x[0].numel()).tolist(),
                    "num_calls": found.num_calls,
                }
            )
            store(__file__, rows)
            print(split, sigma_min, torch.tensor(rows[-1]["bits"]).mean(), flush=True)


if __name__ == "__main__":
    main()
