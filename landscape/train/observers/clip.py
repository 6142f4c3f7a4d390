"""Latent weights that stay within their grids."""

from __future__ import annotations

import torch

from landscape.quantize.parametrization import quantizers
from landscape.train.fit import Run


@torch.no_grad()
def clip(run: Run) -> None:
    """Clip the latent weights of binary grids to [-H, H], before the first step and after every one."""
    for quantizer, latent in quantizers(run.model).values():
        scale = quantizer.grid_at(latent).scale
        latent.clamp_(-scale, scale)
