"""Frames: a point of parameter space with axes through it, and where checkpoints lie on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
    runs : tuple of str
        The run that each checkpoint belongs to, whose checkpoints stand in order; "" for one on its own.
    """

    names: tuple[str, ...]
    coordinates: np.ndarray
    residual: np.ndarray
    runs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Traces:
    """Curves seen from a frame.

    Attributes
    ----------
    names : tuple of str
    t : ndarray of shape (m,)
        Positions along the curves, from 0 to 1.
    coordinates : ndarray of shape (n, m, k)
        Least-squares coordinates of the points of each curve.
    residual : ndarray of shape (n, m)
        Distance of each point from the frame, in parameter space.
    """

    names: tuple[str, ...]
    t: np.ndarray
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
    traces : Traces or None
    spanned : int
        How many of the marks, the first ones, span the frame: a grid should then reach all that lies on it.
    """

    center: Tensor
    vectors: Tensor
    labels: tuple[str, ...]
    record: dict[str, Any] = field(default_factory=dict)
    explained: np.ndarray | None = None
    marks: Marks | None = None
    traces: Traces | None = None
    spanned: int = 0

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

    def project(
        self, names: Sequence[str], thetas: Iterable[Tensor], runs: Sequence[str] | None = None
    ) -> Frame:
        """Return the frame with checkpoints marked on it too: by least squares, also on oblique axes.

        Parameters
        ----------
        names : sequence of n str
        thetas : iterable of n Tensors of shape (D,)
        runs : sequence of n str, optional
            The run that each belongs to; by default each is on its own.

        Raises
        ------
        ValueError
            If names, checkpoints and runs are not of one number.

        Notes
        -----
        One checkpoint is looked at at a time, in float64.
        """
        coordinates, residual = self._seen(thetas)
        runs = [""] * len(names) if runs is None else list(runs)
        if not len(names) == len(runs) == len(residual):
            raise ValueError(
                f"Expected a name and a run for each of {len(residual)} checkpoints, got {len(names)} and {len(runs)}."
            )
        marks = Marks(tuple(names), coordinates, residual, tuple(runs))
        if (old := self.marks) is not None:
            marks = Marks(
                old.names + marks.names,
                np.concatenate([old.coordinates, coordinates]),
                np.concatenate([old.residual, residual]),
                old.runs + marks.runs,
            )
        return replace(self, marks=marks)

    def traced(self, curves: Mapping[str, Callable[[float], Tensor]], points: int = 101) -> Frame:
        """Return the frame with curves drawn on it.

        Parameters
        ----------
        curves : mapping from a name to a function of t in [0, 1] that returns a point (D,)
        points : int, default=101
            Points of each curve, evenly spaced in t.

        Raises
        ------
        ValueError
            If there is no curve, or a curve has fewer than two points.
        """
        if not curves or points < 2:
            raise ValueError(f"Expected curves of at least 2 points, got {len(curves)} of {points}: give one or more.")
        t = np.linspace(0, 1, points)
        seen = [self._seen(curve(float(at)) for at in t) for curve in curves.values()]
        coordinates, residual = (np.stack(part) for part in zip(*seen, strict=True))
        return replace(self, traces=Traces(tuple(curves), t, coordinates, residual))

    def extent(self) -> list[tuple[float, float]] | None:
        """Return the range of each axis around the center, all marks and all curves; None if no marks span the frame.

        An axis along which those that span the frame do not differ is as wide as they suggest, whatever else is marked.
        """
        if self.marks is None or not self.spanned:
            return None
        count = len(self.vectors)
        curves = np.empty((0, count)) if self.traces is None else self.traces.coordinates.reshape(-1, count)
        first = _around(np.vstack([self.marks.coordinates[: self.spanned], np.zeros(count)]))
        whole = _around(np.vstack([self.marks.coordinates, curves, np.zeros(count)]))
        return [(float(min(a[0], b[0])), float(max(a[1], b[1]))) for a, b in zip(first, whole, strict=True)]

    def told(self) -> Frame:
        """Return the frame with the cosine of its axes and their lengths in the record."""
        cosine = float(self.cosine[0, 1]) if len(self.vectors) > 1 else 0.0
        return replace(self, record=self.record | {"cosine": cosine, "norm": self.norm.tolist()})

    def _seen(self, thetas: Iterable[Tensor]) -> tuple[np.ndarray, np.ndarray]:
        """Return least-squares coordinates (n, k) of points, and their distances (n,) from the frame."""
        center, vectors = exact(self.center), exact(self.vectors)
        inverse = torch.from_numpy(np.linalg.pinv(self._gram(), hermitian=True))
        coordinates, residual = [], []
        for theta in thetas:
            offset = exact(theta) - center
            seen = inverse @ (vectors @ offset)
            coordinates.append(seen.numpy())
            residual.append(float((offset - seen @ vectors).norm()))
        return np.array(coordinates).reshape(-1, len(vectors)), np.array(residual)

    def _gram(self) -> np.ndarray:
        vectors = exact(self.vectors)
        return (vectors @ vectors.T).numpy()


def _around(points: np.ndarray) -> np.ndarray:
    """Return the range of points (n, k) along each axis, with a margin: (k, 2)."""
    low, high = points.min(0), points.max(0)
    rounding = np.finfo(np.float32).eps * (high - low).max()
    room = np.where(high - low > rounding, high - low, (high - low).max() or 1.0)
    return np.stack([low - MARGIN * room, high + MARGIN * room], -1)


def exact(tensor: Tensor) -> Tensor:
    """Bring a tensor to float64 on the CPU, where geometry is done: some devices have no float64."""
    return tensor.detach().to("cpu", torch.float64)
