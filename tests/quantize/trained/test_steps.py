"""Trained step sizes: where they begin, what they are worth, and that they stay positive."""

import math

import pytest
import torch

from landscape.quantize.scheme import Scheme
from landscape.quantize.trained.steps import Stepped, SteppedInput


def stepped(weight, bits=3, *, channels=False, axis=0):
    return Stepped(weight, Scheme(bits, "full", channels=channels), axis)


def test_a_step_size_begins_at_twice_the_mean_over_the_root():
    weight = torch.randn(4, 6)
    made = stepped(weight, 3)
    assert made.scale.shape == (1, 1)
    assert made.scale.item() == pytest.approx(2 * weight.abs().mean().item() / math.sqrt(3))
    assert made.gain == pytest.approx(1 / math.sqrt(24 * 3))
    grid = made.grid_at(weight)
    assert (grid.low, grid.high, grid.kind) == (-4, 3, "uniform")


def test_every_output_unit_may_have_its_own():
    weight = torch.randn(2, 5, 3, 3)
    made = stepped(weight, 4, channels=True, axis=1)
    assert made.scale.shape == (1, 5, 1, 1)
    assert made.scale[0, 2].item() == pytest.approx(2 * weight[:, 2].abs().mean().item() / math.sqrt(7))
    assert made.gain == pytest.approx(1 / math.sqrt(18 * 7))


def test_weights_that_are_all_zero_get_a_positive_one():
    assert stepped(torch.zeros(3, 3)).scale.item() > 0


def test_it_deploys_what_it_trains_with():
    weight = torch.randn(4, 6)
    made = stepped(weight)
    assert torch.equal(made(weight), made.hard(weight))
    assert torch.equal(made.eval()(weight), made.grid_at(weight).hard(weight))


@pytest.mark.parametrize("moved", [-1.0, 0.0, 0.1])
def test_a_step_across_zero_halves_it(moved):
    made = stepped(torch.randn(4, 6))
    before = made.scale.item()
    with torch.no_grad():
        made.scale.fill_(moved * before)
    assert made(torch.randn(4, 6)).isfinite().all()
    made.follow()
    assert made.scale.item() == pytest.approx(before / 2)
    made.follow()
    assert made.scale.item() == pytest.approx(before / 2)


def test_a_smaller_step_is_left_alone():
    made = stepped(torch.randn(4, 6))
    with torch.no_grad():
        made.scale.mul_(0.6)
    expected = made.scale.item()
    made.follow()
    assert made.scale.item() == expected


@pytest.mark.parametrize(("sign", "codes"), [(1.0, (0, 7)), (-1.0, (-4, 3))])
def test_codes_of_activations_have_a_sign_where_the_first_inputs_do(sign, codes):
    made, inputs = SteppedInput(3), torch.rand(10, 4)
    inputs[0, 0] *= sign
    made.fit(inputs)
    assert (made.grid.low, made.grid.high) == codes
    assert made.scale.item() == pytest.approx(2 * inputs.abs().mean().item() / math.sqrt(codes[1]))


def test_the_gradient_of_the_step_of_activations_is_scaled_by_the_features_of_one_example():
    made, inputs = SteppedInput(3).double(), torch.rand(10, 2, 3, dtype=torch.float64)
    made.fit(inputs)
    (found,) = torch.autograd.grad(made(inputs).sum(), made.scale)
    place = inputs / made.scale.detach()
    expected = torch.where(place < 7, place.round() - place, 7.0).sum() / math.sqrt(6 * 7)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
