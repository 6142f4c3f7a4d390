"""Grids that follow the weights they belong to."""

from __future__ import annotations

import torch

from landscape.quantize.parametrization import quantizers
from landscape.train.fit import Run


@torch.no_grad()
def calibrate(run: Run) -> None:
    """Fit the grids of quantized weights to the latent weights, at the beginning of every epoch.

    Within an epoch they stand still; the grids of the last epoch are those that are deployed.
    """
    if run.clock.between_epochs and not run.clock.finished:
        for quantizer, latent in quantizers(run.model).values():
            quantizer.calibrate(latent)
