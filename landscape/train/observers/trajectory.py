"""Checkpoints along the way."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from landscape.train.fit import Run
from landscape.train.observers.every import Observer, every


def trajectory(folder: str | os.PathLike, write: Callable[[Run, Path], Any], *, epochs: int = 1) -> Observer:
    """Write ``folder/epoch-0005.pt`` at the end of every few epochs; the first is the initial one.

    Parameters
    ----------
    folder : path
        Made when it is first needed.
    write : callable (run, path) -> None
        How a checkpoint is written.
    epochs : int
        Period.
    """
    return every(lambda run: write(run, Path(folder) / f"epoch-{run.clock.epoch:04d}.pt"), epochs=epochs)
