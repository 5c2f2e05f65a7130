"""All that a stored run of the paper's experiments gives: python book/results/paper_run.py RECIPE [OPTIONS].

Trains the recipe in runs/RECIPE as `python -m ncsn_lib train` does, or resumes it, and keeps its checkpoints. It judges
samples of each by Inception, as the paper's appendix does, or by the data set's classifier (made beforehand by
`train-classifier`), and takes the checkpoint of lowest Frechet distance, or for MNIST the last one. Of that it draws
samples, the way from noise to images, completions and nearest neighbours, and judges many. Faces have no classes and
no classifier, and a recipe without a sampler has only its loss. The figures go to RECIPE.json in this folder, the
pictures beside it, where `show_result` and the ledger find them. Call it again to resume it: what was measured is kept
in the run's folder, and SIGTERM saves a training.

With images that are not the data set to the byte, say so by --data-label: it stands beside every figure.
"""

import dataclasses
import hashlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_tools"))
from results import as_row, thinned

from ncsn_lib import frechet_distance, load_run, sample_run
from ncsn_lib.checkpoints import CheckpointError, list_checkpoints
from ncsn_lib.checks import check_count
from ncsn_lib.cli import main as run_command
from ncsn_lib.cli.command import Command, UserError
from ncsn_lib.cli.judging import classifier_path, find_classifier
from ncsn_lib.cli.reading import DataOptions, test_images, training_images
from ncsn_lib.data import CLASSES, unit_images
from ncsn_lib.files import write_result
from ncsn_lib.metrics import (
    class_shares,
    classify_images,
    mean_distance,
    nearest_neighbours,
    opponent_colours,
    power_spectrum,
    seam_jump,
    sure_share,
)
from ncsn_lib.metrics.classes import Judgement
from ncsn_lib.metrics.inception import inception_features, inception_figures, load_inception
from ncsn_lib.provenance import provenance
from ncsn_lib.runs import read_run_record
from ncsn_lib.samplers import make_mask
from ncsn_lib.sampling import inpaint_run, sample_trajectory
from ncsn_lib.shards import fingerprint, sample_to_shards

HERE = Path(__file__).resolve().parent
SHOWN, WAYS, FRAMES = 64, 8, 11
"""Samples in the grid; samples shown on their way; states of each, the start and the end among them."""
IN = {"classifier": "in_features", "inception": "in_inception"}
"""What distances in a judge's features are called."""
GIVEN, COMPLETED, COMPLETIONS, NEIGHBOURS = 4, 16, 4, 4
"""Images shown for each mask, images completed, completions of each, neighbours in pixels and in features."""


@dataclass(frozen=True)
class PaperRunOptions(DataOptions):
    """Options beside the sampler's settings, which by default are the run's own."""

    test_data: Path | None = None
    """A folder or zip of test images; goes with --data."""
    data_label: str | None = None
    """What the images of --data are, to stand beside every figure: "CIFAR-10 (JPEG copy)"."""
    classifier: Path | None = None
    """The classifier that judges. By default runs/classifiers/DATASET.safetensors, made by train-classifier."""
    train: bool = True
    """Train first, or go on training; without it the run is taken as it is."""
    steps: int | None = None
    """Training steps, in place of the recipe's."""
    batch_size: int | None = None
    """Images in a training step, in place of the recipe's."""
    checkpoint_every: int = 5000
    """Steps between checkpoints; all are kept. The authors' code: 5,000."""
    num: int = 10_000
    """Samples of the last checkpoint that are judged, and as many test images, where there are so many."""
    num_along: int = 1000
    """Samples of each checkpoint that are judged, by which the best one is chosen. Paper, appendix: 1,000."""
    inception: bool = False
    """Judge in Inception's features, too: inception score, FID and KID of --num samples; checkpoints by their FID."""
    inception_weights: Path | None = None
    """Inception's weights, where they cannot be downloaded."""
    sampled_together: int = 500
    """Images sampled together; fewer need less memory."""
    bfloat16: bool = False
    """Let the network's convolutions round to 16 bits when it draws what is judged."""
    seed: int = 0
    """Seed of the samples' noise and of the choice of images."""
    out: Path = HERE
    """The folder for RECIPE.json and the pictures."""

    def check(self):
        """Refuse what cannot be, before anything is loaded."""
        if (self.data is None) != (self.test_data is None):
            raise UserError("--data and --test-data go together: give both, or neither")
        if self.inception_weights is not None and not self.inception:
            raise UserError("--inception-weights goes with --inception")
        if self.data is not None and self.data_label is None:
            raise UserError("--data goes with --data-label: what are these images? It stands beside every figure")
        if self.run_dir is not None and self.run_dir.suffix == ".safetensors":
            raise UserError(f"--run-dir must be a run's folder, got {self.run_dir}")
        for name in ("checkpoint_every", "num", "num_along", "sampled_together"):
            check_count(name, getattr(self, name), minimum=2 if name.startswith("num") else 1)

    def sampling(self):
        """How samples to be judged are drawn."""
        return {"seed": self.seed, "batch_size": self.sampled_together, "bfloat16": self.bfloat16}


