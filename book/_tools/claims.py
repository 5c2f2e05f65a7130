"""What the paper and its poster claim, and which stored result says what about it: the source of the ledger.

A claim is told in our words. Its function measures it in results of book/results.
"""

import contextlib
import functools
import itertools
import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass

from chapters import RESULTS

PAPER_RUN = "python book/results/paper_run.py {}"
TABLE_RUN = PAPER_RUN.format("cifar10 --inception --num 50000")
SMALL, WIDE = "MNIST with a small U-Net, the paper's ladder", "MNIST with a small U-Net on a wide ladder"
CIFAR_SMALL = "a small U-Net on a wide ladder"
# As the authors' poster prints them, and what was published later; inception score and FID on CIFAR-10.
TABLE_1 = {
    "PixelCNN": ("4.60", "65.93"),
    "PixelIQN": ("5.29", "49.46"),
    "EBM": ("6.02", "40.58"),
    "WGAN-GP": ("7.86 ± 0.07", "36.4"),
    "MoLM": ("7.90 ± 0.10", "18.9"),
    "SNGAN": ("8.22 ± 0.05", "21.7"),
    "ProgressiveGAN": ("8.80 ± 0.05", "–"),
    "NCSN (cifar10)": ("8.87 ± 0.12", "25.32"),
    "the class given: EBM": ("8.30", "37.9"),
    "the class given: SNGAN": ("8.60 ± 0.08", "25.5"),
    "the class given: BigGAN": ("9.22", "14.73"),
    "later: NCSN, denoised": ("7.32", "29.8"),
    "later: NCSNv2 (ncsnv2_cifar10)": ("8.73", "31.75"),
    "later: NCSNv2, denoised": ("8.40", "10.87"),
}


@dataclass(frozen=True)
class Measured:
    """A claim, measured."""

    number: str
    """Our number, with its spread."""
    holds: bool
    """Whether the claim holds in it."""
    result: str
    """The file in book/results, without its suffix."""
    stand_in: str = ""
    """What was measured in place of the paper's own experiment, if it was not that."""


@dataclass(frozen=True)
class Claim:
    """A figure, a number of a table, or a quantitative sentence of the paper or its poster."""

    where: str
    """Where it stands."""
    says: str
    """What it says, in our words."""
    chapter: str
    """The chapter about it."""
    measure: Callable[[], Measured] | None
    """Measures it in stored results; None: nothing here does yet."""
    command: str = ""
    """What measures the paper's own, where that has not been run."""
    is_identity: bool = False
    """Whether it is an identity or a count, which holds or not whatever is trained."""


def load(name):
    """A stored result; `FileNotFoundError` where there is none."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def spread(values, digits=2, unit=""):
    """Mean and standard deviation of values over seeds, in words."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}{unit}"
    mean, std = statistics.mean(values), statistics.stdev(values)
    return f"{mean:.{digits}f} ± {std:.{digits}f}{unit} ({len(values)} seeds)"


def column(name, key):
    """A value of each run of a result that has it."""
    return [run[key] for run in load(name)["runs"] if key in run]


def each(name, key, holds, digits=2, says="{}", stand_in=""):
    """Measure by one value of each run of a result; the claim holds if it holds for every one."""

    def measured():
        values = column(name, key)
        return Measured(says.format(spread(values, digits)), all(map(holds, values)), name, stand_in)

    return measured


def first_of(*measures):
    """The first of several ways to measure whose result is there: the paper's own before what stands in for it."""

    def measured():
        for other in measures[:-1]:
            with contextlib.suppress(FileNotFoundError):
                return other()
        return measures[-1]()

    return measured


toy = functools.partial(each, "toy_claims")
small = functools.partial(each, "mnist_small_claims")


def trend_and_growth(means, spreads):
    """Of a loss in ten tenths: its change in percent over the last two, and how its scatter grew since the fifth."""
    return 100 * (means[-1] / means[-2] - 1), spreads[-1] / spreads[4]


def settles(trend, growth):
    """Whether a loss settles: over its last tenth it changes by less than 8 %, and its scatter less than doubles."""
    return abs(trend) < 8 and growth < 2.2


