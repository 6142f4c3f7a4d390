"""Weights that are standardized before they are rounded to a grid whose end is learned."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from landscape.quantize.grid import Grid
from landscape.quantize.parametrization import Quantizer
from landscape.quantize.scheme import Scheme
from landscape.quantize.through import through

CLIP = 0.8  # of the largest standardized weight: where the clip begins


class Standardized(Quantizer):
    r"""A parametrization that rounds :math:`\hat w = (w - \mu) / \sigma` to ``2^bits`` mid-rise levels from -c to c.

    The mean and the standard deviation are those of the layer's latent weight as it is, without a gradient; c is
    learned. In multiples of c, :math:`q = 2 \lfloor n (x + 1) / 2 \rceil / n - 1` with
    :math:`x = \mathrm{clip}(\hat w / c, -1, 1)` and ``n = 2^bits - 1``, and rounding is differentiated as if it were
    not there: the derivative in c is ``q - x`` where nothing is clipped and the sign of w elsewhere.

    Parameters
    ----------
    weight : Tensor
        The latent weight to begin with.
    bits : int

    Notes
    -----
    The weight of the layer is ``sigma c q``; in the paper it is ``c q``. Before batch norm the two are one network, up
    to its epsilon. Without, a network that is begun from weights of full precision stays the one it was.

    References
    ----------
    Liu, Cai and Zhuang (2021), Sharpness-aware quantization for deep neural networks, arXiv:2111.12273; their code.
    """

    def __init__(self, weight: Tensor, bits: int) -> None:
        super().__init__()
        self.bits = Scheme(bits, "midrise").bits
        with torch.no_grad():
            largest = (self.latent(weight) / _deviation(weight)).abs().amax()
        self.clip = nn.Parameter((CLIP * largest).reshape([1] * weight.ndim), requires_grad=weight.requires_grad)

    def latent(self, weight: Tensor) -> Tensor:
        """Return the weight less its mean."""
        return weight - weight.detach().mean()

    def grid_at(self, weight: Tensor) -> Grid:
        """Return the grid that belongs to the latent weight as it is."""
        reach = (self._clip * _deviation(weight)).detach()
        half = 2 ** (self.bits - 1)
        return Grid("midrise", self.bits, -half, half - 1, 2 * reach / (2 * half - 1), torch.zeros_like(reach))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight that the layer has."""
        hard = self.hard(weight.detach())
        if not self.training:
            return hard
        reach = self._clip * _deviation(weight)
        within = (self.latent(weight) / reach).clamp(-1, 1)
        return through(reach * through(within, hard / reach), hard)

    @property
    def _clip(self) -> Tensor:
        return self.clip.abs().clamp(min=torch.finfo(self.clip.dtype).eps)


def _deviation(weight: Tensor) -> Tensor:
    return weight.detach().std(correction=0).clamp(min=torch.finfo(weight.dtype).eps)
