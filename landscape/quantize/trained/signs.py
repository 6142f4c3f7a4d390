"""Binary activations: the sign of what goes into a layer."""

from __future__ import annotations

import torch
from torch import Tensor

from landscape.quantize.estimators.clipped import clipped
from landscape.quantize.estimators.ede import ede
from landscape.quantize.grid import Grid
from landscape.quantize.trained.inputs import Input


class SignInput(Input):
    """Round what goes into a layer to its sign, 1 at 0; backward, the hard hyperbolic tangent: 1 where ``|x| <= 1``.

    Where the first inputs are never negative, as after a ReLU, their sign says nothing: there 0 and 1 come out, with
    x replaced by 2 x - 1 and the sign s by (s + 1) / 2. That is ours; the networks of the papers have no ReLU.

    References
    ----------
    Hubara et al. (2016), Binarized neural networks, arXiv:1602.02830.
    """

    def __init__(self) -> None:
        super().__init__(1, levels=2)

    def fit(self, inputs: Tensor) -> None:
        """Choose the two values."""
        one, zero = torch.ones_like(self.scale), torch.zeros_like(self.zero)
        if bool(inputs.amin() < 0):
            self.adopt(Grid("binary", 1, 0, 1, one, zero))
        else:
            self.adopt(Grid("levels", 1, 0, 1, one, zero, torch.stack([zero, one], -1)))

    def sign(self, inputs: Tensor) -> Tensor:
        """Return the sign, with derivatives."""
        return clipped(inputs, self._ones())

    def rounded(self, inputs: Tensor) -> Tensor:
        """Return the two values, with derivatives."""
        return self.sign(inputs) if self.kind == "binary" else (self.sign(2 * inputs - 1) + 1) / 2

    def _ones(self) -> Grid:
        return Grid("binary", 1, 0, 1, torch.ones_like(self.scale), torch.zeros_like(self.zero))


class DecayedSign(SignInput):
    """Round what goes into a layer to its sign; backward, the error decay estimator, as in `SignInput` where it is.

    t and k lie in buffers, for an observer to change.

    References
    ----------
    Qin et al. (2020), Forward and backward information retention for accurate binary neural networks,
    arXiv:1909.10788.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("t", torch.ones(()))
        self.register_buffer("k", torch.ones(()))

    def sign(self, inputs: Tensor) -> Tensor:
        """Return the sign, with derivatives."""
        return ede(inputs, self._ones(), t=self.t, k=self.k)
