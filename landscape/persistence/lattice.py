"""Points of a grid and their neighbours, with what is not in the domain."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

NEIGHBOURS = (4, 8)


@dataclass(frozen=True)
class Lattice:
    """A grid with a rim of one point around it, so that every point has neighbours on all sides.

    Attributes
    ----------
    index : ndarray of shape (N,), int
        Points in the frame with a rim, by their place in the flattened grid.
    steps : list of int
        From a point to its neighbours, in the frame.
    edge : ndarray of bool
        Over the frame: points beside the end of the domain, that is the end of the grid or a NaN.
    """

    index: np.ndarray
    steps: list[int]
    edge: np.ndarray


def lattice(values: np.ndarray, neighbours: int = 8) -> Lattice:
    """Lay out a grid of one or two dimensions.

    Parameters
    ----------
    values : ndarray of shape (A,) or (A, B)
        NaN is outside of the domain.
    neighbours : {4, 8}
        Along the axes alone, or along both diagonals too. On a line both mean the two points beside.

    Raises
    ------
    ValueError
        If the grid has another number of dimensions, or neighbours are of another number.
    """
    if values.ndim not in (1, 2) or not values.size:
        raise ValueError(f"Expected values on a line or a grid, got shape {values.shape}: take one field at a time.")
    if neighbours not in NEIGHBOURS:
        raise ValueError(f"Expected 4 or 8 neighbours of a point of a grid, got {neighbours}: use one of these.")
    domain = np.pad(~np.isnan(values), 1)
    strides = (domain.shape[1], 1) if values.ndim == 2 else (1,)
    index = np.flatnonzero(np.pad(np.ones(values.shape, bool), 1))
    steps = [step for stride in strides for step in (-stride, stride)]
    edge = np.logical_not(np.logical_and.reduce([np.roll(domain.ravel(), step) for step in steps]))
    if neighbours == 8:
        ways = product((-1, 0, 1), repeat=values.ndim)
        steps = [sum(i * stride for i, stride in zip(way, strides, strict=True)) for way in ways if any(way)]
    return Lattice(index, steps, np.asarray(edge))
