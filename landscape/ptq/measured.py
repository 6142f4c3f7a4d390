"""Loss and accuracy of a quantized network beside those of the network that it was made from."""

from __future__ import annotations

from dataclasses import dataclass

from landscape.examples import ByExample, by_example
from landscape.objective import Objective
from landscape.paired import mean


@dataclass(frozen=True)
class Measured:
    """Means over the examples of one split, with standard errors over examples.

    Attributes
    ----------
    loss, loss_error : float
        In nats.
    accuracy, accuracy_error : float
        Fractions; NaN without classes.
    change, change_error : float
        Of the loss, against another network on the same examples. The error is that of the mean of the differences,
        which is far smaller than those of the two losses.
    """

    loss: float
    loss_error: float
    accuracy: float
    accuracy_error: float
    change: float = 0.0
    change_error: float = 0.0


def examined(objective: Objective) -> dict[str, ByExample]:
    """Evaluate every example of every split at the objective's own point."""
    return {name: by_example(objective, objective.theta, split) for split, name in enumerate(objective.splits)}


def measured(found: ByExample, reference: ByExample | None = None) -> Measured:
    """Average losses and correctness of examples, and the differences of their losses from those of a reference."""
    rows = [found.loss, found.correct, *([] if reference is None else [found.loss - reference.loss])]
    return Measured(*(float(value) for row in rows for value in mean(row, found.weight)))
