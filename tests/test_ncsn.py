"""NCSN and NCSNv2: their blocks against literal formulas, their sizes, and what bad input gets.

What holds for them as for any network of images is tested of the network of Fig. 1 here, too.
"""

import pytest
import torch
import torch.nn.functional as F
from torch.func import hessian, jacfwd, jacrev, jvp, vmap

from ncsn_lib.networks import MLP, UNet
from ncsn_lib.networks.layers import (
    ChainedResidualPooling,
    CondInstanceNormPlusPlus,
    InstanceNormPlusPlus,
    MeanPooledConv,
    MultiResolutionFusion,
    NoNorm,
    ResidualBlock,
    ResidualConvUnits,
)
from ncsn_lib.networks.ncsn import NCSN
from ncsn_lib.networks.ncsnv2 import NCSNv2
from ncsn_lib.networks.score_resnet import ScoreResNet
from ncsn_lib.schedules import geometric_sigmas

SIGMAS = geometric_sigmas(1.0, 0.01, 10)
NETWORKS = [NCSN, NCSNv2]


@pytest.fixture(params=NETWORKS)
def network(request):
    torch.manual_seed(0)
    return request.param(SIGMAS, 3, 4)


@pytest.fixture(params=[*NETWORKS, ScoreResNet])
def image_network(request):
    """Any network of three channels whose score does not start at zero."""
    torch.manual_seed(0)
    return request.param(3, 8) if request.param is ScoreResNet else request.param(SIGMAS, 3, 4)


