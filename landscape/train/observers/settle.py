"""Fresh batch-norm statistics at the end of a run."""

from __future__ import annotations

from copy import deepcopy

from landscape.train.fit import Run, on_cpu
from landscape.train.refresh import normalized, refresh


class Settle:
    """End a run with batch-norm statistics found afresh over its training split, those of kept weights included.

    The images are augmented, once, as the run augments them.

    Parameters
    ----------
    displaced : bool
        Whether the passes that move the statistics stand at other weights than those of the run: checkpoints along the
        way then say that theirs are stale.

    Notes
    -----
    One forward pass over the training split, and one for each of the kept weights.
    """

    def __init__(self, *, displaced: bool = False) -> None:
        self.displaced = displaced

    def __call__(self, run: Run) -> None:
        """Say of the statistics along the way whose they are."""
        run.stale = self.displaced and run.clock.step > 0 and normalized(run.model)

    def finish(self, run: Run) -> None:
        """Find the statistics of the last weights, if there was a step at all, and those of the kept ones."""
        if not run.clock.steps:
            return
        refresh(run.model, run.batches.resident, augment=run.batches.augment)
        for name, state in run.kept.items():
            member = deepcopy(run.model)
            member.load_state_dict(state)
            refresh(member, run.batches.resident, augment=run.batches.augment)
            run.kept[name] = on_cpu(member)
        run.stale = False
