"""Solvers from noise to data, each against the exact solution where the data are Gaussian.

There the score is -x / (v + sigma^2). The probability flow multiplies a state by the square root of the variances'
ratio; a sampler that draws is linear in its draws, so one fed with unit draws gives its mean and variance exactly.
"""

import functools
import math

import numpy as np
import pytest
import torch
from problems import normal, refusals, seeded
from test_samplers import gaussian_score, unit_draws

from ncsn_lib import GaussianMixture, karras_sigmas
from ncsn_lib.metrics import mode_mass
from ncsn_lib.samplers import (
    adaptive_probability_flow,
    ancestral_sampling,
    denoising_step,
    dpm_solver_2m,
    langevin_step,
    predictor_corrector,
    probability_flow_ode,
    reverse_sde,
)

VARIANCE, TOP, LAST = 0.7, 3.0, 0.05
LADDER = torch.tensor([2.0, 1.2, 0.5, 0.2], dtype=torch.float64)
POINT = torch.tensor([[1.0]], dtype=torch.float64)
PAIR = torch.ones(1, 2, dtype=torch.float64)
MIXTURE = GaussianMixture(torch.tensor([[-2.0, 1.0], [2.0, 0.0]], dtype=torch.float64), 0.4, torch.tensor([0.3, 0.7]))


def even_levels(num):
    """Levels that cut [0, 3] in `num` equal steps, the last of which goes to 0."""
    return torch.linspace(TOP, 0, num + 1, dtype=torch.float64)[:-1]


def order(error, coarse=80):
    """The order that two step sizes show: by how many powers of two the error falls as the steps are halved."""
    return math.log2(error(coarse) / error(2 * coarse))


def flow_factor(first, last):
    """By what the flow multiplies a state from one level to another."""
    return math.sqrt((VARIANCE + last**2) / (VARIANCE + first**2))


def at_level(level, sampler, x, sigmas):
    """The state of a sampler as it reaches a level, before what it does there."""
    states = []
    sampler(gaussian_score(VARIANCE), x, sigmas, callback=lambda step: states.append(step.x))
    return states[level - 1]


# --- the probability flow


FLOWS = {
    "euler": (1, lambda *arguments, **options: probability_flow_ode(*arguments, method="euler", **options)),
    "heun": (2, probability_flow_ode),
    "multistep": (2, dpm_solver_2m),
}


@pytest.mark.parametrize("name", FLOWS)
def test_the_order_of_a_solver_of_the_flow(name):
    """To the last level on those of 2022; and of those that solve in sigma, on even levels, to sigma = 0."""
    expected, solver = FLOWS[name]

    def error_at_zero(num):
        end = solver(gaussian_score(VARIANCE), POINT, even_levels(num))
        return abs(end.item() - flow_factor(TOP, 0))

    def error_at_last(num):
        sigmas = karras_sigmas(TOP, LAST, num + 1).double()
        return abs(at_level(num, solver, POINT, sigmas).item() - flow_factor(TOP, sigmas[-1].item()))

    assert order(error_at_last) == pytest.approx(expected, abs=0.15)
    if solver is not dpm_solver_2m:  # which solves in log(sigma), where the last steps on even levels stay long
        assert order(error_at_zero) == pytest.approx(expected, abs=0.15)


@pytest.mark.parametrize(("name", "calls"), [("euler", 4), ("heun", 7), ("multistep", 4)])
def test_what_a_solver_of_the_flow_asks_of_the_model(name, calls):
    """As many calls as it says; and its callback sees every step."""
    asked, seen = [], []
    score = gaussian_score(VARIANCE)
    end = FLOWS[name][1](
        lambda x, sigma: asked.append(sigma.item()) or score(x, sigma), POINT, LADDER, callback=seen.append
    )
    assert len(asked) == calls
    assert sorted(set(asked), reverse=True) == LADDER.tolist()
    assert [step[1:4] for step in seen] == [(level, 0, sigma) for level, sigma in enumerate(LADDER.tolist())]
    assert [step.step_size for step in seen] == pytest.approx([0.8, 0.7, 0.3, 0.2])
    assert torch.equal(seen[-1].x, end)


