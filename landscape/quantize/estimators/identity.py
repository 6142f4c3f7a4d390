"""The plain straight-through estimator."""

from __future__ import annotations

from torch import Tensor

from landscape.quantize.grid import Grid
from landscape.quantize.through import through

has_hessian = True  # that of the loss at Q(w), exactly


def identity(weight: Tensor, grid: Grid) -> Tensor:
    """Return Q(w), whose derivative in w is taken to be 1.

    With a grid that does not move, the first derivatives of ``L(Q(w))`` are those of L at Q(w), and so are all further
    ones.

    References
    ----------
    Bengio, Leonard & Courville (2013), Estimating or propagating gradients through stochastic neurons, arXiv:1308.3432.
    """
    return through(weight, grid.hard(weight))
