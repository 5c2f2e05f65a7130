"""The authors' own numbers: their networks, losses, gradients and chains, from random weights (ngf = 8).

The files hold what the authors' published code computed in float32. The tolerance is the bound that the project
set: 1e-4 of the largest value; for a chain's states, 1e-4 of the images' unit. On a CPU 5e-6 or less is reached,
which is the rounding of float32 (6e-8) through some 60 layers and back; a chain adds up its steps', and reaches
2e-5.
"""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ncsn_lib.author_checkpoints import load_author_checkpoint
from ncsn_lib.losses import ncsn_loss, sliced_score_matching_vr_loss
from ncsn_lib.networks.ncsn import NCSN
from ncsn_lib.networks.ncsnv2 import NCSNv2
from ncsn_lib.samplers import annealed_langevin_dynamics, inpaint
from ncsn_lib.schedules import geometric_sigmas

GOLDEN = Path(os.environ.get("NCSN_GOLDEN") or Path(__file__).parents[2] / "shared" / "golden")
pytestmark = pytest.mark.skipif(
    not GOLDEN.is_dir(), reason=f"no golden files at {GOLDEN}; set NCSN_GOLDEN to their folder"
)
NCSN_FILES = ["ncsn_mnist", "ncsn_cifar10"]


def golden(name):
    return load_file(GOLDEN / name)


def author_network(folder):
    return load_author_checkpoint(GOLDEN / folder / "checkpoint.pth")


def relative_error(actual, expected):
    """The largest deviation, in units of the largest value."""
    return ((actual - expected).abs().max() / expected.abs().max()).item()


def replay(noise):
    """A `randn_like` that returns stored draws in their order."""
    draws = iter(noise)
    return lambda x: next(draws)


@pytest.mark.parametrize("folder", NCSN_FILES)
def test_ncsn_scores(folder):
    file = golden(f"{folder}/network.safetensors")
    network = author_network(folder)
    assert isinstance(network, NCSN)
    score = network(file["x"], file["sigmas"][file["labels"]])
    assert relative_error(score, file["score"]) < 1e-4


@pytest.mark.parametrize("folder", NCSN_FILES)
def test_the_authors_ladder_is_the_default(folder):
    sigmas = golden(f"{folder}/network.safetensors")["sigmas"]
    torch.testing.assert_close(author_network(folder).sigmas, sigmas, rtol=1e-6, atol=0)
    torch.testing.assert_close(geometric_sigmas(1.0, 0.01, 10), sigmas, rtol=1e-6, atol=0)


@pytest.mark.parametrize("folder", NCSN_FILES)
def test_ncsn_loss_and_its_gradient(folder):
    file = golden(f"{folder}/network.safetensors")
    network = author_network(folder)
    loss = ncsn_loss(network, file["x"], file["sigmas"], file["labels"], file["noise"])
    loss.backward()
    assert relative_error(loss, file["dsm_loss"]) < 1e-4
    assert relative_error(network.begin_conv.weight.grad, file["grad_begin_conv"]) < 1e-4
    assert relative_error(network.end_conv.weight.grad, file["grad_end_conv"]) < 1e-4


@pytest.mark.parametrize("folder", NCSN_FILES)
def test_annealed_sliced_loss_with_variance_reduction(folder):
    file = golden(f"{folder}/network.safetensors")
    sigma = file["sigmas"][file["labels"]]
    perturbed = file["x"] + sigma[:, None, None, None] * file["noise"]
    losses = sliced_score_matching_vr_loss(author_network(folder), perturbed, sigma, file["vectors"][:, None])
    loss = (sigma**2 * losses).mean()
    assert relative_error(loss, file["ssm_vr_loss"]) < 1e-4


@pytest.mark.parametrize("folder", NCSN_FILES)
def test_annealed_langevin_states(folder):
    file = golden(f"{folder}/annealed_langevin.safetensors")
    states = [file["x_init"]]
    annealed_langevin_dynamics(
        author_network(folder),
        file["x_init"],
        file["sigmas"],
        eps=2 * file["step_lr"].item(),  # the authors' step is twice the paper's
        num_steps=int(file["n_steps_each"]),
        randn_like=replay(file["noise"]),
        callback=lambda step: states.append(step.x.clone()),
    )
    before_each_step = torch.stack(states[:-1]).clamp(0, 1)  # the file's states are clamped for storing only
    torch.testing.assert_close(before_each_step, file["states_before_step_clamped"], rtol=0, atol=1e-4)


def test_inpainting_states():
    """The left half is given; its noise is drawn once a level, in half the shape, a step's for the whole image."""
    file = golden("ncsn_cifar10/inpainting.safetensors")
    num, half = len(file["x_init"]), file["level_noise"].shape[-1]
    known = file["reference"].expand(num, -1, -1, -1)
    mask = torch.zeros(known.shape[-1], dtype=torch.bool)
    mask[:half] = True
    step_noise, draws = iter(file["step_noise"]), []
    for noise in file["level_noise"]:
        whole = torch.zeros_like(known)
        whole[..., :half] = noise
        draws += [whole, *(next(step_noise) for _ in range(int(file["n_steps_each"])))]
    states = []
    completed = inpaint(
        author_network("ncsn_cifar10"),
        file["x_init"],
        known,
        mask,
        file["sigmas"],
        eps=2 * file["step_lr"].item(),
        num_steps=int(file["n_steps_each"]),
        randn_like=replay(draws),
        callback=lambda step: states.append(step.x.clone()),
    )
    stored = file["states_before_step_clamped"]
    steps = int(file["n_steps_each"])
    for index, state in enumerate(states[:-1]):
        if (index + 1) % steps:  # the state before a level's first step has the next level's noise in its known half
            torch.testing.assert_close(state.clamp(0, 1), stored[index + 1], rtol=0, atol=1e-4)
        else:
            free = ~mask.expand(known.shape)
            torch.testing.assert_close(state.clamp(0, 1)[free], stored[index + 1][free], rtol=0, atol=1e-4)
    assert torch.equal(completed[..., :half], known[..., :half])


def test_ncsnv2_scores_and_loss_with_ema_weights():
    file = golden("ncsnv2_cifar10/network_ema.safetensors")
    network = author_network("ncsnv2_cifar10")
    assert isinstance(network, NCSNv2)
    torch.testing.assert_close(network.sigmas, file["sigmas"], rtol=1e-6, atol=0)
    score = network(file["x"], file["sigmas"][file["labels"]])
    assert relative_error(score, file["score"]) < 1e-4
    loss = ncsn_loss(network, file["x"], file["sigmas"], file["labels"], file["noise"])
    assert relative_error(loss, file["dsm_loss"]) < 1e-4


def test_ncsnv2_annealed_langevin_with_final_denoising():
    file = golden("ncsnv2_cifar10/annealed_langevin.safetensors")
    states = [file["x_init"]]
    denoised = annealed_langevin_dynamics(
        author_network("ncsnv2_cifar10"),
        file["x_init"],
        file["sigmas"],
        eps=2 * file["step_lr"].item(),
        num_steps=int(file["n_steps_each"]),
        denoise=True,
        randn_like=replay(file["noise_seeded"]),
        callback=lambda step: states.append(step.x.clone()),
    )
    # The states reach 178, where float32 numbers lie 1.5e-5 apart, so 1e-4 is but seven roundings after 232
    # steps: a part in a million of the value is granted on top. Reached: 9e-5.
    for state, name in (
        (states[10], "state_after_step_10"),
        (states[-1], "final_before_denoise"),
        (denoised, "final_denoised"),
    ):
        torch.testing.assert_close(state, file[name], rtol=1e-6, atol=1e-4)
