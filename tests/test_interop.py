"""Solvers and wrapped models against `diffusers` itself: the same scores, the same draws, its own steps."""

import pytest
import torch
from problems import normal, seeded

from ncsn_lib import GaussianMixture, geometric_sigmas, karras_sigmas
from ncsn_lib.interop import from_diffusers, load_diffusers
from ncsn_lib.samplers import (
    ancestral_sampling,
    dpm_solver_2m,
    predictor_corrector,
    probability_flow_ode,
    reverse_sde,
)

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")  # diffusers hands NumPy a tensor

MIXTURE = GaussianMixture(torch.tensor([[-2.0, 1.0], [2.0, 0.0]]), 0.4, torch.tensor([0.3, 0.7]))
NUM = 20
CLOSE = {"rtol": 2e-4, "atol": 2e-4}  # diffusers computes its levels and steps in single precision


@pytest.fixture(scope="module")
def diffusers():
    """The package."""
    return pytest.importorskip("diffusers", reason="diffusers is not installed: pip install -e .[diffusers]")


def alpha(sigma):
    """The scale of variance-preserving data."""
    return (1 + sigma**2) ** -0.5


def stepped(scheduler, start, *, preserving=False, **options):
    """What a scheduler's own loop makes of the exact mixture's noise; the sigma of a call is the scheduler's.

    One of variance-preserving data is handed those, and what it returns is brought back.
    """
    scheduler.set_timesteps(NUM)
    x = start * alpha(scheduler.sigmas[0]) if preserving else start
    for time in scheduler.timesteps:
        seen = scheduler.scale_model_input(x, time)
        sigma = scheduler.sigmas[scheduler.step_index or 0]
        seen = seen / alpha(sigma)
        noise = -sigma * MIXTURE.score(seen, sigma)
        x = scheduler.step(noise, time, x, **options).prev_sample
    return x


def levels(scheduler):
    """A scheduler's levels without the 0, and each once: Heun's names them for both of its calls."""
    scheduler.set_timesteps(NUM)
    return scheduler.sigmas.unique().flip(0)[:-1]


def start_for(sigmas):
    return sigmas[0] * normal(6, 2).float()


