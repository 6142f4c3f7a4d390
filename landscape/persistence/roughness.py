"""How rough a sampled function is: published numbers, each with a bound of its standard error."""

from __future__ import annotations

import math

import numpy as np

from landscape.persistence.merging import MergeTree

Measured = tuple[float, float]


def smad(tree: MergeTree, errors: np.ndarray, weight: np.ndarray | None = None) -> Measured:
    r"""Return the saddle-minimum average distance, and a bound of its standard error.

    .. math:: \mathrm{SMAD} = \frac1K \sum_{k=1}^K w_k \, (f(\text{saddle}_k) - f(\text{minimum}_k))

    over the K minima that meet another one, each with the saddle above it in the merge tree; 0 if there are none.

    Parameters
    ----------
    tree : MergeTree
    errors : ndarray of the shape of the grid
        Standard errors of the values.
    weight : ndarray of shape (rows of the tree,), optional
        Of each minimum: one by default; or the share of the domain in its catchment, for the weighted form.

    Notes
    -----
    Formula reconstructed from what the authors' program documents, not from the text of the paper: gaps between
    neighbours in the merge tree, their mean, optionally over the range of the values or times the volume of the basin.
    Every minimum counts, noise or not: noise adds shallow ones, which makes the mean smaller. The error is that of
    gaps which are all off in the same direction.

    References
    ----------
    Chen et al. (2026), Landscaper: understanding loss landscapes through multi-dimensional topological analysis,
    arXiv:2602.07135.
    """
    first = tree.first_saddle()
    met = np.isfinite(first)
    if not met.any():
        return 0.0, 0.0
    shares = np.ones(len(first)) if weight is None else weight
    saddle = _first_place(tree, first)[met]
    gap_error = errors.ravel()[tree.minimum[met]] + errors.ravel()[saddle]
    gaps = first[met] - tree.birth[met]
    return float((shares[met] * gaps).mean()), float((shares[met] * gap_error).mean())


def total_persistence(tree: MergeTree, errors: np.ndarray) -> Measured:
    """Return the sum of all finite persistences, and a bound of its standard error.

    References
    ----------
    Cohen-Steiner, Edelsbrunner, Harer & Mileyko (2010), Lipschitz functions have L_p-stable persistence, Foundations
    of Computational Mathematics 10 (of degree 1; from memory).
    """
    merging = tree.saddle >= 0
    spread = errors.ravel()[tree.minimum[merging]] + errors.ravel()[tree.saddle[merging]]
    return float(tree.persistence[merging].sum()), float(spread.sum())


def variation(values: np.ndarray, errors: np.ndarray) -> Measured:
    r"""Return the mean normalized total variation of the lines of a grid, and a bound of its standard error.

    .. math:: T(f) = \sum_i |f_{i+1} - f_i| \,/\, (\max f - \min f)

    of every row and every column. 1 is a line that only rises or only falls, at most 2 one with a single minimum
    inside; every further pit adds twice its depth over the range.

    Returns
    -------
    tuple of float
        NaN, if no line of finite values varies.

    Notes
    -----
    Lines with a value that is not finite are left out. The error is to first order, of values that are all off in the
    worst directions. Noise adds to the number itself: of two surfaces, compare those of the same examples.

    References
    ----------
    Wu, Jian, Du, Chen & Zhou (2023), Roughness index for loss landscapes of neural network models of partial
    differential equations, arXiv:2103.11069: its ingredient, from memory; their index is the standard deviation of T
    over random directions divided by its mean.
    """
    lines = [(v, e) for axis in range(values.ndim) for v, e in _lines(values, errors, axis)]
    found = [_variation(v, e) for v, e in lines if np.isfinite(v).all() and v.max() > v.min()]
    if not found:
        return math.nan, math.nan
    value, error = np.mean(found, axis=0)
    return float(value), float(error)


def deviation(axes: list[np.ndarray], values: np.ndarray, errors: np.ndarray) -> Measured:
    """Return the root mean square distance of the values from the best quadratic, and a bound of its standard error.

    A bowl that the Hessian alone describes has none. Points that are not finite are left out.

    Parameters
    ----------
    axes : list of ndarray
        Steps along every axis of the grid.

    Returns
    -------
    tuple of float
        NaN, if there are no more points than a quadratic has terms.

    References
    ----------
    ISO 25178-2, root mean square height Sq of a surface after removal of its form, here of second order (from memory).
    """
    grid = np.meshgrid(*(axis / max(np.abs(axis).max(), np.finfo(float).tiny) for axis in axes), indexing="ij")
    finite = np.isfinite(values)
    terms = [np.ones(int(finite.sum())), *(x[finite] for x in grid)]
    linear = terms[1:]
    terms += [linear[i] * linear[j] for i in range(len(linear)) for j in range(i, len(linear))]
    if len(terms[0]) <= len(terms):
        return math.nan, math.nan
    design = np.stack(terms, axis=1)
    rest = values[finite] - design @ np.linalg.lstsq(design, values[finite], rcond=None)[0]
    return float(np.sqrt((rest**2).mean())), float(np.sqrt((errors[finite] ** 2).mean()))


def _first_place(tree: MergeTree, first: np.ndarray) -> np.ndarray:
    """Find for every basin the place of a saddle at the level where it first meets another."""
    place = tree.saddle.copy()
    for row in np.flatnonzero(tree.parent >= 0)[::-1]:
        above = tree.parent[row]
        if tree.death[row] == first[above]:
            place[above] = tree.saddle[row]
    return place


def _lines(values: np.ndarray, errors: np.ndarray, axis: int) -> list[tuple[np.ndarray, np.ndarray]]:
    size = values.shape[axis]
    rows = [np.moveaxis(array, axis, -1).reshape(-1, size) for array in (values, errors)]
    return list(zip(*rows, strict=True))


def _variation(values: np.ndarray, errors: np.ndarray) -> Measured:
    ways = np.sign(np.diff(values))
    slope = np.abs(np.diff(np.concatenate([[0.0], ways, [0.0]])))  # by how much a value moves the sum of all |steps|
    span = values.max() - values.min()
    total = np.abs(np.diff(values)).sum() / span
    ends = errors[values.argmax()] + errors[values.argmin()]
    return float(total), float(((slope * errors).sum() + total * ends) / span)
