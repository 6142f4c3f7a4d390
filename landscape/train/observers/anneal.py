"""Inverse temperatures that follow their schedule."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from landscape.quantize.parametrization import quantizers
from landscape.quantize.trained.annealing import Annealed
from landscape.train.fit import Run


@torch.no_grad()
def anneal(run: Run) -> None:
    """Set beta of the quantizers of a run to what its schedule says for the step to come.

    The trained tensors stay as they are, so the soft weights harden.
    """
    beta = run.schedules["beta"](run.clock)
    for quantizer, _ in annealed(run):
        quantizer.beta.fill_(beta)


@torch.no_grad()
def anneal_still(run: Run) -> None:
    """Set beta as `anneal` does, and move the trained tensors such that ``beta u``, and so every weight, stands still.

    Binary grids only: with others the weights are no functions of ``beta u``.
    """
    beta = run.schedules["beta"](run.clock)
    for quantizer, trained in annealed(run):
        trained.mul_(quantizer.beta / beta)
        quantizer.beta.fill_(beta)


def annealed(run: Run) -> Iterator[tuple[Annealed, Tensor]]:
    """Iterate over the quantizers of a run that have a temperature, and their trained tensors."""
    for quantizer, trained in quantizers(run.model).values():
        if isinstance(quantizer, Annealed):
            yield quantizer, trained