def fig1(recipe, data, says, wanted):
    """Fig. 1: whether the loss settles; of the paper's own run, or of a perceptron on digits."""

    def own():
        stored = load(recipe)
        losses, size = stored["loss"]["losses"], len(stored["loss"]["losses"]) // 10
        parts = [losses[k * size : (k + 1) * size] for k in range(10)]
        trend, growth = trend_and_growth(list(map(statistics.mean, parts)), list(map(statistics.stdev, parts)))
        number = says.format(f"{trend:.0f} %", f"{growth:.1f}")
        return Measured(number, settles(trend, growth) == wanted, recipe, copied(stored))

    def stand_in():
        runs = [run for run in load("digits_ssm_seeds")["runs"] if run["data"] == data]
        found = [trend_and_growth(run["tenth_means"], run["tenth_spreads"]) for run in runs]
        trends, growths = zip(*found, strict=True)
        number = says.format(spread(trends, 0, " %"), spread(growths, 1))
        holds = all(settles(*pair) == wanted for pair in found)
        return Measured(number, holds, "digits_ssm_seeds", "8×8 digits, a perceptron")

    return first_of(own, stand_in)


def sliced_cost():
    """The operations of a step of sliced score matching over those of denoising score matching, in both modes."""
    forward, reverse = (column("toy_claims", key) for key in ("cost_sliced_forward", "cost_sliced"))
    number = f"{spread(forward, 1)} times the operations, gradient included; by reverse mode {spread(reverse, 1)}"
    return Measured(number, all(3 < cost < 5 for cost in forward), "toy_claims", "a perceptron of 784 inputs")


def blind():
    """The score's change with the weights, of which nothing is left in 64 bits."""
    largest = max(column("toy_claims", "change_with_weights"))
    number = f"relative change at most {largest:.0e} from weights 0.2, 0.8 to 0.5, 0.5"
    return Measured(number, largest < 1e-6, "toy_claims")


def colour():
    """What instance norm makes of a shifted channel, with and without its ++."""
    seen, plain = (column("toy_claims", key) for key in ("colour_seen", "colour_seen_plain"))
    number = f"a channel shifted by 0.5 changes its output by {spread(seen)}, without ++ by at most {max(plain):.0e}"
    return Measured(number, min(seen) > 0.5 > 1e-3 > max(plain), "toy_claims")


def accuracy_kept():
    """The classifier's accuracy with noise of the last level beside that without."""
    clean, noisy = (column("mnist_small_claims", f"accuracy_{name}") for name in ("clean", "noisy"))
    number = (
        f"accuracy of a classifier {100 * clean[0]:.2f} %, with the noise {spread([100 * a for a in noisy], 2, ' %')}"
    )
    return Measured(
        number,
        max(abs(a - b) for a, b in zip(clean, noisy, strict=True)) < 0.001,
        "mnist_small_claims",
        "a classifier of MNIST in the eye's place",
    )


def losses_of_one_size():
    """The range of the loss over the levels, with and without the weight."""
    plain, weighted = (column("mnist_small_claims", key) for key in ("loss_range", "weighted_loss_range"))
    number = f"largest over smallest level × {spread(weighted, 1)}; without the weight × {statistics.mean(plain):,.0f}"
    return Measured(number, max(weighted) < 10 < 1000 < min(plain), "mnist_small_claims", SMALL)


def judgement(ours, real, result, stand_in=""):
    """What a classifier makes of samples, beside real images."""
    number = (
        f"a classifier is sure of {ours['sure_share']:.2f} of {ours['num_images']:,} samples and "
        f"{real['sure_share']:.2f} of as many real images; its rarest class has {min(ours['class_shares']):.2f}; "
        f"Frechet distance in its features {ours['feature_distance']:.1f}, of real ones {real['feature_distance']:.1f}"
    )
    holds = ours["sure_share"] > 0.8 * real["sure_share"] and min(ours["class_shares"]) > 0.04
    holds = holds and ours["feature_distance"] < 10 * real["feature_distance"]
    return Measured(number, holds, result, stand_in)


