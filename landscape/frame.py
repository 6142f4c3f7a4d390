"""Frames: a point of parameter space with axes through it, and where checkpoints lie on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

MARGIN = 0.25  # of the extent of the checkpoints, drawn around them


@dataclass(frozen=True, eq=False)
class Marks:
    """Checkpoints seen from a frame.

    Attributes
    ----------
    names : tuple of str
    coordinates : ndarray of shape (n, k)
        Least-squares coordinates: the nearest point of the frame.
    residual : ndarray of shape (n,)
        Distance of each checkpoint from that point, in parameter space.
    """

    names: tuple[str, ...]
    coordinates: np.ndarray
    residual: np.ndarray


@dataclass(frozen=True, eq=False)
class Frame:
    """A point and k directions: theta = center + sum_i a_i vectors[i].

    Attributes
    ----------
    center : Tensor of shape (D,)
    vectors : Tensor of shape (k, D)
    labels : tuple of str
        What each axis is.
    record : dict
        How the directions were made, in plain JSON: kind, seed, normalization, cosine, ratio.
    explained : ndarray of shape (k,) or None
        Share of a trajectory's variance along each axis.
    marks : Marks or None
    spanned : bool
        Whether the marked checkpoints span the frame, so that a grid should reach them.
    """

    center: Tensor
    vectors: Tensor
    labels: tuple[str, ...]
    record: dict[str, Any] = field(default_factory=dict)
    explained: np.ndarray | None = None
    marks: Marks | None = None
    spanned: bool = False

    @property
    def norm(self) -> np.ndarray:
        """Length of each direction in parameter space, (k,)."""
        return exact(self.vectors).norm(dim=1).numpy()

    @property
    def cosine(self) -> np.ndarray:
        """Cosines between the directions, (k, k)."""
        length = np.where(self.norm > 0, self.norm, 1)
        return self._gram() / length[:, None] / length

    def point(self, coordinates: Tensor) -> Tensor:
        """Return the points at coordinates (..., k) -> (..., D), each from the center, never from its neighbour.

        The same coordinates give the same bits, however many others come with them.
        """
        steps = torch.as_tensor(coordinates).to(self.vectors)
        point = self.center.expand(*steps.shape[:-1], -1).clone()
        for axis, vector in enumerate(self.vectors):  # a matrix product would round by its size, and in TF32
            point += steps[..., axis, None] * vector
        return point

    def project(self, names: Sequence[str], thetas: Iterable[Tensor]) -> Frame:
        """Return the frame with checkpoints marked on it, by least squares (also where axes are not orthonormal)."""
        center, vectors = exact(self.center), exact(self.vectors)
        inverse = torch.from_numpy(np.linalg.pinv(self._gram(), hermitian=True))
        coordinates, residual = [], []
        for theta in thetas:
            offset = exact(theta) - center
            seen = inverse @ (vectors @ offset)
            coordinates.append(seen.numpy())
            residual.append(float((offset - seen @ vectors).norm()))
        marks = Marks(tuple(names), np.array(coordinates).reshape(-1, len(vectors)), np.array(residual))
        return replace(self, marks=marks)

    def extent(self) -> list[tuple[float, float]] | None:
        """Return the range of each axis around the center and the checkpoints that span the frame, if there are any."""
        if self.marks is None or not self.spanned:
            return None
        around = np.vstack([self.marks.coordinates, np.zeros(len(self.vectors))])
        low, high = around.min(0), around.max(0)
        rounding = np.finfo(np.float32).eps * (high - low).max()
        room = np.where(high - low > rounding, high - low, (high - low).max() or 1.0)
        return [(float(a - MARGIN * r), float(b + MARGIN * r)) for a, b, r in zip(low, high, room, strict=True)]

    def told(self) -> Frame:
        """Return the frame with the cosine of its axes and their lengths in the record."""
        cosine = float(self.cosine[0, 1]) if len(self.vectors) > 1 else 0.0
        return replace(self, record=self.record | {"cosine": cosine, "norm": self.norm.tolist()})

    def _gram(self) -> np.ndarray:
        vectors = exact(self.vectors)
        return (vectors @ vectors.T).numpy()


def exact(tensor: Tensor) -> Tensor:
    """Bring a tensor to float64 on the CPU, where geometry is done: some devices have no float64."""
    return tensor.detach().to("cpu", torch.float64)
