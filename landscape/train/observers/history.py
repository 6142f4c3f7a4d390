"""The record of a run, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from landscape.train.fit import Run, epoch_loss
from landscape.train.observers.every import Observer, every


def history(measure: Callable[[], Mapping[str, float | None]] | None = None) -> Observer:
    """Append one record to the run's history at the end of each epoch.

    Parameters
    ----------
    measure : callable () -> dict, optional
        Further numbers, such as loss and accuracy on the test split.

    Returns
    -------
    observer
        Records: epoch (1, 2, ...), lr of the last step, objective (mean over the epoch, as trained), evaluations.
    """

    def see(run: Run) -> None:
        if run.clock.step == 0:
            return
        record = {
            "epoch": run.clock.epoch,
            "lr": run.optimizer.param_groups[0]["lr"],
            "objective": epoch_loss(run),
            "gradient_evaluations": run.clock.evaluations,
        }
        run.history.append(record | (dict(measure()) if measure else {}))

    return every(see)
