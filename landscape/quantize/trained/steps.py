"""Grids whose step size is trained: of weights, and of what goes into layers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from landscape.quantize.estimators.lsq import lsq
from landscape.quantize.grid import Grid
from landscape.quantize.parametrization import Quantizer
from landscape.quantize.scheme import Scheme
from landscape.quantize.trained.inputs import Input

SHRINKS = 0.5  # what is left of a step size, at the least, after one step of training


class Stepped(Quantizer):
    """A parametrization with a trained step size, or one for every output unit.

    It begins at ``2 mean |w| / sqrt(Q_P)``. A step of training that would take it below half of what it was, perhaps
    across 0, is cut short by `follow`.

    Parameters
    ----------
    weight : Tensor
        The latent weight to begin with.
    scheme : Scheme
        Of family full: codes from ``-2^(bits-1)`` to ``Q_P = 2^(bits-1) - 1``.
    axis : int
        Where the output units lie.

    References
    ----------
    Esser et al. (2020), Learned step size quantization, arXiv:1902.08153. How it is kept positive is ours.
    """

    def __init__(self, weight: Tensor, scheme: Scheme, axis: int) -> None:
        super().__init__()
        self.bits, self.high = scheme.bits, 2 ** (scheme.bits - 1) - 1
        others = [i for i in range(weight.ndim) if i != axis or not scheme.channels]
        begun = initial(weight.detach().abs().mean(others, keepdim=True), self.high)
        self.scale = nn.Parameter(begun)
        self.register_buffer("before", begun.clone())
        self.register_buffer("zero", torch.zeros_like(begun))
        self.gain = gain(weight.numel() // begun.numel(), self.high)

    def grid_at(self, weight: Tensor) -> Grid:
        """Return the grid of the step size as it is now."""
        return self._grid(self.scale.detach())

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight that the layer has."""
        if not self.training:
            return self.hard(weight)
        return lsq(weight, self._grid(bounded(self.scale, self.before)), gain=self.gain)

    def follow(self) -> None:
        """Bound the step size, after every step of training."""
        follow(self.scale, self.before)

    def _grid(self, scale: Tensor) -> Grid:
        return Grid("uniform", self.bits, -self.high - 1, self.high, scale, self.zero)


class SteppedInput(Input):
    """Round what goes into a layer to a grid with a trained step size.

    The codes are 0 to ``2^bits - 1`` where the first inputs are never negative, and ``-2^(bits-1)`` to
    ``2^(bits-1) - 1`` where they are; the step size begins at ``2 mean |x| / sqrt(Q_P)`` of them.

    Parameters
    ----------
    bits : int

    References
    ----------
    Esser et al. (2020), Learned step size quantization, arXiv:1902.08153.
    """

    def __init__(self, bits: int) -> None:
        super().__init__(bits)
        del self._buffers["scale"]
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("before", torch.ones(1))

    @torch.no_grad()
    def fit(self, inputs: Tensor) -> None:
        """Choose the codes and the first step size."""
        negative = bool(inputs.amin() < 0)
        low, high = (-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1) if negative else (0, 2**self.bits - 1)
        scale = initial(inputs.abs().mean().reshape(1), high)
        self.adopt(Grid("uniform", self.bits, low, high, scale, torch.zeros_like(scale)))
        self.before.copy_(scale)

    def rounded(self, inputs: Tensor) -> Tensor:
        """Return the nearest values, with derivatives in the inputs and in the step size."""
        grid = Grid("uniform", self.bits, self.low, self.high, bounded(self.scale, self.before), self.zero)
        return lsq(inputs, grid, gain=gain(inputs[0].numel(), self.high))

    def follow(self) -> None:
        """Bound the step size, after every step of training."""
        follow(self.scale, self.before)


def initial(mean: Tensor, high: int) -> Tensor:
    """Return ``2 mean |x| / sqrt(Q_P)``; of zeros alone, a positive number that is negligible."""
    return (2 * mean / math.sqrt(high)).clamp(min=torch.finfo(mean.dtype).eps)


def gain(count: int, high: int) -> float:
    """Return what the gradient of a step size is multiplied by: ``1 / sqrt(n Q_P)``."""
    return 1 / math.sqrt(count * high)


def bounded(scale: Tensor, before: Tensor) -> Tensor:
    """Return a step size that is positive wherever a displacement of the weights has taken it."""
    return torch.maximum(scale, SHRINKS * before)


@torch.no_grad()
def follow(scale: Tensor, before: Tensor) -> None:
    """Bound a step size by what it was, and remember it."""
    scale.copy_(bounded(scale, before))
    before.copy_(scale)
