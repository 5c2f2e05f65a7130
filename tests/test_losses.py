"""Losses against their definitions, exact integrals, finite differences, and each other.

Expectations are sums over Gauss-Hermite nodes or over all sign vectors, so they are exact, and tolerances are the
rounding of double precision over some thousand terms: 1e-10.
"""

import itertools
import math

import pytest
import torch
from problems import normal, normal_nodes, seeded, smooth_network

from ncsn_lib.distributions import GaussianMixture
from ncsn_lib.losses import (
    denoising_score_matching_loss,
    explicit_score_matching_loss,
    flow_matching_loss,
    gaussian_projections,
    implicit_score_matching_loss,
    log_normal_sigmas,
    ncsn_loss,
    rademacher_projections,
    sliced_score_matching_loss,
    sliced_score_matching_vr_loss,
    sphere_projections,
    variance_weight,
)

EXACT = {"rtol": 0, "atol": 1e-10}
SLICED = [sliced_score_matching_loss, sliced_score_matching_vr_loss]


def linear_score(matrix):
    """The score -A x, of N(0, A^-1) if A is symmetric."""
    return lambda x, sigma: -(x.flatten(1) @ matrix.T).view(x.shape)


def test_explicit_loss_is_half_the_squared_distance():
    x, score_fn, sigma = normal(5, 3), smooth_network(3), normal(5).exp()
    truth, scores = normal(5, 3, seed=1), score_fn(x, sigma)
    expected = [sum((s - t) ** 2 for s, t in zip(*rows, strict=True)) / 2 for rows in zip(scores, truth, strict=True)]
    torch.testing.assert_close(explicit_score_matching_loss(score_fn, x, sigma, truth), torch.stack(expected), **EXACT)


@pytest.mark.parametrize("shape", [(4,), (1, 2, 3)])
def test_implicit_loss_is_its_definition(shape):
    dim = math.prod(shape)
    x, sigma, score_fn = normal(3, *shape), normal(3).exp(), smooth_network(dim)
    losses = implicit_score_matching_loss(score_fn, x, sigma)
    for n in range(3):
        one = lambda y, n=n: score_fn(y.view(1, *shape), sigma[n : n + 1]).flatten()  # noqa: E731
        jacobian = torch.autograd.functional.jacobian(one, x[n].flatten())
        expected = jacobian.trace() + one(x[n].flatten()).square().sum() / 2
        assert losses[n].item() == pytest.approx(expected.item(), abs=1e-10)


@pytest.mark.parametrize("loss", SLICED)
@pytest.mark.parametrize("shape", [(3,), (1, 2, 2)])
def test_sliced_losses_are_their_definitions(loss, shape):
    dim, x = math.prod(shape), normal(2, *shape)
    sigma, score_fn, v = normal(2).exp(), smooth_network(dim), normal(2, 5, *shape, seed=2)
    losses = loss(score_fn, x, sigma, v)
    for n in range(2):
        one = lambda y, n=n: score_fn(y.view(1, *shape), sigma[n : n + 1]).flatten()  # noqa: E731
        jacobian, score = torch.autograd.functional.jacobian(one, x[n].flatten()), one(x[n].flatten())
        total = 0.0
        for direction in v[n].flatten(1):
            square = score @ score if loss is sliced_score_matching_vr_loss else (direction @ score) ** 2
            total += direction @ jacobian @ direction + square / 2
        assert losses[n].item() == pytest.approx(total.item() / 5, abs=1e-10)


@pytest.mark.parametrize("loss", SLICED)
def test_expected_sliced_loss_is_the_implicit_loss(loss):
    """Over all sign vectors the mean of v_i v_j is exactly 1 or 0, so the expectation is exact."""
    x, sigma, score_fn = normal(4, 5), normal(4).exp(), smooth_network(5)
    signs = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=5)), dtype=torch.float64)
    losses = loss(score_fn, x, sigma, signs.expand(4, -1, -1))
    torch.testing.assert_close(losses, implicit_score_matching_loss(score_fn, x, sigma), **EXACT)


