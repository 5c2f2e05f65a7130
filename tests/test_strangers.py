"""What strangers bring: data of every kind, networks and recipes of their own, and what they get back."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from problems import seeded, small_recipe
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, default_collate

from ncsn_lib import (
    MLP,
    LossObjective,
    NCSNObjective,
    TrainingSettings,
    annealed_langevin_dynamics,
    load_network,
    load_run,
    sample_run,
    save_network,
    train,
    train_recipe,
)
from ncsn_lib.checkpoints import CheckpointError
from ncsn_lib.data import LabelledImages
from ncsn_lib.distributed import Processes
from ncsn_lib.generators import randn
from ncsn_lib.losses import denoising_score_matching_loss
from ncsn_lib.records import Record
from ncsn_lib.runs import export_run
from ncsn_lib.settings import LossSettings, NetworkSettings, SamplerSettings
from ncsn_lib.training import ConditionalObjective, examples_of

SIGMAS = torch.tensor([1.0, 0.3])
SETTINGS = TrainingSettings(num_steps=5, batch_size=4, learning_rate=1e-2)
POINTS = torch.rand(16, 3, generator=seeded())


def trained_on(data, **options):
    """The weights after a training on the data."""
    torch.manual_seed(0)
    state = train(MLP(3, (8,)), data, NCSNObjective(SIGMAS), SETTINGS, **options)
    return torch.cat([weight.detach().flatten() for weight in state.network.parameters()])


# --- data


class Dicts:
    """Examples as dicts, as data sets of photographs hand them out."""

    def __init__(self, make):
        self.make = make

    def __len__(self):
        return len(POINTS)

    def __getitem__(self, index):
        return self.make(index)


class Stream(IterableDataset):
    """Examples without number."""

    def __iter__(self):
        return iter(POINTS)


class Ended(Stream):
    """A stream that can be read once: four batches, where the settings ask for five steps."""

    points = iter(POINTS)

    def __iter__(self):
        return self.points


class DictDataset(Dicts, torch.utils.data.Dataset):
    """The same, as torch has it."""


@pytest.mark.parametrize(
    "data",
    [
        TensorDataset(POINTS),
        TensorDataset(POINTS, torch.arange(16)),
        DictDataset(lambda n: {"image": POINTS[n], "label": torch.tensor(n), "file": f"{n}.png"}),
        DictDataset(lambda n: {"pixel_values": POINTS[n].numpy(), "label": n}),
    ],
    ids=["tuple", "with labels", "dict", "array"],
)
def test_a_data_set_is_what_its_tensor_is(data):
    assert torch.equal(trained_on(data), trained_on(POINTS))


def test_a_loader_trains_on_its_own_batches():
    """Without shuffling an epoch is the examples in their order, and the next one begins where it ends."""
    seen = []

    def take(batch):
        seen.append(batch[0])
        return batch[0]

    trained_on(DataLoader(TensorDataset(POINTS), batch_size=4), take=take)
    assert torch.equal(torch.stack(seen), torch.cat([POINTS, POINTS[:4]]).view(5, 4, 3))


def test_what_is_taken_of_an_entry():
    two = DictDataset(lambda n: {"image": POINTS[n], "depth": POINTS[n]})
    with pytest.raises(TypeError, match=r"which entry are the examples of image \(Tensor\), depth \(Tensor\)\? say it"):
        trained_on(two)
    assert torch.equal(trained_on(two, take=lambda entry: entry["image"]), trained_on(POINTS))
    assert torch.equal(examples_of(default_collate([{"x": POINTS[0], "y": 1}, {"x": POINTS[1], "y": 2}])), POINTS[:2])
    with pytest.raises(TypeError, match="the data hand out str, not tensors: give take="):
        trained_on(DictDataset(lambda n: "a.png"))


def test_data_that_cannot_be_trained_on():
    loader = DataLoader(TensorDataset(POINTS), batch_size=5)
    with pytest.raises(ValueError, match="batch has 5 examples, the settings ask for 4; give it batch_size=4"):
        trained_on(loader)
    for nothing in [
        DataLoader(TensorDataset(POINTS), batch_size=99, drop_last=True),
        DataLoader(Ended(), batch_size=4),
    ]:
        with pytest.raises(ValueError, match="the loader hands out no batch: drop_last=True leaves none"):
            trained_on(nothing)
    with pytest.raises(ValueError, match="several processes need the same batches: hand over the DataLoader's data"):
        trained_on(DataLoader(TensorDataset(POINTS), batch_size=4), processes=Processes(0, 2))

    for data in [Stream(), POINTS.numpy(), Dicts(lambda n: POINTS[n])]:
        with pytest.raises(TypeError, match=f"a Dataset with a length or a DataLoader, got {type(data).__name__}"):
            trained_on(data)


# --- labels

LABELS = torch.arange(16) % 3


class Told(nn.Module):
    """A score that is told the class."""

    def __init__(self):
        super().__init__()
        self.shifts = nn.Parameter(torch.zeros(4, 3))

    def forward(self, x, sigma, classes):
        return self.shifts[classes + 1] - x


def told(data, **options):
    """The weights of a network that learns classes after a training on the data."""
    return train(Told(), data, ConditionalObjective(NCSNObjective(SIGMAS), 0.2), SETTINGS, **options).network.shifts


@pytest.mark.parametrize(
    "data",
    [
        TensorDataset(POINTS, LABELS),
        DictDataset(lambda n: (POINTS[n], int(LABELS[n]), f"{n}.png")),
        DictDataset(lambda n: {"label": LABELS[n], "image": POINTS[n], "file": f"{n}.png"}),
        DictDataset(lambda n: {"pixel_values": POINTS[n].numpy(), "label": LABELS[n].item()}),
    ],
    ids=["tensors", "tuple", "dict", "array"],
)
def test_a_data_set_hands_out_its_labels(data):
    expected = told(LabelledImages(POINTS, LABELS))
    assert torch.equal(told(data), expected)
    assert not torch.equal(told(LabelledImages(POINTS, LABELS.flip(0))), expected)


def test_a_loader_hands_out_its_labels():
    loader = DataLoader(TensorDataset(POINTS, LABELS), batch_size=4)
    assert torch.equal(told(loader), told(loader, take=lambda batch: (batch[0], batch[1])))
    assert not torch.equal(told(loader), told(loader, take=lambda batch: (batch[0], 2 - batch[1])))


def test_labels_are_no_matter_where_no_classes_are_learnt():
    assert torch.equal(trained_on(LabelledImages(POINTS, LABELS)), trained_on(POINTS))


def test_data_without_labels():
    with pytest.raises(ValueError, match=r"learns classes, and a tensor has none: hand over LabelledImages\(x, labels"):
        told(POINTS)
    for item in [lambda n: POINTS[n], lambda n: (POINTS[n], 0.5), lambda n: {"image": POINTS[n], "a": 1, "b": 2}]:
        with pytest.raises(TypeError, match="learns classes, and which are they in what the data hand out"):
            told(DictDataset(item))
    with pytest.raises(ValueError, match="each image needs a label, got 16 images and 15 labels"):
        told(LabelledImages(POINTS, LABELS[:15]))


# --- networks


def test_any_network_is_stored_with_its_settings(tmp_path):
    torch.manual_seed(0)
    network = MLP(3, (8, 5), conditional=True).double()
    save_network(network, tmp_path / "mine.safetensors", dim=3, hidden=[8, 5], conditional=True)
    loaded = load_network(tmp_path / "mine.safetensors", lambda **settings: MLP(**settings).double())
    x, sigma = POINTS.double(), torch.full((16,), 0.3, dtype=torch.float64)
    assert torch.equal(loaded(x, sigma), network(x, sigma))
    assert not loaded.training


def test_a_network_that_does_not_fit(tmp_path):
    path = tmp_path / "mine.safetensors"
    save_network(MLP(3), path, dim=2)
    with pytest.raises(CheckpointError, match=r"does not fit the network that is built for it: .*size mismatch"):
        load_network(path, MLP)
    save_network(MLP(3), path, width=2)
    with pytest.raises(CheckpointError, match=r"does not fit .*unexpected keyword argument 'width'"):
        load_network(path, MLP)
    with pytest.raises(TypeError, match="not JSON serializable"):
        save_network(MLP(3), path, sigmas=SIGMAS)


def test_a_score_of_any_callable():
    """A function, a lambda, a module's method: whatever takes x and sigma."""
    start = torch.zeros(4, 3)
    for score_fn in [lambda x, sigma: -x, MLP(3), MLP(3).forward]:
        samples = annealed_langevin_dynamics(score_fn, start, SIGMAS, eps=0.01, num_steps=2, generator=seeded())
        assert samples.isfinite().all()


