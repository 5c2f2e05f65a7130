"""The loop against its parts written out, and its promises: exact resume, a stop before damage is done."""

import copy
import math

import pytest
import torch
from problems import seeded
from torch import nn

from ncsn_lib.generators import step_generator
from ncsn_lib.losses import ncsn_loss
from ncsn_lib.networks import UNet
from ncsn_lib.training import NCSNObjective, NonFiniteLossError, TrainingSettings, TrainingState, batch_indices, train

SIGMAS = torch.tensor([1.0, 0.3, 0.1])
SETTINGS = TrainingSettings(num_steps=7, batch_size=4, learning_rate=1e-2, max_grad_norm=1.0, warmup_steps=3)


def images(num=10):
    return torch.rand(num, 1, 4, 4, generator=seeded())


def fresh(settings=SETTINGS):
    torch.manual_seed(0)
    return TrainingState.start(UNet(1, (8,), num_blocks=1), settings)


def weights(state):
    return torch.cat([v.flatten().float() for v in [*state.tensors().values(), *state.ema.state_dict().values()]])


def test_the_loop_is_adam_on_the_ncsn_loss():
    """The same steps written out with torch's own plain Adam."""
    network = fresh().network.double()
    start = TrainingState.start(copy.deepcopy(network), SETTINGS)
    state = train(start, images().double(), NCSNObjective(SIGMAS), SETTINGS)
    adam = torch.optim.Adam(network.parameters(), lr=1e-2)
    for step in range(7):
        generator = step_generator(0, step, torch.device("cpu"))
        x = images().double()[batch_indices(10, 4, 0, step)]
        labels = torch.randint(3, (4,), generator=generator)
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        adam.zero_grad()
        ncsn_loss(network, x, SIGMAS.double(), labels, noise).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        adam.param_groups[0]["lr"] = 1e-2 * min(1, (step + 1) / 3)
        adam.step()
    for trained, expected in zip(state.network.parameters(), network.parameters(), strict=True):
        # Fused Adam rounds in another order, and divides small gradients by their own size: 1e-16 may become 1e-9.
        torch.testing.assert_close(trained, expected, rtol=1e-7, atol=1e-8)


def test_the_average_is_the_recursion():
    """The decay of average k is min(decay, (1 + k) / (10 + k)); the first average is the weights themselves."""
    settings = TrainingSettings(num_steps=6, batch_size=4, learning_rate=1e-2, ema_decay=0.25)
    seen = []
    state = fresh(settings)
    train(state, images(), NCSNObjective(SIGMAS), settings, callback=lambda s, _: seen.append(first_weight(s.network)))
    average = seen[0]
    for count, weight in enumerate(seen[1:], 1):
        decay = min(0.25, (1 + count) / (10 + count))
        average = decay * average + (1 - decay) * weight
    torch.testing.assert_close(first_weight(state.ema.module), average)


def first_weight(network):
    return next(network.parameters()).detach().clone()


def test_learning_rate():
    settings = TrainingSettings(
        num_steps=100, batch_size=1, learning_rate=0.5, betas=(0.9, 0.99), warmup_steps=10, cosine_decay=True
    )
    rates = [settings.learning_rate_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.05)
    assert rates[50] == pytest.approx(0.25)  # a cosine's middle
    assert rates[99] < 0.001
    assert max(rates) < 0.5
    constant = TrainingSettings(num_steps=100, batch_size=1, learning_rate=0.5)
    assert {constant.learning_rate_at(step) for step in range(100)} == {0.5}


def test_an_epoch_sees_each_image_once():
    epoch = torch.cat([batch_indices(12, 4, 5, step) for step in range(3)])
    assert epoch.sort().values.tolist() == list(range(12))
    following = torch.cat([batch_indices(12, 4, 5, step) for step in range(3, 6)])
    assert not torch.equal(epoch, following)
    assert torch.equal(batch_indices(12, 4, 5, 1), epoch[4:8])
    assert len(batch_indices(11, 4, 5, 2)) == 4  # what is left of an epoch of 11 is dropped


def test_a_steps_draws_follow_from_seed_and_step():
    draw = lambda seed, step: torch.rand(3, generator=step_generator(seed, step, torch.device("cpu")))  # noqa: E731
    assert torch.equal(draw(0, 5), draw(0, 5))
    assert not torch.equal(draw(0, 5), draw(0, 6))
    assert not torch.equal(draw(0, 5), draw(1, 5))


@pytest.mark.parametrize("cut", range(1, 7))
def test_resuming_is_exact_to_the_bit(cut):
    whole = train(fresh(), images(), NCSNObjective(SIGMAS), SETTINGS)
    saved = {}

    def save(state, loss):
        if state.step == cut:
            saved["weights"] = copy.deepcopy(state.ema.module.state_dict())
            saved["tensors"] = copy.deepcopy(state.tensors())

    train(fresh(), images(), NCSNObjective(SIGMAS), SETTINGS, callback=save)
    resumed = fresh()
    resumed.load(cut, saved["weights"], saved["tensors"])
    train(resumed, images(), NCSNObjective(SIGMAS), SETTINGS)
    assert resumed.step == 7
    assert torch.equal(weights(whole), weights(resumed))