@pytest.mark.parametrize("loss", SLICED)
def test_variance_reduction_keeps_the_expectation_over_gaussian_directions(loss):
    """In two dimensions a product of quadrature nodes takes the mean over a Gaussian direction exactly."""
    x, sigma, score_fn = normal(3, 2), normal(3).exp(), smooth_network(2)
    nodes, weights = normal_nodes(4)
    v = torch.cartesian_prod(nodes, nodes)
    each = torch.stack([loss(score_fn, x, sigma, one.expand(3, 1, 2)) for one in v])
    mean = (torch.outer(weights, weights).flatten()[:, None] * each).sum(0)
    torch.testing.assert_close(mean, implicit_score_matching_loss(score_fn, x, sigma), **EXACT)


@pytest.mark.parametrize("loss", SLICED)
def test_a_batch_and_its_projections_split_alike(loss):
    x, sigma, score_fn = normal(5, 3), normal(5).exp(), smooth_network(3)
    v = rademacher_projections(x, 2, seeded())
    parts = [loss(score_fn, *part) for part in zip(*(a.split(2) for a in (x, sigma, v)), strict=True)]
    torch.testing.assert_close(torch.cat(parts), loss(score_fn, x, sigma, v), **EXACT)


def test_variance_reduction_reduces_the_variance():
    x, sigma, score_fn = normal(1, 6).expand(20_000, 6), torch.ones(20_000).double(), smooth_network(6)
    v = gaussian_projections(x, 1, seeded())
    plain, reduced = (loss(score_fn, x, sigma, v).var().item() for loss in SLICED)
    assert reduced < 0.8 * plain


def nodes_of(mixture, sigma, num=40):
    """Clean points, unit draws, and weights whose sums are expectations over x ~ mixture and z ~ N(0, 1)."""
    nodes, weights = normal_nodes(num)
    points = torch.cat([mean + std * nodes for mean, std in zip(mixture.means[:, 0], mixture.stds, strict=True)])
    masses = torch.cat([w * weights for w in mixture.weights])
    x, noise = torch.cartesian_prod(points, nodes).unbind(1)
    return x[:, None], noise[:, None], torch.outer(masses, weights).flatten(), torch.full_like(x, sigma)


TWO_BUMPS = GaussianMixture(
    torch.tensor([[-1.0], [1.5]], dtype=torch.float64), torch.tensor([0.6, 0.9]), torch.tensor([0.3, 0.7])
)


def test_implicit_loss_is_the_explicit_one_up_to_a_constant():
    """Their difference is E 1/2 ||grad log p||^2 whatever the model (Hyvarinen 2005, Theorem 1)."""
    x, _, weights, sigma = nodes_of(TWO_BUMPS, 1.0, num=120)
    truth = TWO_BUMPS.score(x, 0.0)
    constant = (weights * truth[:, 0] ** 2).sum() / 2
    for seed in range(3):
        score_fn = smooth_network(1, seed=seed)
        explicit = (weights * explicit_score_matching_loss(score_fn, x, sigma, truth)).sum()
        implicit = (weights * implicit_score_matching_loss(score_fn, x, sigma)).sum()
        # 120 nodes take the mean of these smooth functions to 1e-6, seen by comparing with 160.
        assert (explicit - implicit).item() == pytest.approx(constant.item(), abs=1e-5)


@pytest.mark.parametrize("level", [0.3, 2.0])
def test_denoising_loss_is_the_explicit_one_on_the_perturbed_density_up_to_a_constant(level):
    """Vincent (2011): the difference is E ||z / sigma||^2 / 2 - E ||grad log p_sigma||^2 / 2 for every model."""
    x, noise, weights, sigma = nodes_of(TWO_BUMPS, level, num=100)
    x_tilde = x + level * noise
    truth = TWO_BUMPS.score(x_tilde, level)
    constant = (weights * (noise[:, 0] ** 2 / level**2 - truth[:, 0] ** 2)).sum() / 2
    for seed in range(3):
        score_fn = smooth_network(1, seed=seed)
        denoising = (weights * denoising_score_matching_loss(score_fn, x, sigma, noise)).sum()
        explicit = (weights * explicit_score_matching_loss(score_fn, x_tilde, sigma, truth)).sum()
        assert (denoising - explicit).item() == pytest.approx(constant.item(), abs=1e-5)