class Measured:
    """What was measured so far, in a file; it is measured again where what it depends on is another."""

    def __init__(self, path):
        """Read the file, if there is one."""
        self.path = path
        self.parts = json.loads(path.read_text()) if path.exists() else {}

    def part(self, name, depends, measure):
        """What `measure` returns, as JSON has it; the stored one where it depended on the same."""
        depends = json.loads(json.dumps(depends, default=str))
        if self.parts.get(name, {}).get("depends") != depends:
            begun = time.perf_counter()
            self.parts[name] = {"depends": depends, "found": measure()}
            write_result(self.path, self.parts)
            print(f"{name}: {time.perf_counter() - begun:.0f} s", flush=True)
        return self.parts[name]["found"]


def main(argv):
    """Train, draw, judge, write; returns the exit status, that of the training where it was stopped."""
    command = Command("python book/results/paper_run.py", argv)
    recipe = command.take_recipe()
    sampling = {} if recipe.sampling is None else {"sampling": recipe.sampling}
    options, _ = command.parse(recipe.summary, PaperRunOptions(), sampling)
    options.check()
    judges, about = ({}, None) if recipe.sampling is None else find_judges(options, recipe)
    if recipe.sampling is not None:
        seen = unit_images(training_images(recipe, options)[1].images)
        unseen = unit_images(test_images(recipe, options.test_data, options.background))
    if options.train:
        status = run_command(["train", *training_words(recipe, options)])
        if status:
            return status
    folder = options.folder(recipe)
    if recipe.sampling is None:
        run, result = load_run(folder, options.find_device()), the_training(folder)
    else:
        options, run = command.parse_with_run(recipe, PaperRunOptions())
        made = PaperRun(options, run, folder, seen, unseen, judges)
        run, result = made.run, made.result()
        if about:
            result["judged"]["classifier"] = about
    label = options.data_label or run.recipe.dataset
    origin = {"recipe": recipe.name, "data": label, "step": run.step, "seed": options.seed}
    origin["provenance"] = provenance(command.line, options.find_device())
    write_result(options.out / f"{recipe.name}.json", origin | result)
    print(f"all of it is in {options.out / recipe.name}.json and the pictures beside it")
    return 0


def find_judges(options, recipe):
    """The classifier and Inception, by name, as far as there are any, and what a result says of the classifier.

    A data set with classes needs a classifier; faces are judged without.
    """
    classes = CLASSES.get(recipe.dataset)
    classifier, about = find_classifier(options.classifier, recipe.dataset, recipe.image_shape[0], classes)
    if classifier is None and classes is not None:
        raise UserError(
            f"there is no classifier at {classifier_path(recipe.dataset)}: make it with python -m ncsn_lib "
            f"train-classifier {recipe.dataset}, or name one by --classifier"
        )
    device = options.find_device()
    judges = {} if classifier is None else {"classifier": classifier.to(device)}
    if options.inception:
        judges["inception"] = load_inception(options.inception_weights, device=device)
    return judges, about


def the_training(folder):
    """What a run's training left: how long it took, and its loss."""
    record = read_run_record(folder)
    return ({"training": record} if record else {}) | {"loss": thinned(folder / "loss.csv")}


