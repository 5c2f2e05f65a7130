"""A trained run sampled: against the samplers by hand, in shards that are cut, on the way, between, completed."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from problems import conditional_recipe, seeded, small_recipe

from ncsn_lib.generators import sample_generators, step_generator
from ncsn_lib.protocol import evaluate_score
from ncsn_lib.recipes import RECIPES
from ncsn_lib.runs import Run
from ncsn_lib.samplers import annealed_langevin_dynamics, consistent_annealed_sampling, inpaint
from ncsn_lib.sampling import batch_sizes, inpaint_run, interpolate_run, sample_run, sample_trajectory, to_bytes
from ncsn_lib.schedules import geometric_sigmas
from ncsn_lib.settings import ConsistentSamplingSettings, SamplingSettings
from ncsn_lib.shards import fingerprint, sample_to_shards

CPU = torch.device("cpu")
SHAPE = (1, 8, 8)
CONSISTENT = ConsistentSamplingSettings(
    num_levels=6, sigma_min=0.02, keep=0.4, inpainting=SamplingSettings(eps=1e-4, num_steps=2)
)


def make_run(network=None, **changes):
    """A run of the small recipe; its network starts as the zero score, so weights that do something are put in."""
    recipe = dataclasses.replace(small_recipe(), **changes)
    if network is None:
        network = recipe.build_network()
        for p in network.parameters():
            if p.abs().max() == 0:
                torch.nn.init.normal_(p, std=0.05, generator=seeded())
    return Run(network.eval(), recipe, 7)


class Recorder(torch.nn.Module):
    """The score of N(1/2, 1/4) data at every level, which notes what it is handed."""

    def __init__(self):
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def forward(self, x, sigma):
        self.seen.append(x.detach().clone())
        return -(x - 0.5) / (0.25 + sigma.view(-1, 1, 1, 1) ** 2)


@pytest.fixture(params=["annealed", "consistent"])
def run(request):
    return make_run() if request.param == "annealed" else make_run(sampling=CONSISTENT)


def stacked(draw, generators):
    """(B, C, H, W) each image's draws by its own generator."""
    return torch.stack([draw(SHAPE, generator=generator) for generator in generators])


def by_hand(run, num, seed):
    """Samples by the sampler itself, all in one batch, on the draws that each one's generator makes."""
    generators = sample_generators(seed, num)
    sigmas, settings = run.recipe.noise.sigmas(), run.recipe.sampling

    def replay(x):
        return stacked(torch.randn, generators)

    if isinstance(settings, SamplingSettings):
        return annealed_langevin_dynamics(
            run.network,
            stacked(torch.rand, generators),
            sigmas,
            eps=settings.eps,
            num_steps=settings.num_steps,
            denoise=settings.denoise,
            randn_like=replay,
        )
    levels = geometric_sigmas(1.0, 0.02, 6)
    eta = 1 - 0.4 * (0.02 ** (1 / 5))  # the ladder's ratio is 0.02^(1/5)
    start = 0.5 + stacked(torch.randn, generators)
    return consistent_annealed_sampling(run.network, start, levels, eta=eta, randn_like=replay)


# --- classes


@pytest.fixture(scope="module")
def knows_classes():
    """A run whose network knows ten classes; weights that do something are put in."""
    recipe = conditional_recipe()
    network = recipe.build_network()
    for weight in network.parameters():
        if weight.abs().max() == 0:
            torch.nn.init.normal_(weight, std=0.05, generator=seeded())
    return Run(network.eval(), recipe, 7)


def test_images_of_classes_in_turn(knows_classes):
    """Image n is of class n mod 3: the sampler's image of that class alone, whatever the batch."""
    samples = sample_run(knows_classes, 5, classes=[4, -1, 7], seed=3, batch_size=2)
    for number, own in enumerate([4, -1, 7, 4, -1]):
        alone = sample_run(knows_classes, 1, classes=[own], seed=3, first=number)
        with_the_rest = sample_run(knows_classes, 1, classes=range(-1, 9), seed=3, first=number)
        torch.testing.assert_close(samples[number], alone[0], rtol=0, atol=1e-5)
        assert (samples[number] - with_the_rest[0]).abs().max() > 1e-4
    none = sample_run(knows_classes, 5, seed=3)
    assert [bool((a - b).abs().max() < 1e-5) for a, b in zip(samples, none, strict=True)] == [0, 1, 0, 0, 1]
    end = sample_trajectory(knows_classes, 5, num_frames=9, classes=[4, -1, 7], seed=3)
    assert len(end) == 4  # the start, and a state after each of three steps
    torch.testing.assert_close(end[-1], samples, rtol=0, atol=1e-5)