@pytest.mark.parametrize("name", FLOWS)
def test_around_a_point_the_flow_is_straight(name):
    """Where all data is one point the noise only shrinks, in proportion to sigma, whatever the step."""
    states, start = [], normal(3, 2)
    FLOWS[name][1](
        lambda x, sigma: -x / sigma[:, None] ** 2, start, LADDER, callback=lambda step: states.append(step.x)
    )
    torch.testing.assert_close(torch.stack(states[:-1]), LADDER[1:, None, None] / LADDER[0] * start)
    assert states[-1].abs().max() < 1e-14


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_adaptive_flow_is_the_exact_one(dtype):
    start, seen = normal(5, 3).to(dtype), []
    score = gaussian_score(VARIANCE)
    end = adaptive_probability_flow(score, start, 50.0, 0.0, callback=seen.append)
    torch.testing.assert_close(end, start * flow_factor(50, 0), rtol=0, atol=1e-5)
    assert [step.level for step in seen] == list(range(len(seen)))
    assert seen[0].sigma == 50
    assert seen[-1].sigma - seen[-1].step_size == pytest.approx(0, abs=1e-12)
    for step in seen:
        after = step.sigma - step.step_size
        torch.testing.assert_close(step.x, start * flow_factor(50, after), rtol=0, atol=1e-4)
    tight = adaptive_probability_flow(score, normal(5, 3), 50.0, 0.1, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(tight, normal(5, 3) * flow_factor(50, 0.1), rtol=0, atol=1e-8)
    denoised = adaptive_probability_flow(score, normal(5, 3), 50.0, 0.1, rtol=1e-9, atol=1e-9, denoise=True)
    torch.testing.assert_close(denoised, tight * VARIANCE / (VARIANCE + 0.01), rtol=1e-12, atol=0)


def test_the_flow_takes_noise_to_the_mixture():
    x = 30 * torch.randn(4000, 2, generator=seeded(), dtype=torch.float64)
    sigmas = karras_sigmas(30.0, 0.02, 20).double()
    ends = [
        adaptive_probability_flow(MIXTURE.score, x, 30.0, 0.0),
        *[f(MIXTURE.score, x, sigmas) for _, f in FLOWS.values()],
    ]
    for end in ends:
        assert mode_mass(end, MIXTURE.means)[1].item() == pytest.approx(0.7, abs=0.03)
    by_heun, by_multistep = (end - ends[0] for end in ends[2:])
    assert by_heun.norm(dim=1).median() < 0.02
    assert by_multistep.norm(dim=1).median() < 0.05


# --- samplers that draw

DRAWING = {
    "reverse": reverse_sde,
    "ancestral": ancestral_sampling,
    "half ancestral": lambda *arguments, **options: ancestral_sampling(*arguments, eta=0.5, **options),
}


@pytest.mark.parametrize("moment", ["mean", "variance"])
@pytest.mark.parametrize(("name", "eta"), [("reverse", 1.0), ("ancestral", 1.0), ("half ancestral", 0.5)])
def test_the_weak_order_of_a_sampler_that_draws(name, eta, moment):
    """A chain from N(1, TOP^2), whose moments follow from its draws' weights, against the limit of short steps.

    The limit is `dx = (1 + eta^2) / 2 score d(sigma^2) + eta dw`, which on Gaussian data shrinks the mean, and what the
    variance has too little of, by a power of the variances' ratio.
    """
    factor = (VARIANCE / (VARIANCE + TOP**2)) ** (0.5 * (1 + eta**2))
    exact = {"mean": factor, "variance": VARIANCE - VARIANCE * factor**2}

    def error(num):
        x, randn_like = unit_draws(num - 1)
        weights = DRAWING[name](gaussian_score(VARIANCE), x, even_levels(num), randn_like=randn_like)[:, 0]
        found = {"mean": weights[0], "variance": (TOP * weights[0]) ** 2 + weights[1:].square().sum()}
        return abs(found[moment].item() - exact[moment])

    if moment == "mean" and eta == 1:  # where a step is exact: 1 - ds / (v + s) is the variances' ratio
        assert error(80) < 1e-15
    else:
        assert order(error) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("name", DRAWING)
def test_around_a_point_a_sampler_keeps_the_ladders_noise(name):
    """The ancestral ones exactly; the reverse equation's step, of finite length, leaves too much."""
    states = []
    x, randn_like = unit_draws(3)
    DRAWING[name](
        lambda x, sigma: -x / sigma[:, None] ** 2, LADDER[0] * x, LADDER, randn_like=randn_like,
        callback=lambda step: states.append(step.x.norm().item()),
    )  # fmt: skip
    expected, variance = [], LADDER[0].item() ** 2
    for sigma, following in zip(LADDER.tolist(), LADDER.tolist()[1:], strict=False):
        variance = (following / sigma) ** 4 * variance + sigma**2 - following**2
        expected.append(math.sqrt(variance))
    expected = expected if name == "reverse" else LADDER[1:].tolist()
    assert states[:-1] == pytest.approx(expected, rel=1e-12)
    assert states[-1] < 1e-14


def test_an_ancestral_step_draws_from_the_bridge():
    """Given the clean point and the noisy one, the level between is Gaussian: its mean and variance, by conditioning.

    On one-point data the two increments of the noise are independent, of variances s'^2 and s^2 - s'^2.
    """
    sigma, following, state = 1.5, 0.6, 0.8
    covariance = np.array([[following**2, following**2], [following**2, sigma**2]])
    mean = covariance[0, 1] / covariance[1, 1] * state
    spread = math.sqrt(covariance[0, 0] - covariance[0, 1] ** 2 / covariance[1, 1])
    found = []
    for noise in (0.0, 1.0):
        ancestral_sampling(
            lambda x, sigma: -x / sigma[:, None] ** 2,
            state * POINT,
            torch.tensor([sigma, following], dtype=torch.float64),
            randn_like=lambda x, noise=noise: noise * torch.ones_like(x),
            callback=lambda step: found.append(step.x.item()),
        )
    assert found[0] == pytest.approx(mean, rel=1e-12)
    assert found[2] == pytest.approx(mean + spread, rel=1e-12)


def test_without_its_draws_ancestral_sampling_is_the_flow():
    start = normal(4, 2)
    end = ancestral_sampling(MIXTURE.score, start, LADDER, eta=0.0, randn_like=lambda x: 1e9 * torch.ones_like(x))
    expected = probability_flow_ode(MIXTURE.score, start, LADDER, method="euler")
    torch.testing.assert_close(end, expected, rtol=1e-12, atol=1e-12)


def test_a_correction_is_the_papers_step():
    """Algorithm 4 by hand, for each example: epsilon = 2 (r |z| / |g|)^2, x + epsilon g + sqrt(2 epsilon) z."""
    start, sigmas, draws, r = normal(3, 2), LADDER[:2], iter(normal(3, 3, 2, seed=1)), 0.3
    ends, kept = [], normal(3, 3, 2, seed=1)
    predictor_corrector(
        MIXTURE.score, start, sigmas, snr=r, num_corrector_steps=2, randn_like=lambda x: next(draws),
        callback=lambda step: ends.append(step.x),
    )  # fmt: skip
    level = torch.full((3,), sigmas[1].item(), dtype=torch.float64)
    variance = sigmas[0] ** 2 - sigmas[1] ** 2
    x = start + variance * MIXTURE.score(start, sigmas[0]) + variance.sqrt() * kept[0]
    for z in kept[1:]:
        g = MIXTURE.score(x, level)
        rows = []
        for one in range(3):
            epsilon = 2 * (r * np.linalg.norm(z[one]) / np.linalg.norm(g[one])) ** 2
            rows.append(x[one] + epsilon * g[one] + math.sqrt(2 * epsilon) * z[one])
            along, across = epsilon * g[one], math.sqrt(2 * epsilon) * z[one]
            assert (along.norm() / across.norm()).item() == pytest.approx(r)
        x = torch.stack(rows)
    torch.testing.assert_close(ends[0], x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ends[1], denoising_step(MIXTURE.score, x, sigmas[1].item()), rtol=1e-12, atol=1e-12)


def test_without_corrections_only_the_prediction_is_left():
    start = normal(4, 2)
    options = {"generator": seeded(1)}
    predicted = predictor_corrector(MIXTURE.score, start, LADDER, num_corrector_steps=0, **options)
    assert torch.equal(predicted, reverse_sde(MIXTURE.score, start, LADDER, generator=seeded(1)))


def test_corrections_repair_a_coarse_prediction():
    """Of one point in many dimensions, by the mean square of what is left at the last level, over its variance."""
    sigmas, left = torch.tensor([4.0, 2.0, 1.0], dtype=torch.float64), []
    for num in (0, 40):
        predictor_corrector(
            lambda x, sigma: -x / sigma[:, None] ** 2, 4 * normal(2, 1000), sigmas, snr=0.2, num_corrector_steps=num,
            generator=seeded(3), callback=lambda step: left.append(step.x.square().mean().item()),
        )  # fmt: skip
    without, corrected = left[1], left[4]
    assert without > 3.5  # 16 -> 16 / 16 + 12 = 13 -> 13 / 16 + 3
    assert corrected == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("sampler", [*DRAWING.values(), functools.partial(predictor_corrector, snr=0.03)])
def test_draws_end_in_the_mixture(sampler):
    x = 30 * torch.randn(4000, 2, generator=seeded(), dtype=torch.float64)
    end = sampler(MIXTURE.score, x, karras_sigmas(30.0, 0.02, 60).double(), generator=seeded(1))
    assert mode_mass(end, MIXTURE.means)[1].item() == pytest.approx(0.7, abs=0.03)


# --- bad input


REFUSED = {
    "got 'rk4'": lambda: probability_flow_ode(MIXTURE.score, PAIR, LADDER, method="rk4"),
    "sigmas must strictly decrease": lambda: probability_flow_ode(MIXTURE.score, PAIR, LADDER.flip(0)),
    r"x must be \(B, \*D\)": lambda: dpm_solver_2m(MIXTURE.score, PAIR[0], LADDER),
    "at least one level": lambda: reverse_sde(MIXTURE.score, PAIR, LADDER[:0]),
    "eta must be from 0 to 1, got 1.5": lambda: ancestral_sampling(MIXTURE.score, PAIR, LADDER, eta=1.5),
    "eta must be finite and at least 0": lambda: ancestral_sampling(MIXTURE.score, PAIR, LADDER, eta=-1.0),
    "snr must be a finite number above 0": lambda: predictor_corrector(MIXTURE.score, PAIR, LADDER, snr=0.0),
    r"step_size must be finite and at least 0, got \[inf\]": lambda: predictor_corrector(flat, PAIR, LADDER),
    "num_corrector_steps must be at least 0": lambda: predictor_corrector(flat, PAIR, LADDER, num_corrector_steps=-1),
    "sigma_max must be above sigma_min, got 1.0 and 1.0": lambda: adaptive_probability_flow(flat, PAIR, 1.0, 1.0),
    "rtol must be a finite number above 0": lambda: adaptive_probability_flow(flat, PAIR, 1.0, 0.1, rtol=0.0),
    r"step_size must be finite and at least 0, got \[-1.0\]": lambda: langevin_step(PAIR, PAIR, -PAIR[:, 0], PAIR),
    r"step_size must be \(1,\)": lambda: langevin_step(PAIR, PAIR, PAIR[0], PAIR),
}


def flat(x, sigma):
    """No score at all."""
    return 0 * x


test_what_a_solver_refuses = refusals(REFUSED)


def test_a_score_that_is_no_number_ends_the_solver():
    with pytest.raises(ArithmeticError, match=r"the score is not finite at sigma = 0\.4"):
        adaptive_probability_flow(lambda x, sigma: torch.where(sigma[:, None] < 0.5, math.nan, -x), PAIR, 1.0, 0.1)
