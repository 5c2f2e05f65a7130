"""A sampler of your own: it takes any score, exact or learnt, and is compared where the truth is known."""

import torch

from ncsn_lib import GaussianMixture, annealed_langevin_dynamics, geometric_sigmas, suggest_step_size


@torch.no_grad()
def probability_flow(score_fn, x, sigmas):
    """Euler's method on dx = -sigma * score * dsigma (Song et al. 2021), from noise to data; it draws nothing."""
    for sigma, following in zip(sigmas, sigmas[1:], strict=False):
        x = x + sigma * (sigma - following) * score_fn(x, sigma.expand(len(x)))
    return x


modes, weights = torch.tensor([[-2.0, 0.0], [2.0, 0.0]]), torch.tensor([0.25, 0.75])
truth = GaussianMixture(modes, 0.3, weights)
start = 20 * torch.randn(4000, 2, generator=torch.Generator().manual_seed(0))
ladder = geometric_sigmas(20.0, 0.01, 24)  # 480 calls each
eps = suggest_step_size(ladder, 20)
langevin = annealed_langevin_dynamics(truth.score, start, ladder, eps=eps, num_steps=20)
mine = probability_flow(truth.score, start, geometric_sigmas(20.0, 0.01, 480))
for name, x in {"annealed Langevin dynamics": langevin, "my sampler": mine}.items():
    print(f"{name}: {(x[:, 0] > 0).float().mean():.3f} near the right mode, whose weight is 0.75")