def digits_judged():
    """The stored samples of the small network on the paper's ladder, beside real digits."""
    runs = {run["name"]: run for run in load("mnist_small_quality")["runs"]}
    return judgement(runs["mnist_small"], runs["real test digits"], "mnist_small_quality", SMALL)


def copied(stored):
    """The label of the data where a stored run of paper_run.py was not on the data set itself, or nothing."""
    return stored["data"] if "--data" in stored["provenance"]["command"] else ""


def samples(recipe, stand_in=""):
    """The samples of a stored run of paper_run.py, beside test images."""

    def measured():
        stored = load(recipe)
        return judgement(*stored["judged"]["rows"], recipe, stand_in or copied(stored))

    return measured


def likeness(stored):
    """How like the data samples are, without a classifier: in words, and whether they pass.

    They are as far from the nearest training image as test images are, neither farther, as noise is, nor nearer, as
    blank pictures and copies are; and the power spectrum of their brightness is that of test images, ring by ring.
    """
    nearest, images = (stored["statistics"][part] for part in ("nearest", "images"))
    ratio = nearest["samples"]["in_pixels"]["0.5"] / nearest["test images"]["in_pixels"]["0.5"]
    ours, real = (images[name]["spectrum"][0] for name in ("samples", "test images"))
    rings = [a / b for a, b in zip(ours, real, strict=True)]
    number = (
        f"median distance to the nearest training image {ratio:.2f} times that of test images; power spectrum of the "
        f"brightness {min(rings):.2f} to {max(rings):.2f} times theirs"
    )
    return number, 0.8 < ratio < 1.25 and min(rings) > 0.5 and max(rings) < 2


def like_the_data(recipe, wanted=True):
    """Whether samples of a stored run are like the data, or are not where that is what is claimed."""

    def measured():
        stored = load(recipe)
        number, alike = likeness(stored)
        return Measured(number, alike == wanted, recipe, copied(stored))

    return measured


