"""The recorder: beside a training loop that is not ours, it leaves what the loop went through."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from torch import nn

from landscape.checkpoint import Checkpoint, Spec
from landscape.hooks import ending
from landscape.hooks.course import Course
from landscape.hooks.ending import Ending
from landscape.hooks.huggingface import HuggingFace
from landscape.hooks.lightning import Lightning
from landscape.hooks.listener import Listener
from landscape.hooks.period import period
from landscape.hooks.portrait import Portrait
from landscape.hooks.problems import Problems
from landscape.hooks.storage import Storage
from landscape.hooks.trajectory import Trajectory
from landscape.train.files import beside


class Recorder(Listener):
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
    Of several processes, rank 0 writes. What a loop says to it is told at `landscape.hooks.listener.Listener`.

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
        path, problems = ending.output(output), Problems()
        known = {"recorded": {"every": str(every), "keep": keep}}
        known |= {"settings": {"augment": augment}} if augment else {}
        portrait = Portrait(model_spec, data_spec, loss, batchnorm, {**known, **(about or {})})
        trajectory = Trajectory(beside(path, ".trajectory"), period(every), keep, problems.fail)
        stored = Storage(storage, problems.tell)

        def sketch(model: nn.Module, reached: Mapping[str, Any]) -> Callable[[], Checkpoint]:
            return portrait.sketch(model, stored, reached)

        course = Course(trajectory, sketch, time.monotonic, step, epoch)
        end = Ending(path, average, portrait, problems)
        super().__init__(model, portrait, course, end, problems, overwrite=overwrite)
        if model is not None:
            portrait.settle(model)

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
        return HuggingFace(self)

    def lightning(self) -> Lightning:
        """Return a callback for ``Trainer(callbacks=[...])`` of Lightning."""
        return Lightning(self)