def test_denoising_loss_of_a_linear_score():
    """Data N(0, s^2 I), model -a x: 1/2 D (a^2 s^2 + (1/sigma - a sigma)^2), by hand."""
    s, sigma, a, dim = 0.7, 0.5, 1.3, 3
    nodes, weights = normal_nodes(6)
    grid = torch.cartesian_prod(*[nodes] * 2)  # one coordinate of x and of z; the others are alike
    x, noise = (s * grid[:, :1]).expand(-1, dim), grid[:, 1:].expand(-1, dim)
    losses = denoising_score_matching_loss(
        linear_score(a * torch.eye(dim).double()), x, torch.full((len(x),), sigma).double(), noise
    )
    mean = (torch.outer(weights, weights).flatten() * losses).sum().item()
    assert mean == pytest.approx(0.5 * dim * (a**2 * s**2 + (1 / sigma - a * sigma) ** 2), abs=1e-10)


@pytest.mark.parametrize("weight", [variance_weight, torch.ones_like, lambda sigma: sigma**3])
def test_ncsn_loss_is_the_weighted_mean_over_the_batch(weight):
    x, noise, sigmas = normal(6, 1, 2, 2), normal(6, 1, 2, 2, seed=1), torch.tensor([2.0, 0.5, 0.1]).double()
    labels, score_fn = torch.tensor([0, 2, 1, 1, 0, 2]), smooth_network(4)
    total = 0.0
    for n, label in enumerate(labels):
        sigma = sigmas[label]
        score = score_fn((x[n] + sigma * noise[n])[None], sigma[None])[0]
        total += weight(sigma) * ((score + noise[n] / sigma) ** 2).sum() / 2
    loss = ncsn_loss(score_fn, x, sigmas, labels, noise, weight=weight)
    assert loss.item() == pytest.approx((total / 6).item(), rel=1e-12)


def test_flow_matching_is_denoising_in_other_letters():
    """On the same draws, with sigma = t / (1 - t) and the weight sigma^2 (1 + sigma)^2, for any score at all."""
    x, noise, t = normal(6, 3), normal(6, 3, seed=1), torch.tensor([1e-3, 0.1, 0.4, 0.5, 0.9, 0.999]).double()
    score_fn, sigma = smooth_network(3), t / (1 - t)

    def velocity_fn(x_t, t):
        """E[z - x | x_t]: of x_t / (1 - t) the noise is -sigma s and the denoised x_t / (1 - t) + sigma^2 s."""
        level = t / (1 - t)
        score = score_fn(x_t / (1 - t[:, None]), level)
        return -level[:, None] * score - (x_t / (1 - t[:, None]) + level[:, None] ** 2 * score)

    denoising = sigma**2 * (1 + sigma) ** 2 * denoising_score_matching_loss(score_fn, x, sigma, noise)
    torch.testing.assert_close(flow_matching_loss(velocity_fn, x, t, noise), denoising, rtol=1e-9, atol=1e-9)


def test_flow_matching_at_its_ends():
    """The velocity z - x costs nothing; at t = 0 the model is handed x, at t = 1 the noise."""
    x, noise, seen = normal(2, 3), normal(2, 3, seed=1), []
    assert flow_matching_loss(lambda x_t, t: noise - x, x, torch.tensor([0.3, 0.8]).double(), noise).abs().max() == 0
    flow_matching_loss(lambda x_t, t: seen.append(x_t) or x_t, x, torch.tensor([0.0, 1.0]).double(), noise)
    assert torch.equal(seen[0], torch.stack([x[0], noise[1]]))


def test_log_normal_levels():
    """Mean and standard deviation of the logarithm, to five standard errors."""
    logs = log_normal_sigmas(torch.zeros(40_000, 1), -1.2, 0.7, seeded()).log()
    assert abs(logs.mean() + 1.2) < 5 * 0.7 / 200
    assert abs(logs.std() - 0.7) < 5 * 0.7 / 200 / 2**0.5
    assert log_normal_sigmas(normal(3, 2), -1.2, 0.7, seeded()).dtype == torch.float64


