"""Other ways to round than to the nearest: at random without a bias, and softly."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from landscape.quantize.grid import Grid


def neighbours(tensor: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Return the two neighbouring values of a grid that enclose each number; beyond an end, the two at that end."""
    wide = grid.widened(tensor)
    if grid.kind == "binary":
        below = torch.zeros_like(wide)
    elif grid.levels is not None:
        below = torch.full_like(wide, -1)
        for level in grid.widened(grid.levels).unbind(-1):
            below = below + (wide >= level)
    else:
        within = wide * (1 / grid.widened(grid.scale))
        below = (within - 0.5).floor() if grid.kind == "midrise" else within.floor() + grid.widened(grid.zero)
    below = below.clamp(grid.low, grid.high - 1)
    return grid.dequantize(below).to(tensor.dtype), grid.dequantize(below + 1).to(tensor.dtype)


def randomized(tensor: Tensor, grid: Grid, uniform: Tensor) -> Tensor:
    """Round up or down at random, such that the mean is the number itself; beyond the ends, to the end.

    Parameters
    ----------
    tensor : Tensor
    grid : Grid
    uniform : Tensor of the same shape
        Random numbers, uniform from 0 to below 1: they decide.
    """
    low, high = neighbours(tensor, grid)
    share = grid.widened(tensor - low) / grid.widened(high - low)  # exactly 0 or 1 where the number lies on the grid
    return torch.where(grid.widened(uniform) < share, high, low)


def softened(tensor: Tensor, grid: Grid, temperature: float) -> Tensor:
    """Replace every step of rounding by a hyperbolic tangent; the lower the temperature, the closer to rounding.

    Between neighbouring values a and b, with r from -1/2 to 1/2 across the step:
    ``(a + b) / 2 + (b - a) / 2 * tanh(r / temperature) / tanh(1 / (2 temperature))``.

    References
    ----------
    Gong et al. (2019), Differentiable soft quantization, arXiv:1908.05033.
    """
    low, high = neighbours(tensor, grid)
    middle, width = (low + high) / 2, high - low
    place = ((tensor.clamp(low, high) - middle) / width).nan_to_num()
    return middle + width / 2 * torch.tanh(place / temperature) / math.tanh(0.5 / temperature)
