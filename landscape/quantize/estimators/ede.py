"""The error decay estimator: a hyperbolic tangent that turns from a line into a step while training goes on."""

from __future__ import annotations

import torch
from torch import Tensor

from landscape.quantize.grid import Grid
from landscape.quantize.through import through

has_hessian = False  # that of a surrogate: it tells of t, and not of the network


def ede(weight: Tensor, grid: Grid, *, t: float | Tensor = 1.0, k: float | Tensor = 1.0) -> Tensor:
    """Return Q(w), whose derivative in w is taken to be that of ``s k tanh(t w)``, with s the scale of the grid.

    Parameters
    ----------
    weight : Tensor
    grid : Grid
        Binary; its scale stands still.
    t, k : float or 0-d Tensor
        How steep, and how high: the derivative is ``s k t (1 - tanh(t w)^2)``. With ``k = max(1 / t, 1)`` it is s at 0
        while t is below 1, and then ``s t``, ever narrower.

    References
    ----------
    Qin et al. (2020), Forward and backward information retention for accurate binary neural networks (IR-Net),
    arXiv:1909.10788.
    """
    return through(grid.scale.detach().to(weight.dtype) * (k * torch.tanh(t * weight)), grid.hard(weight))
