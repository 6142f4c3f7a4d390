"""Grids of activations that are fitted to what goes into the layers."""

from __future__ import annotations

import torch

from landscape.quantize.inputs import fitting, inputs
from landscape.train.fit import Run
from landscape.train.step import still
from landscape.train.streams import default_states, restore_default

EXAMPLES = 256  # of the training split, evenly spread over it


@torch.no_grad()
def fit_inputs(run: Run) -> None:
    """Fit the quantizers of activations before the first step; those that follow, at the beginning of every epoch too.

    One pass over 256 training examples as a step of training makes it, without augmentation, and without a trace: no
    statistics move, and the random state stays.
    """
    clock = run.clock
    begins = clock.step == 0
    if not begins and (clock.finished or not clock.between_epochs):
        return
    known = [one for one in inputs(run.model).values() if begins or one.again]
    if not known:
        return
    data, device = run.batches.resident, run.streams.device
    few = data.batch(slice(None, None, -(-len(data) // EXAMPLES)))
    before = default_states(device)
    with still(run.model):
        with fitting(run.model, again=not begins):
            run.model(few.inputs)
        found = [one.state_dict() for one in known]
    for one, state in zip(known, found, strict=True):
        one.load_state_dict(state)  # `still` has put the old grids back
    restore_default(before, device)
