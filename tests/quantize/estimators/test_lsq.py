"""LSQ's derivatives: the formulas of the paper, element by element, and a naive twin."""

import pytest
import torch

from landscape.quantize.estimators.lsq import lsq
from landscape.quantize.grid import Grid

CODES = [(-8, 7), (-2, 1), (0, 15), (0, 1)]


def grid(scale, low, high):
    bits = (high - low).bit_length()
    return Grid("uniform", bits, low, high, scale, torch.zeros_like(scale))


def numbers(low, high, scale):
    """Numbers within the codes and beyond both ends, none halfway between two of them."""
    return scale * (torch.rand(60, dtype=torch.float64) * (high - low + 3) + low - 1.5)


@pytest.mark.parametrize(("low", "high"), CODES)
def test_numbers_are_those_of_the_grid(low, high):
    scale = torch.full((1,), 0.3, requires_grad=True)
    weight = numbers(low, high, 0.3).float()
    assert torch.equal(lsq(weight, grid(scale, low, high)), grid(scale.detach(), low, high).hard(weight))


@pytest.mark.parametrize(("low", "high"), CODES)
def test_derivatives_are_those_of_the_paper_element_by_element(low, high):
    scale = torch.full((1,), 0.3, dtype=torch.float64)
    weight = numbers(low, high, 0.3)

    def rounded(weight, scale):
        return lsq(weight, grid(scale, low, high))

    in_weight = torch.func.grad(lambda w: rounded(w, scale).sum())(weight)
    in_scale = torch.func.jacrev(lambda s: rounded(weight, s))(scale)[:, 0]
    for w, dw, ds in zip(weight.tolist(), in_weight.tolist(), in_scale.tolist(), strict=True):
        v = w / 0.3
        if v <= low:
            expected = 0.0, low
        elif v >= high:
            expected = 0.0, high
        else:
            expected = 1.0, round(v) - v
        assert (dw, ds) == pytest.approx(expected, abs=1e-12)


def naive(weight, scale, low, high, gain):
    """The published pseudocode."""
    s = scale * gain + (scale - scale * gain).detach()
    v = torch.clamp(weight / s, low, high)
    return (v + (v.round() - v).detach()) * s


@pytest.mark.parametrize(("low", "high"), CODES)
def test_gradients_equal_those_of_the_published_pseudocode(low, high):
    weight = numbers(low, high, 0.3).requires_grad_()
    scale, gain = torch.full((1,), 0.3, dtype=torch.float64, requires_grad=True), 0.04
    up = torch.randn(60, dtype=torch.float64)
    ours = torch.autograd.grad(lsq(weight, grid(scale, low, high), gain=gain), (weight, scale), up)
    theirs = torch.autograd.grad(naive(weight, scale, low, high, gain), (weight, scale), up)
    assert (ours[0] - theirs[0]).abs().max() < 1e-14
    assert (ours[1] - theirs[1]).abs() < 1e-13


def test_every_unit_has_the_derivative_of_its_own_step():
    scale = torch.tensor([[0.2], [0.5]], dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 30, dtype=torch.float64)
    (both,) = torch.autograd.grad(lsq(weight, grid(scale, -4, 3)).sum(), scale)
    for row in range(2):
        one = scale[row].detach().requires_grad_()
        (alone,) = torch.autograd.grad(lsq(weight[row], grid(one, -4, 3)).sum(), one)
        assert both[row] == pytest.approx(alone.item(), abs=1e-12)


def test_its_hessian_is_the_masked_one_at_the_rounded_weights():
    weight, scale = numbers(-4, 3, 0.3)[:12], torch.full((1,), 0.3, dtype=torch.float64)
    matrix = torch.randn(12, 12, dtype=torch.float64)
    matrix = matrix + matrix.T

    def loss(w):
        return 0.5 * lsq(w, grid(scale, -4, 3)) @ matrix @ lsq(w, grid(scale, -4, 3))

    found = torch.func.jacrev(torch.func.grad(loss))(weight)
    inside = ((weight / scale > -4) & (weight / scale < 3)).double()
    assert 0 < inside.sum() < 12
    assert (found - inside[:, None] * matrix * inside).abs().max() < 1e-12