def test_shards_of_classes(knows_classes, tmp_path):
    sample_to_shards(knows_classes, 3, tmp_path, classes=[4, 7], batch_size=2)
    expected = to_bytes(sample_run(knows_classes, 3, classes=[4, 7], batch_size=2))
    assert np.array_equal(np.concatenate([np.load(path) for path in sorted(tmp_path.glob("*.npy"))]), expected)
    with pytest.raises(ValueError, match="holds other samples"):
        sample_to_shards(knows_classes, 3, tmp_path, classes=[7, 4], batch_size=2)


def test_classes_that_are_not_known(knows_classes):
    with pytest.raises(ValueError, match="classes must be from 0 to 9, or -1 for none, got 10"):
        sample_run(knows_classes, 1, classes=[10])
    with pytest.raises(ValueError, match="the network of digits knows no classes; sample it without"):
        sample_run(make_run(Recorder()), 1, classes=[1])


# --- sample_run


def test_samples_are_the_samplers(run):
    samples = sample_run(run, 5, seed=3, batch_size=2)
    expected = by_hand(run, 5, 3)
    # The same steps on the same draws; eta, computed once in float32 and once in float64, differs by 1e-7.
    torch.testing.assert_close(samples, expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.1  # and they are no constants


def test_samples_follow_from_the_seed(run):
    seen = []
    first = sample_run(run, 5, seed=1, batch_size=2, callback=seen.append)
    assert first.shape == (5, *SHAPE)
    assert torch.equal(first, sample_run(run, 5, seed=1, batch_size=2))
    assert not torch.equal(first, sample_run(run, 5, seed=2, batch_size=2))
    assert torch.pdist(first.flatten(1)).min() > 0.1  # each image has draws of its own


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_an_image_is_the_same_in_any_batch(run, batch_size):
    """Whatever the batch, to the rounding of the network, and from whatever number it begins."""
    whole = sample_run(run, 5, seed=1)
    torch.testing.assert_close(sample_run(run, 5, seed=1, batch_size=batch_size), whole, rtol=0, atol=1e-4)
    torch.testing.assert_close(sample_run(run, 2, seed=1, first=3), whole[3:], rtol=0, atol=1e-4)


def test_training_and_sampling_share_no_stream():
    """A step's draws and a sample's of the same number differ, whatever the seed."""
    for seed, number in [(0, 0), (0, 1), (3, 7)]:
        (own,) = sample_generators(seed, 1, first=number)
        assert not torch.equal(torch.rand(4, generator=own), torch.rand(4, generator=step_generator(seed, number, CPU)))


def test_progress_counts_each_image_at_each_call(run):
    seen = []
    sample_run(run, 5, batch_size=2, callback=seen.append)
    calls = 10 * 2 + 1 if isinstance(run.recipe.sampling, SamplingSettings) else 6
    assert seen == [2] * calls + [2] * calls + [1] * calls
    assert calls == run.recipe.sampling.num_calls(10)


@pytest.mark.parametrize(("num", "batch_size", "sizes"), [(5, 2, [2, 2, 1]), (4, 2, [2, 2]), (3, 500, [3])])
def test_batches(num, batch_size, sizes):
    assert batch_sizes(num, batch_size) == sizes


def test_16_bits_are_near():
    """A step adds alpha / 2 of a score whose relative error is some roundings of 2^-9 = 0.002; its noise is the same.

    Measured: 0.0017 of the samples' spread. Ten roundings are allowed: a wrong cast or lost level costs far more.
    """
    run = make_run()
    exact, rounded = (sample_run(run, 8, bfloat16=b) for b in (False, True))
    assert rounded.dtype == torch.float32
    difference = (rounded - exact).square().mean().sqrt()
    assert 0 < difference < 0.02 * exact.std()


def test_counts(tmp_path):
    run = make_run()
    with pytest.raises(ValueError, match="num must be at least 1, got 0"):
        sample_run(run, 0)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        sample_run(run, 1, batch_size=0)
    with pytest.raises(ValueError, match="num must be at least 1, got 0"):
        sample_to_shards(run, 0, tmp_path / "none")
    assert not (tmp_path / "none").exists()
    with pytest.raises(ValueError, match="num_frames must be at least 2, got 1"):
        sample_trajectory(run, 1, num_frames=1)
    with pytest.raises(ValueError, match="num must be at least 2, got 1"):
        interpolate_run(run, 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda run, folder: sample_run(run, 2),
        lambda run, folder: sample_to_shards(run, 2, folder),
        lambda run, folder: sample_trajectory(run, 2),
        lambda run, folder: interpolate_run(run, 2),
        lambda run, folder: inpaint_run(run, torch.zeros(1, 3, 32, 32), torch.ones(32, 32, dtype=torch.bool)),
    ],
)
def test_a_recipe_without_a_sampler(call, tmp_path):
    recipe = RECIPES["fig1_raw"]
    sentence = "the recipe fig1_raw is trained for Fig. 1, left: the loss that does not settle; it has no sampler"
    with pytest.raises(ValueError, match=sentence):
        call(Run(recipe.build_network().eval(), recipe, 1), tmp_path / "shards")
    assert not (tmp_path / "shards").exists()


