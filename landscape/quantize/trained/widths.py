"""One latent weight at several widths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from landscape.quantize.estimators.clipped import clipped
from landscape.quantize.grid import Grid
from landscape.quantize.parametrization import Estimator, Quantized, Quantizer, quantizers
from landscape.quantize.scheme import Scheme


class Widths(Quantizer):
    """A parametrization with a grid for each of several widths, of which one is in use at a time.

    Parameters
    ----------
    weight : Tensor
        The latent weight to begin with.
    schemes : sequence of Scheme
        One a width.
    axis : int
        Where the output units lie.
    nested : bool
        Whether the grids, mid-rise ones then, are such that each has every second edge of the next finer one: the codes
        of a width are the leading bits of those of any larger one. The lowest width is calibrated, and its steps are
        halved. Else every width is calibrated by itself.
    estimator : callable (weight, grid) -> weight

    Attributes
    ----------
    width : int
        The one in use: the lowest to begin with.

    References
    ----------
    Wu et al. (2023), Vertical layering of quantized neural networks for heterogeneous inference, arXiv:2212.05326. We
    know its abstract alone: that halving steps is how its widths are nested is a reconstruction.
    """

    def __init__(
        self,
        weight: Tensor,
        schemes: Sequence[Scheme],
        axis: int,
        *,
        nested: bool = False,
        estimator: Estimator = clipped,
    ) -> None:
        super().__init__()
        ascending = sorted(schemes, key=lambda scheme: scheme.bits)
        self.nested, self.width = nested, ascending[0].bits
        self.each = nn.ModuleDict({str(s.bits): Quantized(weight, s, axis, estimator) for s in ascending})
        self.calibrate(weight)

    @property
    def current(self) -> Quantized:
        """The quantizer of the width in use."""
        return cast(Quantized, self.each[str(self.width)])

    @torch.no_grad()
    def calibrate(self, weight: Tensor) -> None:
        """Fit the grids of all widths to the latent weight as it is now."""
        lowest, *finer = (cast(Quantized, one) for one in self.each.values())
        lowest.calibrate(weight)
        for one in finer:
            if self.nested:
                one.scale.copy_(lowest.scale / 2 ** (one.scheme.bits - lowest.scheme.bits))
            else:
                one.calibrate(weight)

    def grid_at(self, weight: Tensor) -> Grid:
        """Return the grid of the width in use."""
        return self.current.grid_at(weight)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight that the layer has at the width in use."""
        return self.current(weight)


@contextmanager
def at_width(model: nn.Module, width: int) -> Iterator[None]:
    """Use one of the widths in all layers of a network inside, and the one that was in use afterwards."""
    known = [one for one, _ in quantizers(model).values() if isinstance(one, Widths)]
    before = [one.width for one in known]
    for one in known:
        one.width = width
    try:
        yield
    finally:
        for one, width in zip(known, before, strict=True):
            one.width = width