def images(*shape, dtype=torch.float32, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def literal_norm(x, gamma, alpha, beta):
    """The formula, pixel by pixel: gamma (IN(x) + alpha (mu - m) / sqrt(v + 1e-5)) + beta."""
    out = torch.empty_like(x)
    for b in range(x.shape[0]):
        mu = [x[b, k].sum() / x[b, k].numel() for k in range(x.shape[1])]
        m = sum(mu) / len(mu)
        v = sum((mu_k - m) ** 2 for mu_k in mu) / (len(mu) - 1)
        for k in range(x.shape[1]):
            variance = ((x[b, k] - mu[k]) ** 2).sum() / x[b, k].numel()
            normalised = (x[b, k] - mu[k]) / (variance + 1e-5) ** 0.5
            spread = (mu[k] - m) / (v + 1e-5) ** 0.5
            out[b, k] = gamma[b, k] * (normalised + alpha[b, k] * spread) + beta[b, k]
    return out


# --- the norms


def test_conditional_norm_is_its_formula():
    torch.manual_seed(1)
    norm = CondInstanceNormPlusPlus(5, 3).double()
    torch.nn.init.normal_(norm.embed.weight)
    x, labels = 2.0 + 3.0 * torch.randn(4, 5, 6, 8).double(), torch.tensor([2, 0, 1, 2])
    gamma, alpha, beta = (norm.embed.weight[labels, 5 * i : 5 * i + 5] for i in range(3))
    # Both are float64 sums of at most 48 terms of size 10: 1e-12 is a thousand roundings.
    torch.testing.assert_close(norm(x, labels), literal_norm(x, gamma, alpha, beta), rtol=0, atol=1e-12)


def test_unconditional_norm_is_the_same_formula_for_every_level():
    torch.manual_seed(1)
    norm = InstanceNormPlusPlus(5).double()
    torch.nn.init.normal_(norm.beta)
    x = torch.randn(3, 5, 4, 6).double()
    gamma, alpha, beta = (p.expand(3, 5) for p in (norm.gamma, norm.alpha, norm.beta))
    torch.testing.assert_close(norm(x), literal_norm(x, gamma, alpha, beta), rtol=0, atol=1e-12)


def test_norms_have_right_first_and_second_derivatives():
    torch.manual_seed(2)
    norm = CondInstanceNormPlusPlus(3, 2).double()
    x, labels = torch.randn(2, 3, 2, 4).double().requires_grad_(), torch.tensor([1, 0])
    torch.autograd.gradcheck(lambda x: norm(x, labels), x)
    torch.autograd.gradgradcheck(lambda x: norm(x, labels), x)  # sliced score matching needs them


def test_norm_starts_as_the_paper_says():
    torch.manual_seed(3)
    gamma, alpha, beta = CondInstanceNormPlusPlus(500, 20).embed.weight.detach().chunk(3, dim=1)
    for weight in (gamma, alpha):  # 10,000 draws of N(1, 0.02): five standard errors
        assert abs(weight.mean() - 1) < 5 * 0.02 / 100
        assert abs(weight.std() - 0.02) < 5 * 0.02 / 141
    assert not beta.any()


def test_norm_of_16_bit_features_keeps_small_differences_of_large_means():
    torch.manual_seed(4)
    norm = InstanceNormPlusPlus(8)
    x = (torch.randn(2, 8, 16, 16) + 100.0).bfloat16()
    exact = literal_norm(x.double(), *(p.double().expand(2, 8) for p in (norm.gamma, norm.alpha, norm.beta)))
    out = norm(x)
    assert out.dtype == torch.bfloat16
    # bfloat16 is right to 2^-9 of a value; each of three values is rounded, and the largest is about 4.
    assert (out - exact).abs().max() < 3 * 4 * 2**-8


# --- the blocks


def test_mean_pooled_conv_is_the_mean_of_each_square():
    torch.manual_seed(0)
    layer = MeanPooledConv(2, 3, 3).double()
    h = layer.conv(images(2, 2, 6, 8).double())
    expected = (h[..., ::2, ::2] + h[..., 1::2, ::2] + h[..., ::2, 1::2] + h[..., 1::2, 1::2]) / 4
    torch.testing.assert_close(layer(images(2, 2, 6, 8).double()), expected)


@pytest.mark.parametrize(
    ("options", "shape"),
    [({}, (2, 6, 8, 8)), ({"downsample": True}, (2, 6, 4, 4)), ({"downsample": True, "dilation": 2}, (2, 6, 8, 8))],
)
def test_residual_block_halves_only_without_dilation(options, shape):
    block = ResidualBlock(6, 6, InstanceNormPlusPlus, **options)
    assert block(images(2, 6, 8, 8), None).shape == shape


def test_blocks_pass_their_input_through_where_their_convolutions_are_zero():
    x = images(2, 4, 6, 6)
    for block in (
        ResidualBlock(4, 4, InstanceNormPlusPlus),
        ResidualConvUnits(4, 2, InstanceNormPlusPlus),
    ):
        for name, parameter in block.named_parameters():
            if "conv" in name:
                torch.nn.init.zeros_(parameter)
        assert torch.equal(block(x, None), x)


def test_chained_pooling_adds_each_stage():
    torch.manual_seed(0)
    block = ChainedResidualPooling(4, lambda _: NoNorm(), F.avg_pool2d)
    x = images(2, 4, 6, 6) - 0.5
    first = block.convs[0](F.avg_pool2d(F.elu(x), 5, 1, 2))
    second = block.convs[1](F.avg_pool2d(first, 5, 1, 2))
    torch.testing.assert_close(block(x, None), F.elu(x) + first + second)


def test_fusion_resizes_with_the_corners_aligned():
    torch.manual_seed(0)
    block = MultiResolutionFusion([3, 2], 4, lambda _: NoNorm())
    fine, coarse = images(1, 3, 8, 8), images(1, 2, 4, 4)
    out = block([fine, coarse], None, fine.shape[2:])
    corners = (block.convs[0](fine) + 0)[..., ::7, ::7] + block.convs[1](coarse)[..., ::3, ::3]
    torch.testing.assert_close(out[..., ::7, ::7], corners)


# --- the networks


@pytest.mark.parametrize(
    ("network_class", "channels", "ngf", "num_parameters", "num_tensors"),
    [
        (NCSN, 1, 64, 7_638_657, 173),  # MNIST
        (NCSN, 3, 128, 30_117_635, 173),  # CIFAR-10 and CelebA
        (NCSNv2, 3, 128, 29_694_083, 153),  # CIFAR-10, 2020
    ],
)
def test_published_sizes(network_class, channels, ngf, num_parameters, num_tensors):
    with torch.device("meta"):
        parameters = list(network_class(SIGMAS, channels, ngf).parameters())
    assert (sum(p.numel() for p in parameters), len(parameters)) == (num_parameters, num_tensors)


def test_the_ladder_is_stored_where_the_authors_store_it():
    assert "sigmas" not in NCSN(SIGMAS, 1, 2).state_dict()
    assert torch.equal(NCSNv2(SIGMAS, 1, 2).state_dict()["sigmas"], SIGMAS)


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (1, 3, 6, 10), (3, 3, 28, 28)])
def test_any_even_size(network, shape):
    score = network(images(*shape), SIGMAS[: shape[0]])
    assert score.shape == shape
    assert score.isfinite().all()


def test_an_example_does_not_see_the_others(image_network):
    network = image_network.double()
    x, sigma = images(3, 3, 8, 8, dtype=torch.float64), SIGMAS[[0, 4, 9]].double()
    together = network(x, sigma)
    for b in range(3):
        # The same sums, in an order that may depend on the batch: float64 rounding of scores up to 100.
        torch.testing.assert_close(network(x[b : b + 1], sigma[b : b + 1])[0], together[b], rtol=1e-10, atol=1e-10)
    changed = network(torch.cat([x[:1], images(2, 3, 8, 8, dtype=torch.float64, seed=9)]), sigma)
    torch.testing.assert_close(changed[0], together[0], rtol=1e-10, atol=1e-10)
    assert not torch.allclose(changed[1], together[1])


