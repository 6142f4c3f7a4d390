"""The points of a trajectory: where each was taken, what was logged on the way to it, which of them stay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Point:
    """A checkpoint of a trajectory.

    Attributes
    ----------
    file : str
        Its name in the folder.
    tick : int
        Periods up to it; what lies on a grid of these stays, when points are thinned.
    grid : bool
        False for the end of a run that ends between two periods.
    steps, epochs, seconds : float
        How far the run was.
    means : dict of str to [mean, count]
        Of what every step logged since the point before.
    latest : dict of str to float
        What was logged otherwise, at last.
    """

    file: str
    tick: int
    grid: bool
    steps: int
    epochs: float
    seconds: float
    means: dict[str, list[float]] = field(default_factory=dict)
    latest: dict[str, float] = field(default_factory=dict)

    @property
    def logged(self) -> dict[str, float]:
        """All that was logged, by name."""
        return {name: mean for name, (mean, _) in self.means.items()} | self.latest

    def record(self) -> dict[str, Any]:
        """Return what a history tells of it (JSON); where it was taken, whatever else was logged by that name."""
        return {**self.logged, "steps": self.steps, "epochs": self.epochs, "seconds": self.seconds}

    def after(self, gone: Point) -> None:
        """Take over what was logged on the way to a point before it that does not stay."""
        self.means = merged(gone.means, self.means)
        self.latest = gone.latest | self.latest


def merged(one: dict[str, list[float]], two: dict[str, list[float]]) -> dict[str, list[float]]:
    """Return the means over two stretches of a run together.

    Examples
    --------
    >>> merged({"loss": [3.0, 1]}, {"loss": [1.0, 3]})
    {'loss': [1.5, 4]}
    """
    found = {**one, **two}
    for name in one.keys() & two.keys():
        (first, m), (second, n) = one[name], two[name]
        found[name] = [(first * m + second * n) / (m + n), m + n]
    return found


def thinned(points: Sequence[Point], stride: int, limit: int | None) -> tuple[list[Point], int]:
    """Drop every second point until at most `limit` are left: spacing stays even, and the first stays.

    Parameters
    ----------
    points : sequence of Point
        In order, on a grid of `stride` ticks.
    stride : int
        Ticks from one to the next.
    limit : int or None
        At least 2; None keeps all.

    Returns
    -------
    points, stride
        What was logged on the way to a point that is gone, the next one has.
    """
    kept = list(points)
    while limit is not None and len(kept) > limit:
        stride *= 2
        kept = _joined(kept, (point is kept[0] or point.tick % stride == 0 for point in kept))
    return kept, stride


def _joined(points: Sequence[Point], stays: Iterable[bool]) -> list[Point]:
    found, gone = [], []
    for point, stay in zip(points, list(stays), strict=True):
        if not stay:
            gone.append(point)
            continue
        for earlier in reversed(gone):
            point.after(earlier)
        gone = []
        found.append(point)
    return found
