"""One contract: each objective trains each network, in parts, in processes, cut and gone on with; and that samples.

A new objective or network joins by a line in `OBJECTIVES` or `NETWORKS`; all are handed labels, which those that learn
classes learn.
"""

import copy
import dataclasses
import functools
import inspect
import itertools
import sys

import pytest
import torch
from problems import seeded, without_repetitions
from processes import start, wait_for_end

from ncsn_lib import (
    MLP,
    NCSN,
    GaussianMixture,
    LossObjective,
    NCSNObjective,
    NCSNv2,
    TrainingSettings,
    UNet,
    samplers,
    train,
)
from ncsn_lib.checkpoints import load_checkpoint, save_checkpoint
from ncsn_lib.data import LabelledImages
from ncsn_lib.distributed import Processes
from ncsn_lib.generators import randn, sample_generators
from ncsn_lib.losses import (
    denoising_score_matching_loss,
    explicit_score_matching_loss,
    gaussian_projections,
    implicit_score_matching_loss,
    log_normal_sigmas,
    rademacher_projections,
    sliced_score_matching_loss,
    sliced_score_matching_vr_loss,
)
from ncsn_lib.networks import Preconditioned, RawUNet, ScoreResNet
from ncsn_lib.samplers import (
    adaptive_probability_flow,
    ancestral_sampling,
    annealed_langevin_dynamics,
    consistent_annealed_sampling,
    consistent_inpaint,
    dpm_solver_2m,
    inpaint,
    langevin_dynamics,
    metropolis_adjusted_langevin_dynamics,
    predictor_corrector,
    probability_flow_ode,
    reverse_sde,
)
from ncsn_lib.training import ConditionalObjective, DenoisingObjective, TrainingState

SIGMAS = torch.tensor([1.0, 0.5, 0.25], dtype=torch.float64)
SETTINGS = TrainingSettings(num_steps=2, batch_size=4, learning_rate=1e-2, max_grad_norm=1.0)
IMAGES, POINTS = (1, 4, 4), (3,)
LABELS = torch.arange(24) % 3
NETWORKS = {
    "MLP": (lambda: MLP(3, (8,), conditional=True), POINTS),
    "UNet": (lambda: UNet(1, (8,), num_blocks=1), IMAGES),
    "UNet, classes": (lambda: UNet(1, (8,), num_blocks=1, num_classes=3), IMAGES),
    "preconditioned": (lambda: Preconditioned(RawUNet(1, (8,), num_blocks=1, num_classes=3)), IMAGES),
    "NCSN": (lambda: without_repetitions(NCSN(SIGMAS, 1, 2)), IMAGES),
    "NCSNv2": (lambda: without_repetitions(NCSNv2(SIGMAS, 1, 2)), IMAGES),
    "ScoreResNet": (lambda: ScoreResNet(1, 8), IMAGES),
}


def noise_for(x, generator):
    return randn(x.shape, generator, like=x)


def at_a_level(loss, **draws):
    """A loss at the middle level, on examples with its noise."""
    return LossObjective(loss, sigma=0.5, perturb=True, **draws)


OBJECTIVES = {
    "ncsn": NCSNObjective(SIGMAS),
    "denoising": LossObjective(denoising_score_matching_loss, sigma=0.5, noise=noise_for),
    "levels drawn": DenoisingObjective(lambda x, generator: SIGMAS[torch.randint(3, (len(x),), generator=generator)]),
    "explicit": at_a_level(explicit_score_matching_loss, true_score=lambda x, generator: -x),
    "implicit": at_a_level(implicit_score_matching_loss),
    "sliced": at_a_level(
        sliced_score_matching_loss, projections=lambda x, generator: rademacher_projections(x, 2, generator)
    ),
    "sliced, VR": at_a_level(
        sliced_score_matching_vr_loss, projections=lambda x, generator: gaussian_projections(x, 2, generator)
    ),
}
LEARNS_CLASSES = {
    "ncsn, classes": ConditionalObjective(OBJECTIVES["ncsn"], 0.3),
    "log-normal, classes": ConditionalObjective(
        DenoisingObjective(lambda x, generator: log_normal_sigmas(x, -1.0, 1.0, generator)), 0.3
    ),
}
CROSSED = [
    *itertools.product(OBJECTIVES, NETWORKS),
    *itertools.product(LEARNS_CLASSES, ["UNet, classes", "preconditioned"]),
]
OBJECTIVES |= LEARNS_CLASSES


