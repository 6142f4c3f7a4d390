"""The recorder: beside a training loop that is not ours, it leaves what the loop went through."""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from torch import nn

from landscape import checkpoint
from landscape.checkpoint import Checkpoint, Spec
from landscape.hooks import ranks, snapshot
from landscape.hooks.metrics import Metrics, numbers
from landscape.hooks.period import period
from landscape.hooks.portrait import Portrait
from landscape.hooks.storage import Storage
from landscape.hooks.trajectory import Trajectory
from landscape.train.files import beside, require_new

if TYPE_CHECKING:
    from landscape.hooks.huggingface import HuggingFace
    from landscape.hooks.lightning import Lightning

SUFFIXES = (".pt", ".pth", ".th")
PROBLEMS = 100  # that are remembered: where one comes with every step, they are all the same
_log = logging.getLogger("landscape.hooks")


def going_on(method: Callable[..., None]) -> Callable[..., None]:
    """Do it in the process that records; what goes wrong with it is told, and the training goes on."""

    @functools.wraps(method)
    def tried(self: Recorder, *given: Any, **named: Any) -> None:
        if self._state == "new":
            raise ValueError(f"Expected `with recorder:` around the loop, got .{method.__name__}() without: add it.")
        if not self.running:
            return
        try:
            method(self, *given, **named)
        except Exception as error:  # whatever it is: days of training are worth more than a picture of them
            self._fail(f"{self.output} ({method.__name__})", error)

    return tried


