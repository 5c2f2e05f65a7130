"""What the paper and its poster claim, and which stored result says what about it: the source of the ledger.

A claim is told in our words. Its function measures it in results of book/results.
"""

import contextlib
import functools
import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass

from chapters import RESULTS

TRAIN, EVALUATE = "python -m ncsn_lib train {} --device cuda", "python -m ncsn_lib evaluate {} --num 50000 --inception"
PAPER_RUN = "python book/results/paper_run.py {}"
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


def fig1(data, says, holds):
    """Fig. 1 on digits: the trend of the loss over its last tenth, and the growth of its scatter."""

    def measured():
        runs = [run for run in load("digits_ssm_seeds")["runs"] if run["data"] == data]
        trends = [100 * (run["tenth_means"][-1] / run["tenth_means"][-2] - 1) for run in runs]
        growth = [run["tenth_spreads"][-1] / run["tenth_spreads"][4] for run in runs]
        number = says.format(spread(trends, 0, " %"), spread(growth, 1))
        return Measured(number, all(map(holds, trends, growth)), "digits_ssm_seeds", "8×8 digits, a perceptron")

    return measured


def blind():
    """The score's change with the weights, of which nothing is left in 64 bits."""
    largest = max(column("toy_claims", "change_with_weights"))
    number = f"relative change at most {largest:.0e} from weights 0.2, 0.8 to 0.5, 0.5"
    return Measured(number, largest < 1e-6, "toy_claims")


def colour():
    """What instance norm makes of a shifted channel, with and without its ++."""
    seen, plain = (column("toy_claims", key) for key in ("colour_seen", "colour_seen_plain"))
    number = f"a channel shifted by 0.5 changes its output by {spread(seen)}, without ++ by at most {max(plain):.0e}"
    return Measured(number, min(seen) > 0.5 > 1e-3 > max(plain), "toy_claims", "one norm at its start, untrained")


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


def completed(recipe, stand_in=""):
    """How well completions of a stored run fit what is given, beside real images."""

    def measured():
        stored = load(recipe)
        fit = stored["inpainting"]["masks"]
        seams, varieties = ([found[key] for found in fit.values()] for key in ("seam", "variety"))
        number = (
            f"jump across the seam {' and '.join(f'{seam:.2f}' for seam in seams)} times that of real images (left "
            f"and upper halves given); completions are apart by {min(varieties):.2f} of what images are"
        )
        return Measured(number, max(seams) < 1.5 and min(varieties) > 0.3, recipe, stand_in or copied(stored))

    return measured


def not_copies(recipe, space, stand_in=""):
    """How near samples of a stored run are to training images, beside test images."""

    def measured():
        stored = load(recipe)
        nearest = stored["statistics"]["nearest"]
        ratio = nearest["samples"][space]["0.5"] / nearest["test images"][space]["0.5"]
        number = f"median distance to the nearest training image {ratio:.2f} times that of test images"
        return Measured(number, ratio > 0.8, recipe, stand_in or copied(stored))

    return measured


