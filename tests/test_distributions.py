"""Densities against quadrature, other libraries and automatic differentiation; samples against their distribution."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import gradient, perturbed_density, seeded
from scipy import stats
from torch.func import hessian, jacfwd, jacrev, jvp, vmap

from ncsn_lib.distributions import (
    GaussianMixture,
    LineSegment,
    Ring,
    SwissRoll,
    TwoMoons,
    UniformBoxes,
    checkerboard,
    dataset_mixture,
    square,
)


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


MIXTURE = GaussianMixture(double([-1, 0], [2, 1], [0, 3]), double(0.5, 1.0, 0.2), double(1, 2, 1))
SEGMENT = LineSegment(double(-1, -0.5), double(2, 1))
BOXES = UniformBoxes(double([-1, -1], [1, 0]), double([0, 2], [1.5, 3]))
EXACT = {
    "mixture": MIXTURE,
    "points": dataset_mixture(double([0, 0], [1, 2], [3, -1])),
    "segment": SEGMENT,
    "boxes": BOXES,
    "circle": Ring(1.5),
    "ring": Ring(1.5, 0.3),
}
PLANE = double([0.1, 0.2], [-2.5, 1.0], [1.3, 3.3], [0.0, -4.0], [6.0, 5.0])


def box(low, high):
    area = math.prod(b - a for a, b in zip(low, high, strict=True))
    return [(a, b) for a, b in zip(low, high, strict=True)], lambda *point: (point, 1 / area)


def by_quadrature(name, sigma, x):
    """The perturbed density at one point from the definition, the mean of N(x; point, sigma^2 I)."""
    if name == "segment":
        return perturbed_density([(0, 1)], lambda t: ((3 * t - 1, 1.5 * t - 0.5), 1), sigma, x)
    if name in ("circle", "ring"):
        total = math.hypot(sigma, 0.3 if name == "ring" else 0)  # a Gaussian blur, twice
        on_circle = lambda a: ((1.5 * math.cos(a), 1.5 * math.sin(a)), 1 / (2 * math.pi))  # noqa: E731
        return perturbed_density([(0, 2 * math.pi)], on_circle, total, x)
    total, areas = 0.0, {((-1, -1), (0, 2)): 3.0, ((1, 0), (1.5, 3)): 1.5}
    for (low, high), area in areas.items():
        total += area / 4.5 * perturbed_density(*box(low, high), sigma, x)
    return total


@pytest.mark.parametrize("sigma", [0.4, 1.3])
@pytest.mark.parametrize("name", ["segment", "boxes", "circle", "ring"])
def test_density_is_the_convolution(name, sigma):
    log_prob = EXACT[name].log_prob(PLANE, sigma)
    for point, value in zip(PLANE.tolist(), log_prob.tolist(), strict=True):
        expected = by_quadrature(name, sigma, point)
        # The quadrature is good to 1e-13 absolute, so the smallest densities keep fewer digits.
        assert math.exp(value) == pytest.approx(expected, rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("sigma", [0.0, 0.7])
def test_mixture_is_torchs(sigma):
    spread = (MIXTURE.stds**2 + sigma**2).sqrt()[:, None].expand(3, 2)
    components = torch.distributions.Independent(torch.distributions.Normal(MIXTURE.means, spread), 1)
    reference = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(double(1, 2, 1)), components)
    torch.testing.assert_close(MIXTURE.log_prob(PLANE, sigma), reference.log_prob(PLANE), rtol=1e-12, atol=1e-12)


@given(
    name=st.sampled_from(list(EXACT)),
    point=st.tuples(st.floats(-8, 8), st.floats(-8, 8)),
    sigma=st.floats(0.05, 20),
)
@settings(max_examples=200)
def test_score_is_the_gradient_of_the_log_density(name, point, sigma):
    x = double(point)
    expected = gradient(lambda x: EXACT[name].log_prob(x, sigma), x)
    # Double precision, through differences of tails that cancel to some 1e-9 at 160 standard deviations.
    torch.testing.assert_close(EXACT[name].score(x, sigma), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["mixture", "ring"])
def test_clean_score(name):
    expected = gradient(lambda x: EXACT[name].log_prob(x, 0.0), PLANE)
    torch.testing.assert_close(EXACT[name].score(PLANE), expected, rtol=1e-9, atol=1e-9)


def test_each_example_has_its_own_sigma():
    sigmas = double(0.3, 0.7, 1.0, 2.0, 5.0)
    for distribution in EXACT.values():
        together = distribution.score(PLANE, sigmas)
        apart = [distribution.score(x[None], s.item()) for x, s in zip(PLANE, sigmas, strict=True)]
        torch.testing.assert_close(together, torch.cat(apart), rtol=1e-12, atol=1e-12)


def test_denoising_a_data_set_is_the_average_over_it():
    points = torch.rand(20, 1, 3, 3, dtype=torch.float64, generator=seeded())
    noisy, sigma = points[:5] + 0.4, 0.5
    expected = torch.empty_like(noisy)
    for i, x in enumerate(noisy):
        likelihood = torch.stack([torch.exp(-((x - p) ** 2).sum() / (2 * sigma**2)) for p in points])
        expected[i] = sum(w * p for w, p in zip(likelihood / likelihood.sum(), points, strict=True))
    torch.testing.assert_close(dataset_mixture(points).denoise(noisy, sigma), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", list(EXACT))
@pytest.mark.parametrize("distance", [1e2, 1e4])
def test_far_out_the_score_points_home(name, distance):
    x = double([distance, -0.5 * distance])
    variance = 1.0 + {"mixture": 1.0, "ring": 0.09}.get(name, 0.0)  # far out the widest component is all there is
    torch.testing.assert_close(EXACT[name].score(x, 1.0), -x / variance, rtol=0.05, atol=0)


@pytest.mark.parametrize("distribution", [GaussianMixture(torch.tensor([[-5.0, -5], [5, 5]]), 1.0), checkerboard()])
def test_far_out_in_single_precision(distribution):
    x = torch.tensor([[300.0, -200.0]])
    in_double = gradient(lambda x: distribution.to(torch.float64).log_prob(x, 0.1), x.double())
    torch.testing.assert_close(distribution.score(x, 0.1).double(), in_double, rtol=1e-5, atol=0)


def test_a_shift_and_a_scale_carry_over():
    moved = GaussianMixture(3 * MIXTURE.means + 1, 3 * MIXTURE.stds, MIXTURE.weights)
    torch.testing.assert_close(3 * moved.score(3 * PLANE + 1, 1.5), MIXTURE.score(PLANE, 0.5), rtol=1e-10, atol=1e-12)


def test_curvature_at_a_mean():
    """There the distance is 0, and the Hessian of the log-density -1 / variance: -0.8."""
    mixture = GaussianMixture(torch.zeros(1, 3).double(), 1.25**0.5)
    hessian = torch.autograd.functional.hessian(lambda x: mixture.log_prob(x[None])[0], torch.zeros(3).double())
    torch.testing.assert_close(hessian, -0.8 * torch.eye(3).double(), rtol=1e-12, atol=1e-12)
    far = GaussianMixture(torch.full((1, 3), 1000.0), 1e-3)  # the value by subtraction: its rounding is of x - mu
    x = torch.full((1, 3), 1000.0).nextafter(torch.tensor(2000.0)).requires_grad_()
    expected = torch.distributions.Normal(1000.0, 1e-3).log_prob(x).sum()
    torch.testing.assert_close(far.log_prob(x)[0], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.filterwarnings("ignore:There is a performance drop", "ignore:.torch.jit.script. is deprecated")
@pytest.mark.parametrize("name", list(EXACT))
def test_torch_func_sees_what_autograd_sees(name):
    """vmap, jacrev, jvp and hessian of score and log-density, each example with its own sigma."""
    distribution, sigmas = EXACT[name], double(0.3, 0.7, 1.0, 2.0, 5.0)
    score = lambda x, sigma: distribution.score(x[None], sigma[None])[0]  # noqa: E731
    log_prob = lambda x, sigma: distribution.log_prob(x[None], sigma)[0]  # noqa: E731
    loop = torch.stack(
        [torch.autograd.functional.jacobian(lambda y, s=s: score(y, s), x) for x, s in zip(PLANE, sigmas, strict=True)]
    )
    close = {"rtol": 1e-8, "atol": 1e-8}
    for transform, function in [(jacrev, score), (jacfwd, score), (hessian, log_prob)]:
        torch.testing.assert_close(vmap(transform(function))(PLANE, sigmas), loop, **close)
    direction = PLANE.flip(0)
    _, along = jvp(lambda x: distribution.score(x, sigmas), (PLANE,), (direction,))
    torch.testing.assert_close(along, torch.einsum("bij,bj->bi", loop, direction), **close)


@pytest.mark.parametrize("name", list(EXACT))
def test_another_dtype(name):
    moved = EXACT[name].to(torch.float32)
    assert type(moved) is type(EXACT[name])
    assert moved is not EXACT[name]
    torch.testing.assert_close(
        moved.score(PLANE.float(), 0.7).double(), EXACT[name].score(PLANE, 0.7), rtol=1e-4, atol=1e-5
    )
    assert all(value.dtype == torch.float64 for value in vars(EXACT[name]).values() if isinstance(value, torch.Tensor))


def test_what_a_distribution_cannot_be_moved_to():
    with pytest.raises(TypeError, match="means must be floating point"):
        MIXTURE.to(torch.int64)
    assert MIXTURE.to("meta").means.device.type == "meta"


def test_points_of_another_dtype():
    message = r"the distribution \(means\) is torch.float64 but x is torch.float32; convert one with .to\(\)"
    with pytest.raises(TypeError, match=message):
        MIXTURE.score(PLANE.float(), 1.0)


@pytest.mark.parametrize("points", [dataset_mixture(PLANE.float()), Ring(1.5), SEGMENT.to(torch.float32)])
def test_a_sigma_whose_square_is_lost(points):
    """In float32 1e-23 squared is 0."""
    with pytest.raises(ValueError, match=r"sigma must be above 0.* below 7e-16 its square is lost in torch\.float32"):
        points.score(PLANE.float(), 1e-23)
    assert points.score(PLANE.float(), 1e-15).isfinite().all()


# --- samples


def assert_uniform(values):
    """Kolmogorov and Smirnov's test at one in ten thousand; the seeds are fixed, so it passes or fails for good."""
    assert stats.kstest(values.double().numpy(), "uniform").pvalue > 1e-4


