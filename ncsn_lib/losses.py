"""Score-matching objectives: explicit, implicit, sliced, denoising, and the NCSN loss; and flow matching's.

Each takes any `ScoreFn`, sums over the data's dimensions and returns one value per example. Draws are
arguments, so a loss is a pure function and a stored draw replays exactly.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ncsn_lib.checks import check_count, check_examples, check_labels, check_like, check_positive, has_values
from ncsn_lib.protocol import ScoreFn, evaluate_score, input_gradient, per_example


def explicit_score_matching_loss(score_fn: ScoreFn, x: Tensor, sigma: Tensor, true_score: Tensor) -> Tensor:
    """Half the squared distance to a known score, 1/2 ||s(x) - grad log p(x)||^2 (Hyvarinen 2005).

    Its mean over x ~ p is the Fisher divergence that every other loss here equals up to a constant.

    Args:
        score_fn: the model.
        x: (B, *D) examples drawn from the density whose score is given.
        sigma: (B,) noise level of each example, handed to the model.
        true_score: (B, *D) the density's score at `x`, in inverse units of `x`.

    Returns:
        (B,) losses, summed over the data's dimensions.

    Raises:
        ValueError: shapes or devices that do not match.
    """
    check_like("true_score", true_score, x.shape, x)
    return 0.5 * _squared_norm(evaluate_score(score_fn, x, sigma) - true_score)


def implicit_score_matching_loss(score_fn: ScoreFn, x: Tensor, sigma: Tensor) -> Tensor:
    """Score matching without the true score, tr(grad s(x)) + 1/2 ||s(x)||^2 (Hyvarinen 2005, Thm. 1).

    The trace is exact and costs D backward passes. The model must treat examples independently.

    Args:
        score_fn: the model, differentiable in x.
        x: (B, *D) examples.
        sigma: (B,) noise level of each example, handed to the model.

    Returns:
        (B,) losses, summed over the data's dimensions; differentiable in the model's parameters.

    Raises:
        ValueError: shapes that do not match, or a score with no gradient in x.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        score = evaluate_score(score_fn, x, sigma)
        columns = score.flatten(1)
        trace = sum(
            input_gradient(columns[:, d], x, "score_fn", create_graph=True).flatten(1)[:, d]  # d s_d / d x_d
            for d in range(columns.shape[1])
        )
        return trace + 0.5 * _squared_norm(score)


def sliced_score_matching_loss(score_fn: ScoreFn, x: Tensor, sigma: Tensor, projections: Tensor) -> Tensor:
    """Score matching along random directions, v' grad s(x) v + 1/2 (v' s(x))^2 (Song et al. 2019, SSM).

    Args:
        score_fn: the model, differentiable in x.
        x: (B, *D) examples.
        sigma: (B,) noise level of each example, handed to the model.
        projections: (B, M, *D) directions v with E[v v'] = I, M for each example, unit free.

    Returns:
        (B,) losses, averaged over the M projections.

    Raises:
        ValueError: shapes that do not match, or a score with no gradient in x.
    """
    return _sliced(score_fn, x, sigma, projections, lambda score, v: _inner(v, score) ** 2)


def sliced_score_matching_vr_loss(score_fn: ScoreFn, x: Tensor, sigma: Tensor, projections: Tensor) -> Tensor:
    """Variance-reduced sliced score matching, v' grad s(x) v + 1/2 ||s(x)||^2 (Song et al. 2019, SSM-VR).

    The square's expectation over v is known in closed form and takes the place of the square.

    Args:
        score_fn: the model, differentiable in x.
        x: (B, *D) examples.
        sigma: (B,) noise level of each example, handed to the model.
        projections: (B, M, *D) directions v with E[v v'] = I, M for each example, unit free.

    Returns:
        (B,) losses, averaged over the M projections.

    Raises:
        ValueError: shapes that do not match, or a score with no gradient in x.
    """
    return _sliced(score_fn, x, sigma, projections, lambda score, v: _squared_norm(score))


