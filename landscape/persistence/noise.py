"""Which basins of a measured function are there for sure, given the standard errors of its values."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri, stdtrit

from landscape.persistence.merging import MergeTree, merge_tree

CONFIDENCE = 0.95


def band_width(points: int, confidence: float = CONFIDENCE, *, examples: int | None = None) -> float:
    """Return how many standard errors to both sides hold all of several normal values at once, by Bonferroni's bound.

    Whatever the correlation between them: (1 - confidence) is split evenly over the points and both sides.

    Parameters
    ----------
    points : int
    confidence : float, default=0.95
    examples : int, optional
        Of which the values are means, and from which their standard errors were estimated: at least 2. The quantile
        is then Student's, of one degree of freedom less; otherwise errors count as known.

    Notes
    -----
    Losses of single examples are not normal. Where a few of many examples make the mean, few that are measured may have
    none of them, and then both the mean and its error are too small: more examples help, not a wider band.

    Examples
    --------
    >>> round(band_width(1), 3), round(band_width(51 * 51), 3), round(band_width(51 * 51, examples=30), 3)
    (1.96, 4.274, 5.1)
    """
    tail = (1 - confidence) / (2 * points)
    return -float(ndtri(tail) if examples is None else stdtrit(examples - 1, tail))


def told(tree: MergeTree, values: np.ndarray, errors: np.ndarray, z: float, *, neighbours: int = 8) -> np.ndarray:
    r"""Say which basins are told from noise: rows of a merge tree -> bool.

    Every function f within the band :math:`v - z s \le f \le v + z s` has a basin of its own for each of them. Where
    all errors are alike, that asks for a persistence of more than 2 z s. In general a basin must have a point whose
    upper bound lies below the lower bound of all that surrounds it, up to where the lower bounds merge with an older
    one: a merge tree of the lower bounds whose births are upper bounds.

    Parameters
    ----------
    tree : MergeTree
        Of the values.
    values, errors : ndarray of one shape
        Measured, and their standard errors s.
    z : float
        Half the width of the band in standard errors: see `band_width`.
    neighbours : {4, 8}
        As the tree was built.

    Returns
    -------
    ndarray of shape (K,), bool
        As many as there are basins for sure. Where the lowest measured value of such a basin is not the one that is
        known best, it is the older row that counts: a row is told only if the one it merges into is. Nothing is told
        where an error is not known: False for all but what never merges.

    Notes
    -----
    Nothing is assumed of the correlation of errors between points: z (s_1 + s_2) is what a difference can be off by at
    worst. Errors of losses of the same examples at neighbouring points are nearly the same, and the difference is
    known far better than that; but how much better is not in a file of mean losses. So what is told from noise is there
    whenever the band holds (see `band_width` for when that is not as often as it should be), and what is not told may
    still be there.

    References
    ----------
    Cohen-Steiner, Edelsbrunner & Harer (2007), Stability of persistence diagrams, Discrete & Computational Geometry 37;
    Fasy, Lecci, Rinaldo, Wasserman, Balakrishnan & Singh (2014), Confidence sets for persistence diagrams,
    arXiv:1303.7117 (bands of one width; the form with a width at each point is of this project).
    """
    finite = np.isfinite(values)
    if not np.isfinite(errors[finite]).all():
        return tree.parent < 0
    away = z * np.where(finite, errors, 0.0)
    certain = merge_tree(values - away, values + away, neighbours=neighbours)
    rows = {tree.alive(place, float(values.flat[place])) for place in certain.minimum.tolist()}
    for row in sorted(rows):  # parents stand before their children
        rows.remove(row)
        while tree.parent[row] >= 0 and int(tree.parent[row]) not in rows:
            row = int(tree.parent[row])
        rows.add(row)
    return np.isin(np.arange(len(tree.parent)), list(rows))