def test_mixture_samples():
    x = MIXTURE.sample(40_000, generator=seeded())
    mean = (MIXTURE.weights[:, None] * MIXTURE.means).sum(0)
    second = (MIXTURE.weights[:, None] * (MIXTURE.means**2 + MIXTURE.stds[:, None] ** 2)).sum(0)
    for power, expected in ((1, mean), (2, second)):
        error = (x**power).std(0) / math.sqrt(len(x))
        assert ((x**power).mean(0) - expected).abs().max() < 4 * error.max()


@pytest.mark.parametrize("name", list(EXACT))
def test_noise_adds_its_variance(name):
    distribution = EXACT[name]
    clean, noisy = (distribution.sample(40_000, sigma, generator=seeded(7)) for sigma in (0.0, 2.0))
    # The same generator draws the same clean points first.
    noise = ((noisy - clean) / 2.0).double()
    assert noise.var().item() == pytest.approx(1.0, abs=4 * math.sqrt(2 / 80_000))
    assert noise.mean().item() == pytest.approx(0.0, abs=4 / math.sqrt(80_000))


@pytest.mark.parametrize("name", list(EXACT))
def test_samples_follow_the_density(name):
    """E[1 / p_sigma(x); x in a square] over x ~ p_sigma is the square's area."""
    x = EXACT[name].sample(100_000, 0.5, generator=seeded(1)).double()
    inverse = torch.exp(-EXACT[name].log_prob(x, 0.5)) * (x.abs() < 1).all(1)
    error = inverse.std() / math.sqrt(len(x))
    assert inverse.mean().item() == pytest.approx(4.0, abs=4 * error.item())