def test_a_negative_label_is_refused_where_its_value_cannot_be_read():
    """In a compiled loss: it must not be the last level in silence."""
    compiled = torch.compile(lambda labels: ncsn_loss(PLAIN, X, SIGMA, labels, X), backend="eager", fullgraph=True)
    assert compiled(torch.zeros(4).long()) == 0
    with pytest.raises((IndexError, RuntimeError), match="out of range"):
        compiled(torch.full((4,), -1))


def test_the_zero_score_costs_half_a_dimension_each_at_every_level():
    nodes, weights = normal_nodes(3)
    for label in range(3):
        noise, sigmas = nodes[:, None], torch.tensor([5.0, 1.0, 0.01]).double()
        losses = [
            ncsn_loss(
                lambda x, sigma: torch.zeros_like(x), torch.zeros(1, 1).double(), sigmas, torch.tensor([label]), n[None]
            )
            for n in noise
        ]
        assert (weights * torch.stack(losses)).sum().item() == pytest.approx(0.5, rel=1e-12)


def loss_calls(score_fn, x, sigma):
    """Every loss on the same input, as a function of the model alone."""
    v, noise = normal(len(x), 3, *x.shape[1:], seed=3), normal(*x.shape, seed=4)
    labels = torch.tensor([0, 1, 1, 0])
    return {
        "explicit": lambda: explicit_score_matching_loss(score_fn, x, sigma, noise).sum(),
        "implicit": lambda: implicit_score_matching_loss(score_fn, x, sigma).sum(),
        "sliced": lambda: sliced_score_matching_loss(score_fn, x, sigma, v).sum(),
        "sliced, variance reduced": lambda: sliced_score_matching_vr_loss(score_fn, x, sigma, v).sum(),
        "denoising": lambda: denoising_score_matching_loss(score_fn, x, sigma, noise).sum(),
        "flow matching": lambda: flow_matching_loss(score_fn, x, sigma / (1 + sigma), noise).sum(),
        "ncsn": lambda: ncsn_loss(score_fn, x, sigma[:2].sort(descending=True).values, labels, noise),
    }


NAMES = list(loss_calls(smooth_network(3), normal(4, 3), normal(4).exp()))


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_the_parameters(name):
    """By central differences, whose error at a step of 1e-5 is about 1e-10 of the loss's size, 100 at most."""
    score_fn = smooth_network(3)
    call = loss_calls(score_fn, normal(4, 3), normal(4).exp())[name]
    gradients = torch.autograd.grad(call(), score_fn.parameters, allow_unused=True)
    for parameter, slope in zip(score_fn.parameters, gradients, strict=True):
        flat, index = parameter.data.view(-1), parameter.numel() // 2
        ends = []
        for sign in (1, -1):
            flat[index] += sign * 1e-5
            ends.append(call().item())
            flat[index] -= sign * 1e-5
        assert slope.flatten()[index].item() == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_losses_work_where_gradients_are_off(name):
    with torch.no_grad():
        assert loss_calls(smooth_network(3), normal(4, 3), normal(4).exp())[name]().isfinite()


@pytest.mark.parametrize("make", [gaussian_projections, rademacher_projections, sphere_projections])
def test_projections_have_unit_second_moment(make):
    x = torch.zeros(1, 2, 2, dtype=torch.float64)
    v = make(x, 50_000, seeded())[0].flatten(1)
    assert v.dtype == x.dtype
    products = torch.einsum("mi,mj->mij", v, v)
    error = products.std(0) / math.sqrt(len(v)) + 1e-12  # a sign's square is exactly 1
    assert ((products.mean(0) - torch.eye(4)).abs() < 4.5 * error).all()
    assert make(torch.zeros(7, 3), 2).shape == (7, 2, 3)
    assert torch.equal(make(x, 5, seeded(1)), make(x, 5, seeded(1)))


def test_rademacher_entries_are_signs():
    assert rademacher_projections(torch.zeros(5, 3), 4, seeded()).abs().eq(1).all()


def test_sphere_lengths():
    v = sphere_projections(torch.zeros(5, 1, 3, 3), 4, seeded())
    torch.testing.assert_close(v.flatten(2).norm(dim=2), torch.full((5, 4), 3.0))


# --- bad input

