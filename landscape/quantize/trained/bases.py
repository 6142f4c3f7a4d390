"""Learned levels that follow what they quantize: sums of a few numbers, refitted at every step of training."""

from __future__ import annotations

import torch
from torch import Tensor

from landscape.quantize.estimators.identity import identity
from landscape.quantize.grid import Grid
from landscape.quantize.levels import SIGNS, fitted, refitted, spanned
from landscape.quantize.parametrization import Quantizer
from landscape.quantize.through import through
from landscape.quantize.trained.inputs import Input

STAYS = 0.9  # share of a basis that stays when it is refitted (Zhang et al. 2018)
BITS = (0.0, 1.0)


class Based(Quantizer):
    """A parametrization by levels ``sum_i e_i v_i, e in {-1, 1}^bits``, with a basis v for every output unit.

    Backward, the derivative is 1 everywhere.

    Parameters
    ----------
    weight : Tensor
        The latent weight to begin with, to which the basis is fitted.
    bits : int
    axis : int
        Where the output units lie.

    References
    ----------
    Zhang et al. (2018), LQ-Nets, arXiv:1807.10029. They draw weights at random and begin with the basis of a normal
    distribution; that it begins fitted to the weights is ours.
    """

    def __init__(self, weight: Tensor, bits: int, axis: int) -> None:
        super().__init__()
        self.bits, self.axis = bits, axis
        self.shape = [size if place == axis else 1 for place, size in enumerate(weight.shape)]
        self.register_buffer("basis", fitted(self._rows(weight), bits))

    def grid_at(self, weight: Tensor) -> Grid:
        """Return the grid of the basis as it is now."""
        return grid(spanned(self.basis), self.shape)

    @torch.no_grad()
    def calibrate(self, weight: Tensor) -> None:
        """Fit the basis to the latent weight as it is now, from the beginning."""
        self.basis.copy_(fitted(self._rows(weight), self.bits))

    @torch.no_grad()
    def refit(self, weight: Tensor) -> None:
        """Move the basis a tenth of its way to the least-squares fit to the weight and its codes."""
        self.basis.lerp_(refitted(self._rows(weight), self.basis), 1 - STAYS)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight that the layer has."""
        return identity(weight, self.grid_at(weight)) if self.training else self.hard(weight)

    def _rows(self, weight: Tensor) -> Tensor:
        return weight.detach().movedim(self.axis, 0).flatten(1)


class BasedInput(Input):
    """Round what goes into a layer to levels ``sum_i e_i v_i``, with one basis v that every training pass refits.

    e is of {0, 1} where the first inputs are never negative, as in the paper, whose activations come out of a ReLU;
    of {-1, 1} where they are (ours). Backward, the derivative is 1 between the outermost levels and 0 beyond.

    Parameters
    ----------
    bits : int
    """

    def __init__(self, bits: int) -> None:
        super().__init__(bits, levels=2**bits)
        self.register_buffer("basis", torch.ones(1, bits))
        self.kind = "levels"

    @property
    def digits(self) -> tuple[float, float]:
        """What e is of; codes that begin below 0 stand for both signs."""
        return SIGNS if self.low < 0 else BITS

    @property
    def grid(self) -> Grid:
        """The grid as it is now."""
        return grid(spanned(self.basis, digits=self.digits), [1])

    @torch.no_grad()
    def fit(self, inputs: Tensor) -> None:
        """Choose the codes and the first basis."""
        self.low = -1 if bool(inputs.amin() < 0) else 0
        self.basis.copy_(fitted(_row(inputs), self.bits, digits=self.digits))

    def rounded(self, inputs: Tensor) -> Tensor:
        """Refit the basis, and return the nearest levels."""
        self._refit(inputs.detach())
        now = self.grid
        assert now.levels is not None
        low, high = now.levels[0, 0].to(inputs.dtype), now.levels[0, -1].to(inputs.dtype)
        return through(inputs.clamp(low, high), now.hard(inputs.detach()))

    @torch.no_grad()
    def _refit(self, inputs: Tensor) -> None:
        with torch.autocast(inputs.device.type, enabled=False):  # least squares need more digits than products
            found = refitted(_row(inputs).to(self.basis.dtype), self.basis, digits=self.digits)
        try:
            self.basis.lerp_(found, 1 - STAYS)
        except RuntimeError as error:  # inside `torch.func.vmap`, where nothing outside can be written to
            raise ValueError(
                "Expected a batch whose activations learned levels follow, got examples one at a time: use "
                "micro-batches of two examples or more, as in sam:m=2, or leave acts out."
            ) from error


def grid(levels: Tensor, shape: list[int]) -> Grid:
    """Return the grid of learned levels: (units, 2^bits) -> scales of a shape."""
    count = levels.shape[1]
    info = torch.finfo(levels.dtype)
    scale = ((levels[:, -1:] - levels[:, :1]) / (count - 1)).clamp(min=info.eps**2).reshape(shape)
    bits = count.bit_length() - 1
    return Grid("levels", bits, 0, count - 1, scale, torch.zeros_like(scale), levels.reshape(*shape, count))


def _row(inputs: Tensor) -> Tensor:
    return inputs.reshape(1, -1)
