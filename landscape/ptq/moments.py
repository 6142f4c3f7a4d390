"""How far the outputs of a changed layer are from what they should be, as a quadratic form in the change."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from landscape.ptq.unfolding import matrix, outputs, unfolded


class Moments:
    r"""Second moments of what goes into a layer, and of what its outputs lack already.

    With inputs x' of the network as quantized so far and x of the original one, the outputs of a weight W + D are off
    by ``D x' - r``, where ``r = W x - W x'``:

    .. math:: E\|D x' - r\|^2 = \operatorname{tr} D G D^\top - 2 \operatorname{tr} D S^\top + E\|r\|^2, \quad
        G = E\, x' x'^\top, \quad S = E\, r x'^\top

    Parameters
    ----------
    layer : nn.Module
        With the original weight.

    Notes
    -----
    Memory: J^2 numbers a group, J being the inputs of a unit, or the unfolded inputs themselves where these are fewer.
    """

    def __init__(self, layer: nn.Module) -> None:
        self.layer = layer
        self.positions = 0
        self.rows: Tensor | None = None  # x', as long as there are fewer of them than J
        self.gram = self.cross = self.lack = self.power = torch.zeros((), dtype=torch.float64)

    @torch.no_grad()
    def add(self, inputs: Tensor, original: Tensor) -> None:
        """Take in the inputs of one call, of the network as quantized so far and of the original one."""
        found = unfolded(self.layer, inputs)
        wanted = outputs(self.layer, self.layer(original))
        lack = wanted - outputs(self.layer, self.layer(inputs))
        self._gather(found)
        self.cross = self.cross.to(found.device) + (lack @ found.mT).double()
        self.lack = self.lack.to(found.device) + lack.double().square().sum(2)
        self.power = self.power.to(found.device) + wanted.double().square().sum()

    def _gather(self, found: Tensor) -> None:
        first = self.positions == 0
        self.positions += found.shape[2]
        if first or self.rows is not None:
            self.rows = found if self.rows is None else torch.cat([self.rows, found], 2)
            if self.positions <= found.shape[1]:
                return
            found, self.rows = self.rows, None
        self.gram = self.gram.to(found.device) + (found @ found.mT).double()

    def times(self, change: Tensor) -> Tensor:
        """Multiply with the sum of x' x'^T: (groups, units, J) -> the same."""
        if self.rows is not None:
            rows = self.rows.to(change.dtype)
            return (change @ rows) @ rows.mT
        return change @ self.gram.to(change)

    def errors(self, change: Tensor) -> Tensor:
        """Return the mean squared error of every output unit for a change of the weight: (groups, units)."""
        rows = matrix(self.layer, change)
        total = (rows * (self.times(rows) - 2 * self.cross.to(rows))).sum(2) + self.lack.to(rows)
        return total / self.positions

    def slope(self, change: Tensor) -> Tensor:
        """Differentiate the sum of `errors` with respect to a change of the weight: (groups, units, J), as rows."""
        rows = matrix(self.layer, change)
        return 2 * (self.times(rows) - self.cross.to(rows)) / self.positions

    def rounded(self, dtype: torch.dtype) -> Moments:
        """Return the same in another format, in which work is faster."""
        same = Moments(self.layer)
        same.positions, same.rows = self.positions, self.rows
        same.gram, same.cross = self.gram.to(dtype), self.cross.to(dtype)
        same.lack, same.power = self.lack.to(dtype), self.power
        return same
