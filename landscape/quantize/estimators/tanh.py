"""Rounding replaced by hyperbolic tangents, which harden as a temperature falls."""

from __future__ import annotations

import torch
from torch import Tensor

from landscape.quantize.grid import Grid
from landscape.quantize.through import through

has_hessian = False  # that of a surrogate: it tells of beta, and not of the network


def tanh(weight: Tensor, grid: Grid, *, beta: float | Tensor = 1.0, straight: bool = False) -> Tensor:
    """Return a smooth staircase: one hyperbolic tangent for every step between neighbouring values of the grid.

    With values v_0 < ... < v_K, middles m_i of neighbours and scale s:
    ``(v_0 + v_K) / 2 + sum_i (v_(i+1) - v_i) / 2 * tanh(beta (w - m_i) / s)``. That is ``s tanh(beta w / s)`` on a
    binary grid, and ``s / 2 (tanh(beta (w / s + 1/2)) + tanh(beta (w / s - 1/2)))`` on a ternary one. As beta grows, it
    becomes rounding to the nearest value.

    Parameters
    ----------
    weight : Tensor
    grid : Grid
    beta : float or 0-d Tensor
        Inverse temperature. At 1 the inner slope is about 1.
    straight : bool
        Take the derivative to be 1, and not that of the staircase.

    Notes
    -----
    One tangent a step of the grid: meant for few values.

    References
    ----------
    Ajanthan et al. (2021), Mirror descent view for neural network quantization, arXiv:1910.08237: binary and ternary,
    with s = 1. The scale and further values are ours.
    """
    values = _values(weight, grid)
    found = (values[0] + values[-1]) / 2
    for below, above in zip(values[:-1], values[1:], strict=True):
        place = (weight - (below + above) / 2) / grid.scale.to(weight.dtype)
        found = found + (above - below) / 2 * torch.tanh(beta * place)
    return through(weight, found) if straight else found


def _values(weight: Tensor, grid: Grid) -> list[Tensor]:
    """Return the values of a grid in ascending order, each of the shape of its scale."""
    return [
        grid.dequantize(torch.full_like(grid.scale, code, dtype=weight.dtype))
        for code in range(grid.low, grid.high + 1)
    ]
