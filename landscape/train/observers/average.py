"""An average of the weights along a run, which the run ends at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from landscape.train.clock import Clock
from landscape.train.fit import Run
from landscape.train.observers.snapshots import Due, dues
from landscape.train.refresh import refresh
from landscape.train.schedules import exact, opening

Share = Callable[[int], float]


class Average:
    """Average the weights of a run whenever it is due; at the end of the run, put the average in their place.

    The last iterate is kept as ``last``, and the batch-norm statistics are those of the average, on training images
    that are augmented as those of the run.

    Parameters
    ----------
    due : callable (clock) -> bool
        Whether the weights after this step are taken in; asked before the first step as well.
    share : callable (count) -> float, optional
        What part of its way to the new weights the average goes, given how many it holds already:
        ``1 / (count + 1)``, the plain mean, unless given.

    Attributes
    ----------
    count : int
        Weights that the average holds.
    mean : dict of str to Tensor
        The average of every parameter, in float64 (on mps, which has none, in the parameter's own format); empty
        before the first.

    Notes
    -----
    Memory of one copy of the weights, in float64: in float32 the rounding of every step would stay in the mean, and
    after many steps ``1 / (count + 1)`` of a small distance would be lost altogether. The end takes one forward pass
    over the training split.
    """

    def __init__(self, due: Due, share: Share | None = None) -> None:
        self.due, self.share = due, share or (lambda count: 1 / (count + 1))
        self.count = 0
        self.mean: dict[str, Tensor] = {}

    def __call__(self, run: Run) -> None:
        """Take the weights in, if they are due.

        Raises
        ------
        ValueError
            Before the first step, if the run is too short for any to be due.
        """
        clock = run.clock
        if clock.step == 0:
            self.forget()  # a run that is stopped here comes here again
            self._require_due(clock)
        if clock.steps and self.due(clock):
            self.take(run)

    def _require_due(self, clock: Clock) -> None:
        if clock.steps and not any(dues(self.due, clock)):
            raise ValueError(
                f"Expected weights to average, got none that are due in {clock.epochs} epochs: "
                "train longer, or begin earlier with a smaller start."
            )

    @torch.no_grad()
    def take(self, run: Run) -> None:
        """Take the weights of a run in."""
        for name, parameter in run.model.named_parameters():
            value = parameter.detach().to(_wide(parameter), copy=True)
            if self.count:
                held = self.mean[name].to(value.device)
                value = held.lerp_(value, self.share(self.count))
            self.mean[name] = value
        self.count += 1

    def finish(self, run: Run) -> None:
        """Put the average in the place of the last iterate, which is kept."""
        if self.count:
            run.keep("last")
            self.place(run)

    @torch.no_grad()
    def place(self, run: Run) -> None:
        """Put the average in the place of the weights of a run, with fresh batch-norm statistics."""
        for name, parameter in run.model.named_parameters():
            parameter.copy_(self.mean[name])
        refresh(run.model, run.batches.resident, augment=run.batches.augment)

    def forget(self) -> None:
        """Begin anew: the next weights are the first."""
        self.count, self.mean = 0, {}

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs."""
        return {"count": self.count, "mean": self.mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the average of another run."""
        self.count, self.mean = state["count"], {name: mean.clone() for name, mean in state["mean"].items()}


def tail(start: float, every: float = 1) -> Due:
    """Say that weights are due at the end of the first epoch that ends at a fraction of the run, and again and again.

    Parameters
    ----------
    start : float, from 0 to below 1
        Fraction of the run; the initial weights are never due.
    every : float
        Epochs between two of them; where these are no whole steps, the step that completes them.

    Raises
    ------
    ValueError
        If either is out of range.

    Examples
    --------
    >>> clocks = [Clock(epochs=4, per_epoch=5, step=step) for step in range(21)]
    >>> [clock.step for clock in clocks if tail(0.5)(clock)]
    [10, 15, 20]
    >>> [clock.step for clock in clocks if tail(0.7, every=0.5)(clock)]
    [15, 18, 20]
    """
    require_start(start)
    if not 0 < every < float("inf"):
        raise ValueError(f"Expected a positive number of epochs between weights, got every={every}: raise it.")

    def due(clock: Clock) -> bool:
        done = clock.step - opening(clock, start)
        steps, over = (exact(every) * clock.per_epoch).as_integer_ratio()
        return clock.step > 0 and done >= 0 and done * over // steps > (done - 1) * over // steps

    return due


def require_start(start: float) -> None:
    """Refuse a start that is no fraction of the run.

    Raises
    ------
    ValueError
        If it is below 0, or not below 1.
    """
    if not 0 <= start < 1:
        raise ValueError(f"Expected a start from 0 to below 1, got {start}: give a fraction of the run.")


def _wide(parameter: Tensor) -> torch.dtype:
    return parameter.dtype if parameter.device.type == "mps" else torch.promote_types(parameter.dtype, torch.float64)