def test_bytes_train_as_the_numbers_they_stand_for():
    grey = torch.randint(256, (10, 1, 4, 4), generator=seeded(), dtype=torch.uint8)
    by_bytes = train(fresh(), grey, NCSNObjective(SIGMAS), SETTINGS)
    by_numbers = train(fresh(), grey / 255, NCSNObjective(SIGMAS), SETTINGS)
    assert torch.equal(weights(by_bytes), weights(by_numbers))


def test_what_an_image_becomes_before_the_loss():
    """Dequantised, it is never the same twice, within one grey value; flipped, half are mirrored."""

    class Keep(NCSNObjective):
        seen = ()

        def draw(self, x, generator):
            self.seen = (*self.seen, x)
            return super().draw(x, generator)

    grey = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4)
    options = {"num_steps": 40, "batch_size": 1, "learning_rate": 1e-3}
    objective = Keep(SIGMAS)
    train(fresh(), grey, objective, TrainingSettings(**options, dequantize=True))
    assert all(((x * 256 - grey - 0.5).abs() < 0.5 + 1e-4).all() for x in objective.seen)
    assert not torch.equal(objective.seen[0], objective.seen[1])
    objective = Keep(SIGMAS)
    train(fresh(), grey, objective, TrainingSettings(**options, flip=True))
    flipped = [torch.equal(x, (grey / 255).flip(3)) for x in objective.seen]
    assert 8 <= sum(flipped) <= 32  # of 40 at even odds: outside in one of 20,000 seeds


def test_training_lowers_the_loss():
    settings = TrainingSettings(num_steps=150, batch_size=32, learning_rate=3e-3)
    losses = []
    train(
        fresh(settings),
        images(64),
        NCSNObjective(SIGMAS),
        settings,
        callback=lambda _, loss: losses.append(loss),
    )
    assert losses[0] == pytest.approx(8.0, abs=2.0)  # D / 2 for the zero score that a U-Net starts as
    assert sum(losses[-20:]) / 20 < 0.8 * losses[0]


def test_levels_are_drawn_uniformly():
    draws = NCSNObjective(SIGMAS).draw(torch.zeros(30_000, 2), seeded())
    counts = torch.bincount(draws["labels"], minlength=3).float()
    assert (counts - 10_000).abs().max() < 4 * math.sqrt(30_000 * 2 / 9)
    assert draws["noise"].std().item() == pytest.approx(1.0, abs=4 / math.sqrt(2 * 60_000))


# --- a loss that is not finite


class NaNBelow(nn.Module):
    """A network whose score is NaN at small levels, from the third step on."""

    def __init__(self):
        super().__init__()
        self.weight, self.calls = nn.Parameter(torch.zeros(1)), 0

    def forward(self, x, sigma):
        self.calls += 1
        bad = (sigma < 0.2) & (self.calls > 2)
        return torch.where(bad[:, None, None, None], torch.nan, self.weight * x)


def test_a_nan_stops_before_the_weights_are_touched():
    settings = TrainingSettings(num_steps=10, batch_size=8, learning_rate=0.1, ema_decay=0.5)
    state, kept = TrainingState.start(NaNBelow(), settings), []
    with pytest.raises(NonFiniteLossError, match=r"nan at step 2: noise level 3 \(sigma = 0\.1\) of 3; lower"):
        train(
            state,
            images(),
            NCSNObjective(SIGMAS),
            settings,
            callback=lambda s, _: kept.append((s.network.weight.item(), s.ema.module.weight.item())),
        )
    assert len(kept) == 2
    assert kept[-1] == (state.network.weight.item(), state.ema.module.weight.item())
    assert state.step == 2


def test_a_nan_in_the_images_is_told_apart():
    bad = images()
    bad[:] = torch.nan
    with pytest.raises(NonFiniteLossError, match="the images hold values that are not finite"):
        train(fresh(), bad, NCSNObjective(SIGMAS), SETTINGS)


# --- bad input


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"num_steps": 0}, ValueError, "num_steps must be at least 1, got 0"),
        ({"batch_size": -1}, ValueError, "batch_size must be at least 1"),
        ({"batch_size": 2.0}, TypeError, "batch_size must be an int"),
        ({"learning_rate": 0.0}, ValueError, "learning_rate must be a finite number above 0"),
        ({"learning_rate": math.nan}, ValueError, "learning_rate"),
        ({"betas": (0.9, 1.0)}, ValueError, r"betas\[1\] must be at least 0 and below 1, got 1\.0"),
        ({"ema_decay": -0.1}, ValueError, "ema_decay must be at least 0 and below 1"),
        ({"warmup_steps": -1}, ValueError, "warmup_steps must be at least 0"),
        ({"max_grad_norm": 0.0}, ValueError, "max_grad_norm"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
    ],
)
def test_settings_that_cannot_train(change, error, message):
    with pytest.raises(error, match=message):
        TrainingSettings(**{"num_steps": 1, "batch_size": 1, "learning_rate": 0.1, **change})


def test_fewer_images_than_a_batch():
    with pytest.raises(ValueError, match="batch_size must be at most the number of images, 3, got 4"):
        train(fresh(), images(3), NCSNObjective(SIGMAS), SETTINGS)


def test_an_objective_wants_a_ladder():
    with pytest.raises(ValueError, match="strictly decrease"):
        NCSNObjective(torch.tensor([0.1, 1.0]))
