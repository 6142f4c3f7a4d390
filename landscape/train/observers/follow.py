"""Learned levels that follow the weights, and learned steps that stay positive."""

from __future__ import annotations

from landscape.quantize.parametrization import quantizers
from landscape.quantize.trained.bases import Based
from landscape.quantize.trained.steps import Stepped, SteppedInput
from landscape.train.fit import Run


def refit(run: Run) -> None:
    """Move the bases of learned levels towards the least-squares fit to the latent weights, after every step."""
    if run.clock.step == 0:
        return
    for quantizer, latent in quantizers(run.model).values():
        if isinstance(quantizer, Based):
            quantizer.refit(latent)


def bound(run: Run) -> None:
    """Keep trained step sizes positive: after every step, none is less than half of what it was before."""
    if run.clock.step == 0:
        return
    for module in run.model.modules():
        if isinstance(module, (Stepped, SteppedInput)):
            module.follow()
