"""When a trajectory gets a checkpoint: every so many steps, epochs or seconds, thinned as a run grows long."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from landscape.discovery import did_you_mean

UNITS = {"step": ("steps", 1), "epoch": ("epochs", 1), "second": ("seconds", 1), "minute": ("seconds", 60),
         "hour": ("seconds", 3600)}  # fmt: skip
SLACK = 1e-9  # epochs are sums of fractions, so that a whole number may be missed by rounding


@dataclass(frozen=True)
class Period:
    """An amount of steps, epochs or seconds; `text` is how it was given."""

    amount: float
    unit: str
    text: str

    def tick(self, **position: float) -> int:
        """Count the whole periods up to a position, given as ``steps=, epochs=, seconds=``."""
        return math.floor(position[self.unit] / self.amount + SLACK)

    @property
    def by_epoch(self) -> bool:
        """Whether every checkpoint ends an epoch, and may be named by it."""
        return self.unit == "epochs" and self.amount == int(self.amount)


def period(every: int | str) -> Period:
    """Read a period: a number of steps, or a text such as ``epoch``, ``100 steps``, ``2 epochs`` or ``10 minutes``.

    Raises
    ------
    ValueError
        If it cannot be read, or is not positive.

    Examples
    --------
    >>> period("2 epochs").tick(steps=70, epochs=5, seconds=1.0)
    2
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)?\s*([a-z]+?)s?\s*", f"{every} steps" if isinstance(every, int) else every)
    if match is None or match[2] not in UNITS:
        near = did_you_mean(match[2], list(UNITS)) if match else ""
        raise ValueError(
            f"Expected a period such as 100, 'epoch', '2 epochs' or '10 minutes', got {every!r}{near}: "
            "give a number and a unit."
        )
    unit, scale = UNITS[match[2]]
    amount = float(match[1] or 1) * scale
    if amount <= 0 or (unit == "steps" and amount != int(amount)):
        raise ValueError(f"Expected a positive period, of steps a whole one, got {every!r}: change every=.")
    return Period(amount, unit, match[0].strip())
