"""How a recorded run ends: with its final checkpoint, or without one, and with a line about what is not there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from landscape import checkpoint
from landscape.checkpoint import Checkpoint
from landscape.hooks.portrait import Portrait
from landscape.hooks.problems import Problems, log
from landscape.hooks.trajectory import Trajectory
from landscape.train.files import beside

SUFFIXES = (".pt", ".pth", ".th")


class Ending:
    """Write the final checkpoint of a run, and say how the run ended.

    Parameters
    ----------
    output : Path
        The final checkpoint.
    average : nn.Module or None
        An average of the weights: the final checkpoint is then that of the average, with the last iterate beside it.
    portrait : Portrait
        What is known of the network.
    problems : Problems
        Where it is told what could not be written.
    """

    def __init__(self, output: Path, average: nn.Module | None, portrait: Portrait, problems: Problems) -> None:
        self.output = output
        self._average, self._portrait, self._problems = average, portrait, problems

    def finished(self, model: nn.Module, trajectory: Trajectory, position: Mapping[str, Any]) -> None:
        """Write the final checkpoint, with the history of the run, and say what is not as it should be.

        Parameters
        ----------
        model : nn.Module
            As it was trained.
        trajectory : Trajectory
            All of it is written.
        position : mapping
            ``steps``, ``epochs`` and ``seconds`` of the end.
        """
        metrics = {name: value for point in trajectory.points for name, value in point.logged.items()}
        history = [point.record() for point in trajectory.points]
        self._conclude(trajectory, written=self._write(model, {**position, "metrics": metrics, "history": history}))

    def stopped(self, trajectory: Trajectory, reason: str, step: int) -> None:
        """Say by what a run was stopped, and what is there of it."""
        last = trajectory.points[-1]
        log.warning(
            "%s: stopped by %s at step %d; no final checkpoint, but %d in %s, the last of step %d, epoch %g",
            self.output, reason, step, _there(trajectory), trajectory.folder.path, last.steps, last.epochs,
        )  # fmt: skip

    def _write(self, model: nn.Module, reached: Mapping[str, Any]) -> bool:
        """Say whether the final checkpoint is written."""
        if self._average is None:
            return self._put(self._portrait.final(model, reached), self.output)
        kept = self._portrait.final(model, {**reached, "kept": "last"})
        self._put(kept, beside(self.output, ".kept") / "last.pt")
        return self._put(self._portrait.final(self._average, reached, average_of=model), self.output)

    def _put(self, found: Checkpoint, path: Path) -> bool:
        try:
            checkpoint.write(found, path)
        except OSError as error:
            self._problems.fail(str(path), error)
            return False
        return True

    def _conclude(self, trajectory: Trajectory, *, written: bool) -> None:
        lacking = self._portrait.lacking
        if self._problems.lines:
            log.warning(
                "%s: %s; of the trajectory %d of %d checkpoints are there",
                self.output, "is written" if written else "is not written", _there(trajectory), len(trajectory.points),
            )  # fmt: skip
        elif lacking:
            options = " and ".join(f"--{what}" for what in lacking)
            log.info("%s: does not say its %s: pass %s with it", self.output, " and ".join(lacking), options)


def _there(trajectory: Trajectory) -> int:
    return len(trajectory.points) - len(trajectory.folder.missing)


def output(path: str | os.PathLike) -> Path:
    """Name the final checkpoint: ``run`` is ``run.pt``.

    Raises
    ------
    ValueError
        If it has an ending that is not one of a checkpoint.
    """
    found = Path(path)
    if not found.suffix:
        return found.with_name(f"{found.name}.pt")
    if found.suffix not in SUFFIXES:
        raise ValueError(f"Expected an output such as {found.with_suffix('.pt')}, got {found}: change its ending.")
    return found
