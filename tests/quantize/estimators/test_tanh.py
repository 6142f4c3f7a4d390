"""The smooth staircase: closed forms, its limit, and its derivatives."""

import pytest
import torch

from landscape.quantize.calibration import calibrate
from landscape.quantize.estimators.tanh import has_hessian, tanh
from landscape.quantize.grid import Grid
from landscape.quantize.scheme import Scheme


def one_scale(kind, bits, low, high, scale=0.5):
    scale = torch.full((1,), scale, dtype=torch.float64)
    return Grid(kind, bits, low, high, scale, torch.zeros_like(scale))


BINARY, TERNARY = one_scale("binary", 1, 0, 1), one_scale("uniform", 2, -1, 1)
WEIGHT = torch.linspace(-2, 2, 41, dtype=torch.float64)


@pytest.mark.parametrize("beta", [0.3, 1.0, 7.0])
def test_binary_and_ternary_are_the_formulas_of_the_paper(beta):
    u = WEIGHT / 0.5
    assert torch.allclose(tanh(WEIGHT, BINARY, beta=beta), 0.5 * torch.tanh(beta * u), rtol=0, atol=1e-15)
    expected = 0.5 * 0.5 * (torch.tanh(beta * (u + 0.5)) + torch.tanh(beta * (u - 0.5)))
    assert torch.allclose(tanh(WEIGHT, TERNARY, beta=beta), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    "scheme", [Scheme(1), Scheme(2, "ternary"), Scheme(2), Scheme(3), Scheme(2, "levels"), Scheme(3, symmetric=False)]
)
def test_its_limit_is_rounding_to_the_nearest(scheme):
    weight = torch.randn(4, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    grid = calibrate(weight, scheme)
    assert torch.allclose(tanh(weight, grid, beta=1e8), grid.hard(weight), rtol=0, atol=1e-12)


def test_the_gradient_is_its_own_or_one():
    soft = torch.func.grad(lambda w: tanh(w, BINARY, beta=3.0).sum())(WEIGHT)
    assert torch.allclose(soft, 3 * (1 - torch.tanh(6 * WEIGHT) ** 2), rtol=0, atol=1e-14)
    straight = torch.func.grad(lambda w: tanh(w, BINARY, beta=3.0, straight=True).sum())(WEIGHT)
    assert torch.equal(straight, torch.ones_like(WEIGHT))
    assert torch.equal(tanh(WEIGHT, BINARY, beta=3.0, straight=True), tanh(WEIGHT, BINARY, beta=3.0))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch warns of itself
def test_it_can_be_mapped_over_weights_and_differentiated_forward():
    weights = torch.randn(3, 41, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mapped = torch.func.vmap(lambda w: tanh(w, TERNARY, beta=2.0))(weights)
    assert torch.equal(mapped, torch.stack([tanh(w, TERNARY, beta=2.0) for w in weights]))
    _, tangent = torch.func.jvp(lambda w: tanh(w, BINARY, beta=3.0), (WEIGHT,), (torch.ones_like(WEIGHT),))
    assert torch.allclose(tangent, torch.func.grad(lambda w: tanh(w, BINARY, beta=3.0).sum())(WEIGHT), rtol=0, atol=0)


def test_it_says_that_it_has_no_hessian():
    assert has_hessian is False