def test_ncsn_scores_depend_on_the_level():
    network = NCSN(SIGMAS, 1, 4)
    x = images(1, 1, 8, 8).expand(2, -1, -1, -1)
    a, b = network(x, SIGMAS[[2, 3]])
    assert not torch.allclose(a, b, rtol=1e-3)


def test_ncsnv2_is_one_network_over_sigma():
    network = NCSNv2(SIGMAS, 1, 4)
    x = images(1, 1, 8, 8).expand(2, -1, -1, -1)
    a, b = network(x, torch.tensor([0.3, 0.07]))  # neither is a level
    torch.testing.assert_close(a * 0.3, b * 0.07)


def test_every_parameter_of_the_levels_seen_gets_a_gradient(network):
    network(images(10, 3, 8, 8), SIGMAS).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_gradient_in_x_is_right(image_network):
    """A finite difference along one direction, in float64: error about 1e-8 of the value for a step of 1e-5."""
    network = image_network.double()
    sigma, direction = SIGMAS[[1, 6]].double(), torch.randn(2, 3, 4, 4, dtype=torch.float64)
    x = images(2, 3, 4, 4, dtype=torch.float64).requires_grad_()
    weights = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((network(x, sigma) * weights).sum(), x)
    step = 1e-5 * direction
    with torch.no_grad():
        ahead, behind = ((network(x + s, sigma) * weights).sum() for s in (step, -step))
    torch.testing.assert_close((ahead - behind) / 2e-5, (gradient * direction).sum(), rtol=1e-5, atol=1e-6)


def test_channels_last_is_a_matter_of_memory_only(image_network):
    x = images(2, 3, 8, 8)
    expected = image_network(x, SIGMAS[:2])
    image_network = image_network.to(memory_format=torch.channels_last)
    score = image_network(x.to(memory_format=torch.channels_last), SIGMAS[:2])
    # Float32 sums in another order, through some 60 layers.
    torch.testing.assert_close(score, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


def test_bf16_autocast_returns_near_scores_in_float32(image_network):
    x = images(2, 3, 8, 8)
    expected = image_network(x, SIGMAS[:2])
    with torch.autocast("cpu", torch.bfloat16):
        score = image_network(x, SIGMAS[:2])
    assert score.dtype == torch.float32
    # Measured: 0.01 to 0.03 at ngf 4 to 128; a wrong dtype or a lost mean gives far more than 0.1.
    assert (score - expected).norm() < 0.1 * expected.norm()


def test_compiles_into_one_graph(image_network):
    x = images(2, 3, 4, 4)
    with torch.no_grad():
        compiled = torch.compile(image_network, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(x, SIGMAS[:2]), image_network(x, SIGMAS[:2]))


@pytest.fixture(params=[*NETWORKS, ScoreResNet, UNet, MLP])
def any_network(request):
    """A small network of either kind in double precision, and the shape of its examples."""
    torch.manual_seed(0)
    small = {ScoreResNet: ((1, 8), (1, 4, 4)), UNet: ((1, (8, 16)), (1, 4, 4)), MLP: ((3, (8,)), (3,))}
    arguments, shape = small.get(request.param, ((SIGMAS, 1, 2), (1, 4, 4)))
    network = request.param(*arguments, **({"conditional": True} if request.param is MLP else {}))
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return network.double(), shape


@pytest.mark.filterwarnings("ignore:There is a performance drop", "ignore:.torch.jit.script. is deprecated")
def test_torch_func_sees_what_autograd_sees(any_network):
    """vmap, jacrev, jacfwd, jvp and hessian against loops of automatic differentiation, in float64."""
    network, shape = any_network
    x, sigma = images(2, *shape, dtype=torch.float64), SIGMAS[[0, 3]].double()
    direction = images(2, *shape, dtype=torch.float64, seed=1)
    one = lambda x, sigma: network(x[None], sigma[None])[0]  # noqa: E731
    total = lambda x, sigma: one(x, sigma).square().sum()  # noqa: E731
    autograd, pairs = torch.autograd.functional, list(zip(x, sigma, strict=True))
    jacobians = torch.stack([autograd.jacobian(lambda y, s=s: one(y, s), y) for y, s in pairs])
    hessians = torch.stack([autograd.hessian(lambda y, s=s: total(y, s), y) for y, s in pairs])
    close = {"rtol": 1e-8, "atol": 1e-8 * hessians.abs().max().item()}
    for transform in (jacrev, jacfwd):
        torch.testing.assert_close(vmap(transform(one))(x, sigma), jacobians, **close)
    torch.testing.assert_close(vmap(hessian(total))(x, sigma), hessians, **close)
    _, along = jvp(lambda x: network(x, sigma), (x,), (direction,))
    dims = len(shape)
    expected = (jacobians * direction.view(2, *[1] * dims, *shape)).sum(tuple(range(-dims, 0)))
    torch.testing.assert_close(along, expected, **close)


# --- the level that a sigma is


def test_labels_survive_a_rounded_sigma():
    sigmas = geometric_sigmas(50.0, 0.01, 232)  # neighbours are 3.7 % apart
    network = NCSN(sigmas, 1, 2)
    for rounded in (sigmas, sigmas.double(), sigmas.bfloat16(), sigmas.half()):
        labels, known = network.find_labels(rounded)
        assert known.all()
        assert torch.equal(labels, torch.arange(232))
    labels, known = network.to(torch.bfloat16).find_labels(sigmas)
    assert known.all()
    assert torch.equal(labels, torch.arange(232))


@pytest.mark.parametrize("value", [0.5, 1.02, 0.0099, 0.0, -1.0, float("nan"), float("inf")])
def test_unknown_level(value):
    network = NCSN(SIGMAS, 1, 2)
    with pytest.raises(ValueError, match=rf"sigma = {value:g} is none of this network's 10 levels from 1 to 0.01"):
        network(images(2, 1, 4, 4), torch.tensor([0.01, value]))
    with pytest.raises(ValueError, match=r"sample with network\.sigmas"):
        network.check_levels(torch.tensor([value]))
    network.check_levels(SIGMAS)


def test_unknown_level_in_a_compiled_network_gives_nan_for_that_image_alone():
    network = NCSN(SIGMAS, 1, 2)
    network.refine_net = lambda x, labels: x  # it takes long to compile, and does not see what the level is
    with torch.no_grad():
        compiled = torch.compile(network, backend="eager", fullgraph=True)
        score = compiled(images(2, 1, 4, 4), torch.tensor([0.5, 0.01]))
    assert score[0].isnan().all()
    assert score[1].isfinite().all()


# --- what bad input gets


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 1, 8, 8), r"x must be \(B, 3, H, W\) .*, got \(2, 1, 8, 8\)"),
        ((2, 3, 64), r"x must be \(B, 3, H, W\) .*, got \(2, 3, 64\)"),
        ((2, 3, 9, 8), r"multiples of 2 and at least 4, got \(2, 3, 9, 8\)"),
        ((2, 3, 8, 7), r"multiples of 2 and at least 4, got \(2, 3, 8, 7\)"),
        ((2, 3, 2, 8), r"multiples of 2 and at least 4, got \(2, 3, 2, 8\); pad or resize the images"),
    ],
)
def test_images_of_a_wrong_shape(network, shape, message):
    with pytest.raises(ValueError, match=message):
        network(images(*shape), SIGMAS[:2])


