"""Rounding with a learned step size."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from landscape.quantize.grid import Grid
from landscape.quantize.through import through

has_hessian = True  # in w: M H M, that of the loss at Q(w), without the weights that are clipped


def lsq(weight: Tensor, grid: Grid, *, gain: float = 1.0) -> Tensor:
    """Return Q(w), with a derivative in w and, where the scale of the grid has a gradient, in the step size s.

    With codes from -Q_N to Q_P: ``dQ/dw`` is 1 where ``-Q_N < w / s < Q_P``, else 0; ``dQ/ds`` is
    ``round(w / s) - w / s`` there, and the outermost code, -Q_N or Q_P, beyond.

    Parameters
    ----------
    weight : Tensor
    grid : Grid
        Uniform; its scale may require a gradient.
    gain : float, default=1.0
        What the gradient of the scale is multiplied by. Published: ``1 / sqrt(n Q_P)``, with n the numbers that share
        the step size.

    Notes
    -----
    Both derivatives stand still, so that second derivatives are those of the loss alone.

    References
    ----------
    Esser et al. (2020), Learned step size quantization, arXiv:1902.08153.
    """
    still, held = replace(grid, scale=grid.scale.detach()), weight.detach()
    wide, zero = still.widened(held), still.widened(still.zero)
    place, codes = wide / still.scale, still.codes(wide) - zero
    inside = (place + zero > grid.low) & (place + zero < grid.high)
    slope = codes - torch.where(inside, place, 0.0)
    step = (gain * grid.scale * slope).to(weight.dtype)
    return through(torch.where(inside, weight, held) + step, still.hard(held))
