"""What the transformers promise: tiling, causality, tied weights."""

import pytest
import torch

from landscape.models.gpt import gpt
from landscape.models.vit import vit


def tokens(*shape, classes=11):
    return torch.randint(classes, shape, generator=torch.Generator().manual_seed(1))


def test_vit_takes_the_digits():
    assert vit(patch=2, shape=(1, 8, 8))(torch.zeros(3, 1, 8, 8)).shape == (3, 10)


def test_vit_refuses_a_patch_that_does_not_divide_and_lists_those_that_do():
    with pytest.raises(ValueError, match=r"patch=4 for 28 x 30 pixels; choose one of \[1, 2\]"):
        vit(patch=4, shape=(1, 28, 30))


@pytest.mark.parametrize("build", [vit, gpt])
def test_heads_must_divide_the_width(build):
    with pytest.raises(ValueError, match="heads=3 and width=64; give a width such as 66"):
        build(heads=3)


def test_patches_are_embedded_as_by_a_strided_convolution():
    network = vit(patch=2, width=8, shape=(3, 4, 6)).double()
    x = torch.rand(2, 3, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weight = network.embed.weight.unflatten(1, (3, 2, 2))
    naive = torch.nn.functional.conv2d(x, weight, network.embed.bias, stride=2).flatten(2).mT
    torch.testing.assert_close(network.embed(network.patches(x)), naive)


def test_gpt_does_not_see_the_future():
    network = gpt(classes=11, shape=(8,)).double().eval()
    x = tokens(2, 8)
    y = x.clone()
    y[:, 5] = (y[:, 5] + 1) % 11
    with torch.no_grad():
        a, b = network(x), network(y)
    torch.testing.assert_close(a[:, :5], b[:, :5])
    assert ((a - b).abs().amax(-1)[:, 5:] > 1e-6).all()


def test_gpt_takes_shorter_sequences_and_agrees_with_itself():
    network = gpt(classes=11, shape=(8,)).double().eval()
    x = tokens(2, 8)
    with torch.no_grad():
        torch.testing.assert_close(network(x[:, :3]), network(x)[:, :3])


def test_tied_weights_are_one_parameter():
    tied, untied = gpt(classes=11, width=8), gpt(classes=11, width=8, tied=False)
    assert tied.head.weight is tied.embedding.weight
    counts = [sum(parameter.numel() for parameter in network.parameters()) for network in (tied, untied)]
    assert counts[1] - counts[0] == 11 * 8


def test_gpt_begins_near_the_uniform_distribution():
    network = gpt(classes=64).eval()
    x = tokens(4, 32, classes=64)
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(network(x).flatten(0, 1), x.roll(-1, 1).flatten())
    assert abs(loss - torch.log(torch.tensor(64.0))) < 0.2


def test_gpt_refuses_a_shape_that_is_no_length():
    with pytest.raises(ValueError, match=r"expected `shape` as \(length,\), got \(3, 32, 32\); give"):
        gpt(shape=(3, 32, 32))
