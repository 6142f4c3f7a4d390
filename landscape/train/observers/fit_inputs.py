"""Grids of activations that are fitted to what goes into the layers."""

from __future__ import annotations

import torch

from landscape.quantize.trained.inputs import fitting, inputs
from landscape.train.fit import Run
from landscape.train.step import still
from landscape.train.streams import default_states, restore_default

EXAMPLES = 256  # of the training split, evenly spread over it


class FitInputs:
    """Fit the quantizers of activations before the first step; those that follow, at the beginning of every epoch too.

    One pass over 256 training examples as a step of training makes it, without augmentation, and without a trace: no
    statistics move, and the random state stays.
    """

    def __call__(self, run: Run) -> None:
        """Fit all before the first step; after a step, nothing."""
        if run.clock.step == 0:
            fit_inputs(run)

    def begin(self, run: Run) -> None:
        """Fit those that follow, but for the first epoch, whose grids are there."""
        if run.clock.step > 0:
            fit_inputs(run, again=True)


@torch.no_grad()
def fit_inputs(run: Run, *, again: bool = False) -> None:
    """Fit the quantizers of activations of a run, or only those that are fitted `again` and again."""
    known = [one for one in inputs(run.model).values() if one.again or not again]
    if not known:
        return
    data, device = run.batches.resident, run.streams.device
    few = data.batch(slice(None, None, -(-len(data) // EXAMPLES)))
    before = default_states(device)
    with still(run.model):
        with fitting(run.model, again=again):
            run.model(few.inputs)
        found = [one.state_dict() for one in known]
    for one, state in zip(known, found, strict=True):
        one.load_state_dict(state)  # `still` has put the old grids back
    restore_default(before, device)
