"""Loops of sublevel sets: 1-dimensional persistent homology, as gudhi finds it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Loops(NamedTuple):
    """Where loops close and where they are filled, by places in the flattened grid; the most persistent first.

    Attributes
    ----------
    birth, death : ndarray of shape (L,), int
        A ring around a hill closes at its highest saddle, and is filled at the summit; -1 where it never is.
    """

    birth: np.ndarray
    death: np.ndarray


def loops(values: np.ndarray, *, neighbours: int = 8) -> Loops:
    """Find the loops of the sublevel sets of a sampled function.

    Parameters
    ----------
    values : ndarray of shape (A, B)
        What is not finite is never flooded: a ring around it is never filled.
    neighbours : {4, 8}
        Of a point of the grid, as `merge_tree` takes them: eight by cubes whose values are the points', four by
        cubes whose corners are the points.

    Raises
    ------
    ImportError
        If gudhi is not installed (extra ``topology``).

    References
    ----------
    Wagner, Chen & Vucini (2012), Efficient computation of persistent homology for cubical data; program: GUDHI,
    Dlotko (2015), Cubical complex (both cited from memory).
    """
    try:
        from gudhi import CubicalComplex
    except ImportError as error:
        raise ImportError(
            "Expected gudhi to be installed for loops, got no such module: pip install 'landscape[topology]'."
        ) from error
    values = np.where(np.isfinite(values), values, np.inf)
    if neighbours == 8:
        cubes = CubicalComplex(top_dimensional_cells=values)
        cubes.compute_persistence()
        regular, endless = cubes.cofaces_of_persistence_pairs()
    else:
        cubes = CubicalComplex(vertices=values)
        cubes.compute_persistence()
        regular, endless = cubes.vertices_of_persistence_pairs()
    return _sorted(values, *(_places(pairs, values.shape) for pairs in (regular, endless)))


def _places(pairs: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Take the pairs of dimension 1, and count their places with the last axis running fastest."""
    found = pairs[1] if len(pairs) > 1 else np.empty(0, int)
    return np.ravel_multi_index(np.unravel_index(np.asarray(found, int), shape, order="F"), shape)


def _sorted(values: np.ndarray, regular: np.ndarray, endless: np.ndarray) -> Loops:
    flat = values.ravel()
    birth = np.concatenate([regular.reshape(-1, 2)[:, 0], endless.ravel()])
    death = np.concatenate([regular.reshape(-1, 2)[:, 1], np.full(endless.size, -1)])
    death = np.where((death >= 0) & np.isfinite(flat[death]), death, -1)
    closed = np.isfinite(flat[birth])
    birth, death = birth[closed], death[closed]
    persistence = np.where(death >= 0, flat[death], np.inf) - flat[birth]
    order = np.lexsort((birth, flat[birth], -persistence))
    return Loops(birth[order], death[order])