def problem(network):
    """A fresh network, in which every branch does something, and examples for it."""
    build, shape = NETWORKS[network]
    torch.manual_seed(0)
    module = build().double()
    for weight in module.parameters():
        if weight.abs().max() == 0:
            torch.nn.init.normal_(weight, std=0.1)
    return module, torch.rand(24, *shape, generator=seeded(), dtype=torch.float64)


def trained(objective, network, **options):
    """The state after the training."""
    module, data = problem(network)
    return train(module, LabelledImages(data, LABELS), OBJECTIVES[objective], SETTINGS, **options)


@functools.cache
def whole(objective, network):
    """The weights after a training in one process, in one part, without a cut."""
    return flat(trained(objective, network).network)


def flat(network):
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


def close(found, expected, where=""):
    """Whether weights in double precision agree, up to sums in another order, of which Adam divides the small ones."""
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8, msg=lambda said: where + said)


@pytest.mark.parametrize(("objective", "network"), CROSSED)
def test_in_two_parts(objective, network):
    close(flat(trained(objective, network, accumulate=2).network), whole(objective, network))


@pytest.mark.parametrize(("objective", "network"), CROSSED)
def test_cut_saved_loaded_gone_on_with_and_sampled(objective, network, tmp_path):
    """Bit for bit the weights of the training without a cut; and the averaged network samples."""
    cut = trained(objective, network, stop=lambda: True)
    assert cut.step == 1
    record = {"step": 1, "recipe": {}, "weights": cut.ema.module.state_dict(), "training": cut.tensors()}
    checkpoint = load_checkpoint(save_checkpoint(tmp_path, **record))
    module, data = problem(network)
    with torch.no_grad():
        for weight in module.parameters():
            weight.zero_()  # all that counts is loaded
    state = TrainingState.start(module, SETTINGS)
    state.load(checkpoint.step, checkpoint.weights, checkpoint.training)
    state = train(state, LabelledImages(data, LABELS), OBJECTIVES[objective], SETTINGS)
    assert torch.equal(flat(state.network), whole(objective, network))
    samples = annealed_langevin_dynamics(
        state.ema.module, data[:3], SIGMAS, eps=1e-3, num_steps=2, generator=sample_generators(0, 3)
    )
    assert samples.shape == data[:3].shape
    assert samples.isfinite().all()