def test_ring_samples():
    x = Ring(2.0).sample(5000, generator=seeded())
    torch.testing.assert_close(x.norm(dim=1), torch.full((5000,), 2.0))
    assert_uniform(torch.atan2(x[:, 1], x[:, 0]) / (2 * math.pi) + 0.5)


def test_segment_samples():
    x = SEGMENT.sample(5000, generator=seeded())
    along = (x - SEGMENT.start) @ SEGMENT.direction / SEGMENT.length
    torch.testing.assert_close(SEGMENT.start + along[:, None] * (SEGMENT.end - SEGMENT.start), x)
    assert_uniform(along)


def test_square_and_checkerboard_samples():
    x = square(2.0).sample(5000, generator=seeded())
    assert_uniform(x[:, 0] / 4 + 0.5)
    assert_uniform(x[:, 1] / 4 + 0.5)
    board = checkerboard(half_width=2.0, cells=4)
    cell = (board.sample(4000, generator=seeded()) + 2).floor()
    assert (cell.sum(1) % 2 == 0).all()
    assert len(cell.unique(dim=0)) == 8
    assert board.log_prob(torch.tensor([[-1.5, -1.5]])).exp().item() == pytest.approx(1 / 8)
    assert board.log_prob(torch.tensor([[-0.5, -1.5]])).item() == -math.inf


def test_moons_are_half_circles():
    x = TwoMoons(width=0.0).sample(2000, generator=seeded()) + torch.tensor([0.5, 0.25])
    upper = x.norm(dim=1)
    lower = (x - torch.tensor([1.0, 0.5])).norm(dim=1)
    on_upper, on_lower = ((radius - 1).abs() < 1e-5 for radius in (upper, lower))
    assert (on_upper | on_lower).all()
    assert on_upper.float().mean().item() == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(2000))


def test_swiss_roll_is_a_spiral():
    x = SwissRoll(width=0.0).sample(2000, generator=seeded())
    turns = x.norm(dim=1) * 4.5 * math.pi  # the radius says the angle
    torch.testing.assert_close(
        torch.stack([turns.cos(), turns.sin()], 1), x / x.norm(dim=1, keepdim=True), atol=1e-4, rtol=0
    )
    assert_uniform((turns / (1.5 * math.pi) - 1) / 2)