# --- recipes


class Half(nn.Module):
    """A score whose only weight is its size."""

    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(size))

    def forward(self, x, sigma):
        return -self.weight * x


@dataclass(frozen=True)
class HalfSettings(NetworkSettings):
    """A network of one's own."""

    size: float = 0.5

    def build(self, sigmas, image_shape):
        """The network."""
        return Half(self.size)


@dataclass(frozen=True)
class OneLevelLoss(LossSettings):
    """A loss of one's own."""

    cost_in_calls: ClassVar[int] = 3
    sigma: float = 0.5

    def objective(self, sigmas):
        """What training minimises."""
        draws = {"noise": lambda x, generator: randn(x.shape, generator, like=x)}
        return LossObjective(denoising_score_matching_loss, sigma=self.sigma, **draws)


@dataclass(frozen=True)
class Downhill(SamplerSettings):
    """A sampler of one's own: follow the score, without noise."""

    steps: int = 3

    def start(self, shape, sigmas, generator):
        """Normal draws."""
        return randn(shape, generator, like=sigmas)

    def sample(self, score_fn, x, sigmas, *, generator=None, randn_like=None, callback=None):
        """Steps of the score."""
        with torch.no_grad():
            for _ in range(self.steps):
                x = x + 0.1 * score_fn(x, sigmas[-1:].expand(len(x)))
        return x

    def num_calls(self, num_levels):
        """The steps."""
        return self.steps


