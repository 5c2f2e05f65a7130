"""The authors' files: read whole, told apart, and everything else refused by name."""

import contextlib
import os
import pickle
import random

import pytest
import torch

from ncsn_lib.author_checkpoints import load_author_checkpoint
from ncsn_lib.networks.ncsn import NCSN
from ncsn_lib.networks.ncsnv2 import NCSNv2
from ncsn_lib.schedules import geometric_sigmas


def prefixed(network):
    return {f"module.{name}": tensor for name, tensor in network.state_dict().items()}


def ncsn_content(num_levels=10, channels=1, ngf=2):
    torch.manual_seed(0)
    network = NCSN(torch.linspace(1.0, 0.1, num_levels), channels, ngf)
    return [prefixed(network), torch.optim.Adam(network.parameters()).state_dict()]


def ncsnv2_content(channels=3, ngf=2):
    torch.manual_seed(0)
    network = NCSNv2(geometric_sigmas(50.0, 0.01, 20), channels, ngf)
    shadow = {name: p.detach() + 1.0 for name, p in network.named_parameters()}
    return [prefixed(network), torch.optim.Adam(network.parameters()).state_dict(), 7, 300_000, shadow]


@pytest.fixture
def save(tmp_path):
    def save(content, **options):
        path = tmp_path / "checkpoint.pth"
        torch.save(content, path, **options)
        return path

    return save


def refusal(path, **options):
    """The one line that a file is refused with."""
    with pytest.raises(ValueError, match="checkpoint") as caught:
        load_author_checkpoint(path, **options)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


# --- what is read


@pytest.mark.parametrize("zipped", [True, False])  # torch before 1.6 wrote no zip, and the authors had that
def test_ncsn_file(save, zipped):
    content = ncsn_content(num_levels=7)
    network = load_author_checkpoint(save(content, _use_new_zipfile_serialization=zipped))
    assert type(network) is NCSN
    assert not network.training
    torch.testing.assert_close(network.sigmas, geometric_sigmas(1.0, 0.01, 7))
    assert [f"module.{name}" for name in network.state_dict()] == list(content[0])
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, content[0][f"module.{name}"])


def test_the_caller_may_give_the_ladder(save):
    sigmas = geometric_sigmas(20.0, 1.0, 10)
    assert torch.equal(load_author_checkpoint(save(ncsn_content()), sigmas=sigmas).sigmas, sigmas)
    sigmas = geometric_sigmas(9.0, 0.1, 5)
    assert torch.equal(load_author_checkpoint(save(ncsnv2_content()), sigmas=sigmas).sigmas, sigmas)


def test_a_single_level_is_the_baselines(save):
    assert load_author_checkpoint(save(ncsn_content(num_levels=1))).sigmas.tolist() == pytest.approx([0.01])


def test_ncsnv2_file_gives_the_ema_weights_and_the_ladder(save):
    content = ncsnv2_content()
    network = load_author_checkpoint(save(content))
    assert type(network) is NCSNv2
    assert not network.training
    assert torch.equal(network.sigmas, content[0]["module.sigmas"])
    assert content[4].keys() == dict(network.named_parameters()).keys()
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, content[4][name])


def test_ncsnv2_file_without_ema_gives_its_weights(save):
    content = ncsnv2_content()[:4]
    for name, tensor in load_author_checkpoint(save(content)).state_dict().items():
        assert torch.equal(tensor, content[0][f"module.{name}"])


# --- what is refused


def test_no_file(tmp_path):
    assert "found no such file" in refusal(tmp_path / "checkpoint.pth")
    (tmp_path / "checkpoint").mkdir()
    assert "found a folder" in refusal(tmp_path / "checkpoint")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"\x80\x02.", b"\x89PNG" + bytes(999)])
def test_not_a_checkpoint_at_all(tmp_path, content):
    path = tmp_path / "checkpoint.pth"
    path.write_bytes(content)
    assert f"found {len(content)} bytes" in refusal(path)