def train_all_in(rank, size, meeting, out):
    """What each of two processes does: all that is crossed, in one part and in two; the first writes the weights."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=meeting.as_uri(), rank=rank, world_size=size)
    found = {}
    for objective, network in CROSSED:
        for accumulate in (1, 2):
            state = trained(objective, network, accumulate=accumulate, processes=Processes(rank, size))
            found[objective, network, accumulate] = flat(state.network)
    if rank == 0:
        torch.save(found, out)
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(sys.platform == "win32", reason="torchrun with gloo, and signals, are things of POSIX")
def test_in_two_processes(tmp_path):
    """All that is crossed, by the same two; each is named where it differs."""
    arguments = (2, tmp_path / "meeting", tmp_path / "weights.pt")
    processes = [start(train_all_in, rank, *arguments) for rank in range(2)]
    assert [wait_for_end(process) for process in processes] == [0, 0]
    for (objective, network, accumulate), found in torch.load(tmp_path / "weights.pt").items():
        close(found, whole(objective, network), f"{objective}, {network}, {accumulate} parts: ")


# --- a sample is the same in any batch

MIXTURE = GaussianMixture(torch.tensor([[-1.0, 0.5], [1.0, 0.0]], dtype=torch.float64), 0.3)
LADDER = torch.tensor([1.0, 0.7, 0.5], dtype=torch.float64)
KNOWN, MASK = torch.tensor([[0.3, 0.0]], dtype=torch.float64), torch.tensor([True, False])
DRAWING = {
    "langevin": lambda x, **draws: langevin_dynamics(MIXTURE.score, x, 0.5, step_size=0.1, num_steps=5, **draws),
    "metropolis": lambda x, **draws: metropolis_adjusted_langevin_dynamics(
        MIXTURE.score, MIXTURE.log_prob, x, 0.5, step_size=0.9, num_steps=5, **draws
    ),
    "annealed": lambda x, **draws: annealed_langevin_dynamics(MIXTURE.score, x, LADDER, eps=0.05, num_steps=3, **draws),
    "consistent": lambda x, **draws: consistent_annealed_sampling(MIXTURE.score, x, LADDER, eta=0.8, **draws),
    "inpaint": lambda x, **draws: inpaint(
        MIXTURE.score, x, KNOWN.expand(x.shape), MASK, LADDER, eps=0.05, num_steps=3, renoise=True, **draws
    ),
    "consistent inpaint": lambda x, **draws: consistent_inpaint(
        MIXTURE.score, x, KNOWN.expand(x.shape), MASK, LADDER, eta=0.8, **draws
    ),
    "reverse": lambda x, **draws: reverse_sde(MIXTURE.score, x, LADDER, **draws),
    "predictor": lambda x, **draws: predictor_corrector(MIXTURE.score, x, LADDER, **draws),
    "ancestral": lambda x, **draws: ancestral_sampling(MIXTURE.score, x, LADDER, **draws),
}
FLOWS = {
    "euler": lambda x: probability_flow_ode(MIXTURE.score, x, LADDER, method="euler"),
    "heun": lambda x: probability_flow_ode(MIXTURE.score, x, LADDER),
    "multistep": lambda x: dpm_solver_2m(MIXTURE.score, x, LADDER),
    "adaptive": lambda x: adaptive_probability_flow(MIXTURE.score, x, 1.0, 0.5, rtol=1e-10, atol=1e-10, denoise=True),
}
SAMPLERS = {**DRAWING, **FLOWS}


def test_every_sampler_is_here():
    """By the names of their package: a sampler is what takes a callback."""
    public = [getattr(samplers, name) for name in samplers.__all__]
    taking = {f.__name__ for f in public if inspect.isfunction(f) and "callback" in inspect.signature(f).parameters}
    used = set().union(*(sampler.__code__.co_names for sampler in SAMPLERS.values()))
    assert taking == used & {f.__name__ for f in public if inspect.isfunction(f)}
    assert len(taking) == 12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", SAMPLERS)
def test_no_trace_of_a_sampler_is_left(name, dtype, monkeypatch):
    """Its start stays, its samples have the start's dtype and no gradient, even of a score that has one."""
    for value, tensor in {"MIXTURE": MIXTURE, "LADDER": LADDER, "KNOWN": KNOWN}.items():
        monkeypatch.setitem(globals(), value, tensor.to(dtype))
    start = torch.randn(3, 2, generator=seeded(), dtype=dtype).requires_grad_()
    kept = start.detach().clone()
    samples = SAMPLERS[name](start)
    assert torch.equal(start, kept)
    assert samples.dtype == dtype
    assert not samples.requires_grad
    assert samples.isfinite().all()


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_carries_each_sample_by_itself(name):
    """To rounding, and the adaptive one, whose steps are the batch's, to its tolerance."""
    start = torch.randn(5, 2, generator=seeded(), dtype=torch.float64)
    apart = torch.cat([FLOWS[name](one[None]) for one in start])
    close = {"rtol": 0, "atol": 1e-8 if name == "adaptive" else 1e-12}
    torch.testing.assert_close(FLOWS[name](start), apart, **close)


