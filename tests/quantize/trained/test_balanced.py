"""Libra binarization: balanced, standardized, with a power of two for a scale."""

import math

import pytest
import torch

from landscape.quantize.trained.balanced import Balanced
from landscape.quantize.trained.signs import DecayedSign, SignInput


@pytest.mark.parametrize("axis", [0, 1])
def test_its_latent_weight_is_standardized_by_output_unit(axis):
    weight = 3 + 2 * torch.randn(4, 5, 3, 3, dtype=torch.float64)
    latent = Balanced(weight, axis).latent(weight).movedim(axis, 0).flatten(1)
    rows = weight.movedim(axis, 0).flatten(1)
    expected = (rows - rows.mean(1, keepdim=True)) / rows.std(1, keepdim=True)
    assert (latent - expected).abs().max() < 1e-13


def test_deployed_is_the_sign_times_a_power_of_two():
    weight = torch.randn(4, 50, dtype=torch.float64)
    weight[1, 0] = 1000.0  # the mean |u| of this unit is small
    made = Balanced(weight, 0)
    latent = made.latent(weight)
    for row, scale in zip(latent, made.grid_at(weight).scale.flatten(), strict=True):
        assert scale.item() == 2.0 ** round(math.log2(row.abs().mean().item()))
    assert made.grid_at(weight).scale[1].item() < 0.5
    assert torch.equal(made.hard(weight).abs(), made.grid_at(weight).scale.expand(4, 50))
    assert torch.equal(made.hard(weight), made.grid_at(weight).hard(latent))
    assert torch.equal(made(weight), made.hard(weight))


def test_length_and_mean_of_a_unit_do_not_matter():
    weight = torch.randn(4, 50, dtype=torch.float64)
    made = Balanced(weight, 0)
    assert torch.equal(made.hard(weight), made.hard(4 * weight + 3))


def test_its_gradient_goes_through_the_standardization():
    weight = torch.randn(2, 6, dtype=torch.float64, requires_grad=True)
    made, up = Balanced(weight, 0), torch.randn(2, 6, dtype=torch.float64)
    made.t.fill_(0.8)
    made.k.fill_(1.25)
    (found,) = torch.autograd.grad(made(weight), weight, up)
    for row in range(2):
        w, g = weight[row].detach(), up[row]
        u, std = (w - w.mean()) / w.std(), w.std()
        inner = g * made.grid_at(weight).scale[row] * 1.25 * 0.8 * (1 - torch.tanh(0.8 * u) ** 2)
        expected = (inner - inner.mean() - u * (inner * u).sum() / 5) / std
        assert (found[row] - expected).abs().max() < 1e-13


def test_units_without_a_spread_stay_finite():
    weight = torch.cat([torch.zeros(1, 4), torch.randn(1, 4)]).requires_grad_()
    made = Balanced(weight, 0)
    out = made(weight)
    assert out[0].tolist() == [1.0] * 4
    (found,) = torch.autograd.grad(out.sum(), weight)
    assert found.isfinite().all()
    single = torch.randn(3, 1)
    assert Balanced(single, 0).hard(single).isfinite().all()


@pytest.mark.parametrize("make", [SignInput, DecayedSign])
def test_activations_of_both_signs_become_signs(make):
    made, inputs = make(), torch.randn(10, 4)
    made.fit(inputs)
    assert torch.equal(made(inputs), torch.where(inputs >= 0, 1.0, -1.0))
    assert torch.equal(made.eval()(inputs), torch.where(inputs >= 0, 1.0, -1.0))


@pytest.mark.parametrize("make", [SignInput, DecayedSign])
def test_activations_that_are_never_negative_become_zeros_and_ones(make):
    made, inputs = make(), torch.rand(10, 4)
    made.fit(inputs)
    assert torch.equal(made(inputs), (inputs >= 0.5).float())
    assert torch.equal(made.eval()(inputs), (inputs >= 0.5).float())


def test_the_derivative_of_a_sign_is_that_of_the_hard_tangent():
    made, inputs = SignInput(), torch.tensor([[-1.5, -0.9, 0.0, 0.7, 1.2]], requires_grad=True)
    made.fit(inputs.detach())
    (found,) = torch.autograd.grad(made(inputs).sum(), inputs)
    assert found.tolist() == [[0.0, 1.0, 1.0, 1.0, 0.0]]


def test_the_derivative_of_zeros_and_ones_is_one_between_them():
    made, inputs = SignInput(), torch.tensor([[0.1, 0.4, 0.9]])
    made.fit(inputs)
    inputs = torch.tensor([[-0.1, 0.1, 0.4, 0.9, 1.1]], requires_grad=True)
    (found,) = torch.autograd.grad(made(inputs).sum(), inputs)
    assert found.tolist() == [[0.0, 1.0, 1.0, 1.0, 0.0]]


def test_the_derivative_of_a_decayed_sign_is_that_of_the_tangent():
    made, inputs = DecayedSign(), torch.randn(6, 3, requires_grad=True)
    made.fit(inputs.detach())
    made.t.fill_(2.0)
    (found,) = torch.autograd.grad(made(inputs).sum(), inputs)
    assert torch.allclose(found, 2 * (1 - torch.tanh(2 * inputs.detach()) ** 2))