def denoising_score_matching_loss(score_fn: ScoreFn, x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """Regress on the score of the noise, 1/2 ||s(x + sigma z, sigma) + z / sigma||^2 (Vincent 2011).

    Its minimiser is the score of the data convolved with N(0, sigma^2 I) (Song & Ermon 2019, Eq. 5).

    Args:
        score_fn: the model.
        x: (B, *D) clean examples.
        sigma: (B,) noise level of each example, in the units of `x`, above 0.
        noise: (B, *D) unit normal draws z, not yet scaled by sigma.

    Returns:
        (B,) losses, summed over the data's dimensions, not weighted.

    Raises:
        ValueError: shapes or devices that do not match.
    """
    scale = per_example(sigma, x)
    check_like("noise", noise, x.shape, x)
    score = evaluate_score(score_fn, x + scale * noise, sigma)
    return 0.5 * _squared_norm(score + noise / scale)


def flow_matching_loss(velocity_fn: ScoreFn, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """Regress on the velocity of the line from an example to noise, 1/2 ||v(x_t, t) - (z - x)||^2 (Lipman et al. 2023).

    The line is x_t = (1 - t) x + t z, so x_t / (1 - t) has noise of standard deviation sigma = t / (1 - t). A score s
    there is the velocity v = -(x_t / (1 - t) + sigma (1 + sigma) s), and the loss is `denoising_score_matching_loss`
    with the weight sigma^2 (1 + sigma)^2.

    Args:
        velocity_fn: the model, v(x_t, t).
        x: (B, *D) clean examples.
        t: (B,) how far each is on its way to noise, from 0 to 1.
        noise: (B, *D) unit normal draws z.

    Returns:
        (B,) losses, summed over the data's dimensions.

    Raises:
        ValueError: shapes or devices that do not match.
    """
    share = per_example(t, x, name="t")
    check_like("noise", noise, x.shape, x)
    velocity = evaluate_score(velocity_fn, (1 - share) * x + share * noise, t)
    return 0.5 * _squared_norm(velocity - (noise - x))


def variance_weight(sigma: Tensor) -> Tensor:
    """The weight lambda(sigma) = sigma^2, which gives every level a loss of one size (Song & Ermon 2019, Sec. 4.2)."""
    return sigma**2


def ncsn_loss(
    score_fn: ScoreFn,
    x: Tensor,
    sigmas: Tensor,
    labels: Tensor,
    noise: Tensor,
    *,
    weight: Callable[[Tensor], Tensor] = variance_weight,
) -> Tensor:
    """Weighted denoising loss over the noise levels (Song & Ermon 2019, Eq. 6), one level per example.

    With labels drawn uniformly its expectation is 1/L sum_i lambda(sigma_i) l(theta; sigma_i).

    Args:
        score_fn: the model.
        x: (B, *D) clean examples.
        sigmas: (L,) noise levels, in the units of `x`.
        labels: (B,) index in 0..L-1 of each example's level, integer.
        noise: (B, *D) unit normal draws, not yet scaled by sigma.
        weight: lambda(sigma), maps (B,) levels to (B,) weights.

    Returns:
        Scalar: the mean over the batch.

    Raises:
        TypeError: `labels` is not integer.
        ValueError: shapes or devices that do not match.
        IndexError: a label that is no level. On a GPU, and inside `torch.compile` or `torch.func`, reading the labels
            would cost too much or is impossible, so there it is what the device says of an index out of range.
    """
    check_like("sigmas", sigmas, (len(sigmas),), x)
    check_labels("labels", labels, x)
    if x.device.type == "cpu" and has_values(labels):
        for label in labels[(labels < 0) | (labels >= len(sigmas))].tolist():
            raise IndexError(f"labels must be from 0 to {len(sigmas) - 1}, the index of a level, got {label}")
    sigma = sigmas.index_select(0, labels)  # unlike sigmas[labels], which takes -1 for the last
    return (weight(sigma) * denoising_score_matching_loss(score_fn, x, sigma, noise)).mean()


def log_normal_sigmas(x: Tensor, log_mean: float, log_std: float, generator: torch.Generator | None = None) -> Tensor:
    """A noise level for each example, log sigma ~ N(log_mean, log_std^2): (B,) for examples (B, *D) (EDM, Table 1)."""
    check_examples(x)
    unit = torch.randn(len(x), generator=generator, device=x.device, dtype=x.dtype)
    return (log_mean + check_positive("log_std", log_std) * unit).exp()


def gaussian_projections(x: Tensor, num_projections: int, generator: torch.Generator | None = None) -> Tensor:
    """Directions with unit normal entries, (B, M, *D) for examples (B, *D); E[v v'] = I."""
    shape = _projection_shape(x, num_projections)
    return torch.randn(shape, generator=generator, device=x.device, dtype=x.dtype)


def rademacher_projections(x: Tensor, num_projections: int, generator: torch.Generator | None = None) -> Tensor:
    """Directions with entries +1 or -1 at even odds, (B, M, *D) for examples (B, *D); E[v v'] = I."""
    shape = _projection_shape(x, num_projections)
    return 2.0 * torch.randint(2, shape, generator=generator, device=x.device).to(x.dtype) - 1.0


def sphere_projections(x: Tensor, num_projections: int, generator: torch.Generator | None = None) -> Tensor:
    """Directions uniform on the sphere of radius sqrt(D), (B, M, *D) for examples (B, *D); E[v v'] = I."""
    v = gaussian_projections(x, num_projections, generator)
    flat = v.flatten(2)  # (B, M, D)
    return (flat * (flat.shape[2] ** 0.5 / flat.norm(dim=2, keepdim=True))).view(v.shape)


def _projection_shape(x: Tensor, num_projections: int) -> tuple[int, ...]:
    check_examples(x)
    return (len(x), check_count("num_projections", num_projections), *x.shape[1:])


def _sliced(score_fn, x, sigma, projections, squared_term) -> Tensor:
    """Mean over M projections of v' grad s v + 1/2 squared_term(s, v)."""
    if not isinstance(projections, Tensor) or projections.ndim != x.ndim + 1 or projections.shape[1] == 0:
        got = tuple(projections.shape) if isinstance(projections, Tensor) else type(projections).__name__
        first, *rest = x.shape
        raise ValueError(f"projections must be ({', '.join(map(str, [first, 'M', *rest]))}), got {got}")
    check_like("projections", projections, (len(x), projections.shape[1], *x.shape[1:]), x)
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        score = evaluate_score(score_fn, x, sigma)
        losses = [
            _inner(v, input_gradient(_inner(v, score), x, "score_fn", create_graph=True)) + 0.5 * squared_term(score, v)
            for v in projections.unbind(1)
        ]
        return torch.stack(losses).mean(0)


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of each pair of examples, (B, *D) and (B, *D) -> (B,)."""
    return (a * b).flatten(1).sum(1)


def _squared_norm(a: Tensor) -> Tensor:
    """Squared length of each example, (B, *D) -> (B,)."""
    return _inner(a, a)
