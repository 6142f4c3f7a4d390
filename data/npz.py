"""Any arrays of one's own, from a .npz file."""

from pathlib import Path

import numpy as np

from landscape.data._download import place
from landscape.data._normalization import normalization, normalize_argument
from landscape.data._npz import read_npz, single_npz
from landscape.dataset import Dataset


def npz(
    root: str | Path | None = None, *, normalize: str = "none", layout: str = "auto", task: str | None = None
) -> Dataset:
    """Load a .npz file with ``train_x, train_y, test_x, test_y``, or ``x, y``.

    Parameters
    ----------
    root : path
        The file, or a folder with one .npz in it.
    normalize : str
        ``none``, ``imagenet`` or ``mean/std`` as in ``0.5,0.5,0.5/0.2,0.2,0.2``.
    layout : {"auto", "nchw", "nhwc"}
        Where images have their channels; ``auto`` takes the axis of size 1, 3 or 4, and refuses to guess.
    task : {"classification", "language", "regression"}, optional
        By default real targets are a regression, integer targets of two axes are tokens,
        and other integer targets are classes.

    Returns
    -------
    Dataset
        Class names come from an array `classes`, else they are the numbers 0, 1, ... up to the largest label.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If it is damaged, holds Python objects (never unpickled), or lacks the arrays.
    """
    if root is None:
        raise ValueError("Expected root=FILE.npz, got nothing: say which file to read.")
    folder = place("npz", root)
    path = single_npz(folder)
    if path is None:
        raise FileNotFoundError(f"Expected a .npz file at root={folder}, got none: set root to the file.")
    pairs, classes = read_npz(path, layout)
    task = task or _task(next(iter(pairs.values()))[1])
    mean, std = normalization(normalize, "npz")
    arguments = {"root": str(path), "normalize": normalize_argument(normalize), "layout": layout, "task": task}
    return Dataset(
        path.stem,
        train=pairs.get("train"),
        test=pairs.get("test"),
        classes=classes or _numbered(pairs, task),
        mean=mean,
        std=std,
        task=task,
        origin={"name": "npz", "arguments": arguments},
    )


def _task(targets: np.ndarray) -> str:
    if targets.dtype.kind == "f":
        return "regression"
    return "language" if targets.ndim == 2 else "classification"


def _numbered(pairs: dict, task: str) -> tuple[str, ...]:
    targets = [targets for _, targets in pairs.values() if targets.size and targets.dtype.kind in "iu"]
    if task != "classification" or not targets:
        return ()
    return tuple(str(label) for label in range(max(int(array.max()) for array in targets) + 1))