@pytest.mark.parametrize("name", DRAWING)
def test_a_sampler_draws_for_each_sample_apart(name):
    sampler = SAMPLERS[name]
    start = torch.randn(5, 2, generator=seeded(), dtype=torch.float64)
    together = sampler(start, generator=sample_generators(3, 5))
    apart = [sampler(start[n : n + 1], generator=sample_generators(3, 1, first=n)) for n in range(5)]
    torch.testing.assert_close(together, torch.cat(apart), rtol=1e-12, atol=1e-12)
    assert torch.pdist(together).min() > 1e-3


@pytest.mark.parametrize("name", DRAWING)
def test_a_samplers_generator_is_all_its_chance(name):
    """The same generator, the same samples; by default it is torch's global one."""
    sampler, start = SAMPLERS[name], torch.zeros(4, 2, dtype=torch.float64)
    first = sampler(start, generator=seeded(1))
    assert torch.equal(first, sampler(start, generator=seeded(1)))
    assert not torch.equal(first, sampler(start, generator=seeded(2)))
    torch.manual_seed(1)
    assert torch.equal(first, sampler(start))
    with pytest.raises(ValueError, match="give a sampler generator or randn_like, not both"):
        sampler(start, generator=seeded(1), randn_like=torch.zeros_like)
    with pytest.raises(ValueError, match="one for each of the 4 examples, got 3"):
        sampler(start, generator=sample_generators(0, 3))


# --- steps that must not be taken


class Steep(torch.nn.Module):
    """A score of 0 whose gradient in the weight is infinite: sqrt(w) at 0."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.other = torch.nn.Parameter(torch.ones(1))

    def forward(self, x, sigma):
        return self.other * x + self.weight.sqrt() * x


@pytest.mark.parametrize("max_grad_norm", [None, 1.0])
def test_an_infinite_gradient_under_a_finite_loss(max_grad_norm):
    settings = dataclasses.replace(SETTINGS, max_grad_norm=max_grad_norm)
    state = TrainingState.start(Steep(), settings)
    before = copy.deepcopy(state.network.state_dict())
    with pytest.raises(ArithmeticError, match=r"the gradient's length is (inf|nan) at step 0: the gradient of weight"):
        train(state, torch.rand(24, 3), OBJECTIVES["denoising"], settings)
    for name, value in state.network.state_dict().items():
        assert torch.equal(value, before[name])


class Wide(torch.nn.Module):
    """A score of 0 whose gradient is finite, and the square of it is not."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(4))

    def forward(self, x, sigma):
        return 1e30 * self.weight.sum() * x


def test_a_gradient_whose_square_overflows():
    with pytest.raises(ArithmeticError, match="length is inf at step 0: each weight's gradient is finite, the sum of"):
        train(Wide(), torch.rand(24, 3), OBJECTIVES["denoising"], SETTINGS)


class Dropping(torch.nn.Module):
    """A network with draws of its own."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.Dropout(0.5), torch.nn.Linear(16, 3))

    def forward(self, x, sigma):
        return self.layers(x)


def test_a_networks_own_draws_follow_from_the_step(tmp_path):
    """Cut or not, and whatever was drawn before; what is drawn afterwards is as if nothing had been trained."""
    data = torch.rand(24, 3, generator=seeded())
    torch.manual_seed(0)
    network = Dropping()
    start = copy.deepcopy(network)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    uncut = train(network, data, OBJECTIVES["denoising"], SETTINGS)
    assert torch.equal(torch.rand(1), expected)
    cut = train(start, data, OBJECTIVES["denoising"], SETTINGS, stop=lambda: True)
    assert cut.step == 1
    assert torch.equal(flat(train(cut, data, OBJECTIVES["denoising"], SETTINGS).network), flat(uncut.network))