# --- shards


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_shards_hold_the_samples(run, tmp_path):
    shards = sample_to_shards(run, 5, tmp_path / "deep" / "shards", seed=3, batch_size=2)
    assert [shard.name for shard in shards] == ["shard-00000.npy", "shard-00001.npy", "shard-00002.npy"]
    stored = np.concatenate([np.load(shard) for shard in shards])
    assert stored.dtype == np.uint8
    samples = sample_run(run, 5, seed=3, batch_size=2)
    assert np.array_equal(stored, (samples.clamp(0, 1) * 255).round().numpy())
    assert len(np.unique(stored)) > 50
    record = json.loads((tmp_path / "deep" / "shards" / "samples.json").read_text())
    assert (record["seed"], record["step"]) == (3, 7)
    assert record["network_sha256"] == fingerprint(run.network)


def test_shards_that_are_missing_are_made_again(tmp_path):
    run = make_run()
    shards = sample_to_shards(run, 5, tmp_path, batch_size=2)
    whole = contents(tmp_path)
    stamps = [shard.stat().st_mtime_ns for shard in shards]
    shards[1].unlink()
    seen = []
    sample_to_shards(run, 5, tmp_path, batch_size=2, callback=seen.append)
    assert contents(tmp_path) == whole
    assert [shards[n].stat().st_mtime_ns for n in (0, 2)] == [stamps[0], stamps[2]]  # those were left alone
    assert sum(seen) == 5 * (10 * 2 + 1)  # images x calls, kept or made


class CutError(Exception):
    """Stands for a cut at an arbitrary moment."""


@pytest.mark.parametrize("calls_before", [1, 21, 26, 49])
def test_a_cut_is_gone_on_from(tmp_path, calls_before):
    run, calls = make_run(), []
    sample_to_shards(run, 5, tmp_path / "whole", batch_size=2)

    def cut(size):
        calls.append(size)
        if len(calls) == calls_before:
            raise CutError

    with pytest.raises(CutError):
        sample_to_shards(run, 5, tmp_path / "cut", batch_size=2, callback=cut)
    assert len(list((tmp_path / "cut").glob("shard-*"))) == (calls_before - 1) // 21  # the batches that were done
    sample_to_shards(run, 5, tmp_path / "cut", batch_size=2)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_more_shards_go_on_from_fewer(tmp_path):
    run = make_run()
    sample_to_shards(run, 3, tmp_path / "more", batch_size=2)
    sample_to_shards(run, 6, tmp_path / "more", batch_size=2)
    sample_to_shards(run, 6, tmp_path / "whole", batch_size=2)
    assert contents(tmp_path / "more") == contents(tmp_path / "whole")


