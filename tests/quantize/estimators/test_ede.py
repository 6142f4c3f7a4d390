"""EDE: the sign, with the derivative of a hyperbolic tangent."""

import pytest
import torch

from landscape.quantize.estimators.ede import ede, has_hessian
from landscape.quantize.grid import Grid


def grid(scale=0.5):
    scale = torch.full((1,), scale, dtype=torch.float64)
    return Grid("binary", 1, 0, 1, scale, torch.zeros_like(scale))


def test_numbers_are_signs_times_the_scale_and_that_of_zero_is_plus():
    weight = torch.tensor([-2.0, -0.0, 0.0, 1e-30, 3.0], dtype=torch.float64)
    assert ede(weight, grid(), t=3.0, k=2.0).tolist() == [-0.5, 0.5, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(("t", "k"), [(1e-3, 1e3), (0.5, 2.0), (10.0, 1.0)])
def test_its_derivative_is_that_of_the_paper(t, k):
    weight = torch.linspace(-2, 2, 41, dtype=torch.float64)
    found = torch.func.grad(lambda w: ede(w, grid(), t=t, k=k).sum())(weight)
    expected = 0.5 * k * t * (1 - torch.tanh(t * weight) ** 2)
    assert (found - expected).abs().max() < 1e-14


def test_t_and_k_may_be_tensors():
    weight, t, k = torch.randn(5, dtype=torch.float64), torch.tensor(0.7), torch.tensor(1.5)
    grads = [
        torch.func.grad(lambda w, a=a, b=b: ede(w, grid(), t=a, k=b).sum())(weight) for a, b in [(t, k), (0.7, 1.5)]
    ]
    assert (grads[0] - grads[1]).abs().max() < 1e-7


def test_it_says_that_it_has_no_hessian():
    assert has_hessian is False