class Malicious:
    """Pickles as a call of os.mkdir."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("plain", [True, False])
def test_code_is_named_and_never_run(save, tmp_path, plain):
    content = [*ncsn_content(), Malicious(tmp_path / "pwned")]
    path = save(content)
    if plain:
        path.write_bytes(pickle.dumps(content[-1], protocol=2))
    message = refusal(path)
    assert "mkdir" in message
    assert "nothing in it was run" in message
    assert "weights_only" not in message  # no advice to open it unsafely
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_truncated_files(save, zipped):
    path = save(ncsnv2_content(), _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    # Past the network and its average nothing but the Adam state is left, yet no part of it is taken on trust.
    for length in random.Random(0).sample(range(len(whole) - 1), 15):
        path.write_bytes(whole[:length])
        assert f"found {length} bytes" in refusal(path)


def test_flipped_bits_never_give_other_weights(save):
    path = save(ncsn_content())
    whole, expected = path.read_bytes(), load_author_checkpoint(path).state_dict()
    for position in random.Random(0).sample(range(len(whole)), 30):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        with contextlib.suppress(ValueError):
            state = load_author_checkpoint(path).state_dict()
            # Not refused: the bit stood in the padding between two tensors.
            assert all(torch.equal(state[name], expected[name]) for name in expected)


def network_alone(content):
    return content[0]


def without_first_convolution(content):
    del content[0]["module.begin_conv.weight"]
    return content


def without_one_norm(content):
    del content[0]["module.res3.0.normalize1.embed.weight"]
    return content


def with_a_deeper_stage(content):
    content[0]["module.res5.0.conv1.weight"] = torch.zeros(4, 4, 3, 3)
    return content


def with_one_other_shape(content):
    content[0]["module.refine3.msf.convs.0.weight"] = torch.zeros(2, 4, 5, 5)
    return content


def with_other_norms(content):
    content[0] = {k: v for k, v in content[0].items() if "normalizer" not in k}
    return content


def with_a_nan(content):
    content[0]["module.end_conv.bias"][0] = float("nan")
    return content


def with_integers(content):
    content[0]["module.end_conv.bias"] = torch.zeros(1, dtype=torch.int64)
    return content


def with_a_number(content):
    content[0]["module.end_conv.bias"] = 3.0
    return content


def with_an_embedding_of_no_levels(content):
    content[0]["module.normalizer.embed.weight"] = torch.zeros(0, 6)
    return content


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (network_alone, "found content of type dict with 173 entries"),
        (lambda content: content[:1], "found content of type list with 1 entries"),
        (lambda content: [3, 4], "found the network of type int"),
        (lambda content: [{}, {}], "found the network of type dict with 0 entries"),
        (without_first_convolution, "no begin_conv.weight among 172 tensors"),
        (without_one_norm, "nearly NCSN, but no res3.0.normalize1.embed.weight"),
        (with_a_deeper_stage, "nearly NCSN, but an unknown res5.0.conv1.weight"),
        (with_one_other_shape, "refine3.msf.convs.0.weight (2, 4, 5, 5) where (2, 4, 3, 3) was expected"),
        (with_other_norms, "neither network's norms among 172 tensors"),
        (with_a_nan, "'module.end_conv.bias' with values that are not finite"),
        (with_integers, "'module.end_conv.bias' of torch.int64"),
        (with_a_number, "'module.end_conv.bias' of float"),
        (with_an_embedding_of_no_levels, "an embedding of no levels, (0, 6)"),
    ],
)
def test_other_content_is_named(save, change, found):
    message = refusal(save(change(ncsn_content())))
    assert "expected a checkpoint.pth of the authors' NCSN" in message
    assert found in message


def test_ema_of_another_network(save):
    content = ncsnv2_content()
    del content[4]["end_conv.bias"]
    assert "EMA weights of other tensors than the network's: end_conv.bias" in refusal(save(content))


def test_a_ladder_that_is_none(save):
    content = ncsnv2_content()
    content[0]["module.sigmas"] = content[0]["module.sigmas"].flip(0)
    assert "sigmas must strictly decrease" in refusal(save(content))


def test_sigmas_that_do_not_fit(save):
    path = save(ncsn_content())
    assert "an NCSN of 10 noise levels, got 3 sigmas" in refusal(path, sigmas=geometric_sigmas(1.0, 0.1, 3))
    with pytest.raises(TypeError, match="sigmas must be a torch"):
        load_author_checkpoint(path, sigmas=[1.0, 0.1])