@pytest.mark.parametrize("damage", [lambda content: content[:-5], lambda content: b"", lambda content: content[:20]])
def test_a_shard_cut_short_is_made_again(tmp_path, damage):
    run = make_run()
    shards = sample_to_shards(run, 4, tmp_path, batch_size=2)
    whole = contents(tmp_path)
    shards[0].write_bytes(damage(shards[0].read_bytes()))
    sample_to_shards(run, 4, tmp_path, batch_size=2)
    assert contents(tmp_path) == whole


def other_weights():
    run = make_run()
    with torch.no_grad():
        next(run.network.parameters()).view(-1)[0] += 1e-3
    return run


@pytest.mark.parametrize(
    ("other", "options", "words"),
    [
        (make_run, {"seed": 1}, "seed"),
        (make_run, {"batch_size": 3}, "batch_size"),
        (make_run, {"bfloat16": True}, "bfloat16"),
        (other_weights, {}, "network_sha256"),
        (lambda: make_run(sampling=SamplingSettings(num_steps=3)), {}, "recipe"),
        (lambda: make_run()._replace(step=8), {}, "step"),
    ],
)
def test_a_folder_of_other_samples_is_refused_unharmed(tmp_path, other, options, words):
    sample_to_shards(make_run(), 3, tmp_path, batch_size=2)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=rf"holds other samples \({words} differs\); choose another folder"):
        sample_to_shards(other(), 3, tmp_path, **{"batch_size": 2, **options})
    assert contents(tmp_path) == before


