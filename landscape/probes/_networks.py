"""Several networks at once: their pairs, and what probes of all pairs have in common."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.curves import Curve
    from landscape.objective import Objective


def networks(objective: Objective, thetas: Sequence[Tensor], names: Sequence[str] | None) -> dict[str, Tensor]:
    """Return networks by name: those given, or numbers.

    Raises
    ------
    ValueError
        If there is one alone, one has another number of parameters, two are the same, or names do not fit.
    """
    if len(thetas) < 2:
        raise ValueError(f"Expected several networks, got {len(thetas)}: give two or more.")
    called = [str(name) for name in names] if names is not None else [str(k + 1) for k in range(len(thetas))]
    if len(called) != len(thetas) or len(set(called)) < len(called):
        raise ValueError(f"Expected a name of its own for each of {len(thetas)} networks, got {', '.join(called)}.")
    for name, theta in zip(called, thetas, strict=True):
        if theta.shape != (objective.dim,):
            raise ValueError(
                f"Expected networks of {objective.dim} parameters, got {name!r} of shape {tuple(theta.shape)}: give "
                "networks of one architecture."
            )
    found = {name: theta.to(objective.theta) for name, theta in zip(called, thetas, strict=True)}
    for one, other in combinations(found, 2):
        if bool((found[one] == found[other]).all()):
            raise ValueError(f"Expected different networks, got the weights of {one!r} again as {other!r}: drop one.")
    return found


def segments(found: dict[str, Tensor]) -> dict[str, Curve]:
    """Return the segment between every two networks, each once, in the order of the pairs."""
    from landscape.curves import segment

    return {f"{one} to {other}": segment(found[one], found[other]) for one, other in combinations(found, 2)}


def pairs(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of both networks of every pair: those above the diagonal, row by row."""
    return np.triu_indices(count, 1)


def matrix(values: np.ndarray, count: int, diagonal: float = 0.0) -> np.ndarray:
    """Lay numbers of pairs (..., P) out as symmetric matrices (..., count, count)."""
    first, second = pairs(count)
    found = np.full((*values.shape[:-1], count, count), diagonal)
    found[..., first, second] = found[..., second, first] = values
    return found


def of_networks(values: np.ndarray, count: int) -> np.ndarray:
    """Return what was measured along all segments (P, ..., t) at the networks, their ends: (..., count)."""
    first, _ = pairs(count)
    from_first = np.flatnonzero(first == 0)
    return np.stack([values[0, ..., 0], *(values[curve, ..., -1] for curve in from_first)], -1)


def mean_of_pairs(values: np.ndarray) -> tuple[float, float]:
    r"""Return the mean of a symmetric matrix over all pairs, and its standard error over networks.

    Pairs share networks, so that they are not independent. The error is that of the jackknife, which leaves out one
    network at a time, with all its pairs:

    .. math:: s^2 = \frac{n - 1}{n} \sum_k (m_{-k} - \bar m)^2

    It is NaN of two networks.

    References
    ----------
    Arvesen (1969), Jackknifing U-statistics, Annals of Mathematical Statistics 40.
    """
    count = len(values)
    whole = float(values[pairs(count)].mean())
    if count < 3:
        return whole, float("nan")
    keep = [np.delete(np.arange(count), k) for k in range(count)]
    left = np.array([values[np.ix_(rest, rest)][pairs(count - 1)].mean() for rest in keep])
    return whole, float(np.sqrt((count - 1) / count * ((left - left.mean()) ** 2).sum()))


def along_tree(saddles: np.ndarray, errors: np.ndarray, edges: list) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest saddle between every two networks along a tree, and its error; diagonals stay."""
    from landscape.connection.tree import minimax

    which = minimax(saddles, edges)
    one, other = np.array(edges).T
    same = np.eye(len(saddles), dtype=bool)
    pairs = zip((saddles, errors), (saddles[one, other], errors[one, other]), strict=True)
    found = [np.where(same, values, of_edges[which]) for values, of_edges in pairs]
    return found[0], found[1]
