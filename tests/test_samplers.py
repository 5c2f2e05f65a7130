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
from ncsn_lib.samplers import annealed_langevin_dynamics, denoising_step, langevin_dynamics, langevin_step
from ncsn_lib.schedules import geometric_sigmas


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
        randn_like=lambda x: torch.randn(x.shape, generator=generator),
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


def test_no_trace_of_a_sampler_is_left():
    x, layer = torch.ones(3, 2), torch.nn.Linear(2, 2)
    kept = x.clone()
    last = langevin_dynamics(lambda x, sigma: layer(x), x, 0.1, step_size=0.1, num_steps=3)
    assert torch.equal(x, kept)
    assert not last.requires_grad
    assert last.dtype == x.dtype


PAPER = GaussianMixture(torch.tensor([[-5.0, -5.0], [5.0, 5.0]]), 1.0, torch.tensor([0.2, 0.8]))


def test_plain_langevin_loses_the_weights_and_annealing_keeps_them():
    """The paper's Fig. 3 with 1,280 chains: 0.51 and 0.78 of the mass, whose standard error is 0.014 and 0.012."""
    generator = seeded(3)
    randn_like = lambda x: torch.randn(x.shape, generator=generator)  # noqa: E731
    start = 16 * torch.rand(1280, 2, generator=generator) - 8
    plain = langevin_dynamics(PAPER.score, start, 0.0, step_size=0.1, num_steps=1000, randn_like=randn_like)
    annealed = annealed_langevin_dynamics(
        PAPER.score, start, geometric_sigmas(20.0, 1.0, 10), eps=0.1, num_steps=100, randn_like=randn_like
    )
    assert mode_mass(plain, PAPER.means)[1].item() == pytest.approx(0.51, abs=0.05)
    assert mode_mass(annealed, PAPER.means)[1].item() == pytest.approx(0.78, abs=0.05)


# --- bad input

X = torch.zeros(4, 2)
SCORE = lambda x, sigma: -x  # noqa: E731
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