@pytest.mark.parametrize("sigma", [SIGMAS[:3], SIGMAS[0], SIGMAS[:2, None]])
def test_sigma_of_a_wrong_shape(network, sigma):
    with pytest.raises(ValueError, match=r"sigma must be \(2,\)"):
        network(images(2, 3, 8, 8), sigma)


def test_wrong_dtype_or_device(network):
    with pytest.raises(TypeError, match=r"x must be floating point, got torch.uint8"):
        network(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), SIGMAS[:2])
    with pytest.raises(TypeError, match=r"sigma is torch\.float64 but x is torch\.float32; convert one with \.to"):
        network(images(2, 3, 8, 8), SIGMAS[:2].double())
    with pytest.raises(TypeError, match=r"sigma must be floating point, got torch\.int64"):
        network(images(2, 3, 8, 8), torch.tensor([0, 1]))  # labels, where levels are meant
    with pytest.raises(ValueError, match="the network is on cpu but x is on meta"):
        network(torch.empty(2, 3, 8, 8, device="meta"), SIGMAS[:2])


@pytest.mark.parametrize("network_class", NETWORKS)
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((SIGMAS.flip(0), 3, 8), ValueError, "sigmas must strictly decrease"),
        ((SIGMAS[None], 3, 8), ValueError, r"sigmas must be \(L,\)"),
        (([1.0, 0.1], 3, 8), TypeError, "sigmas must be a torch.Tensor, got list"),
        ((SIGMAS, 0, 8), ValueError, "channels must be at least 1, got 0"),
        ((SIGMAS, 3, 1), ValueError, "ngf must be at least 2, got 1"),
        ((SIGMAS, 3, 8.0), TypeError, "ngf must be an int, got 8.0"),
    ],
)
def test_wrong_construction(network_class, arguments, error, message):
    with pytest.raises(error, match=message):
        network_class(*arguments)
