"""Binary weights that are balanced and standardized before their signs are taken."""

from __future__ import annotations

import torch
from torch import Tensor

from landscape.quantize.estimators.ede import ede
from landscape.quantize.grid import Grid
from landscape.quantize.parametrization import Quantizer


class Balanced(Quantizer):
    """A parametrization by Libra binarization, with the error decay estimator backward.

    Of every output unit ``u = (w - mean w) / std w``; deployed is ``2^r sign(u)`` with ``r = round(log2 mean |u|)``,
    and 1 for the sign of 0. The gradient goes through the standardization, and not through the scale. t and k lie in
    buffers, for an observer to change.

    Parameters
    ----------
    weight : Tensor
        The weight that is trained, to begin with.
    axis : int
        Where the output units lie.

    Notes
    -----
    The latent weight is u, whose signs are those that are deployed. Training does not feel the mean and the length of
    the weights of a unit. A unit whose weights are all equal stays all zeros, and its signs are 1.

    References
    ----------
    Qin et al. (2020), Forward and backward information retention for accurate binary neural networks,
    arXiv:1909.10788.
    """

    def __init__(self, weight: Tensor, axis: int) -> None:
        super().__init__()
        self.others = [i for i in range(weight.ndim) if i != axis]
        self.count = weight.numel() // weight.shape[axis]
        one = torch.ones((), dtype=weight.dtype, device=weight.device)
        self.register_buffer("t", one)
        self.register_buffer("k", one.clone())

    def grid_at(self, weight: Tensor) -> Grid:
        """Return the binary grid of a weight."""
        return self._grid(self.latent(weight).detach())

    def latent(self, weight: Tensor) -> Tensor:
        """Return the standardized weight."""
        centered = weight - weight.mean(self.others, keepdim=True)
        variance = centered.square().sum(self.others, keepdim=True) / max(self.count - 1, 1)
        return centered / torch.where(variance > 0, variance, 1.0).sqrt()

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight that the layer has."""
        if not self.training:
            return self.hard(weight)
        latent = self.latent(weight)
        return ede(latent, self._grid(latent.detach()), t=self.t, k=self.k)

    def _grid(self, latent: Tensor) -> Grid:
        mean = latent.abs().mean(self.others, keepdim=True)
        scale = torch.where(mean > 0, mean, 1.0).log2().round().exp2()
        return Grid("binary", 1, 0, 1, scale, torch.zeros_like(scale))