def test_a_recipe_of_own_parts_is_trained_stored_sampled_and_shared(tmp_path):
    recipe = dataclasses.replace(
        small_recipe(),
        name="mine",
        dataset="my own",
        network=HalfSettings(0.7),
        loss=OneLevelLoss(),
        sampling=Downhill(),
    )
    images = torch.rand(32, 1, 8, 8, generator=seeded())
    run = train_recipe(recipe, tmp_path / "run", images=images)
    found = load_run(tmp_path / "run")
    assert found.recipe == recipe
    assert found.network.weight == run.network.weight != 0.7
    samples = sample_run(found, 3)
    assert samples.shape == (3, 1, 8, 8)
    export_run(found, tmp_path / "mine.safetensors", {})
    shared = load_run(tmp_path / "mine.safetensors")
    assert shared.recipe == recipe
    torch.testing.assert_close(sample_run(shared, 3), samples, rtol=1e-3, atol=1e-3)  # 16 bits
    with pytest.raises(ValueError, match="there is no data set 'my own'; hand the images over, or use digits"):
        train_recipe(recipe, tmp_path / "other")


@pytest.mark.parametrize("name", ["mnist", "digits"])
def test_a_recipe_of_another_name_and_network_is_found_again(tmp_path, name):
    """What the record drops of the types would be rebuilt as the wrong network."""
    small = small_recipe()
    recipe = dataclasses.replace(small, name=f"my {name}", network=HalfSettings())
    train_recipe(recipe, tmp_path, images=torch.rand(32, 1, 8, 8))
    assert load_run(tmp_path).recipe == recipe


def test_two_parts_of_one_name():
    with pytest.raises(TypeError, match=r"there is a UNetSettings in ncsn_lib\.settings already; give yours another"):

        @dataclass(frozen=True)
        class UNetSettings(Record):
            """Named as the library's."""


def test_going_on_with_other_images_is_noticed(tmp_path):
    """The same settings and shape, one pixel of one image changed."""
    images = torch.rand(32, 1, 8, 8, generator=seeded())
    train_recipe(small_recipe(training={"num_steps": 2, "batch_size": 8}), tmp_path, images=images)
    other = images.clone()
    other[5, 0, 3, 3] += 0.5
    with pytest.raises(
        ValueError,
        match=r"was trained on other images, digits by the fingerprint \w{16}, not \w{16}; choose another folder",
    ):
        train_recipe(small_recipe(training={"num_steps": 2, "batch_size": 8}), tmp_path, images=other)
    run = train_recipe(small_recipe(training={"num_steps": 2, "batch_size": 8}), tmp_path, images=images)
    assert run.step == 2
