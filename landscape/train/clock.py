"""The clock of a run: steps, epochs, gradient evaluations and seconds spent."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any


@dataclass
class Clock:
    """Count what a run has done.

    Parameters
    ----------
    epochs : int
        Length of the run.
    per_epoch : int
        Steps of one epoch.

    Attributes
    ----------
    step : int
        Finished steps; while a step is made, its index from 0.
    spent : Fraction
        Gradient evaluations so far; the gradient of one part of a batch counts as that part.
    began : float
        When the run began, in seconds of the monotonic clock; earlier sittings are put before it.

    Examples
    --------
    >>> clock = Clock(epochs=4, per_epoch=10, step=25)
    >>> clock.epoch, clock.fraction, clock.between_epochs, clock.finished
    (2, 0.625, False, False)
    """

    epochs: int
    per_epoch: int
    step: int = 0
    spent: Fraction = field(default=Fraction(0))
    began: float = field(default_factory=time.monotonic, repr=False)

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.epochs * self.per_epoch

    @property
    def epoch(self) -> int:
        """Finished epochs; while a step is made, the index from 0 of its epoch."""
        return self.step // self.per_epoch

    @property
    def within(self) -> int:
        """Steps since the epoch began."""
        return self.step % self.per_epoch

    @property
    def fraction(self) -> float:
        """Share of the run that is done, from 0 to 1."""
        return self.step / self.steps if self.steps else 1.0

    @property
    def between_epochs(self) -> bool:
        """Whether the last finished step ended an epoch; true at the very start as well."""
        return self.within == 0

    @property
    def finished(self) -> bool:
        """Whether no step is left."""
        return self.step >= self.steps

    @property
    def evaluations(self) -> float:
        """Gradient evaluations so far, each over one whole batch."""
        return float(self.spent)

    @property
    def seconds(self) -> float:
        """Time of the run so far, earlier sittings included."""
        return time.monotonic() - self.began

    def spend(self, part: int, whole: int) -> None:
        """Count the gradient of `part` examples where a batch has `whole`."""
        self.spent += Fraction(part, whole)

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs."""
        return {"step": self.step, "spent": list(self.spent.as_integer_ratio()), "seconds": self.seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where another clock of the same run stood."""
        self.step, self.spent = state["step"], Fraction(*state["spent"])
        self.began = time.monotonic() - state["seconds"]
