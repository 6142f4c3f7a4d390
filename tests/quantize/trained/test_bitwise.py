"""Weights made of bits: their exact quantization, their grids whatever bits stay, their derivatives."""

import pytest
import torch
from torch import nn

from landscape.quantize.calibration import calibrate
from landscape.quantize.parametrization import put_on, quantizers, taken_off
from landscape.quantize.scheme import Scheme
from landscape.quantize.trained.bitwise import Bitwise


def made(weight=None, bits=7, beta=200.0):
    weight = torch.randn(5, 7, dtype=torch.float64) if weight is None else weight
    one = Bitwise(weight.requires_grad_(), bits)
    one.beta.fill_(beta)
    return weight.detach(), one


def masked(one, active):
    """Leave the given bits, by their exponents."""
    with torch.no_grad():
        exponents = range(one.bits - 1, -1, -1)
        one.mask.copy_(torch.tensor([1.0 if e in active else -1.0 for e in exponents]))


@pytest.mark.parametrize("bits", [1, 3, 7])
def test_steep_bits_are_the_quantization_of_the_weight_exactly(bits):
    weight, one = made(bits=bits)
    reach = weight.abs().max().reshape(1, 1)
    codes = (weight * ((2**bits - 1) / reach)).round()
    assert torch.equal(one.eval()(reach), codes * (reach / (2**bits - 1)))
    masked(one, range(bits))
    with torch.no_grad():  # away from 0, where no slope decides
        one.positive.mul_(2).sub_(1)
        one.negative.mul_(2).sub_(1)
    assert (one.train()(reach) - one.eval()(reach)).abs().max() < 1e-14
    grid = calibrate(weight, Scheme(bits + 1, "narrow", "minmax", channels=False))
    assert (grid.hard(weight) - one(reach)).abs().max() < 1e-14
    assert torch.equal(grid.codes(weight), one.grid_at(reach).codes(one.eval()(reach)))


def test_it_begins_at_the_quantization_of_the_weight_at_every_width():
    for bits in (2, 7):
        weight, one = made(bits=bits, beta=1.0)
        reach = weight.abs().max()
        codes = (weight * ((2**bits - 1) / reach)).round()
        assert (one.train()(one.right_inverse(weight)) - codes * reach / (2**bits - 1)).abs().max() < 1e-14


def test_a_soft_weight_is_the_formula_and_its_derivatives_those_of_autograd():
    weight, one = made(torch.randn(2, 3, dtype=torch.float64), bits=4, beta=3.0)
    with torch.no_grad():
        for logits in (one.positive, one.negative, one.mask):
            logits.copy_(torch.randn(logits.shape))
    scale = torch.tensor([[0.7]], dtype=torch.float64, requires_grad=True)
    expected = sum(
        0.7 / 15 * 2 ** (3 - i)
        * (torch.sigmoid(3 * one.positive[i]) - torch.sigmoid(3 * one.negative[i])) * torch.sigmoid(3 * one.mask[i])
        for i in range(4)
    )  # fmt: skip
    assert (one.train()(scale) - expected).abs().max() < 1e-14
    parameters = [one.positive, one.negative, one.mask, scale]
    found = torch.autograd.grad(one(scale).sum(), parameters)
    slope = 0.7 / 15 * 8 * 3 * torch.sigmoid(3 * one.positive[0]) * (1 - torch.sigmoid(3 * one.positive[0]))
    assert (found[0][0] - slope * torch.sigmoid(3 * one.mask[0])).abs().max() < 1e-14
    assert found[3].item() == pytest.approx((expected.sum() / 0.7).item(), rel=1e-12)


@pytest.mark.parametrize(
    ("active", "kind", "count"),
    [
        (range(7), "uniform", 255),
        ((6, 5, 4), "uniform", 15),
        ((3,), "uniform", 3),
        ((6, 4), "levels", 9),
        ((6, 5, 0), "levels", 21),
        ((6, 4, 2), "levels", 27),
    ],
)
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_whatever_bits_stay_the_deployed_weight_lies_on_the_grid_bit_for_bit(active, kind, count, sign, dtype):
    weight, one = made(torch.randn(40, 30, dtype=dtype))
    masked(one, active)
    with torch.no_grad():  # weights whose bits are on with both signs, too
        one.positive.copy_(torch.randn(one.positive.shape))
        one.negative.copy_(torch.randn(one.negative.shape))
    scale = torch.full((1, 1), sign * 0.37, dtype=dtype)
    hard, grid = one.eval()(scale), one.grid_at(scale)
    assert torch.equal(grid.hard(hard), hard)
    assert (grid.kind, grid.high - grid.low + 1) == (kind, count)
    assert 2 ** (grid.bits - 1) < count <= 2**grid.bits
    grid.require_positive("0.weight")
    assert int(one.active.sum()) == len(active)


@pytest.mark.parametrize("scale", [0.5, 0.0])
def test_a_layer_without_bits_is_zero_and_on_a_grid(scale):
    _, one = made()
    masked(one, ())
    scale = torch.full((1, 1), scale, dtype=torch.float64)
    hard, grid = one.eval()(scale), one.grid_at(scale)
    assert not hard.any()
    assert torch.equal(grid.hard(hard), hard)
    assert grid.bits == 1
    grid.require_positive("0.weight")


def test_a_weight_of_zeros_has_no_bits_on():
    weight, one = made(torch.zeros(2, 3))
    assert not one.eval()(one.right_inverse(weight)).any()
    assert one.train()(one.right_inverse(weight)).isfinite().all()


def test_decided_masks_stay_and_have_no_gradient():
    weight, one = made(beta=1.0)
    masked(one, (6, 5))
    one.harden()
    scale = torch.ones(1, 1, dtype=torch.float64)
    assert torch.equal(one.masks, torch.tensor([1.0] * 2 + [0.0] * 5, dtype=torch.float64))
    (found,) = torch.autograd.grad(one.train()(scale).square().sum(), one.mask)
    assert not found.any()
    masked(one, ())
    assert int(one.active.sum()) == 2


def test_on_a_layer_all_that_is_trained_is_scale_bits_and_masks():
    model = put_on(nn.Sequential(nn.Linear(3, 2)), lambda weight, axis: Bitwise(weight, 4))
    assert {name: tuple(p.shape) for name, p in model.named_parameters()} == {
        "0.bias": (2,),
        "0.parametrizations.weight.original": (1, 1),
        "0.parametrizations.weight.0.positive": (4, 2, 3),
        "0.parametrizations.weight.0.negative": (4, 2, 3),
        "0.parametrizations.weight.0.mask": (4,),
    }
    model(torch.ones(1, 3)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    plain, quantization = taken_off(model)
    quantization.require(plain.state_dict(), "here")
    (one, scale), *_ = quantizers(model).values()
    assert torch.equal(quantization.latent["0.weight"], one.latent(scale))


def test_a_frozen_layer_is_not_trained():
    layer = nn.Linear(3, 2)
    layer.weight.requires_grad_(False)
    put_on(layer, lambda weight, axis: Bitwise(weight, 4))
    assert [name for name, p in layer.named_parameters() if p.requires_grad] == ["bias"]