def baseline():
    """The single level at the same budget, in the same metric."""
    runs = {run["name"]: run for run in load("mnist_small_baseline")["runs"]}
    one, ladder = runs["one level, 0.01"], runs["mnist_small"]
    number = (
        f"Frechet distance in a classifier's features {one['feature_distance']:.0f}, of the ladder "
        f"{ladder['feature_distance']:.1f}; classes found: {sum(share > 0 for share in one['class_shares'])} of 10"
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


def parameters(recipe, expected):
    """The parameters of a recipe's network, which are the authors'."""

    def measured():
        (found,) = column("toy_claims", f"parameters_{recipe}")
        return Measured(f"{found:,}", found == expected, "toy_claims")

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
            ),
        ),
        Claim(
            "Sec. 2.1",
            "Sliced score matching takes about four times the computation of denoising score matching.",
            "03_sliced_score_matching",
            toy(
                "cost_sliced",
                lambda cost: 3 < cost < 5,
                1,
                "{} times the operations, gradient included, by reverse mode",
            ),
        ),
        Claim(
            "Sec. 2.2",
            "Langevin dynamics with small steps and many of them samples the density whose score it is given.",
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
                "beside a circle it goes like σ to the power {}",
            ),
        ),
        Claim(
            "Fig. 1, left",
            "Sliced score matching on CIFAR-10 as it is: the loss does not settle.",
            "06_manifold_hypothesis",
            fig1(
                "raw",
                "loss falls by {} from the last tenth but one to the last, its scatter grows × {}",
                lambda trend, growth: trend > 8 and growth > 2.2,
            ),
            TRAIN.format("fig1_raw"),
        ),
        Claim(
            "Fig. 1, right",
            "With noise of variance 0.0001 added, it converges.",
            "06_manifold_hypothesis",
            fig1(
                "noise",
                "loss changes by {} over the same, its scatter × {}",
                lambda trend, growth: abs(trend) < 8 and growth < 2.2,
            ),
            TRAIN.format("fig1_noise"),
        ),
        Claim(
            "Sec. 3.1",
            "Noise of that size cannot be told by the eye.",
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
            "And wrong where there are next to none.",
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
        ),
        Claim(
            "Fig. 3, middle",
            "Langevin dynamics with the exact score misses the weights of the modes.",
            "08_slow_mixing",
            toy("mass_langevin", lambda mass: mass < 0.7, 3, "mass {} on the mode of weight 0.8"),
        ),
        Claim(
            "Fig. 3, right",
            "Annealed Langevin dynamics recovers them.",
            "08_slow_mixing",
            toy("mass_annealed", lambda mass: abs(mass - 0.8) < 0.05, 3, "mass {} on the mode of weight 0.8"),
        ),
        Claim(
            "Sec. 3.2.2",
            "The ladder of the text, 10 to 0.1, with the step of the appendix, 0.1, samples the mixture.",
            "08_slow_mixing",
            toy("finite_printed", lambda share: share > 0.99, 2, "share of chains that stay finite {}"),
        ),
    ],
    "The network, the loss and the sampler": [
        Claim(
            "App. A",
            "Instance norm loses what a colour is; the ++ of its means keeps it.",
            "11_the_network",
            colour,
        ),
        Claim(
            "Code",
            "The network for MNIST has 7,638,657 parameters.",
            "11_the_network",
            parameters("mnist", 7_638_657),
        ),
        Claim(
            "Code",
            "The network for CIFAR-10 and CelebA has 30,117,635 parameters.",
            "11_the_network",
            parameters("cifar10", 30_117_635),
        ),
        Claim(
            "Code",
            "The network of Fig. 1 has 1,379,651 parameters.",
            "06_manifold_hypothesis",
            parameters("fig1_raw", 1_379_651),
        ),
        Claim(
            "Sec. 4.2",
            "A trained score has a length that goes like $1/\\sigma$.",
            "09_perturbing_data",
            small(
                "power_of_score",
                lambda power: abs(power + 1) < 0.1,
                2,
                "it goes like σ to the power {}",
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
            "Steps between $5 \\cdot 10^{-6}$ and $5 \\cdot 10^{-5}$ all work (twice that in the form of the formula).",
            "19_what_matters",
            steps_that_work,
        ),
    ],
    "Samples": [
        Claim(
            "Fig. 4, MNIST",
            "Samples emerge gradually from noise as the levels fall.",
            "13_mnist",
            small(
                "decided_halfway",
                lambda share: share > 0.8,
                2,
                "share {} of samples are the digit they end as after half of the levels",
                stand_in=SMALL,
            ),
            PAPER_RUN.format("mnist"),
        ),
        Claim(
            "Fig. 4, CelebA", "The same for faces.", "15_celeba", samples("celeba"), command=PAPER_RUN.format("celeba")
        ),
        Claim(
            "Fig. 4, CIFAR-10",
            "The same for CIFAR-10.",
            "14_cifar10",
            samples("cifar10"),
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
            samples("celeba"),
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
            "A network of the level 0.01 alone yields nothing that could be recognised.",
            "13_mnist",
            baseline,
            TRAIN.format("mnist_baseline"),
        ),
        Claim("App., CelebA", "Nor on CelebA.", "15_celeba", None, command=TRAIN.format("celeba_baseline")),
        Claim("App., CIFAR-10", "Nor on CIFAR-10.", "14_cifar10", None, command=TRAIN.format("cifar10_baseline")),
    ],
    "Table 1": [
        Claim(
            "Table 1",
            "The inception score of NCSN on CIFAR-10 is 8.87 ± 0.12.",
            "18_measuring_quality",
            None,
            command=EVALUATE.format("cifar10"),
        ),
        Claim("Table 1", "Its FID is 25.32.", "18_measuring_quality", None, command=EVALUATE.format("cifar10")),
        Claim(
            "Table 1",
            "That is the best inception score of the models without labels, and not the best FID.",
            "18_measuring_quality",
            None,
            command=EVALUATE.format("cifar10"),
        ),
    ],
    "Inpainting, and copies": [
        Claim(
            "Fig. 6, CelebA",
            "Faces of which half is given are completed to fit it.",
            "15_celeba",
            completed("celeba"),
            command=PAPER_RUN.format("celeba"),
        ),
        Claim(
            "Fig. 6, CIFAR-10",
            "The same for CIFAR-10.",
            "14_cifar10",
            first_of(completed("cifar10"), completed("cifar10_small", CIFAR_SMALL)),
            PAPER_RUN.format("cifar10"),
        ),
        Claim(
            "Fig. 6",
            "The completed half agrees with the given one.",
            "16_inpainting",
            small(
                "seam", lambda jump: jump < 1.5, 2, "jump across the seam {} times that of real digits", stand_in=WIDE
            ),
            PAPER_RUN.format("cifar10"),
        ),
        Claim(
            "Fig. 6",
            "Completions of one image differ from one another.",
            "16_inpainting",
            small(
                "variety",
                lambda ratio: ratio > 0.3,
                2,
                "they are apart by {} of what different digits are",
                stand_in=WIDE,
            ),
            PAPER_RUN.format("cifar10"),
        ),
        Claim(
            "App., pixels",
            "The nearest training images show that samples are not copies.",
            "17_does_it_copy",
            first_of(
                not_copies("cifar10", "in_pixels"),
                small(
                    "nearest_pixels",
                    lambda ratio: ratio > 0.8,
                    2,
                    "median distance to the nearest training image {} times that of test digits",
                    stand_in=WIDE,
                ),
            ),
            PAPER_RUN.format("cifar10"),
        ),
        Claim(
            "App., features",
            "Nor are they in the features of an Inception network.",
            "17_does_it_copy",
            first_of(
                not_copies("cifar10", "in_features", "a classifier's features"),
                small(
                    "nearest_features",
                    lambda ratio: ratio > 0.8,
                    2,
                    "in a classifier's features {} times that of test digits",
                    stand_in=f"{WIDE}, a classifier's features",
                ),
            ),
            PAPER_RUN.format("cifar10"),
        ),
    ],
}
"""The claims by chapter of the ledger."""


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