def training_words(recipe, options):
    """The arguments of `python -m ncsn_lib train`; every checkpoint is kept."""
    words = [recipe.name, "--keep", "100000"]
    for name in ("run_dir", "data", "device", "checkpoint_every", "steps", "batch_size"):
        if getattr(options, name) is not None:
            words += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    return words


class PaperRun:
    """What is made of a trained run: pictures, judgements, statistics."""

    def __init__(self, options, run, folder, train_images, test_images, judges):
        """Note what to look at, and what is measured already; of several checkpoints choose the best."""
        self.options, self.run, self.folder = options, run, folder
        self.measured = Measured(folder / "paper_run.json")
        self.judges, self.train_images = judges, train_images
        order = torch.randperm(len(test_images), generator=torch.Generator().manual_seed(options.seed))
        self.test_images = test_images[order]
        self.calls, self.classes = run.recipe.calls_per_sample(), run.recipe.classes
        self.how = dataclasses.asdict(run.recipe.sampling) | options.sampling()
        self.judge = {name: fingerprint(judge) for name, judge in judges.items()}
        self.judge |= {"train": len(train_images), "test": len(test_images)}
        self.real = {}
        self.compared = self.along() if judges else None
        self.chosen = "the last one: nothing judges them"
        if judges and run.recipe.dataset == "mnist":
            self.chosen = "the last one, as the paper's of MNIST"
        elif judges:
            best = min(self.compared["rows"], key=lambda row: row["distance"])
            (path,) = [path for path in list_checkpoints(folder) if path.name == f"step-{best['step']:08d}"]
            self.run = load_run(path, options.find_device())._replace(recipe=run.recipe)
            self.chosen = f"the one of lowest {self.compared['measure']}, of {options.num_along} samples"

    def result(self):
        """All figures, and all pictures written, as far as they are not there yet."""
        depends = {
            "network": fingerprint(self.run.network),
            "sampling": self.how,
            "out": self.options.out,
            **self.judge,
        }
        parts = {"samples": self.samples, "trajectory": self.trajectory, "inpainting": self.inpainting}
        parts |= {"emergence": self.emergence, "neighbours": self.neighbours}
        found = {name: self.measured.part(name, depends, measure) for name, measure in parts.items()}
        many = depends | {"num": self.options.num}
        if "classifier" in self.judges:
            found["judged"] = self.measured.part("judged", many, self.judged_many)
        if "inception" in self.judges:
            found["by_inception"] = self.measured.part("by_inception", many, self.by_inception)
        found["statistics"] = self.measured.part("statistics", many, self.statistics)
        sampling = {"sampling": self.how | {"calls": self.calls, "checkpoint": self.chosen}}
        return sampling | the_training(self.folder) | found | ({"along": self.compared} if self.compared else {})

    def write(self, name, images, columns):
        """A grid of images beside the result, pixel by pixel."""
        from matplotlib import pyplot as plt

        from ncsn_lib.plotting import image_grid

        self.options.out.mkdir(parents=True, exist_ok=True)
        plt.imsave(self.options.out / f"{self.run.recipe.name}_{name}.png", image_grid(images, columns))

    def samples(self):
        """A grid of samples, the first there are, and one of test images."""
        begun = time.perf_counter()
        images = sample_run(self.run, SHOWN, classes=self.classes, seed=self.options.seed)
        seconds = time.perf_counter() - begun
        self.write("samples", images, 8)
        self.write("real", self.test_images[:SHOWN], 8)
        return {"num": SHOWN, "calls": self.calls, "seconds": round(seconds, 2)}

    def trajectory(self):
        """Rows of one sample's states, evenly spaced over the sampler's steps."""
        frames = self.frames(WAYS)
        self.write("trajectory", frames.transpose(0, 1).flatten(0, 1), len(frames))
        return {"num": WAYS, "calls": np.linspace(0, self.calls, len(frames)).round().astype(int).tolist()}

    def inpainting(self):
        """Rows of a test image, what is given of it, and its completions: first left halves, then upper ones."""
        shape, rows, fit = self.run.recipe.image_shape, [], {}
        for number, name in enumerate(("left", "top")):
            mask, chosen = make_mask(name, shape[1:]), self.test_images[number * COMPLETED : (number + 1) * COMPLETED]
            done = inpaint_run(self.run, chosen.repeat_interleave(COMPLETIONS, 0), mask, seed=self.options.seed)
            done = done.view(len(chosen), COMPLETIONS, *shape)
            pasted = torch.where(mask, chosen, chosen.roll(1, 0))
            sets = (done, chosen, pasted) if name == "left" else (done.mT, chosen.mT, pasted.mT)
            fit[name] = fit_and_variety(*sets)
            given = torch.where(mask, chosen, 0.5)
            rows += [torch.cat([chosen[:, None], given[:, None], done], dim=1)[:GIVEN]]
        rows = torch.cat(rows)  # (N, 2 + completions, C, H, W)
        self.write("inpainting", rows.flatten(0, 1), rows.shape[1])
        settings = dataclasses.asdict(self.run.recipe.sampling.inpainting)
        return {"images": COMPLETED, "completions": COMPLETIONS, "masks": fit, "sampling": settings}

    def emergence(self):
        """How much of what the samples become is there on their way: see `resemblance`."""
        return {"num": SHOWN, "resemblance": [round(value, 4) for value in resemblance(self.frames(SHOWN))]}

    def frames(self, num):
        """(F, N, C, H, W) states of samples, evenly spaced over the sampler's steps."""
        how = {"num_frames": FRAMES, "classes": self.classes, "seed": self.options.seed}
        return sample_trajectory(self.run, num, **how)

    def neighbours(self):
        """Rows of a sample, its nearest training images in pixels, and those in features where there are any."""
        images = sample_run(self.run, WAYS, classes=self.classes, seed=self.options.seed).clamp(0, 1)
        pixels, by_pixels = nearest_neighbours(images, self.train_images, NEIGHBOURS)
        rows, found = [images[:, None], self.train_images[by_pixels]], {"k": NEIGHBOURS, "in_pixels": pixels.tolist()}
        for judge in self.judges:
            features, by_features = nearest_neighbours(
                self.features(judge, images), self.real_features(judge), NEIGHBOURS
            )
            rows.append(self.train_images[by_features])
            found[IN[judge]] = features.tolist()
        rows = torch.cat(rows, dim=1)
        self.write("neighbours", rows.flatten(0, 1), rows.shape[1])
        return found

    def features(self, judge, images):
        """(N, F) a judge's features."""
        look = classify_images if judge == "classifier" else lambda network, x: inception_features(x, network)
        return look(self.judges[judge], images)[0]

    def real_features(self, judge):
        """(M, F) those of all training images, computed once."""
        if judge not in self.real:
            self.real[judge] = self.features(judge, self.train_images)
        return self.real[judge]

    def judged(self, label, images):
        """What the classifier makes of images, beside all training images."""
        features, probabilities = classify_images(self.judges["classifier"], images)
        judgement = Judgement(
            len(images),
            len(self.train_images),
            sure_share(probabilities),
            class_shares(probabilities),
            frechet_distance(features, self.real_features("classifier")),
        )
        return {"name": label, **as_row(judgement, references=False)}

    def many(self):
        """(N, C, H, W) the samples that are judged, drawn where they are not in the run's folder yet."""
        shards = self.folder / f"judged-{fingerprint(self.run.network)[:12]}-{short_hash(self.how)}"
        paths = sample_to_shards(self.run, self.options.num, shards, classes=self.classes, **self.options.sampling())
        return unit_images(torch.cat([torch.from_numpy(np.load(path)) for path in paths]))

    def judged_many(self):
        """Samples and test images, each as many."""
        real = self.test_images[: self.options.num]
        rows = [self.judged("samples", self.many()), self.judged("test images", real)]
        return {"num_references": len(self.train_images), "references": "training images", "rows": rows}

    def by_inception(self):
        """Inception score, FID and KID of the samples, beside the training images."""
        denoised = getattr(self.run.recipe.sampling, "denoise", None)
        how = {"reference_name": "training images", "denoised": denoised}
        return inception_figures(self.many(), self.train_images, self.judges["inception"], **how)._asdict()

    def statistics(self):
        """How near samples and test images are to training images, their colours and their spectra."""
        sets = {"samples": self.many(), "test images": self.test_images[: self.options.num]}
        nearest, spaces = {}, {"in_pixels": lambda x: nearest_neighbours(x, self.train_images, 1, batch_size=100)[0]}
        for judge in self.judges:
            spaces[IN[judge]] = lambda x, judge=judge: nearest_neighbours(
                self.features(judge, x), self.real_features(judge), 1, batch_size=100
            )[0]
        for space, distances in spaces.items():
            found = {label: distances(images[:1000])[:, 0] for label, images in sets.items()}
            near = found["test images"].quantile(0.01)
            for label, values in found.items():
                row = quantiles(values) | {"copy_rate": (values <= near).double().mean().item()}
                nearest.setdefault(label, {"num": len(values)})[space] = row
        return {"nearest": nearest, "images": {label: describe(images) for label, images in sets.items()}}

    def along(self):
        """The Frechet distance of samples of each checkpoint from training images, and of as many test images."""
        judge = "inception" if "inception" in self.judges else "classifier"
        measure = "FID" if judge == "inception" else "Frechet distance in the classifier's features"
        num, rows, real = self.options.num_along, [], self.real_features(judge)

        def distance(images):
            judged = self.judged("samples", images) if "classifier" in self.judges else {}
            return judged | {"distance": frechet_distance(self.features(judge, images), real)}

        for path in list_checkpoints(self.folder):
            run = load_run(path, self.options.find_device())._replace(recipe=self.run.recipe)
            depends = {"network": fingerprint(run.network), "sampling": self.how, "num": num, **self.judge}

            def drawn(run=run):
                return distance(sample_run(run, num, classes=self.classes, **self.options.sampling()))

            rows.append({"step": run.step} | self.measured.part(f"along, step {run.step}", depends, drawn))
        few = self.test_images[:num]
        test = self.measured.part("along, real", self.judge | {"num": num}, lambda: distance(few))
        return {"num": num, "measure": measure, "rows": rows, "test_images": test}


