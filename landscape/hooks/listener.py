"""What a training loop says to a recorder, from its beginning to its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from landscape.hooks import ranks, snapshot
from landscape.hooks.course import Course
from landscape.hooks.ending import Ending
from landscape.hooks.guard import going_on
from landscape.hooks.portrait import Portrait
from landscape.hooks.problems import Problems
from landscape.train.files import require_new


class Listener:
    """Hear where a loop begins, its steps and epochs, and how it ends.

    Parameters
    ----------
    model : nn.Module or None
        What is trained; None for what `begin` is given.
    portrait, course, ending, problems : Portrait, Course, Ending, Problems
        What is known of it, how far it is, what is written in the end, and what could not be done.
    overwrite : bool
        Discard an earlier run.
    """

    def __init__(
        self, model: nn.Module | None, portrait: Portrait, course: Course, ending: Ending, problems: Problems, *,
        overwrite: bool,
    ) -> None:  # fmt: skip
        self.output, self.folder, self.problems = ending.output, course.trajectory.folder.path, problems.lines
        self._state = "new"
        self._model, self._portrait, self._course, self._ending = model, portrait, course, ending
        self._trajectory, self._problems, self._overwrite = course.trajectory, problems, overwrite

    @property
    def running(self) -> bool:
        """Whether a loop is being recorded, by this process."""
        return self._state == "running"

    @property
    def steps(self) -> int:
        """How many steps of the optimizer the run has made."""
        return self._course.steps

    @property
    def epochs(self) -> float:
        """How many epochs of the run are over."""
        return self._course.epochs

    def begin(self, model: nn.Module | None = None, *, step: int | None = None, epoch: float | None = None) -> None:
        """Take the first point, or go on with a trajectory that is there; ``with recorder:`` does it.

        Parameters
        ----------
        model : nn.Module, optional
            What a trainer trains, where that is not the model that was given.
        step, epoch : optional
            Where the loop begins.

        Raises
        ------
        ValueError
            If there is another run at the output.
        """
        if model is not None and (self._model is None or not snapshot.within(self._model, model)):
            self._take(model)
        if self._model is None:
            raise ValueError("Expected a model to record, got None: give it to Recorder, or use a trainer's hook.")
        if step is not None or epoch is not None:
            self._course.steps, self._course.epochs = step or 0, epoch or 0
        reason = snapshot.elsewhere(self._model) or (snapshot.elsewhere(model) if model is not None else None)
        if not ranks.first():
            self._state = "silent"
        elif reason is not None:
            self._state = "silent"
            self._tell(f"nothing is recorded, for {reason}; gather the weights and record those")
        else:
            self._open(self._model)

    @going_on
    def step(self, **metrics: Any) -> None:
        """Say that the optimizer made a step; numbers are averaged over the steps between two points.

        A tensor is not waited for.
        """
        self._course.step()
        self._course.count(metrics)
        self._course.look()

    @going_on
    def epoch(self, **metrics: Any) -> None:
        """Say that an epoch is over; numbers, such as a test accuracy, are recorded as they are."""
        self._course.epoch()
        self._course.note(metrics)
        self._course.look()

    @going_on
    def log(self, **metrics: Any) -> None:
        """Record numbers as they are, with the point that the run is at, or else the next."""
        self._course.note(metrics)

    @going_on
    def at(self, step: int, epoch: float, **metrics: Any) -> None:
        """Say where the run is, for loops that count by themselves; numbers are averaged, as those of `step`."""
        self._course.at(step, epoch)
        self._course.count(metrics)
        self._course.look()

    @going_on
    def last(self) -> None:
        """Take a point here, whatever the period: the weights are about to be replaced, as by their best or average."""
        if self._course.moved:
            self._course.add(grid=False)

    def finish(self, *, last: bool = True) -> None:
        """Take the last point and write the final checkpoint; leaving ``with`` does it, unless by an exception.

        Parameters
        ----------
        last : bool
            False where the weights are no longer those of the last step.
        """
        if last:
            self._remind()
            self.last()
        self._finish()
        self._close()

    def stop(self, reason: str = "an exception") -> None:
        """Leave the trajectory whole, without a final checkpoint: weights may be in the middle of a step."""
        self._stop(reason)
        self._close()

    def state_dict(self) -> dict[str, Any]:
        """Return where the run is, for the checkpoint of one's own loop (JSON)."""
        return {"step": self.steps, "epoch": self.epochs, "seconds": self._course.seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there: before the loop begins."""
        self._course.place(int(state["step"]), float(state["epoch"]), float(state["seconds"]))

    def _take(self, model: nn.Module) -> None:
        """Record what a trainer trains; that it is not what is specified is no reason to stop a trainer."""
        if self._model is not None:
            self._tell("the trainer trains another network than was given; that one is recorded")
        self._model = model
        if error := self._portrait.adopt(model):
            self._problems.tell(f"{error} The checkpoints will not say their network: pass --model with them")

    def _open(self, model: nn.Module) -> None:
        """Make ready to write; a folder that cannot be written is no reason not to train."""
        if not self.steps and not self.epochs:
            require_new(self.output, force=self._overwrite)
        try:
            self._course.find(overwrite=self._overwrite)
        except OSError as error:
            self._problems.fail(str(self.folder), error)
        self._state = "running"
        self._course.start(model)
        self._first()

    @going_on
    def _first(self) -> None:
        if not self._trajectory.points:
            self._course.add(grid=True)

    @going_on
    def _remind(self) -> None:
        """Say that nothing was told of a training that there was; its end is a point all the same."""
        if self._course.untold:
            self._course.moved = True
            self._tell(
                "the weights changed, but neither .step() nor .epoch() was called in the loop, so that its checkpoints "
                f"are of step {self.steps}: call them"
            )

    @going_on
    def _finish(self) -> None:
        self._trajectory.end("finished")
        self._ending.finished(self._course.model, self._trajectory, self._course.position)

    @going_on
    def _stop(self, reason: str) -> None:
        self._trajectory.end(reason)
        self._ending.stopped(self._trajectory, reason, self.steps)

    def _close(self) -> None:
        self._course.end()
        self._state = "done"

    def _tell(self, problem: str) -> None:
        self._problems.tell(f"{self.output}: {problem}")
