"""Weights that harden while they are trained."""

from __future__ import annotations

import torch
from torch import Tensor

from landscape.quantize.estimators.tanh import tanh
from landscape.quantize.scheme import Scheme
from landscape.quantize.trained.scaled import Scaled


class Annealed(Scaled):
    """A parametrization by the smooth staircase of `landscape.quantize.estimators.tanh`.

    The trained tensor is u. The latent weight, before rounding, is the soft one ``tanh(u; beta)``, which the layer has
    in training mode; deployed is the nearest value of the grid.

    Parameters
    ----------
    weight : Tensor
        What u begins with.
    scheme, axis, scale
        As in `landscape.quantize.trained.scaled.Scaled`.
    beta : float
        Inverse temperature to begin with; it lies in a buffer, for an observer to change.
    straight : bool
        Whether the gradient in the soft weight goes straight to u.
    """

    def __init__(
        self, weight: Tensor, scheme: Scheme, axis: int, *, scale: str, beta: float, straight: bool = False
    ) -> None:
        super().__init__(weight, scheme, axis, scale=scale)
        self.straight = straight
        self.register_buffer("beta", torch.full((), beta, dtype=weight.dtype, device=weight.device))

    def latent(self, weight: Tensor) -> Tensor:
        """Return the soft weight."""
        return tanh(weight, self.grid, beta=self.beta)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight that the layer has."""
        if not self.training:
            return self.hard(weight)
        return tanh(weight, self.grid, beta=self.beta, straight=self.straight)