@pytest.mark.parametrize("content", [b"", b"[1]", b"{"])
def test_a_folder_with_a_damaged_record_is_named(tmp_path, content):
    (tmp_path / "samples.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"samples\.json is no record of samples, or damaged"):
        sample_to_shards(make_run(), 3, tmp_path)


def test_shards_take_the_memory_of_a_batch(tmp_path, monkeypatch):
    """Whatever the number of images, no tensor that the network or a file is handed holds more than a batch."""
    run = make_run(Recorder())
    written = []
    monkeypatch.setattr("ncsn_lib.shards.to_bytes", lambda images: written.append(len(images)) or to_bytes(images))
    sample_to_shards(run, 11, tmp_path, batch_size=3)
    assert {len(x) for x in run.network.seen} == {3, 2}
    assert written == [3, 3, 3, 2]


# --- on the way


def test_a_trajectory_goes_from_the_start_to_the_samples(run):
    frames = sample_trajectory(run, 3, num_frames=4, seed=2)
    assert frames.shape == (4, 3, *SHAPE)
    generators = sample_generators(2, 3)
    if isinstance(run.recipe.sampling, SamplingSettings):
        assert torch.equal(frames[0], stacked(torch.rand, generators))
    else:
        assert torch.equal(frames[0], 0.5 + stacked(torch.randn, generators))
    assert torch.equal(frames[-1], sample_run(run, 3, seed=2))


@pytest.mark.parametrize("denoise", [False, True])
def test_frames_between_are_evenly_spaced_states(denoise):
    """21 frames over 20 steps are every state; fewer are a part of them."""
    sampling = dataclasses.replace(make_run().recipe.sampling, denoise=denoise)
    run = make_run(Recorder(), sampling=sampling)
    every = sample_trajectory(run, 2, num_frames=21 + denoise)
    states = torch.stack(run.network.seen)  # what the network was handed: each state but the last
    assert torch.equal(every[:-1], states)
    few = sample_trajectory(run, 2, num_frames=6)
    assert torch.equal(few, every[[round(n * (20 + denoise) / 5) for n in range(6)]])


def test_fewer_steps_than_frames_give_them_all():
    run = make_run(sampling=CONSISTENT)
    assert sample_trajectory(run, 1, num_frames=50).shape == (7, 1, *SHAPE)  # the start and six calls
    run = make_run(sampling=SamplingSettings(eps=1e-4, num_steps=1))
    assert sample_trajectory(run, 1, num_frames=50).shape == (11, 1, *SHAPE)


# --- between two samples


def test_the_ends_are_samples_of_their_own_draws(run):
    """The first end is sampled on the draws of the one, the last on those of the other."""
    images = interpolate_run(run, 5, seed=4)
    ends = by_hand(run, 2, 4)
    # Batches of another size: float32 sums in another order; cos(pi / 2) is 4e-8 and not 0.
    torch.testing.assert_close(images[[0, -1]], ends, rtol=0, atol=1e-4)
    torch.testing.assert_close(interpolate_run(run, 2, seed=4), ends, rtol=0, atol=1e-4)
    assert not torch.allclose(ends[0], ends[1], atol=0.1)


def test_mixed_draws_are_unit_normal():
    """With the zero score the states are sums of the draws alone, so their differences show them."""
    run = make_run(small_recipe().build_network())  # the U-Net starts as the zero score
    states = []
    run.network.register_forward_pre_hook(lambda module, arguments: states.append(arguments[0].clone()))
    interpolate_run(run, 5, seed=1)
    sigmas, eps = run.recipe.noise.sigmas(), run.recipe.sampling.eps
    alphas = (eps * sigmas**2 / sigmas[-1] ** 2).repeat_interleave(2)
    steps = (torch.stack(states[1:]) - torch.stack(states[:-1])) / alphas.sqrt().view(-1, 1, 1, 1, 1)[: len(states) - 1]
    draws = steps[:10].transpose(0, 1).flatten(1).double()  # (5, 640): the first levels, where they are not rounded off
    assert len(draws[0]) == 640
    for k, row in enumerate(draws):  # five standard errors of 640 unit normal draws
        assert abs(row.mean()) < 5 / 640**0.5
        assert abs(row.var() - 1) < 5 * (2 / 640) ** 0.5, k
    angles = [k * math.pi / 8 for k in range(5)]
    for k, angle in enumerate(angles):  # each is the mixture of the two ends that its place says
        torch.testing.assert_close(
            draws[k], math.cos(angle) * draws[0] + math.sin(angle) * draws[-1], rtol=0, atol=1e-5
        )
    correlation = (draws[0] * draws[-1]).mean()
    assert abs(correlation) < 5 / 640**0.5  # the ends are independent


def test_neighbours_are_nearer_than_the_ends():
    images = interpolate_run(make_run(), 9, seed=0).flatten(1)
    distances = torch.cdist(images, images)
    assert distances.diagonal(1).max() < distances[0, -1] / 2


# --- completed


@pytest.mark.parametrize("renoise", [False, True])
def test_completions_are_the_samplers(run, renoise):
    known = torch.rand(3, *SHAPE, generator=seeded(5))
    mask = torch.rand(8, 8, generator=seeded(6)) < 0.5
    seen = []
    done = inpaint_run(run, known, mask, seed=2, renoise=renoise, callback=seen.append)
    generators = sample_generators(2, 3)
    sigmas, settings = run.recipe.noise.sigmas(), run.recipe.sampling.inpainting
    start = run.recipe.sampling.start((3, *SHAPE), sigmas, generators)
    expected = inpaint(
        run.network,
        start,
        known,
        mask,
        sigmas,
        eps=settings.eps,
        num_steps=settings.num_steps,
        denoise=settings.denoise,
        renoise=renoise,
        randn_like=lambda x: stacked(torch.randn, generators),
    )
    assert torch.equal(done, expected)
    assert torch.equal(done[..., mask], known[..., mask])
    assert (done - known)[..., ~mask].abs().min() > 0
    assert seen == [3] * settings.num_calls(10)


def test_completions_of_one_image_differ():
    known = torch.rand(1, *SHAPE, generator=seeded(5)).expand(4, -1, -1, -1)
    mask = torch.arange(8).expand(8, 8) < 4
    done = inpaint_run(make_run(), known, mask)
    assert torch.pdist(done.flatten(1)).min() > 0.1


def test_the_recorder_is_the_score_of_its_data():
    """The helper itself: the gradient of log N(x; 1/2, 1/4 + sigma^2)."""
    x, sigma = torch.rand(2, *SHAPE), torch.tensor([1.0, 0.1])
    score = evaluate_score(Recorder(), x, sigma)
    for row, level, s in zip(x, sigma, score, strict=True):
        point = row.clone().requires_grad_()
        density = torch.distributions.Normal(0.5, math.sqrt(0.25 + level**2)).log_prob(point).sum()
        torch.testing.assert_close(torch.autograd.grad(density, point)[0], s)