def test_karras_levels(diffusers):
    scheduler = diffusers.EulerDiscreteScheduler(use_karras_sigmas=True)
    found = levels(scheduler)
    ends = ((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod).sqrt()[[-1, 0]].tolist()
    torch.testing.assert_close(found, karras_sigmas(*ends, NUM), rtol=1e-4, atol=0)


@pytest.mark.parametrize("karras", [False, True])
@pytest.mark.parametrize(
    ("name", "solver"),
    [
        ("EulerDiscreteScheduler", lambda *a: probability_flow_ode(*a, method="euler")),
        ("HeunDiscreteScheduler", probability_flow_ode),
        ("DPMSolverMultistepScheduler", dpm_solver_2m),
    ],
)
def test_a_solver_of_the_flow_takes_their_steps(diffusers, name, solver, karras):
    scheduler = getattr(diffusers, name)(use_karras_sigmas=karras, beta_start=1e-4, beta_end=0.02)
    sigmas = levels(scheduler)
    start = start_for(sigmas)
    theirs = stepped(scheduler, start, preserving=name.startswith("DPM"))
    torch.testing.assert_close(solver(MIXTURE.score, start, sigmas), theirs, **CLOSE)


def test_ancestral_sampling_takes_their_steps(diffusers):
    scheduler = diffusers.EulerAncestralDiscreteScheduler()
    sigmas = levels(scheduler)
    start = start_for(sigmas)
    theirs = stepped(scheduler, start, generator=seeded(3))
    torch.testing.assert_close(ancestral_sampling(MIXTURE.score, start, sigmas, generator=seeded(3)), theirs, **CLOSE)


@pytest.mark.parametrize("name", ["DDPMScheduler", "DDIMScheduler"])
def test_ancestral_sampling_is_ddpm_and_ddim(diffusers, name):
    """Their steps between neighbours in a thousand levels, of data sqrt(alpha_bar) x; DDIM's with an eta of 0.6."""
    scheduler = getattr(diffusers, name)(clip_sample=False)
    eta = {"DDIMScheduler": 0.6, "DDPMScheduler": 1.0}[name]
    own = {"eta": eta} if name == "DDIMScheduler" else {}
    scheduler.set_timesteps(1000)
    times, draws = [820, 819, 818], normal(3, 6, 2).float()
    sigmas = ((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod).sqrt()[times]
    start, found, given = start_for(sigmas), [], iter(draws)
    ancestral_sampling(
        MIXTURE.score, start, sigmas, eta=eta, randn_like=lambda x: next(given),
        callback=lambda step: found.append(step.x),
    )  # fmt: skip
    y = start * alpha(sigmas[0])
    for index in range(2):
        noise = -sigmas[index] * MIXTURE.score(y / alpha(sigmas[index]), sigmas[index])
        if name == "DDIMScheduler":
            y = scheduler.step(noise, times[index], y, variance_noise=draws[index], **own).prev_sample
        else:
            without, drawn = (
                scheduler.step(noise, times[index], y, generator=seeded(index)).prev_sample for _ in range(2)
            )
            assert torch.equal(without, drawn)
            theirs = torch.randn(y.shape, generator=seeded(index))
            deviation = scheduler._get_variance(times[index]) ** 0.5
            y = drawn + deviation * (draws[index] - theirs)  # their draw exchanged for ours
        torch.testing.assert_close(found[index], y / alpha(sigmas[index + 1]), rtol=1e-3, atol=1e-3)


def small_unet(diffusers, **changes):
    torch.manual_seed(0)
    options = {
        "sample_size": 8,
        "in_channels": 3,
        "out_channels": 3,
        "block_out_channels": (8, 16),
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 1,
        "norm_num_groups": 4,
    }
    return diffusers.UNet2DModel(**{**options, **changes}).eval()


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
def test_a_variance_preserving_network_is_a_score_function(diffusers, prediction_type):
    """Its score against the noise that the scheduler itself finds in y = sqrt(alpha_bar) (2 x - 1 + noise)."""
    unet, scheduler = small_unet(diffusers), diffusers.DDIMScheduler(prediction_type=prediction_type, clip_sample=False)
    model = from_diffusers(unet, scheduler)
    assert model.shape == (3, 8, 8)
    assert len(model.sigmas) == 1000
    scheduler.set_timesteps(1000)
    for time in (3, 500, 999):
        sigma = model.sigmas[999 - time]
        x = 0.5 + sigma * normal(2, 3, 8, 8).float()
        y = alpha(2 * sigma) * (2 * x - 1)
        with torch.no_grad():
            score, output = model.score_fn(x, sigma.expand(2)), unet(y, time).sample
        clean = scheduler.step(output, time, y).pred_original_sample / 2 + 0.5  # in [0, 1]
        denoised = x + sigma**2 * score
        torch.testing.assert_close(denoised, clean, rtol=1e-3, atol=1e-3 * sigma.item())


def test_a_networks_samples_are_its_pipelines(diffusers):
    """DDIM's pipeline at 10 steps, from the same start, without clipping, to the picture."""
    unet, scheduler = small_unet(diffusers), diffusers.DDIMScheduler(clip_sample=False, timestep_spacing="leading")
    scheduler.set_timesteps(10)
    pipeline = diffusers.DDIMPipeline(unet, scheduler)
    pipeline.set_progress_bar_config(disable=True)
    theirs = torch.from_numpy(
        pipeline(batch_size=2, generator=seeded(5), num_inference_steps=10, output_type="np").images
    ).permute(0, 3, 1, 2)
    model = from_diffusers(unet, scheduler)
    sigmas = model.sigmas[[999 - time for time in scheduler.timesteps.tolist()]]
    start = torch.randn(2, 3, 8, 8, generator=seeded(5)) / (2 * alpha(2 * sigmas[0])) + 0.5
    found = probability_flow_ode(model.score_fn, start, sigmas, method="euler")
    torch.testing.assert_close(found.clamp(0, 1), theirs, rtol=0, atol=1e-3)


def test_a_network_of_song_et_al_is_a_score_function(diffusers):
    """Its predictor and its corrector, from the same draws; one image, for theirs takes one step length for a batch."""
    unet = small_unet(diffusers, time_embedding_type="fourier")
    scheduler = diffusers.ScoreSdeVeScheduler(num_train_timesteps=6, snr=0.16, sigma_min=0.01, sigma_max=50.0)
    model = from_diffusers(unet, scheduler)
    torch.testing.assert_close(model.sigmas, geometric_sigmas(50.0, 0.01, 6))
    scheduler.set_timesteps(6)
    scheduler.set_sigmas(6)
    torch.testing.assert_close(scheduler.discrete_sigmas.flip(0), model.sigmas)
    start = model.sigmas[0] * normal(1, 3, 8, 8).float()
    with torch.no_grad():
        output = unet(start, model.sigmas[:1]).sample
        predicted = scheduler.step_pred(output, scheduler.timesteps[0], start, generator=seeded(1)).prev_sample
        output = unet(predicted, model.sigmas[1:2]).sample
        corrected = scheduler.step_correct(output, predicted, generator=seeded(2)).prev_sample
    draws = [torch.randn(1, 3, 8, 8, generator=seeded(seed)) for seed in (1, 2)]
    for sampler, expected in ((reverse_sde, predicted), (predictor_corrector, corrected)):
        given, states = iter(draws), []
        sampler(
            model.score_fn, start, model.sigmas[:2], randn_like=lambda x, given=given: next(given),
            callback=lambda step, states=states: states.append(step.x),
        )  # fmt: skip
        torch.testing.assert_close(states[0], expected, rtol=1e-4, atol=1e-4)


def test_a_saved_pipeline_is_found_again(diffusers, tmp_path):
    unet = small_unet(diffusers)
    diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler()).save_pretrained(tmp_path)
    model, expected = load_diffusers(tmp_path), from_diffusers(unet, diffusers.DDPMScheduler())
    x, sigma = normal(2, 3, 8, 8).float(), torch.tensor([0.1, 3.0])
    with torch.no_grad():
        torch.testing.assert_close(model.score_fn(x, sigma), expected.score_fn(x, sigma))
    with pytest.raises(ValueError, match="nothing"):
        load_diffusers(tmp_path / "nothing")


def test_a_class_is_handed_on(diffusers):
    unet = small_unet(diffusers, num_class_embeds=4)
    x, sigma = normal(2, 3, 8, 8).float(), torch.ones(2)
    with torch.no_grad():
        first, second = (
            from_diffusers(unet, diffusers.DDPMScheduler(), class_labels=torch.tensor(labels)).score_fn(x, sigma)
            for labels in ([0, 1], [2, 1])
        )
    assert not torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_what_is_refused(diffusers):
    with pytest.raises(TypeError, match="scheduler must be a ScoreSdeVeScheduler or have alphas_cumprod, got EDMEuler"):
        from_diffusers(small_unet(diffusers), diffusers.EDMEulerScheduler())
    with pytest.raises(ValueError, match="prediction_type must be one of epsilon, sample, v_prediction, got 'flow_"):
        from_diffusers(small_unet(diffusers), diffusers.DPMSolverMultistepScheduler(prediction_type="flow_prediction"))