def resemblance(frames):
    """How much of what samples become is there on their way, (F, N, C, H, W) -> F correlations.

    Both are seen coarsely, as the means of 4 x 4 blocks of an image, less the mean over the samples: that of the states
    with that of the last state.
    """
    coarse = torch.nn.functional.adaptive_avg_pool2d(frames.flatten(0, 1), 4).view(*frames.shape[:2], -1)
    coarse = coarse - coarse.mean(1, keepdim=True)  # (F, N, 16 C)
    last, lengths = coarse[-1], coarse.square().sum((1, 2)).sqrt()
    return ((coarse * last).sum((1, 2)) / (lengths * lengths[-1]).clamp_min(1e-12)).tolist()


def fit_and_variety(done, images, pasted):
    """Of completions (N, K, C, H, W) of the left halves of images (N, C, H, W): seam and variety beside theirs.

    The seam of what was pasted together, (N, C, H, W), is what a seam is that does not fit. The variety is how far
    completions of one image are apart in their right halves.
    """
    right = images.shape[-1] // 2
    apart = [mean_distance(x[..., right:].clamp(0, 1)) for x in (*done, images)]
    seam = seam_jump(done.flatten(0, 1)) / seam_jump(images)
    clash = seam_jump(pasted) / seam_jump(images)
    return {
        "seam": round(seam, 4),
        "seam_pasted": round(clash, 4),
        "variety": round(sum(apart[:-1]) / len(done) / apart[-1], 4),
    }


def describe(images):
    """Colours and spectrum of images (N, C, H, W): of three channels, brightness and the two differences."""
    colours = images.mean((2, 3))  # (N, C), each image's mean colour
    axes = opponent_colours(images) if images.shape[1] == 3 else images
    return {
        "num": len(images),
        "mean": rounded(colours.mean(0)),
        "spread_of_mean_colour": rounded(axes.mean((2, 3)).std(0)),
        "spectrum": [rounded(channel) for channel in power_spectrum(axes)],
    }


def quantiles(distances):
    """Some quantiles of distances, by their share."""
    at = (0.01, 0.25, 0.5, 0.75)
    return {f"{q:g}": round(distances.quantile(q).item(), 4) for q in at}


def rounded(values):
    """Numbers to six digits, as JSON takes them."""
    return [float(f"{value:.6g}") for value in values.tolist()]


def short_hash(settings):
    """A short name for settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:8]


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (UserError, CheckpointError, ValueError, OSError) as error:
        sys.exit(f"paper_run: {error}")
