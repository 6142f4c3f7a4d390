"""Surfaces that other programs wrote, as results of ours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landscape.hdf5 import opened, read_array
from landscape.probes.line import Line
from landscape.probes.surface import Surface

if TYPE_CHECKING:
    import h5py

SPLITS = {"train": ("train_loss", "train_acc"), "test": ("test_loss", "test_acc")}
MISSING = -1.0  # what Li et al.'s script fills its arrays with before it evaluates a point


def goldstein(path: str | os.PathLike) -> Surface | Line:
    """Read a surface that the scripts of Li et al. wrote (github.com/tomgoldstein/loss-landscape).

    Parameters
    ----------
    path : path
        An HDF5 file with ``xcoordinates``, for planes ``ycoordinates``, and ``train_loss`` and ``train_acc``
        (percent), or ``test_loss`` and ``test_acc``, or both.

    Returns
    -------
    Surface, or Line where the file has no ``ycoordinates``
        Accuracies are fractions. What the file does not know is NaN: standard errors, lengths of the directions and
        the cosine between them.

    Raises
    ------
    OSError
        If the file does not exist or is no HDF5 file.
    ValueError
        If it holds no such surface, or arrays that do not fit its coordinates.

    Notes
    -----
    Their script allocates arrays of shape (len(x), len(y)), but numbers the points by rows of y: point ``k`` has the
    coordinates ``x[k % len(x)], y[k // len(x)]`` and is stored in place ``k`` of the flattened array. On a square grid
    this is a transposed array; on a rectangular one the rows are scrambled. Both are undone here by reading the
    flattened array as (len(y), len(x)).

    Points that were never evaluated are stored as -1, a loss that cross entropy cannot have: they become NaN.

    References
    ----------
    Li et al. (2018), Visualizing the loss landscape of neural nets, arXiv:1712.09913.
    """
    with opened(path) as file:
        a = _coordinates(file, path, "xcoordinates")
        b = _coordinates(file, path, "ycoordinates") if "ycoordinates" in file else None
        found = {split: names for split, names in SPLITS.items() if names[0] in file}
        if not found:
            raise ValueError(
                f"{path}: expected `train_loss` or `test_loss`, got neither: the evaluation left no surface."
            )
        loss = np.stack([_values(file, path, names[0], a, b) for names in found.values()])
        known = all(names[1] in file for names in found.values())
        accuracy = np.stack([_values(file, path, names[1], a, b) for names in found.values()]) / 100 if known else None
    shared = {
        "split": list(found),
        "a": a,
        "loss": loss,
        "loss_error": np.full_like(loss, np.nan),
        "accuracy": accuracy,
        "accuracy_error": None if accuracy is None else np.full_like(accuracy, np.nan),
        "origin": {"imported": {"from": "tomgoldstein/loss-landscape", "file": Path(path).name}},
    }
    if b is None:
        return Line(**shared, axis=np.array(["x"]), norm=np.array([np.nan]))
    return Surface(**shared, b=b, axis=np.array(["x", "y"]), norm=np.full(2, np.nan), cosine=np.array(np.nan))


def _coordinates(file: h5py.File, path: str | os.PathLike, name: str) -> np.ndarray:
    steps = np.asarray(read_array(file, name), dtype=float)
    if steps.ndim != 1 or not steps.size or not (np.diff(steps) > 0).all():
        raise ValueError(f"{path}: expected `{name}` to be one increasing row of numbers, got shape {steps.shape}.")
    return steps


def _values(file: h5py.File, path: str | os.PathLike, name: str, a: np.ndarray, b: np.ndarray | None) -> np.ndarray:
    values = np.asarray(read_array(file, name), dtype=float)
    size = len(a) * (1 if b is None else len(b))
    if values.size != size:
        raise ValueError(f"{path}: expected {size} values of `{name}`, one per grid point, got shape {values.shape}.")
    values = values.ravel() if b is None else values.reshape(len(b), len(a)).T
    return np.where(values == MISSING, np.nan, values)