def emerges(recipe):
    """Whether samples of a stored run emerge step by step: absent at the start, there at the end, in no single leap."""

    def measured():
        stored = load(recipe)
        path = stored["emergence"]["resemblance"]
        leap = max(b - a for a, b in itertools.pairwise(path))
        half = path[len(path) // 2]
        number = (
            f"correlation with the final image {path[0]:.2f} at the start, {half:.2f} half-way, largest leap {leap:.2f}"
        )
        return Measured(number, path[0] < 0.5 < path[-1] and leap < 0.5, recipe, copied(stored))

    return measured


def decided():
    """When samples of the small network become the digit that they end as."""
    start, half = (column("mnist_small_claims", f"decided_{when}") for when in ("at_start", "halfway"))
    when = f"{spread(start)} before the first step, {spread(half)} after half of the levels"
    number = f"proportion that is the final digit {when}"
    return Measured(number, max(start) < 0.5 and min(half) > 0.8, "mnist_small_claims", SMALL)


def fits(seam, pasted):
    """Whether a seam is nearer to that of whole images, 1, than a third of the way to that of pasted halves."""
    return seam - 1 < (pasted - 1) / 3


def completed(recipe, stand_in=""):
    """How well completions of a stored run fit what is given, beside real images."""

    def measured():
        stored = load(recipe)
        fit = stored["inpainting"]["masks"].values()
        seams, clashes = (" and ".join(f"{found[key]:.2f}" for found in fit) for key in ("seam", "seam_pasted"))
        variety = min(found["variety"] for found in fit)
        number = (
            f"jump across the seam {seams} times that of real images (left and upper halves given), of pasted halves "
            f"{clashes}; the distance of completions is {variety:.2f} times that of images"
        )
        holds = all(fits(found["seam"], found["seam_pasted"]) and 0.3 < found["variety"] < 1.1 for found in fit)
        return Measured(number, holds, recipe, stand_in or copied(stored))

    return measured


def seam():
    """The seam of digits completed by the small network."""
    ours, pasted = (column("mnist_small_claims", key) for key in ("seam", "seam_pasted"))
    number = f"jump across the seam {spread(ours)} times that of real digits, of pasted halves {spread(pasted)} times"
    return Measured(number, all(map(fits, ours, pasted)), "mnist_small_claims", WIDE)


def not_copies(recipe, space, stand_in=""):
    """How many samples of a stored run are nearer to training images than 99 of 100 test images are."""

    def measured():
        stored = load(recipe)
        nearest = stored["statistics"]["nearest"]
        rate = nearest["samples"][space]["copy_rate"]
        ratio = nearest["samples"][space]["0.5"] / nearest["test images"][space]["0.5"]
        number = (
            f"{rate:.1%} of samples are nearer to a training image than 99 % of test images are; median distance "
            f"{ratio:.2f} times theirs"
        )
        return Measured(number, rate < 0.05 and ratio < 1.25, recipe, stand_in or copied(stored))

    return measured


def no_digits_copied(space, stand_in):
    """The same of digits from the small network."""

    def measured():
        rates, ratios = (column("mnist_small_claims", f"{key}_{space}") for key in ("copy_rate", "nearest"))
        number = (
            f"{spread([100 * rate for rate in rates], 1, ' %')} of samples are nearer to a training image than 99 % of "
            f"test digits are; median distance {spread(ratios)} times theirs"
        )
        holds = max(rates) < 0.05 and max(ratios) < 1.25
        return Measured(number, holds, "mnist_small_claims", stand_in)

    return measured


def baseline():
    """The single level, in the same metric as the ladder, which was trained for longer."""
    runs = {run["name"]: run for run in load("mnist_small_baseline")["runs"]}
    one, ladder = runs["one level, 0.01"], runs["mnist_small"]
    steps = load("models/mnist_small.safetensors")["step"]
    number = (
        f"Frechet distance in a classifier's features {one['feature_distance']:.0f} after {one['steps']:,} steps, "
        f"of the ladder {ladder['feature_distance']:.1f} after {steps:,}; "
        f"classes found: {sum(share > 0 for share in one['class_shares'])} of 10"
    )
    fails = one["feature_distance"] > 10 * ladder["feature_distance"]
    return Measured(number, fails, "mnist_small_baseline", "MNIST with a small U-Net")


def steps_that_work():
    """The range of step sizes that the paper names, twice as large in its formula's form, at its T."""
    found = {}
    for run in load("what_matters")["runs"]:
        if run["study"] == "eps, T = 100":
            found.setdefault(run["value"], []).append(run["feature_distance"])
    number = "Frechet distance " + "; ".join(f"{spread(found[eps], 1)} at ε = {eps:g}" for eps in sorted(found))
    means = [statistics.mean(distances) for distances in found.values()]
    return Measured(number, max(means) < 2 * min(means), "what_matters", f"{SMALL}, after 1,000 steps")


def robust_in_steps():
    """How the distance depends on the number of steps T per level, from 10 on, at one step size."""
    found = {}
    for run in load("what_matters")["runs"]:
        if run["study"] == "steps" and run["value"] >= 10:
            found.setdefault(run["value"], []).append(run["feature_distance"])
    number = "Frechet distance " + "; ".join(f"{spread(found[steps], 1)} at T = {steps:g}" for steps in sorted(found))
    means = list(map(statistics.mean, found.values()))
    return Measured(number, max(means) < 1.5 * min(means), "what_matters", f"{SMALL}, after 1,000 steps")


def table_1(says, holds):
    """Inception score and FID of a stored run of the paper's network, of 50,000 samples."""

    def measured():
        stored = load("cifar10")
        found = stored["by_inception"]
        number = says.format(**found)
        stand_in = "" if found["num_images"] >= 50_000 else f"{found['num_images']:,} samples"
        return Measured(number, holds(found), "cifar10", stand_in or copied(stored))

    return measured


def parameters(recipe, expected):
    """The parameters of a recipe's network, which are the authors'."""

    def measured():
        (found,) = column("toy_claims", f"parameters_{recipe}")
        return Measured(f"{found:,}", found == expected, "toy_claims")

    return measured


DIGITS = "8×8 digits, a small U-Net"
FEW = 20


def by_rules(*rules):
    """The distances of the samples that a set of the rules of 2020 makes."""
    return [run["distance"] for run in load("five_rules")["runs"] if run["rules"] == list(rules)]


def beside_2019(*rules, steadier=False):
    """Whether a set of the rules of 2020 brings each seed below every seed of 2019, and the seeds together."""

    def measured():
        before, after = by_rules(), by_rules(*rules)
        number = f"Frechet distance {spread(after)}, by the choices of 2019 {spread(before)}"
        holds = max(after) < min(before) and (not steadier or statistics.stdev(after) < statistics.stdev(before))
        return Measured(number, holds, "five_rules", DIGITS)

    return measured


def at_few_calls(method):
    """The distance of each seed's samples by a method that was given few calls; one may be left over."""
    return {
        run["seed"]: run["feature_distance"]
        for run in load("few_steps")["runs"]
        if run.get("network") == "mnist_small_wide" and run["method"] == method and run["calls"] in (FEW, FEW - 1)
    }


def better_of(method, other):
    """Whether a method's samples are nearer to the data than another's at equal, few calls, seed by seed."""

    def measured():
        ours, theirs = (at_few_calls(name) for name in (method, other))
        number = (
            f"Frechet distance at {FEW} calls {spread(list(ours.values()), 1)} by {method}, "
            f"{spread(list(theirs.values()), 1)} by {other}"
        )
        return Measured(number, all(ours[seed] < theirs[seed] for seed in ours), "few_steps", WIDE)

    return measured


def trained_better(form, other):
    """Whether a network trained in one form, with its own weight, beats one in another form, seed by seed."""

    def measured():
        ours, theirs = (
            [run["pixel_distance"] for run in load("one_family")["runs"] if run["form"] == run.get("weight") == name]
            for name in (form, other)
        )
        number = f"Frechet distance in pixels {spread(ours)}, of the network that predicts the {other} {spread(theirs)}"
        holds = all(a < b for a, b in zip(ours, theirs, strict=True))
        return Measured(number, holds, "one_family", DIGITS)

    return measured


CLAIMS = {
    "Estimating scores, and walking along them": [
        Claim(
            "Sec. 2.1",
            "The trace makes exact score matching too expensive in high dimension: its cost grows with $D$.",
            "03_sliced_score_matching",
            toy(
                "cost_exact",
                lambda cost: cost > 700,
                0,
                "{} times the operations of a step of denoising score matching, at D = 784",
                stand_in="a perceptron of 784 inputs",
            ),
        ),
        Claim(
            "Sec. 2.1",
            "Sliced score matching takes about four times the computation of denoising score matching, by forward-mode "
            "differentiation.",
            "03_sliced_score_matching",
            sliced_cost,
        ),
        Claim(
            "Sec. 4.2",
            "Denoising score matching is faster than sliced score matching, slightly in the paper.",
            "03_sliced_score_matching",
            toy(
                "cost_sliced",
                lambda cost: 1 < cost < 4,
                1,
                "sliced score matching takes {} times the operations, gradient included, by reverse mode",
                stand_in="a perceptron of 784 inputs",
            ),
        ),
        Claim(
            "Sec. 2.2",
            "Langevin dynamics with many small steps samples the density whose score it is given.",
            "05_langevin_dynamics",
            toy(
                "langevin_variance",
                lambda v: abs(v - 1 / (1 - 0.01 / 4)) < 4 * 0.01,
                3,
                "variance {} of a unit Gaussian, step 0.01; 1.0025 is exact",
            ),
        ),
    ],
    "The three pitfalls": [
        Claim(
            "Sec. 3.1",
            "On data confined to a manifold the score is not defined: with less and less noise it grows without bound.",
            "06_manifold_hypothesis",
            toy(
                "power_beside_curve",
                lambda power: abs(power + 2) < 0.05,
                2,
                "beside a circle it scales like σ to the power {}",
            ),
        ),
        Claim(
            "Fig. 1, left",
            "Sliced score matching on the raw images of CIFAR-10: the loss does not settle.",
            "06_manifold_hypothesis",
            fig1("fig1_raw", "raw", "over its last tenth the loss changes by {}, its scatter grows × {}", False),
            PAPER_RUN.format("fig1_raw"),
        ),
        Claim(
            "Fig. 1, right",
            "With noise of variance 0.0001 added to the images, the loss converges.",
            "06_manifold_hypothesis",
            fig1("fig1_noise", "noise", "over its last tenth the loss changes by {}, its scatter grows × {}", True),
            PAPER_RUN.format("fig1_noise"),
        ),
        Claim(
            "Sec. 3.1",
            "Noise of variance 0.0001 cannot be seen by the eye.",
            "13_mnist",
            accuracy_kept,
        ),
        Claim(
            "Fig. 2",
            "The score estimated from two modes is right where the data are dense.",
            "07_low_density",
            each("toy_score_seeds", "dense", lambda error: error < 0.2, 2, "relative error {}"),
        ),
        Claim(
            "Fig. 2",
            "The score estimated from two modes is wrong where there are next to no data.",
            "07_low_density",
            each(
                "toy_score_seeds",
                "emptiest",
                lambda error: error > 0.3,
                2,
                "relative error {} in the emptiest tenth of the square",
            ),
        ),
        Claim(
            "Sec. 3.2.2",
            "Where two modes do not overlap, the score does not depend on their weights.",
            "08_slow_mixing",
            blind,
            is_identity=True,
        ),
        Claim(
            "Fig. 3, middle",
            "Langevin dynamics with the exact score misses the weights of the modes.",
            "08_slow_mixing",
            toy("mass_langevin", lambda mass: mass < 0.7, 3, "mass {} on the mode of weight 0.8"),
        ),
        Claim(
            "Fig. 3, right",
            "Annealed Langevin dynamics recovers the weights of the modes.",
            "08_slow_mixing",
            toy("mass_annealed", lambda mass: abs(mass - 0.8) < 0.05, 3, "mass {} on the mode of weight 0.8"),
        ),
    ],
    "The network, the loss and the sampler": [
        Claim(
            "App. A",
            "Instance norm loses the colour of an image; the ++ keeps it, through the channels' means.",
            "11_the_network",
            colour,
            is_identity=True,
        ),
        Claim(
            "Code",
            "The network for MNIST has 7,638,657 parameters.",
            "11_the_network",
            parameters("mnist", 7_638_657),
            is_identity=True,
        ),
        Claim(
            "Code",
            "The network for CIFAR-10 and CelebA has 30,117,635 parameters.",
            "11_the_network",
            parameters("cifar10", 30_117_635),
            is_identity=True,
        ),
        Claim(
            "Code",
            "The network of Fig. 1 has 1,379,651 parameters.",
            "06_manifold_hypothesis",
            parameters("fig1_raw", 1_379_651),
            is_identity=True,
        ),
        Claim(
            "Sec. 4.2",
            "A trained score has a length that goes like $1/\\sigma$.",
            "09_perturbing_data",
            small(
                "power_of_score",
                lambda power: abs(power + 1) < 0.1,
                2,
                "it scales like σ to the power {}",
                stand_in=SMALL,
            ),
        ),
        Claim(
            "Sec. 4.2",
            "With the weight $\\lambda(\\sigma) = \\sigma^2$ the losses of all levels have one order of magnitude.",
            "13_mnist",
            losses_of_one_size,
        ),
        Claim(
            "Sec. 4.3",
            "Steps proportional to $\\sigma_i^2$ keep the ratio of signal to noise the same at all levels.",
            "10_annealed_langevin_dynamics",
            small(
                "signal_to_noise_range", lambda ratio: ratio < 2, 2, "largest over smallest level {}", stand_in=SMALL
            ),
        ),
        Claim(
            "Sec. 5",
            "Steps between $5 \\cdot 10^{-6}$ and $5 \\cdot 10^{-5}$ all work (twice as long in the form of the "
            "paper's formula).",
            "19_what_matters",
            steps_that_work,
        ),
        Claim(
            "Sec. 5",
            "The samples depend little on the number of steps T, from 10 on.",
            "19_what_matters",
            robust_in_steps,
        ),
    ],
    "Samples": [
        Claim(
            "Fig. 4, MNIST",
            "Samples emerge gradually from noise as the levels fall.",
            "13_mnist",
            first_of(emerges("mnist"), decided),
            PAPER_RUN.format("mnist"),
        ),
        Claim(
            "Fig. 4, CelebA",
            "Faces emerge gradually from noise as the levels fall.",
            "15_celeba",
            emerges("celeba"),
            command=PAPER_RUN.format("celeba"),
        ),
        Claim(
            "Fig. 4, CIFAR-10",
            "Images of CIFAR-10 emerge gradually, too.",
            "14_cifar10",
            emerges("cifar10"),
            command=PAPER_RUN.format("cifar10"),
        ),
        Claim(
            "Fig. 5, MNIST",
            "Uncurated samples are digits of all classes.",
            "13_mnist",
            first_of(samples("mnist"), digits_judged),
            PAPER_RUN.format("mnist"),
        ),
        Claim(
            "Fig. 5, CelebA",
            "Uncurated samples are faces.",
            "15_celeba",
            like_the_data("celeba"),
            command=PAPER_RUN.format("celeba"),
        ),
        Claim(
            "Fig. 5, CIFAR-10",
            "Uncurated samples of CIFAR-10 show its classes.",
            "14_cifar10",
            first_of(samples("cifar10"), samples("cifar10_small", CIFAR_SMALL)),
            command=PAPER_RUN.format("cifar10"),
        ),
        Claim(
            "App., MNIST",
            "A network trained on the level 0.01 alone yields nothing recognisable.",
            "13_mnist",
            first_of(like_the_data("mnist_baseline", wanted=False), baseline),
            PAPER_RUN.format("mnist_baseline"),
        ),
        Claim(
            "App., CelebA",
            "A network trained on the level 0.01 alone yields nothing recognisable on CelebA.",
            "15_celeba",
            like_the_data("celeba_baseline", wanted=False),
            command=PAPER_RUN.format("celeba_baseline"),
        ),
        Claim(
            "App., CIFAR-10",
            "A network trained on the level 0.01 alone yields nothing recognisable on CIFAR-10.",
            "14_cifar10",
            like_the_data("cifar10_baseline", wanted=False),
            command=PAPER_RUN.format("cifar10_baseline"),
        ),
    ],
    "Table 1": [
        Claim(
            "Table 1",
            "The inception score of NCSN on CIFAR-10 is 8.87 ± 0.12.",
            "18_measuring_quality",
            table_1(
                "{inception_score:.2f} ± {inception_score_std:.2f}",
                lambda found: abs(found["inception_score"] - 8.87) < 0.36,
            ),
            command=TABLE_RUN,
        ),
        Claim(
            "Table 1",
            "The FID of NCSN on CIFAR-10 is 25.32.",
            "18_measuring_quality",
            table_1("FID {fid:.2f}", lambda found: abs(found["fid"] / 25.32 - 1) < 0.1),
            command=TABLE_RUN,
        ),
        Claim(
            "Table 1",
            "The inception score of NCSN is the best of the models without labels; its FID is not.",
            "18_measuring_quality",
            table_1(
                "{inception_score:.2f} beside 8.80; FID {fid:.2f} beside 18.9",
                lambda found: found["inception_score"] > 8.80 and found["fid"] > 18.9,
            ),
            command=TABLE_RUN,
        ),
        Claim(
            "Sec. 5",
            "The inception score of NCSN is above that of most models that are given the class.",
            "18_measuring_quality",
            table_1("{inception_score:.2f} beside 8.30, 8.60 and 9.22", lambda found: found["inception_score"] > 8.60),
            command=TABLE_RUN,
        ),
        Claim(
            "Sec. 5",
            "The FID of NCSN is comparable to that of SNGAN, 21.7.",
            "18_measuring_quality",
            table_1("FID {fid:.2f}", lambda found: abs(found["fid"] / 21.7 - 1) < 0.25),
            command=TABLE_RUN,
        ),
    ],
    "Inpainting, and copies": [
        Claim(
            "Fig. 6, CelebA",
            "Faces of which half is given are completed to fit that half.",
            "15_celeba",
            completed("celeba"),
            command=PAPER_RUN.format("celeba"),
        ),
        Claim(
            "Fig. 6, CIFAR-10",
            "Images of CIFAR-10 of which half is given are completed to fit that half.",
            "14_cifar10",
            first_of(completed("cifar10"), completed("cifar10_small", CIFAR_SMALL)),
            PAPER_RUN.format("cifar10"),
        ),
        Claim(
            "Fig. 6",
            "The completed half agrees with the given one.",
            "16_inpainting",
            first_of(completed("cifar10"), seam),
            PAPER_RUN.format("cifar10"),
        ),
        Claim(
            "Fig. 6",
            "Completions of one image differ from one another.",
            "16_inpainting",
            first_of(
                completed("cifar10"),
                small(
                    "variety",
                    lambda ratio: 0.3 < ratio < 1.1,
                    2,
                    "their distance is {} times that of different digits",
                    stand_in=WIDE,
                ),
            ),
            PAPER_RUN.format("cifar10"),
        ),
        Claim(
            "App., pixels",
            "The nearest training images show that samples are not copies.",
            "17_does_it_copy",
            first_of(
                not_copies("cifar10", "in_pixels"),
                no_digits_copied("pixels", WIDE),
            ),
            PAPER_RUN.format("cifar10"),
        ),
        Claim(
            "App., features",
            "In the features of an Inception network, too, the samples are not copies.",
            "17_does_it_copy",
            first_of(
                not_copies("cifar10", "in_inception"),
                no_digits_copied("features", f"{WIDE}, a classifier's features"),
            ),
            TABLE_RUN,
        ),
    ],
}
"""The claims by chapter of the ledger."""


LATER = {
    "Song and Ermon (2020)": [
        Claim(
            "Techniques 1 to 5",
            "The five techniques together improve the samples.",
            "21_better_ladders",
            beside_2019(1, 2, 3, 4, 5),
        ),
        Claim(
            "Technique 1",
            "A first level as large as the largest distance of two data points improves the samples.",
            "21_better_ladders",
            beside_2019(1),
        ),
        Claim(
            "Technique 5",
            "The average of the weights improves the samples, and makes training more stable: the seeds scatter less.",
            "21_better_ladders",
            beside_2019(5, steadier=True),
        ),
    ],
    "Song et al. (2021)": [
        Claim(
            "Sec. 4.3",
            "With few calls, the probability-flow ODE makes better samples than the reverse SDE.",
            "24_few_steps",
            better_of("Heun", "reverse SDE"),
        ),
        Claim(
            "Table 1",
            "A predictor with a corrector makes better samples than the predictor alone at the same cost.",
            "22_ladders_to_equations",
            better_of("predictor-corrector", "reverse SDE"),
        ),
    ],
    "Karras et al. (2022)": [
        Claim(
            "Fig. 2",
            "Heun's method needs fewer calls than Euler's.",
            "24_few_steps",
            better_of("Heun", "Euler (DDIM)"),
        ),
        Claim(
            "Table 2",
            "A network with their preconditioning and loss weight learns better than one that predicts the noise.",
            "25_one_family",
            trained_better("edm", "noise"),
        ),
    ],
}
"""What three later papers claim, by paper; they are no part of the reproduction's count."""


def measure(claim):
    """The claim's number, or None where its result has not been made."""
    try:
        return claim.measure() if claim.measure is not None else None
    except FileNotFoundError:
        return None


def verdict(measured):
    """In one of four words how a claim stands."""
    if measured is None:
        return "not run yet"
    if not measured.holds:
        return "not"
    return "partly" if measured.stand_in else "reproduced"
