"""Directions that are given, or read from a file: used as they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from landscape import vectors as files
from landscape import weights
from landscape.directions.attaching import attached, numbered
from landscape.frame import Frame

if TYPE_CHECKING:
    from landscape.objective import Objective


PARALLEL = 16  # roundings from 1 within which a cosine is that of parallel directions


def given(objective: Objective, vectors: Any, *, center: Tensor | None = None) -> Frame:
    """Take directions as they are: not rescaled, not made orthogonal.

    Parameters
    ----------
    objective : Objective
        Whose parameters they are about.
    vectors : Tensor or array of shape (k, D) or (D,)
        The directions.
    center : Tensor of shape (D,), optional
        Where they are attached; the objective's own parameters by default.

    Raises
    ------
    ValueError
        If they have another length, one is zero or not finite, or two are parallel.
    """
    center = attached(objective, center)
    vectors = torch.atleast_2d(torch.as_tensor(vectors)).to(center)
    if vectors.ndim != 2 or vectors.shape[1] != objective.dim:
        raise ValueError(f"Expected directions of length D={objective.dim}, got shape {tuple(vectors.shape)}.")
    for number, vector in enumerate(vectors, start=1):
        if not bool(torch.isfinite(vector).all()) or not bool(vector.any()):
            raise ValueError(f"Expected directions to go along, got zero or not finite numbers as direction {number}.")
    _require_plane(vectors)
    return Frame(center, vectors, numbered("given direction", len(vectors)), {"kind": "given"}).told()


def load(path: str | os.PathLike, objective: Objective, count: int = 2, *, center: Tensor | None = None) -> Frame:
    """Read directions from a file: what is given is what is drawn.

    ``.npy`` or ``.npz`` of shape (D,) or (k, D); ``.pt`` or ``.safetensors`` with such a tensor, a state dict, or a
    list of either; HDF5 with eigenvectors that `landscape.probes.eigen` measured, or as Li et al.'s scripts write it
    (groups ``xdirection`` and ``ydirection``).

    Parameters
    ----------
    path : path
        The file; nothing that it carries is run.
    objective : Objective
        Whose parameters the directions are about.
    count : int, default=2
        Number of directions; more in the file are left out.
    center : Tensor of shape (D,), optional
        Where they are attached; the objective's own parameters by default.

    Raises
    ------
    ValueError
        If the file holds no `count` vectors of this objective.
    OSError
        If there is no such file.
    """
    path = Path(path)
    found = files.read(path, objective.dim)
    if len(found) < count:
        raise ValueError(f"{path}: expected {count} directions, got {len(found)}.")
    try:
        frame = given(objective, torch.stack([_flat(vector, objective) for vector in found[:count]]), center=center)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    record = frame.record | {"kind": "file", "file": str(path), "sha256": weights.sha256(path)}
    return Frame(frame.center, frame.vectors, numbered(f"{path.name}, direction", count), record)


def _require_plane(vectors: Tensor) -> None:
    """Refuse parallel directions: every row of such a plane would be the same line."""
    unit = vectors / torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    cosine = (unit @ unit.T).fill_diagonal_(0).abs()
    if bool((1 - cosine < PARALLEL * torch.finfo(vectors.dtype).eps).any()):
        raise ValueError("Expected directions that span a plane, got parallel ones: give others, or draw a line.")


def _flat(vector: Any, objective: Objective) -> Tensor:
    if isinstance(vector, dict):
        return objective.pack(vector)
    if isinstance(vector, list):
        vector = torch.cat([torch.as_tensor(part).flatten() for part in vector])
    if not isinstance(vector, Tensor) or vector.numel() != objective.dim:
        told = vector.numel() if isinstance(vector, Tensor) else type(vector).__name__
        raise ValueError(f"Expected a direction of length D={objective.dim}, got {told}.")
    return vector.flatten().to(objective.theta)
