"""IS, FID and KID on features whose figures are known, and Inception's weights: given, damaged, out of reach."""

import hashlib
import os
import sys
import urllib.error

import pytest
import torch
from problems import seeded
from torch import nn

from ncsn_lib.metrics import frechet_distance
from ncsn_lib.metrics.inception import inception_features, inception_figures, load_inception

pytest.importorskip("torch_fidelity")
pytestmark = pytest.mark.usefixtures("one_thread")


class PixelsAsFeatures(nn.Module):
    """In Inception's place: the grey values in [0, 1] are the features, and the logits point to a class surely.

    The class is the first pixel's grey value modulo 4.
    """

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x):
        assert x.dtype == torch.uint8
        assert x.shape[1] == 3
        logits = 200.0 * nn.functional.one_hot(x[:, 0, 0, 0].long() % 4, 4)
        return x[:, 0].flatten(1) / 255, logits


def figures(images, references):
    return inception_figures(images, references, PixelsAsFeatures(), reference_name="made up", denoised=True)


def grey(num, seed=0, low=0, high=256):
    return torch.randint(low, high, (num, 1, 3, 3), generator=seeded(seed), dtype=torch.uint8)


def test_four_sure_classes_score_four():
    images = grey(4000)
    found = figures(images, images[:50])
    # Of n images a part's class shares have the entropy log K - (K - 1) / 2n in the mean: here exp of it is 3.985.
    assert found.inception_score == pytest.approx(4 * (1 - 3 / 800), abs=0.01)
    one_class = (images // 4) * 4
    assert figures(one_class, images[:50]).inception_score == pytest.approx(1.0, abs=1e-9)


def test_fid_of_a_shift():
    images = grey(500, high=200)
    # Nine features, each shifted by 51 grey values, which are 0.2; the covariances are the same. float32 features.
    assert figures(images, images + 51).fid == pytest.approx(9 * 0.2**2, abs=1e-6)
    assert figures(images, images).fid == pytest.approx(0.0, abs=1e-6)


def test_fid_is_the_frechet_distance_of_the_features():
    images, references = grey(300), grey(400, seed=1, low=50)
    expected = frechet_distance(images.flatten(1) / 255, references.flatten(1) / 255)
    assert figures(images, references).fid == pytest.approx(expected, rel=1e-5)  # features in float32


def test_kid_of_two_constants():
    """The kernel (x y + 1)^3 of constant features a and b, by hand."""
    a, b = 51 / 255, 204 / 255
    images, references = torch.full((50, 1, 3, 3), 51), torch.full((60, 1, 3, 3), 204)
    found = figures(images.to(torch.uint8), references.to(torch.uint8))
    expected = (a * a + 1) ** 3 + (b * b + 1) ** 3 - 2 * (a * b + 1) ** 3
    assert found.kid == pytest.approx(expected, rel=1e-6)
    assert found.kid_std == pytest.approx(0.0, abs=1e-9)


def test_a_figure_says_what_it_was_measured_on():
    found = figures(grey(1200), grey(1500, seed=1))
    assert found[6:] == (1200, 1500, "made up", True)
    assert found.kid_subset_size == 1000
    assert figures(grey(7), grey(1500)).kid_subset_size == 7


def test_samples_become_the_256_values_that_a_picture_has():
    images = torch.tensor([-0.3, 0.0, 0.5, 1.0, 1.2]).repeat(2, 2, 1).unsqueeze(1)  # (2, 1, 2, 5)
    features, _ = inception_features(images, PixelsAsFeatures())
    torch.testing.assert_close(features[0, :5], torch.tensor([0, 0, 128, 255, 255]) / 255)
    batched, _ = inception_features(images, PixelsAsFeatures(), batch_size=1)
    assert torch.equal(batched, features)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(4, 2, 8, 8), r"images must be \(N, 1, H, W\) or \(N, 3, H, W\), got \(4, 2, 8, 8\)"),
        (torch.zeros(1, 1, 8, 8), "images and references must be two or more, got 1 and 9"),
    ],
)
def test_what_is_no_set_of_images(images, message):
    with pytest.raises(ValueError, match=message):
        figures(images, torch.zeros(9, 1, 8, 8))


# --- the network's weights


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory):
    """Inception's tensors with random values, as the file has them, and the network they are of."""
    from torch_fidelity import feature_extractor_inceptionv3 as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *args, **options: {})
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        network = module.FeatureExtractorInceptionV3("inception-v3-compat", ["2048", "logits_unbiased"])
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(network.state_dict(), path)
    return path, network


def test_weights_given_by_path(inception_file):
    path, network = inception_file
    loaded = load_inception(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    images = torch.rand(2, 1, 8, 8, generator=seeded())
    features, logits = inception_features(images, loaded)
    assert (features.shape, logits.shape) == ((2, 2048), (2, 1008))
    expected = network((images * 255).round().to(torch.uint8).expand(-1, 3, -1, -1))
    assert torch.equal(features, expected[0])
    assert torch.equal(logits, expected[1])


def test_other_weights_are_refused(inception_file, tmp_path):
    with pytest.raises(OSError, match=r"weights.pth is not Inception's weights, or damaged: its SHA-256 is"):
        load_inception(inception_file[0])
    with pytest.raises(FileNotFoundError, match=r"not at .*nowhere.pth; get them from https://github.com/toshas"):
        load_inception(tmp_path / "nowhere.pth")


class Attack:
    def __reduce__(self):
        return os.mkdir, ("attacked",)


def test_code_in_the_file_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Attack()}, "evil.pth")
    content = (tmp_path / "evil.pth").read_bytes()
    with pytest.raises(OSError, match=r"evil.pth holds more than tensors"):
        load_inception(tmp_path / "evil.pth", sha256=hashlib.sha256(content).hexdigest())
    assert not (tmp_path / "attacked").exists()


@pytest.fixture
def no_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints" / "weights-inception-2015-12-05-6726825d.pth"


def test_offline_it_says_where_to_put_the_file(no_cache, monkeypatch):
    def offline(*args, **options):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "urlopen", offline)
    put = rf"put {no_cache.name} \(91 MB\) from https.* into {no_cache.parent} and"
    expected = rf"cannot be downloaded \(.*no route to host.*\): {put}"
    with pytest.raises(FileNotFoundError, match=expected):
        load_inception()
    assert not no_cache.exists()


def test_a_damaged_file_in_the_cache(no_cache):
    no_cache.parent.mkdir(parents=True)
    no_cache.write_bytes(b"half of it")
    with pytest.raises(OSError, match=r"6726825d.pth is not Inception's weights, or damaged.*; delete it"):
        load_inception()


def test_without_torch_fidelity_it_says_what_to_install(monkeypatch):
    for name in ["torch_fidelity", *(name for name in sys.modules if name.startswith("torch_fidelity."))]:
        monkeypatch.setitem(sys.modules, name, None)  # what Python does with a missing module
    for call in (load_inception, lambda: figures(grey(4), grey(4))):
        with pytest.raises(ImportError, match=r'install it with: pip install "ncsn_lib\[metrics\]"'):
            call()
