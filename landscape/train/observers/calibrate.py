"""Grids that follow the weights they belong to."""

from __future__ import annotations

import torch

from landscape.quantize.parametrization import quantizers
from landscape.train.fit import Run


class Calibrate:
    """Fit the grids of quantized weights to the latent weights, at the beginning of every epoch.

    Within an epoch they stand still, up to and including what is measured and written at its end; the grids of the last
    epoch are those that are deployed.
    """

    def __call__(self, run: Run) -> None:
        """Nothing after a step."""

    @torch.no_grad()
    def begin(self, run: Run) -> None:
        """Fit the grids."""
        for quantizer, latent in quantizers(run.model).values():
            quantizer.calibrate(latent)
