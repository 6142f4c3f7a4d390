"""The trajectory of a run: which points it has, which come and go."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection
from typing import Any

from landscape.checkpoint import Checkpoint
from landscape.hooks.folder import Folder
from landscape.hooks.period import SLACK, Period
from landscape.hooks.points import Point, thinned

Make = Callable[[dict[str, Any]], Callable[[], Checkpoint]]


class Trajectory:
    """Points on an even grid of periods, and the end of the run.

    Parameters
    ----------
    path : path
        Folder of the checkpoints.
    period : Period
    keep : int or None
        At most so many checkpoints, at least 3: one place is kept for the end.
    fail : callable (what, error) -> None
        Told of what could not be written.
    """

    def __init__(
        self, path: str | os.PathLike, period: Period, keep: int | None, fail: Callable[[str, Exception], Any]
    ) -> None:
        if keep is not None and keep < 3:
            raise ValueError(f"Expected at least 3 checkpoints to keep, got {keep}: raise keep=, or None keeps all.")
        self.folder, self.period = Folder(path, fail), period
        self.limit = None if keep is None else keep - 1
        self.points: list[Point] = []
        self.stride = 1
        self._carried: list[Point] = []

    def begin(self, steps: int, epochs: float, *, overwrite: bool = False) -> tuple[int, float, float]:
        """Take up the points of this run up to where it goes on, and forget those after: it makes them again.

        Parameters
        ----------
        steps, epochs : int, float
            How far the run is; 0 for a new one. One that is 0 is filled in from the points.
        overwrite : bool
            Discard another run.

        Returns
        -------
        steps, epochs, seconds

        Raises
        ------
        ValueError
            If the folder has a run and this one is new, or was recorded with another period.
        OSError
            If the folder cannot be read.
        """
        self.folder.wait()
        new = not steps and not epochs
        self.points, self.stride, self._carried = [], 1, []
        if new and overwrite:
            self.folder.clear()
        known = self.folder.read()
        found = known.get("points", [])
        if found and new:
            raise ValueError(
                f"{self.folder.path}: expected a new folder, got a run of {len(found)} checkpoints up to step "
                f"{found[-1].steps}, epoch {found[-1].epochs:g}: tell where to go on (step= or epoch=), choose another "
                "output, or pass overwrite=True."
            )
        if found and known["every"] != self.period.text:
            raise ValueError(
                f"{self.folder.path}: expected every={known['every']!r} as the run began, got {self.period.text!r}: "
                "go on with that, or choose another output."
            )
        where = steps if steps else epochs
        self.points = [point for point in found if (point.steps if steps else point.epochs) <= where]
        self.stride = known.get("stride", 1)
        if gone := [point.file for point in found if point not in self.points]:
            self._change(gone=gone)
            self.folder.wait()
        last = self.points[-1] if self.points else Point("", 0, True, 0, 0, 0.0)
        return steps or last.steps, epochs or last.epochs, last.seconds

    def due(self, **position: float) -> bool:
        """Say whether a point belongs here, and make room for it: of a long run every second one goes."""
        if not self._passed(position):
            return False
        if self.limit is not None and len(self._grid()) >= self.limit:
            self._thin(self.limit - 1)
        return self._passed(position)

    def add(self, make: Make, *, grid: bool, means: dict, latest: dict, **position: Any) -> None:
        """Add a point; whatever was not on the grid before it goes.

        Parameters
        ----------
        make : callable (record of the point) -> callable () -> Checkpoint
            Copies the weights; what it returns is called later, by another thread.
        grid : bool
            False for the end of a run, wherever it is; it goes when the run goes on.
        means, latest : dict
            What was logged since the point before.
        position : steps, epochs, seconds
        """
        tick = self.period.tick(**position)
        on = tick // self.stride * self.stride if self.points else tick
        standing = self._grid()
        point = Point(self._name(position, standing), on, grid, **position, means=means, latest=latest)
        for earlier in reversed([p for p in self.points if not p.grid] + self._carried):
            point.after(earlier)
        gone = {p.file for p in self.points if not p.grid} - {point.file}
        self.folder.wait()  # so that there is one copy of the weights at a time
        made = make(point.record())
        self.points, self._carried = [*standing, point], []
        self._change((point, made), gone)

    def tell(self, latest: dict[str, float], epochs: float) -> None:
        """Tell the last point what was logged while the run stood there."""
        if self.points:
            self.points[-1].latest |= latest
            self.points[-1].epochs = epochs

    def end(self, ended: str) -> None:
        """Write down how the run ended, and wait until everything is written."""
        self._change(ended=ended)
        self.folder.wait()

    def _grid(self) -> list[Point]:
        return [point for point in self.points if point.grid]

    def _passed(self, position: dict[str, float]) -> bool:
        grid = self._grid()
        return not grid or self.period.tick(**position) // self.stride > grid[-1].tick // self.stride

    def _thin(self, limit: int) -> None:
        ends = [point for point in self.points if not point.grid]
        kept, self.stride = thinned(self._grid(), self.stride, limit)
        after = [point for point in self._grid() if point.tick > kept[-1].tick]
        gone = {point.file for point in self.points} - {point.file for point in [*kept, *ends]}
        self._carried, self.points = [*self._carried, *after], [*kept, *ends]
        self._change(gone=gone)

    def _name(self, position: dict[str, Any], standing: list[Point]) -> str:
        """Name a file by its epoch or step; an epoch that is not over counts, and names differ."""
        word, number, digits = "step", position["steps"], 7
        if self.period.by_epoch:
            word, number, digits = "epoch", math.ceil(position["epochs"] - SLACK), 4
        taken = {point.file for point in standing}
        while (name := f"{word}-{number:0{digits}d}.pt") in taken:
            number += 1
        return name

    def _change(
        self, new: tuple[Point, Callable[[], Checkpoint]] | None = None, gone: Collection[str] = (), ended: str = ""
    ) -> None:
        index = {"every": self.period.text, "stride": self.stride, "ended": ended}
        self.folder.change(index, self.points, new, sorted(gone))
