"""Random generators: their first numbers, stored, so that a run that goes on draws what it would have drawn."""

import torch

from ncsn_lib.generators import step_generator


def test_the_first_numbers_of_a_training_step():
    generator = step_generator(1, 2, torch.device("cpu"))
    assert torch.randint(2**31, (3,), generator=generator).tolist() == [411685615, 199586656, 1621666136]
