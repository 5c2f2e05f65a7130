"""Data as other frameworks hand them out: a `Dataset` whose examples are dicts."""

import torch

import ncsn_lib as ncsn


class Rings(torch.utils.data.Dataset):
    def __len__(self):
        return 2000

    def __getitem__(self, index):
        radius = 2 + index % 3
        y, x = torch.meshgrid(torch.arange(12.0) - 5.5, torch.arange(12.0) - 5.5, indexing="ij")
        return {"pixel_values": torch.exp(-((y.hypot(x) - radius) ** 2))[None], "label": radius}


torch.manual_seed(0)
sigmas = ncsn.geometric_sigmas(6.0, 0.01, 16)
settings = ncsn.TrainingSettings(num_steps=100, batch_size=32, learning_rate=2e-3, ema_decay=0.98)
state = ncsn.train(ncsn.UNet(1, (16, 32)), Rings(), ncsn.NCSNObjective(sigmas), settings)
start = 0.5 + sigmas[0] * torch.randn(8, 1, 12, 12)
rings = ncsn.consistent_annealed_sampling(state.ema.module, start, sigmas, eta=0.9)
print(f"eight rings {tuple(rings.shape)}, mean {rings.mean():.2f}, beside {Rings()[0]['pixel_values'].mean():.2f}")