X, SIGMA = torch.zeros(4, 3), torch.ones(4)
ZERO = lambda x, sigma: torch.zeros_like(x)  # noqa: E731
PLAIN = lambda x, sigma: -x  # noqa: E731


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: denoising_score_matching_loss(PLAIN, X, SIGMA, torch.zeros(4, 2)),
            ValueError,
            r"noise must be \(4, 3",
        ),
        (lambda: denoising_score_matching_loss(PLAIN, X, SIGMA[:, None], X), ValueError, r"must be \(4,\).*\(4, 1\)"),
        (lambda: denoising_score_matching_loss(PLAIN, X.int(), SIGMA, X), TypeError, "x must be floating point"),
        (lambda: denoising_score_matching_loss(PLAIN, X, SIGMA, X.to("meta")), ValueError, "noise is on meta"),
        (lambda: denoising_score_matching_loss(PLAIN, X, SIGMA.to("meta"), X), ValueError, "sigma is on meta"),
        (lambda: denoising_score_matching_loss(lambda x, s: x[:, :1], X, SIGMA, X), ValueError, "shape of x"),
        (lambda: explicit_score_matching_loss(PLAIN, X, SIGMA, X[:2]), ValueError, "true_score must be"),
        (lambda: implicit_score_matching_loss(ZERO, X, SIGMA), ValueError, "no gradient in x"),
        (lambda: sliced_score_matching_loss(ZERO, X, SIGMA, X[:, None]), ValueError, "no gradient in x"),
        (lambda: sliced_score_matching_loss(PLAIN, X, SIGMA, X), ValueError, r"projections must be \(4, M, 3\)"),
        (lambda: sliced_score_matching_vr_loss(PLAIN, X, SIGMA, X[:2, None]), ValueError, "projections must be"),
        (lambda: sliced_score_matching_loss(PLAIN, X, SIGMA, X[:, None][:, :0]), ValueError, r"got \(4, 0, 3\)"),
        (lambda: ncsn_loss(PLAIN, X, SIGMA, torch.zeros(4), X), TypeError, "labels must be an int64 or int32"),
        (lambda: ncsn_loss(PLAIN, X, SIGMA, torch.zeros(3).long(), X), ValueError, r"labels must be \(4,\)"),
        (lambda: ncsn_loss(PLAIN, X, SIGMA.long(), torch.zeros(4).long(), X), TypeError, "sigmas"),
        (lambda: ncsn_loss(PLAIN, X, SIGMA, torch.full((4,), 4), X), IndexError, "labels must be from 0 to 3.*got 4"),
        (lambda: ncsn_loss(PLAIN, X, SIGMA, torch.tensor([0, 1, -1, 2]), X), IndexError, "from 0 to 3.*got -1"),
        (
            lambda: denoising_score_matching_loss(PLAIN, X, SIGMA.double(), X),
            TypeError,
            r"sigma is torch.float64 but x is torch.float32; convert one with .to\(\)",
        ),
        (
            lambda: denoising_score_matching_loss(PLAIN, X, SIGMA, X.double()),
            TypeError,
            "noise is torch.float64 but x is torch.float32",
        ),
        (lambda: ncsn_loss(PLAIN, X, SIGMA.double(), torch.zeros(4).long(), X), TypeError, "sigmas is torch.float64"),
        (
            lambda: ncsn_loss(PLAIN, X[:0], SIGMA, torch.zeros(0).long(), X[:0]),
            ValueError,
            r"x must hold at least one example, got \(0, 3\)",
        ),
        (lambda: flow_matching_loss(PLAIN, X, SIGMA[:3], X), ValueError, r"t must be \(4,\).*got \(3,\)"),
        (lambda: flow_matching_loss(PLAIN, X, SIGMA, X[:3]), ValueError, r"noise must be \(4, 3"),
        (lambda: log_normal_sigmas(X, 0.0, 0.0), ValueError, "log_std must be a finite number above 0, got 0"),
        (lambda: gaussian_projections(X[:0], 1), ValueError, "at least one example"),
        (lambda: gaussian_projections(X, 0), ValueError, "num_projections must be at least 1, got 0"),
        (lambda: rademacher_projections(X, 1.5), TypeError, "num_projections must be an int"),
        (lambda: sphere_projections(torch.zeros(3), 1), ValueError, "a batch of examples"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
