"""Samplers against the closed form of their own chain, not only of its limit.

With the score -x / v a chain is linear: each step multiplies the state by 1 - alpha / 2v and adds sqrt(alpha) z. So
the weight of every draw in the last state is known, and with it the state's exact mean and variance.
"""

import math

import pytest
import torch
from problems import seeded

from ncsn_lib.distributions import GaussianMixture
from ncsn_lib.metrics import mode_mass
from ncsn_lib.samplers import (
    annealed_langevin_dynamics,
    consistent_annealed_sampling,
    consistent_inpaint,
    denoising_step,
    inpaint,
    langevin_dynamics,
    langevin_step,
)
from ncsn_lib.schedules import geometric_sigmas

PAPER = GaussianMixture(torch.tensor([[-5.0, -5.0], [5.0, 5.0]]), 1.0, torch.tensor([0.2, 0.8]))
X = torch.zeros(4, 2)
SCORE = lambda x, sigma: -x  # noqa: E731


def gaussian_score(variance):
    """The score of N(0, variance + sigma^2)."""
    return lambda x, sigma: -x / (variance + sigma[:, None] ** 2)


def unit_draws(num_steps):
    """A start and a `randn_like` whose row j is 1 at draw j alone (row 0: the start): the chain's own weights."""
    rows = iter(torch.eye(num_steps + 1, dtype=torch.float64)[1:])
    return torch.eye(num_steps + 1, dtype=torch.float64)[:, :1].clone(), lambda x: next(rows)[:, None]


def test_a_step_is_its_formula():
    x, score, noise = torch.tensor([[1.0, 2.0]]), torch.tensor([[4.0, -8.0]]), torch.tensor([[3.0, 1.0]])
    # alpha = 1/4: half of it is 1/8, its root 1/2; all exact in binary.
    assert langevin_step(x, score, 0.25, noise).tolist() == [[1 + 0.5 + 1.5, 2 - 1 + 0.5]]


