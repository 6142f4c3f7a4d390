"""An observer that looks only now and then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from landscape.train.fit import Run

Observer = Callable[[Run], Any]


def every(observer: Observer, *, epochs: int = 1, start: float = 0.0) -> Observer:
    """Call an observer at the end of every few epochs, and before the first step.

    Parameters
    ----------
    observer : callable (run) -> None
        Its ``state_dict``, if it has one, is passed on.
    epochs : int
        Period.
    start : float, from 0 to 1
        Fraction of the run before which it is not called.

    Raises
    ------
    ValueError
        If the period is not positive.
    """
    if epochs < 1:
        raise ValueError(f"Expected a period of at least 1 epoch, got {epochs}: give a positive number.")

    def see(run: Run) -> None:
        clock = run.clock
        if clock.between_epochs and clock.epoch % epochs == 0 and clock.fraction >= start:
            observer(run)

    for verb in ("state_dict", "load_state_dict"):  # what is resumed is the observer inside
        if hasattr(observer, verb):
            setattr(see, verb, getattr(observer, verb))
    return see
