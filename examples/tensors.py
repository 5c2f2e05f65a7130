import torch

import ncsn_lib as ncsn

images = ncsn.load_digits().images  # yours: a tensor (N, C, H, W) in [0, 1]
sigmas = ncsn.suggest_sigmas(images)
settings = ncsn.TrainingSettings(num_steps=400, batch_size=64, learning_rate=3e-3, cosine_decay=True)
network = ncsn.train(ncsn.UNet(1, (16, 32), num_blocks=1), images, ncsn.NCSNObjective(sigmas), settings).ema.module
start, eps = 0.5 + sigmas[0] * torch.randn(64, 1, 8, 8), ncsn.suggest_step_size(sigmas, 5)
samples = ncsn.annealed_langevin_dynamics(network, start, sigmas, eps=eps, num_steps=5, denoise=True)
