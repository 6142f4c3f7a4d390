"""Files of vectors: directions that other programs, or people, have written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape import weights
from landscape.hdf5 import opened, read_array


def read(path: str | os.PathLike, dim: int) -> list[Any]:
    """Read vectors of length D from a file; nothing that it carries is run.

    Parameters
    ----------
    path : path
        ``.npy`` or ``.npz`` of shape (D,) or (k, D); ``.pt`` or ``.safetensors`` with such a tensor, a state dict, or
        a list of either; HDF5 with eigenvectors of ours, or as Li et al.'s scripts write it (groups ``xdirection`` and
        ``ydirection``).
    dim : int
        D.

    Returns
    -------
    list
        Of Tensors, state dicts, or lists with an array for each parameter, whose length is yet to be checked.

    Raises
    ------
    ValueError
        If the file is damaged or holds something else.
    OSError
        If there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a file of directions, got no such file.")
    if path.suffix in (".npy", ".npz"):
        return _arrays(path)
    if path.suffix in (".h5", ".hdf5"):
        return _measured(path) or _goldstein(path, dim)
    found = weights.read(path)
    if isinstance(found, dict) and len(found) == 1:  # safetensors have a name even for a single tensor
        only = next(iter(found.values()))
        found = only if isinstance(only, Tensor) and only.shape[-1:] == (dim,) else found
    if isinstance(found, Tensor):
        return list(torch.atleast_2d(found))
    return list(found) if isinstance(found, (list, tuple)) else [weights.state_dict(found, path)]


def _arrays(path: Path) -> list[Tensor]:
    try:
        with open(path, "rb") as file:
            found = np.load(file, allow_pickle=False)
            arrays = [found] if isinstance(found, np.ndarray) else [found[name] for name in found.files]
            return [row for array in arrays for row in torch.from_numpy(np.atleast_2d(array))]
    except Exception as error:  # NumPy raises nearly anything at damaged bytes
        raise ValueError(_damaged(path, error)) from error


def _measured(path: Path) -> list[Tensor]:
    """Read the eigenvectors of a result of ours; none from a file that is no result."""
    with opened(path) as file:
        if "kind" not in file.attrs:
            return []
        if "vector" not in file:
            raise ValueError(f"{path}: expected eigenvectors, got a result without: measure it with --vectors.")
        return list(torch.atleast_2d(torch.from_numpy(read_array(file, "vector"))))


def _goldstein(path: Path, dim: int) -> list[list[np.ndarray]]:
    """Read groups that hold one array for each parameter, numbered in the order of the network."""
    with opened(path) as file:
        try:
            return _numbers(file, path, dim)
        except (OSError, KeyError, RuntimeError, TypeError, AttributeError) as error:  # h5py, of damaged groups
            raise ValueError(_damaged(path, error)) from error


def _numbers(file: Any, path: Path, dim: int) -> list[list[np.ndarray]]:
    groups = [group for name in ("xdirection", "ydirection") if (group := _inside(file, name, path)) is not None]
    arrays = [[_inside(group, str(i), path) for i in range(len(group))] for group in groups]
    for group in arrays:
        if any(getattr(a, "external", True) or a.is_virtual or a.dtype.kind not in "fiu" for a in group):
            raise ValueError(f"{path}: expected a number for each parameter, inside the file, got something else.")
        if sum(a.size for a in group) != dim:  # before anything of a claimed size is allocated
            raise ValueError(f"{path}: expected directions of length D={dim}, got another length.")
    return [[a[()].astype(np.float64) for a in group] for group in arrays]


def _inside(group: Any, name: str, path: Path) -> Any:
    """Return a member of an HDF5 group, or None; links, which might lead to another file, are not followed."""
    if hasattr(link := group.get(name, getlink=True), "path"):
        raise ValueError(f"{path}: expected {name!r} inside the file, got a link.")
    return link and group[name]


def _damaged(path: Path, error: Exception) -> str:
    return f"{path}: expected arrays of numbers, got something else ({' '.join(str(error).split())[:120]})."