class Recorder:
    """Leave a trajectory and a checkpoint that describes itself beside any training loop.

    Parameters
    ----------
    model : nn.Module or None
        What is trained: bare, compiled, in DataParallel or DistributedDataParallel, or an average of weights. None for
        what the trainer of Hugging Face or Lightning trains.
    output : path
        The final checkpoint, ``run.pt``; the trajectory is in the folder ``run.trajectory`` beside it.
    every : int or str
        Period of the trajectory: steps, or such as ``"epoch"``, ``"100 steps"``, ``"10 minutes"``.
    keep : int or None
        At most so many checkpoints of the trajectory: of more, every second one goes. The first and the last stay.
    storage : {"exact", "float16", "bfloat16"}
        How the trajectory stores parameters; each of its checkpoints tells the L2 norm of the error. The final
        checkpoint is exact.
    model_spec, data_spec : Spec or str, optional
        How to build the network and load the data: a registered name, ``file.py:function`` or
        ``package.module:function``; a `Spec` has arguments too.
    loss : str
        The loss to look at: a name of `landscape.losses`, or ``file.py:function``.
    augment : str
        How images are augmented, such as ``crop,flip``, for those who refit batch-norm statistics.
    average : nn.Module, optional
        An average of the weights: the final checkpoint is then that of the average, and ``run.kept/last.pt`` that of
        the last iterate.
    batchnorm : {"fresh", "stale"}, optional
        Whether batch-norm statistics belong to the weights; by default an average of torch has stale ones unless they
        differ from those of the model.
    about : mapping, optional
        What else the record of the training tells (JSON): method, seed, learning rate.
    step, epoch : int, float
        Where the loop begins, if it goes on; a trajectory that is there is continued.
    overwrite : bool
        Discard an earlier run at this output.

    Attributes
    ----------
    output, folder : Path
        The final checkpoint, and the folder of the trajectory.
    problems : list of str
        What could not be done, a line each; empty if all went well.

    Raises
    ------
    ValueError
        If an argument cannot be read, or the network of `model_spec` is another than `model`.
    OSError
        If a file that a specification names does not exist.

    Notes
    -----
    The training is not touched: neither random states, modes, gradients nor hooks. A point of the trajectory costs one
    copy of the weights to host memory, in the loop's time, and one file, in that of another thread. Once a loop runs,
    nothing here raises: what cannot be done is one line of the logger ``landscape.hooks``, and a line in `problems`.
    Of several processes, rank 0 writes.

    Examples
    --------
    >>> from torch import nn
    >>> recorder = Recorder(nn.Linear(2, 1), "run.pt", every="100 steps", loss="mse")
    >>> recorder.folder.name
    'run.trajectory'
    """

    def __init__(
        self,
        model: nn.Module | None,
        output: str | os.PathLike = "run.pt",
        *,
        every: int | str = "epoch",
        keep: int | None = 30,
        storage: str = "exact",
        model_spec: Spec | str | None = None,
        data_spec: Spec | str | None = None,
        loss: str = "cross_entropy",
        augment: str = "",
        average: nn.Module | None = None,
        batchnorm: str | None = None,
        about: Mapping[str, Any] | None = None,
        step: int = 0,
        epoch: float = 0,
        overwrite: bool = False,
    ) -> None:
        if step < 0 or epoch < 0:
            raise ValueError(f"Expected to go on from a step and an epoch of at least 0, got {step} and {epoch}.")
        self.output = _output(output)
        self.folder = beside(self.output, ".trajectory")
        self.problems: list[str] = []
        self._said: set[str] = set()
        self._unwritten: list[str] = []
        self.steps, self.epochs = step, epoch
        self._model, self._average, self._overwrite = model, average, overwrite
        known = {"recorded": {"every": str(every), "keep": keep}}
        known |= {"settings": {"augment": augment}} if augment else {}
        self._portrait = Portrait(model_spec, data_spec, loss, batchnorm, {**known, **(about or {})})
        self._trajectory = Trajectory(self.folder, period(every), keep, self._fail)
        self._storage = Storage(storage, self._tell)
        self._metrics = Metrics()
        self._seconds, self._began, self._state = 0.0, time.monotonic(), "new"
        self._moved = self._stepped = self._told = False
        self._written: tuple[int, ...] = ()
        if model is not None:
            self._portrait.settle(model)

    @property
    def running(self) -> bool:
        """Whether a loop is being recorded, by this process."""
        return self._state == "running"

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
            self.steps, self.epochs = step or 0, epoch or 0
        reason = snapshot.elsewhere(self._model) or (snapshot.elsewhere(model) if model is not None else None)
        if not ranks.first():
            self._state = "silent"
        elif reason is not None:
            self._state = "silent"
            self._tell(f"{self.output}: nothing is recorded, for {reason}; gather the weights and record those")
        else:
            self._open()

    @going_on
    def step(self, **metrics: Any) -> None:
        """Say that the optimizer made a step; numbers are averaged over the steps between two points.

        A tensor is not waited for.
        """
        self.steps, self._moved, self._stepped, self._told = self.steps + 1, True, True, True
        self._metrics.add(numbers(metrics))
        self._look()

    @going_on
    def epoch(self, **metrics: Any) -> None:
        """Say that an epoch is over; numbers, such as a test accuracy, are recorded as they are."""
        self.epochs, self._told = int(self.epochs) + 1, True
        self._moved = self._moved or not self._stepped  # a loop that tells of epochs alone made steps in them
        self._note(metrics)
        self._look()

    @going_on
    def log(self, **metrics: Any) -> None:
        """Record numbers as they are, with the point that the run is at, or else the next."""
        self._note(metrics)

    @going_on
    def at(self, step: int, epoch: float, **metrics: Any) -> None:
        """Say where the run is, for loops that count by themselves; numbers are averaged, as those of `step`."""
        self._moved = self._moved or step != self.steps
        self.steps, self.epochs, self._stepped, self._told = step, epoch, True, True
        self._metrics.add(numbers(metrics))
        self._look()

    @going_on
    def last(self) -> None:
        """Take a point here, whatever the period: the weights are about to be replaced, as by their best or average."""
        if self._moved:
            self._add(grid=False)

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

    def __enter__(self) -> Recorder:
        self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.stop(kind.__name__)

    def huggingface(self) -> HuggingFace:
        """Return a callback for ``Trainer(callbacks=[...])`` of Hugging Face transformers."""
        from landscape.hooks.huggingface import HuggingFace

        return HuggingFace(self)

    def lightning(self) -> Lightning:
        """Return a callback for ``Trainer(callbacks=[...])`` of Lightning."""
        from landscape.hooks.lightning import Lightning

        return Lightning(self)

    def state_dict(self) -> dict[str, Any]:
        """Return where the run is, for the checkpoint of one's own loop (JSON)."""
        return {"step": self.steps, "epoch": self.epochs, "seconds": self._now()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there: before the loop begins."""
        self.steps, self.epochs = int(state["step"]), float(state["epoch"])
        self._seconds = float(state["seconds"])

    def _take(self, model: nn.Module) -> None:
        """Record what a trainer trains; that it is not what is specified is no reason to stop a trainer."""
        if self._model is not None:
            self._tell(f"{self.output}: the trainer trains another network than was given; that one is recorded")
        self._model = model
        try:
            self._portrait.settle(model)
        except Exception as error:  # it runs code of the user's
            self._portrait.model = None
            self._tell(f"{error} The checkpoints will not say their network: pass --model with them")

    def _open(self) -> None:
        """Make ready to write; a folder that cannot be written is no reason not to train."""
        if not self.steps and not self.epochs:
            require_new(self.output, force=self._overwrite)
        try:
            self.steps, self.epochs, seconds = self._trajectory.begin(
                self.steps, self.epochs, overwrite=self._overwrite
            )
            self._seconds = max(seconds, self._seconds)
        except OSError as error:
            self._fail(str(self.folder), error)
        self._began, self._state = time.monotonic(), "running"
        self._told, self._written = False, snapshot.changes(self._require_model())
        self._stepped, points = False, self._trajectory.points
        if points:
            self._moved = points[-1].steps != self.steps or (not self.steps and points[-1].epochs != self.epochs)
        else:
            self._first()

    @going_on
    def _first(self) -> None:
        self._add(grid=True)

    @going_on
    def _remind(self) -> None:
        """Say that nothing was told of a training that there was; its end is a point all the same."""
        if not self._told and snapshot.changes(self._require_model()) != self._written:
            self._moved = True
            self._tell(
                f"{self.output}: the weights changed, but neither .step() nor .epoch() was called in the loop, so that "
                f"its checkpoints are of step {self.steps}: call them"
            )

    @going_on
    def _finish(self) -> None:
        self._trajectory.end("finished")
        self._write()
        self._conclude()

    @going_on
    def _stop(self, reason: str) -> None:
        self._trajectory.end(reason)
        points = self._trajectory.points
        _log.warning(
            "%s: stopped by %s at step %d; no final checkpoint, but %d in %s, the last of step %d, epoch %g",
            self.output, reason, self.steps, len(points) - len(self._trajectory.folder.missing), self.folder,
            points[-1].steps, points[-1].epochs,
        )  # fmt: skip

    def _look(self) -> None:
        if not self._moved:
            self._trajectory.tell({}, self.epochs)
        elif self._trajectory.due(**self._position()):
            self._add(grid=True)

    def _note(self, metrics: Mapping[str, Any]) -> None:
        """Tell the last point, if the run is there still: what is measured after an epoch belongs to its end."""
        found = numbers(metrics)
        if self._moved:
            self._metrics.note(found)
        else:
            self._trajectory.tell({name: float(value) for name, value in found.items()}, self.epochs)

    def _add(self, *, grid: bool) -> None:
        means, latest = self._metrics.take()

        def make(reached: Mapping[str, Any]) -> Callable[[], Checkpoint]:
            return self._portrait.sketch(self._require_model(), self._storage, reached)

        self._trajectory.add(make, grid=grid, means=means, latest=latest, **self._position())
        self._moved = False

    def _write(self) -> None:
        """Write the final checkpoint: of the average, if there is one, with the last iterate beside it."""
        model, points = self._require_model(), self._trajectory.points
        metrics = {name: value for point in points for name, value in point.logged.items()}
        reached = self._position() | {"metrics": metrics, "history": [point.record() for point in points]}
        if self._average is None:
            self._put(self._portrait.final(model, reached), self.output)
            return
        kept = self._portrait.final(model, {**reached, "kept": "last"})
        self._put(kept, beside(self.output, ".kept") / "last.pt")
        self._put(self._portrait.final(self._average, reached, average_of=model), self.output)

    def _put(self, found: Checkpoint, path: Path) -> None:
        try:
            checkpoint.write(found, path)
        except OSError as error:
            self._fail(str(path), error)
            self._unwritten.append(str(path))

    def _conclude(self) -> None:
        """Say how it ended, where that is not as it should be."""
        missing, lacking = self._trajectory.folder.missing, self._portrait.lacking
        if self.problems:
            _log.warning(
                "%s: %s; of the trajectory %d of %d checkpoints are there",
                self.output, "is not written" if str(self.output) in self._unwritten else "is written",
                len(self._trajectory.points) - len(missing), len(self._trajectory.points),
            )  # fmt: skip
        elif lacking:
            options = " and ".join(f"--{what}" for what in lacking)
            _log.info("%s: does not say its %s: pass %s with it", self.output, " and ".join(lacking), options)

    def _close(self) -> None:
        self._seconds = self._now()
        self._state = "new" if self._state == "new" else "done"

    def _position(self) -> dict[str, Any]:
        return {"steps": self.steps, "epochs": self.epochs, "seconds": self._now()}

    def _now(self) -> float:
        return self._seconds + (time.monotonic() - self._began if self.running else 0.0)

    def _require_model(self) -> nn.Module:
        assert self._model is not None
        return self._model

    def _fail(self, what: str, error: Exception) -> None:
        line = (str(error).splitlines() or [""])[0]
        self._tell(line if what in line else f"{what}: {type(error).__name__}: {line}", type(error).__name__)

    def _tell(self, problem: str, kind: str = "") -> None:
        """Remember a problem, and say it at once if it is the first of its kind."""
        if len(self.problems) < PROBLEMS:
            self.problems.append(problem)
        if (kind or problem) not in self._said:
            self._said.add(kind or problem)
            _log.warning("%s; the training goes on", problem.rstrip("."))


def _output(path: str | os.PathLike) -> Path:
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