@pytest.mark.parametrize("step_size", [0.1, 1.0, 3.0])
def test_every_draw_has_its_weight_in_a_gaussian_chain(step_size):
    variance, num_steps = 0.8, 30
    x, randn_like = unit_draws(num_steps)
    last = langevin_dynamics(
        gaussian_score(variance), x, 0.0, step_size=step_size, num_steps=num_steps, randn_like=randn_like
    )
    factor = 1 - step_size / (2 * variance)
    expected = [factor**num_steps] + [math.sqrt(step_size) * factor ** (num_steps - j) for j in range(1, num_steps + 1)]
    torch.testing.assert_close(last[:, 0], torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def test_stationary_variance_is_that_of_the_discretised_chain():
    """v / (1 - alpha / 4v): at alpha = v it is a third above the density's, and the samples must show that."""
    variance, step_size, num, generator = 0.5, 0.5, 40_000, seeded()
    x = langevin_dynamics(
        gaussian_score(variance),
        torch.zeros(num, 1),
        0.0,
        step_size=step_size,
        num_steps=60,  # the start is forgotten: 0.5^60
        generator=generator,
    )
    expected = variance / (1 - step_size / (4 * variance))
    error = expected * math.sqrt(2 / num)
    assert x.var().item() == pytest.approx(expected, abs=4 * error)
    assert abs(x.var().item() - variance) > 10 * error


@pytest.mark.parametrize(("step_size", "grows"), [(3.96, False), (4.0, None), (4.04, True)])
def test_where_it_diverges(step_size, grows):
    """Without noise, from 1: the factor is -0.98, -1 or -1.02."""
    x = langevin_dynamics(
        gaussian_score(1.0), torch.ones(1, 1).double(), 0.0, step_size=step_size, num_steps=200,
        randn_like=torch.zeros_like,
    )  # fmt: skip
    assert x.item() == pytest.approx((1 - step_size / 2) ** 200, rel=1e-10)
    assert (x.item() > 1) == bool(grows)


def test_annealed_chain_has_its_weights_level_by_level():
    variance, num_steps, eps = 0.3, 4, 0.02
    sigmas = torch.tensor([2.0, 0.7, 0.25], dtype=torch.float64)
    x, randn_like = unit_draws(12)
    last = annealed_langevin_dynamics(
        gaussian_score(variance), x, sigmas, eps=eps, num_steps=num_steps, randn_like=randn_like
    )
    weights = [1.0]
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / 0.25**2
        factor = 1 - alpha / (2 * (variance + sigma**2))
        for _ in range(num_steps):
            weights = [factor * w for w in weights] + [math.sqrt(alpha)]
    torch.testing.assert_close(last[:, 0], torch.tensor(weights, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def test_the_last_step_denoises_once():
    variance, sigmas = 0.3, torch.tensor([1.0, 0.5], dtype=torch.float64)
    options = {"eps": 0.1, "num_steps": 2, "randn_like": torch.ones_like}
    x = torch.ones(3, 1).double()
    plain = annealed_langevin_dynamics(gaussian_score(variance), x, sigmas, **options)
    denoised = annealed_langevin_dynamics(gaussian_score(variance), x, sigmas, denoise=True, **options)
    # Tweedie: the posterior mean of N(0, v) data under noise of variance 1/4 is v / (v + 1/4) of what is seen.
    torch.testing.assert_close(denoised, plain * variance / (variance + 0.25), rtol=1e-12, atol=0)


def test_denoising_step_is_the_exact_denoiser():
    mixture = GaussianMixture(torch.tensor([[-2.0, 0.0], [2.0, 1.0]]), 0.5)
    x = mixture.sample(50, 1.5, generator=seeded())
    torch.testing.assert_close(denoising_step(mixture.score, x, 1.5), mixture.denoise(x, 1.5))


def test_callback_sees_every_step_in_order():
    seen, sigmas = [], torch.tensor([4.0, 1.0])
    labels = []

    def score_fn(x, sigma):
        labels.append(sigma.tolist())
        return -x

    last = annealed_langevin_dynamics(
        score_fn, torch.ones(2, 1), sigmas, eps=0.25, num_steps=2,
        callback=lambda s: seen.append((s.level, s.step, s.sigma, s.step_size, s.x)),
    )  # fmt: skip
    assert [s[:4] for s in seen] == [(0, 0, 4.0, 4.0), (0, 1, 4.0, 4.0), (1, 0, 1.0, 0.25), (1, 1, 1.0, 0.25)]
    assert labels == [[4.0, 4.0]] * 2 + [[1.0, 1.0]] * 2
    assert torch.equal(seen[-1][4], last)


# --- consistent annealed sampling


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_consistent_sampling_keeps_the_ladders_noise_around_a_point(eta):
    """Where all data is one point, the state after each level is that point with noise of exactly the next level."""
    sigmas, point = geometric_sigmas(4.0, 0.1, 8).double(), torch.tensor([1.0], dtype=torch.float64)
    x, randn_like = unit_draws(7)
    sizes = []
    last = consistent_annealed_sampling(
        lambda x, sigma: (point - x) / sigma[:, None] ** 2,
        point + sigmas[0] * x,
        sigmas,
        eta=eta,
        randn_like=randn_like,
        callback=lambda step: sizes.append((step.x - point).norm().item()),  # the rows are independent draws
    )
    assert sizes == pytest.approx(sigmas[1:].tolist(), rel=1e-10)
    torch.testing.assert_close(last, point.expand(8, 1), rtol=0, atol=1e-12)


def test_consistent_sampling_has_its_weights_level_by_level():
    variance, eta, sigmas = 0.3, 0.6, torch.tensor([2.0, 1.0, 0.5], dtype=torch.float64)
    x, randn_like = unit_draws(2)
    last = consistent_annealed_sampling(gaussian_score(variance), x, sigmas, eta=eta, randn_like=randn_like)
    weights = [1.0]
    for sigma, following in ((2.0, 1.0), (1.0, 0.5)):
        gamma = following / sigma
        added = following * math.sqrt(1 - ((1 - eta) / gamma) ** 2)  # the paper's form
        weights = [w * (1 - eta * sigma**2 / (variance + sigma**2)) for w in weights] + [added]
    shrink = variance / (variance + 0.25)
    torch.testing.assert_close(last[:, 0], shrink * torch.tensor(weights, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def test_consistent_sampling_draws_a_mixture():
    torch.manual_seed(0)
    sigmas = geometric_sigmas(30.0, 0.05, 40)
    x = consistent_annealed_sampling(PAPER.score, 30 * torch.randn(4000, 2), sigmas, eta=0.3)
    assert mode_mass(x, PAPER.means)[1].item() == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize(
    ("eta", "message"),
    [
        (0.4, r"at least 1 - sigma_\(i\+1\) / sigma_i = 0\.5 on this ladder, got 0\.4"),
        (1.1, "eta must be at most 1"),
        (-0.1, "eta must be a finite number above 0"),
        (math.nan, "eta must be a finite number"),
    ],
)
def test_an_eta_that_asks_for_less_noise_than_there_is(eta, message):
    with pytest.raises(ValueError, match=message):
        consistent_annealed_sampling(SCORE, X, torch.tensor([1.0, 0.5]), eta=eta)


# --- inpainting


def correlated_score(x, sigma):
    """Of a Gaussian in the plane with correlation 0.8; one level for the whole batch."""
    cov = torch.tensor([[1.0, 0.8], [0.8, 1.0]])
    return -x @ torch.linalg.inv(cov + sigma[0] ** 2 * torch.eye(2))


def test_inpainting_draws_the_rest_given_the_known():
    """The second coordinate given the first."""
    torch.manual_seed(0)
    known, mask = torch.tensor([[1.5, 7.0]]).expand(4000, 2), torch.tensor([True, False])
    x = inpaint(
        correlated_score, torch.rand(4000, 2), known, mask, geometric_sigmas(3.0, 0.02, 30), eps=2e-4, num_steps=100,
        renoise=True,
    )  # fmt: skip
    assert (x[:, 0] == 1.5).all()
    # N(0.8 * 1.5, 1 - 0.64). The steps of levels below about 0.1 are too small to forget those above, whose known half
    # has noise: that shrinks the mean by about a hundredth and leaves a spread of a few hundredths too much.
    assert x[:, 1].mean().item() == pytest.approx(1.2, abs=0.08)
    assert x[:, 1].std().item() == pytest.approx(0.6, abs=0.05)


def test_nothing_known_is_annealed_langevin():
    sigmas, options = torch.tensor([1.0, 0.5]), {"eps": 0.1, "num_steps": 3, "denoise": True}
    draws = iter(torch.randn(8, 4, 2, generator=seeded()))
    mask = torch.zeros(2, dtype=torch.bool)
    x = inpaint(SCORE, torch.ones(4, 2), X, mask, sigmas, randn_like=lambda x: next(draws), **options)
    draws = iter(torch.randn(8, 4, 2, generator=seeded())[[1, 2, 3, 5, 6, 7]])  # the first of a level is the known's
    expected = annealed_langevin_dynamics(SCORE, torch.ones(4, 2), sigmas, randn_like=lambda x: next(draws), **options)
    assert torch.equal(x, expected)


@pytest.mark.parametrize(("renoise", "same"), [(False, True), (True, False)])
def test_known_noise_once_a_level_or_every_step(renoise, same):
    torch.manual_seed(0)
    seen = []
    inpaint(
        SCORE, X, torch.ones(4, 2), torch.tensor([True, False]), torch.tensor([1.0, 0.5]), eps=0.1, num_steps=2,
        renoise=renoise, callback=lambda step: seen.append(step.x[:, 0]),
    )  # fmt: skip
    assert torch.equal(seen[0], seen[1]) == same
    assert not torch.equal(seen[1], seen[2])


@pytest.mark.parametrize(
    ("known", "mask", "error", "message"),
    [
        (torch.zeros(4, 3), torch.tensor(True), ValueError, r"known must be \(4, 2\)"),
        (X, torch.ones(2), TypeError, "mask must be a bool tensor, got torch.float32"),
        (X, [True, False], TypeError, "mask must be a bool tensor, got list"),
        (X, torch.ones(3, dtype=torch.bool), ValueError, r"mask must broadcast to x \(4, 2\), got \(3,\)"),
    ],
)
def test_bad_masks(known, mask, error, message):
    sigmas = torch.tensor([1.0, 0.5])
    with pytest.raises(error, match=message):
        inpaint(SCORE, X, known, mask, sigmas, eps=0.1, num_steps=1)
    with pytest.raises(error, match=message):
        consistent_inpaint(SCORE, X, known, mask, sigmas, eta=0.8)


def test_consistent_inpainting_draws_the_rest_given_the_known():
    """The same, N(0.8 * 1.5, 1 - 0.64)."""
    torch.manual_seed(0)
    known, mask = torch.tensor([[1.5, 7.0]]).expand(4000, 2), torch.tensor([True, False])
    x = consistent_inpaint(
        correlated_score, 3 * torch.randn(4000, 2), known, mask, geometric_sigmas(3.0, 0.02, 200), eta=0.3
    )
    assert (x[:, 0] == 1.5).all()
    # The known half's noise is not the noise that the unknown half has seen, which costs the mean 0.08 and the spread
    # 0.03 on this ladder; without the known half the mean would be 0 and the spread 1.
    assert x[:, 1].mean().item() == pytest.approx(1.2, abs=0.12)
    assert x[:, 1].std().item() == pytest.approx(0.6, abs=0.05)


def test_consistent_sampling_says_which_level_it_left_and_by_how_much():
    seen = []
    consistent_annealed_sampling(SCORE, X, torch.tensor([2.0, 1.0, 0.5]), eta=0.7, callback=seen.append)
    assert [(step.level, step.step, step.sigma) for step in seen] == [(0, 0, 2.0), (1, 0, 1.0)]
    assert [step.step_size for step in seen] == pytest.approx([0.7 * 4.0, 0.7])


def test_nothing_known_is_consistent_sampling():
    sigmas, mask = torch.tensor([2.0, 1.0, 0.5]), torch.zeros(2, dtype=torch.bool)
    draws = iter(torch.randn(5, 4, 2, generator=seeded()))
    x = consistent_inpaint(SCORE, torch.ones(4, 2), X, mask, sigmas, eta=0.7, randn_like=lambda x: next(draws))
    draws = iter(torch.randn(5, 4, 2, generator=seeded())[[1, 3]])  # the others are the known's
    expected = consistent_annealed_sampling(SCORE, torch.ones(4, 2), sigmas, eta=0.7, randn_like=lambda x: next(draws))
    assert torch.equal(x, expected)


def test_consistent_inpainting_has_the_levels_noise_on_what_is_known():
    torch.manual_seed(0)
    known, seen = torch.full((4000, 2), 3.0), []
    consistent_inpaint(
        SCORE, torch.ones(4000, 2), known, torch.tensor([True, False]), torch.tensor([2.0, 1.0, 0.5]), eta=0.7,
        callback=lambda step: seen.append((step.x[:, 0] - 3).std().item()),
    )  # fmt: skip
    assert seen == pytest.approx([1.0, 0.5], rel=4 / math.sqrt(2 * 4000))  # four standard errors


def test_plain_langevin_loses_the_weights_and_annealing_keeps_them():
    """The paper's Fig. 3 with 1,280 chains: 0.51 and 0.78 of the mass, whose standard error is 0.014 and 0.012."""
    generator = seeded(3)
    start = 16 * torch.rand(1280, 2, generator=generator) - 8
    plain = langevin_dynamics(PAPER.score, start, 0.0, step_size=0.1, num_steps=1000, generator=generator)
    annealed = annealed_langevin_dynamics(
        PAPER.score, start, geometric_sigmas(20.0, 1.0, 10), eps=0.1, num_steps=100, generator=generator
    )
    assert mode_mass(plain, PAPER.means)[1].item() == pytest.approx(0.51, abs=0.05)
    assert mode_mass(annealed, PAPER.means)[1].item() == pytest.approx(0.78, abs=0.05)


# --- bad input

GOOD = {"step_size": 0.1, "num_steps": 2}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"step_size": -0.1}, ValueError, "step_size must be a finite number above 0, got -0.1"),
        ({"step_size": 0}, ValueError, "step_size"),
        ({"step_size": math.nan}, ValueError, "step_size"),
        ({"step_size": "0.1"}, TypeError, "step_size must be one number"),
        ({"num_steps": 0}, ValueError, "num_steps must be at least 1, got 0"),
        ({"num_steps": 2.0}, TypeError, "num_steps must be an int"),
        ({"sigma": -1.0}, ValueError, "sigma must be finite and at least 0, got -1.0"),
        ({"x": torch.zeros(2)}, ValueError, "a batch of examples"),
        ({"x": torch.zeros(4, 2).int()}, TypeError, "floating point"),
        ({"score_fn": lambda x, sigma: x[:, 0]}, ValueError, r"shape of x \(4, 2\), got \(4,\)"),
    ],
)
def test_bad_input(change, error, message):
    arguments = {"score_fn": SCORE, "x": X, "sigma": 1.0, **GOOD, **change}
    with pytest.raises(error, match=message):
        langevin_dynamics(**arguments)


@pytest.mark.parametrize(
    ("sigmas", "eps", "message"),
    [
        (torch.tensor([0.1, 1.0]), 0.1, "strictly decrease"),
        (torch.tensor([1.0, -0.1]), 0.1, "above 0"),
        (torch.tensor([1.0, 0.1]), -0.1, "eps must be a finite number above 0"),
        (torch.tensor(1.0), 0.1, r"sigmas must be \(L,\)"),
    ],
)
def test_bad_ladder(sigmas, eps, message):
    with pytest.raises(ValueError, match=message):
        annealed_langevin_dynamics(SCORE, X, sigmas, eps=eps, num_steps=1)
