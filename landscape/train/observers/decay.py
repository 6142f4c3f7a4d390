"""Surrogates of the sign that sharpen by a schedule."""

from __future__ import annotations

import torch

from landscape.quantize.trained.balanced import Balanced
from landscape.quantize.trained.signs import DecayedSign
from landscape.train.fit import Run


@torch.no_grad()
def decay(run: Run) -> None:
    """Set t and k of the error decay estimators of a run to what their schedules say for the step to come.

    They lie in buffers, so that a run that is resumed between two steps goes on with them.
    """
    t, k = run.schedules["t"](run.clock), run.schedules["k"](run.clock)
    for module in run.model.modules():
        if isinstance(module, (Balanced, DecayedSign)):
            module.t.fill_(t)
            module.k.fill_(k)
