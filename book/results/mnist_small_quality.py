"""How good the small MNIST networks are, judged by the classifier in this folder: beside real digits, and how fast.

python book/results/mnist_small_quality.py
"""

import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_tools"))
from results import as_row, store

from ncsn_lib import load_mnist, load_run, sample_run
from ncsn_lib.classifiers import load_classifier
from ncsn_lib.metrics import judge_images

MODELS = Path(__file__).resolve().parent / "models"
NUM = 1000


def judge(images, references):
    return as_row(judge_images(CLASSIFIER, images, references), references=False)


def measure(name, references):
    run = load_run(MODELS / f"{name}.safetensors")
    begun = time.perf_counter()
    sample_run(run, 64, bfloat16=True)
    seconds = time.perf_counter() - begun
    images = sample_run(run, NUM, seed=1, bfloat16=True)
    calls = run.recipe.calls_per_sample()
    how = {"calls": calls, "seconds_for_64": round(seconds, 2), "seed": 1, "bfloat16": True}
    return {"name": name, **judge(images, references), **how}


if __name__ == "__main__":
    CLASSIFIER = load_classifier(MODELS / "mnist_classifier.safetensors")
    digits = load_mnist("test").images
    real, rest = digits[:NUM], digits[NUM:]  # 1,000 real digits beside the other 9,000, as every row below
    rows = [{"name": "real test digits", **judge(real, rest)}]
    for name in ("mnist_small_wide", "mnist_small"):
        if (MODELS / f"{name}.safetensors").exists():
            rows.append(measure(name, rest))
    uniform = torch.rand(NUM, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    rows.append({"name": "uniform noise", **judge(uniform, rest)})
    store(__file__, rows)
