"""Random generators: which one draws what."""

import numpy as np
import torch


def step_generator(seed: int, step: int, device: torch.device) -> torch.Generator:
    """The random generator of one training step, the same whenever the step is run."""
    state = np.random.SeedSequence((seed, 1, step)).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state[0] >> np.uint64(1)))
