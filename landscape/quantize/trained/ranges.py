"""Activations on uniform grids that follow the range of what goes into a layer."""

from __future__ import annotations

import torch
from torch import Tensor

from landscape.quantize.calibration import calibrate
from landscape.quantize.estimators.clipped import clipped
from landscape.quantize.grid import Grid
from landscape.quantize.scheme import Scheme
from landscape.quantize.trained.inputs import Input

SAMPLE = 2**16  # numbers that a range is fitted to
SEED = 0


class Ranged(Input):
    """Round to ``2^bits`` values from 0 or from a zero point on, fitted anew every epoch; backward, clipped.

    At one bit inputs of both signs get their sign times the mean of |x|, as in `landscape.quantize.observed`.

    Parameters
    ----------
    bits : int
    """

    again = True

    def fit(self, inputs: Tensor) -> None:
        """Fit the grid with the smallest mean squared error (from 8 bits on, the whole range).

        Of more than 65536 numbers as many are drawn at random, by a fixed seed, beside the smallest and the largest:
        evenly spread ones would all lie in one column or feature wherever their distance is a multiple of its length.
        """
        few = inputs.flatten()
        if len(few) > SAMPLE:
            places = torch.randint(len(few), (SAMPLE,), generator=torch.Generator().manual_seed(SEED))
            few = torch.cat([few[places.to(few.device)], torch.stack(few.aminmax())])
        if self.bits == 1 and bool(few.amin() < 0):
            scale = few.abs().mean().reshape(1)
            self.adopt(Grid("binary", 1, 0, 1, scale, torch.zeros_like(scale)))
        else:
            self.adopt(calibrate(few, Scheme(self.bits, "full", symmetric=False, channels=False)))

    def rounded(self, inputs: Tensor) -> Tensor:
        """Return the nearest values, with the derivative 1 inside the range and 0 outside."""
        return clipped(inputs, self.grid)