def test_moments_of_the_moons():
    """The lower moon is the upper one turned about the middle, so the mean is 0; squares by hand, width^2 on top."""
    width, up, num = 0.5, 2 / math.pi, 200_000  # the mean height of a half circle is 2 / pi
    x = TwoMoons(width).sample(num, generator=seeded()).double()
    cross = 0.125 - 0.5 * up
    expected = double([0.75, cross], [cross, 0.5625 - 0.5 * up]) + width**2 * torch.eye(2)
    torch.testing.assert_close(x.mean(0), double(0, 0), rtol=0, atol=4 / math.sqrt(num))
    torch.testing.assert_close(x.T @ x / num, expected, rtol=0, atol=8 / math.sqrt(num))


def test_spread_of_the_swiss_roll():
    """Its radius is uniform from 1/3 to 1, of mean square 13/27; the blur adds twice its variance."""
    x = SwissRoll(0.3).sample(200_000, generator=seeded()).double()
    assert x.square().sum(1).mean().item() == pytest.approx(13 / 27 + 2 * 0.3**2, abs=4 / math.sqrt(200_000))


@pytest.mark.parametrize(
    "distribution", [*EXACT.values(), TwoMoons(), SwissRoll(), square(), checkerboard()], ids=lambda d: type(d).__name__
)
def test_a_seed_is_a_sample(distribution):
    first, again = (distribution.sample(50, 0.3, generator=seeded(5)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.shape == (50, 2)
    assert not torch.equal(first, distribution.sample(50, 0.3, generator=seeded(6)))


# --- bad input


@pytest.mark.parametrize("name", ["points", "segment", "circle"])
def test_a_manifold_has_no_density(name):
    with pytest.raises(ValueError, match="sigma must be above 0"):
        EXACT[name].log_prob(PLANE, 0.0)


def test_a_uniform_density_has_no_score():
    with pytest.raises(ValueError, match="no score at its edges"):
        BOXES.score(PLANE, 0.0)


@pytest.mark.parametrize("name", list(EXACT))
@pytest.mark.parametrize(
    ("x", "sigma", "error", "message"),
    [
        (torch.zeros(4, 3), 1.0, ValueError, r"x must be \(B, 2\), got \(4, 3\)"),
        (torch.zeros(2), 1.0, ValueError, r"got \(2,\)"),
        (torch.zeros(4, 2, dtype=torch.int64), 1.0, TypeError, "floating point"),
        (torch.zeros(4, 2), -0.5, ValueError, "-0.5"),
        (torch.zeros(4, 2), math.nan, ValueError, "nan"),
        (torch.zeros(4, 2), math.inf, ValueError, "inf"),
        (torch.zeros(4, 2), torch.ones(4, 1), ValueError, r"sigma must be \(4,\).*got \(4, 1\)"),
        (torch.zeros(4, 2), torch.ones(4, device="meta"), ValueError, "sigma is on meta"),
        (torch.zeros(4, 2), "1", TypeError, "sigma must be one number"),
    ],
)
def test_bad_points(name, x, sigma, error, message):
    for method in (EXACT[name].log_prob, EXACT[name].score):
        with pytest.raises(error, match=message):
            method(x, sigma)


MEANS = torch.zeros(2, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianMixture(MEANS, -1.0), r"stds must be finite and at least 0, got \[-1.0, -1.0\]"),
        (lambda: GaussianMixture(MEANS, torch.ones(3)), r"stds must be one number or \(2,\), got \(3,\)"),
        (lambda: GaussianMixture(MEANS, 1.0, torch.tensor([1.0, -1.0])), "weights must be"),
        (lambda: GaussianMixture(MEANS, 1.0, torch.zeros(2)), "positive sum"),
        (lambda: GaussianMixture(torch.zeros(2), 1.0), r"means must be \(K, \*D\)"),
        (lambda: GaussianMixture(MEANS / 0, 1.0), "finite"),
        (lambda: UniformBoxes(MEANS, MEANS), "highs above lows"),
        (lambda: LineSegment(torch.zeros(2), torch.zeros(2)), "start and end"),
        (lambda: Ring(-1.0), "radius must be a finite number above 0, got -1.0"),
        (lambda: Ring(1.0, -0.1), "width must be finite and at least 0, got -0.1"),
        (lambda: TwoMoons(math.nan), "width"),
        (lambda: SwissRoll(-1.0), "width"),
        (lambda: square(0.0), "half_width"),
        (lambda: checkerboard(1.0, 0), "cells must be at least 1, got 0"),
        (lambda: MIXTURE.sample(0), "num must be at least 1, got 0"),
        (lambda: MIXTURE.sample(3, -1.0), "sigma must be finite and at least 0, got -1.0"),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()
