"""The course of a run: how far it is, what was logged on the way, and the points that are taken of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from landscape.checkpoint import Checkpoint
from landscape.hooks import snapshot
from landscape.hooks.metrics import Metrics, numbers
from landscape.hooks.trajectory import Trajectory

Sketch = Callable[[nn.Module, Mapping[str, Any]], Callable[[], Checkpoint]]


class Course:
    """Count steps, epochs and seconds, and take a point of the trajectory wherever one is due.

    Parameters
    ----------
    trajectory : Trajectory
    sketch : callable (model, record of a point) -> callable () -> Checkpoint
        Copies the weights; what it returns is called later, by another thread.
    clock : callable () -> float
        Seconds since whenever.
    steps, epochs : int, float
        Where the run begins.

    Attributes
    ----------
    model : nn.Module
        What is trained, from `start` on.
    moved : bool
        Whether the weights are others than those of the last point.
    """

    model: nn.Module

    def __init__(
        self, trajectory: Trajectory, sketch: Sketch, clock: Callable[[], float], steps: int, epochs: float
    ) -> None:
        self.trajectory, self.steps, self.epochs, self.moved = trajectory, steps, epochs, False
        self._sketch, self._clock, self._metrics = sketch, clock, Metrics()
        self._seconds = 0.0
        self._began: float | None = None
        self._stepped = self._told = False
        self._versions: tuple[int, ...] = ()

    @property
    def seconds(self) -> float:
        """How long the run has taken, over all its parts."""
        return self._seconds + (0.0 if self._began is None else self._clock() - self._began)

    @property
    def position(self) -> dict[str, Any]:
        """How far the run is."""
        return {"steps": self.steps, "epochs": self.epochs, "seconds": self.seconds}

    def place(self, steps: int, epochs: float, seconds: float) -> None:
        """Go on from here, once the run starts."""
        self.steps, self.epochs, self._seconds = steps, epochs, seconds

    def find(self, *, overwrite: bool) -> None:
        """Take up the trajectory that is there; what it raises is told at `Trajectory.begin`."""
        steps, epochs, seconds = self.trajectory.begin(self.steps, self.epochs, overwrite=overwrite)
        self.place(steps, epochs, max(seconds, self._seconds))

    def start(self, model: nn.Module) -> None:
        """Start the clock; a run that goes on elsewhere than at its last point has moved on from it."""
        self.model, self._versions = model, snapshot.changes(model)
        self._began, self._told, self._stepped = self._clock(), False, False
        if self.trajectory.points:
            last = self.trajectory.points[-1]
            self.moved = last.steps != self.steps or (not self.steps and last.epochs != self.epochs)

    def end(self) -> None:
        """Stop the clock."""
        self._seconds, self._began = self.seconds, None

    def step(self) -> None:
        """Count a step."""
        self.steps, self.moved, self._stepped, self._told = self.steps + 1, True, True, True

    def epoch(self) -> None:
        """Count an epoch; a loop that tells of epochs alone made steps in them."""
        self.epochs, self._told = int(self.epochs) + 1, True
        self.moved = self.moved or not self._stepped

    def at(self, steps: int, epochs: float) -> None:
        """Take over what a loop counted by itself."""
        self.moved = self.moved or steps != self.steps
        self.steps, self.epochs, self._stepped, self._told = steps, epochs, True, True

    @property
    def untold(self) -> bool:
        """Whether weights changed, and nothing was told of it."""
        return not self._told and snapshot.changes(self.model) != self._versions

    def count(self, metrics: Mapping[str, Any]) -> None:
        """Count numbers of a step towards their means; what is no number is left out."""
        self._metrics.add(numbers(metrics))

    def note(self, metrics: Mapping[str, Any]) -> None:
        """Tell the last point, if the run is there still: what is measured after an epoch belongs to its end."""
        found = numbers(metrics)
        if self.moved:
            self._metrics.note(found)
        else:
            self.trajectory.tell({name: float(value) for name, value in found.items()}, self.epochs)

    def look(self) -> None:
        """Take a point if one is due."""
        if not self.moved:
            self.trajectory.tell({}, self.epochs)
        elif self.trajectory.due(**self.position):
            self.add(grid=True)

    def add(self, *, grid: bool) -> None:
        """Take a point here.

        Parameters
        ----------
        grid : bool
            False for the end of a run, wherever it is.
        """
        means, latest = self._metrics.take()

        def make(reached: Mapping[str, Any]) -> Callable[[], Checkpoint]:
            return self._sketch(self.model, reached)

        self.trajectory.add(make, grid=grid, means=means, latest=latest, **self.position)
        self.moved = False
