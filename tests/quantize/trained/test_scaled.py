"""Scales that are chosen once."""

import math

import pytest
import torch
from torch import nn

from landscape.quantize.parametrization import put_on, quantizers
from landscape.quantize.scheme import Scheme
from landscape.quantize.trained.scaled import Scaled

GENERATOR = torch.Generator().manual_seed(0)


def weight(*shape):
    return torch.randn(*shape, generator=GENERATOR)


@pytest.mark.parametrize(
    ("scale", "shape", "axis", "expected"),
    [
        ("one", (3, 5), 0, 1.0),
        ("kaiming", (3, 5), 0, math.sqrt(2 / 5)),
        ("kaiming", (3, 5), 1, math.sqrt(2 / 3)),
        ("kaiming", (4, 6, 3, 3), 0, math.sqrt(2 / 54)),
        ("glorot", (3, 5), 0, math.sqrt(1.5 / 8)),
        ("glorot", (4, 6, 3, 3), 0, math.sqrt(1.5 / 90)),
    ],
)
def test_scales_of_shapes(scale, shape, axis, expected):
    made = Scaled(weight(*shape), Scheme(1), axis, scale=scale)
    assert made.scale.shape == (1,) * len(shape)
    assert made.scale.item() == pytest.approx(expected, rel=1e-6)
    made.calibrate(weight(*shape))
    assert made.scale.item() == pytest.approx(expected, rel=1e-6)


def test_scales_of_weights_are_their_mean_absolute_values():
    values = weight(3, 5)
    layer, channel = (Scaled(values, Scheme(1), 0, scale=scale) for scale in ("layer", "channel"))
    assert torch.allclose(layer.scale, values.abs().mean().reshape(1, 1))
    assert torch.allclose(channel.scale, values.abs().mean(1, keepdim=True))
    layer.calibrate(2 * values)
    assert torch.allclose(layer.scale, 2 * values.abs().mean().reshape(1, 1))


def test_the_scale_keeps_the_variance_of_activations_through_relu():
    """Binary weights of size sqrt(2 / n) preserve the mean square, for signs that are independent."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = put_on(nn.Linear(512, 512, bias=False), lambda w, axis: Scaled(w, Scheme(1), axis)).eval()
        inputs = torch.randn(200, 512)
    with torch.no_grad():
        assert model(inputs).relu().square().mean().item() == pytest.approx(inputs.square().mean().item(), rel=0.05)


def test_it_moves_between_formats_with_its_network():
    model = put_on(nn.Linear(4, 3), lambda w, axis: Scaled(w, Scheme(1), axis)).double()
    ((made, _),) = quantizers(model).values()
    assert made.scale.dtype == torch.float64
    assert model.weight.dtype == torch.float64


@pytest.mark.parametrize(
    ("scale", "scheme", "message"),
    [
        ("two", Scheme(1), "Expected a scale among kaiming, .*, got 'two': choose"),
        ("one", Scheme(3), "Expected the scale layer or channel for family narrow, got 'one': choose"),
    ],
)
def test_wrong_scales_are_refused(scale, scheme, message):
    with pytest.raises(ValueError, match=message):
        Scaled(weight(3, 5), scheme, 0, scale=scale)
