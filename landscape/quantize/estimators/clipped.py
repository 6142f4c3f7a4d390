"""The straight-through estimator that is still where rounding clips."""

from __future__ import annotations

import torch
from torch import Tensor

from landscape.quantize.grid import Grid
from landscape.quantize.through import through

has_hessian = True  # M H M: that of the loss at Q(w), without the weights that are clipped


def clipped(weight: Tensor, grid: Grid) -> Tensor:
    """Return Q(w), whose derivative in w is taken to be 1 inside the range of the grid, and 0 outside.

    References
    ----------
    Hubara et al. (2018), Quantized neural networks, arXiv:1609.07061; the mask is that of
    `torch.fake_quantize_per_channel_affine`.
    """
    return through(torch.where(grid.inside(weight.detach()), weight, weight.detach()), grid.hard(weight))
