"""A network and a DataLoader of your own: trained, stored, loaded, sampled."""

import torch
from torch.utils.data import DataLoader, TensorDataset

import ncsn_lib as ncsn


class MyScore(torch.nn.Sequential):  # any module that takes x (B, *D), sigma (B,) and returns (B, *D)
    def __init__(self, width):
        super().__init__(torch.nn.Linear(3, width), torch.nn.SiLU(), torch.nn.Linear(width, 2))

    def forward(self, x, sigma):
        return super().forward(torch.cat([x, sigma[:, None].log()], dim=1)) / sigma[:, None]


x = torch.randn(5000, 2) * torch.tensor([0.3, 0.1]) + torch.tensor([1.0, 2.0])  # yours, (N, *D)
loader = DataLoader(TensorDataset(x), batch_size=200, shuffle=True, drop_last=True)
sigmas = ncsn.suggest_sigmas(x, sigma_min=0.05)
settings = ncsn.TrainingSettings(num_steps=1000, batch_size=200, learning_rate=3e-3)
network = ncsn.train(MyScore(64), loader, ncsn.NCSNObjective(sigmas), settings).ema.module
ncsn.save_network(network, "my_score.safetensors", width=64)
network, eps = ncsn.load_network("my_score.safetensors", MyScore), ncsn.suggest_step_size(sigmas, 20)
samples = ncsn.annealed_langevin_dynamics(network, 3 * torch.rand(500, 2), sigmas, eps=eps, num_steps=20)
print(f"mean {samples.mean(0).tolist()}, standard deviation {samples.std(0).tolist()}")
