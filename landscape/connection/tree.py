"""Minimum spanning trees over minima: which pairs to connect, by the lowest saddles that are known between them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

Edge = tuple[int, int]


def spanning(saddles: np.ndarray) -> list[Edge]:
    """Return the edges of the minimum spanning tree of a complete graph, lowest first.

    The tree depends on the order of the saddles alone, which is what it is found from: numbers may be zero, negative or
    infinite. NaN comes last, and of equal ones the first.

    Parameters
    ----------
    saddles : ndarray of shape (N, N)
        Symmetric; the diagonal is passed over.

    Returns
    -------
    list of (int, int)
        N - 1 pairs, each with the smaller number first.
    """
    pairs = list(combinations(range(len(saddles)), 2))
    order = sorted(range(len(pairs)), key=lambda p: (bool(np.isnan(saddles[pairs[p]])), saddles[pairs[p]], p))
    ranks = {pairs[p]: rank + 1.0 for rank, p in enumerate(order)}
    rows, columns = zip(*ranks, strict=True)
    graph = csr_array((list(ranks.values()), (rows, columns)), shape=saddles.shape)
    tree = minimum_spanning_tree(graph).tocoo()
    found = [(int(min(i, j)), int(max(i, j))) for i, j in zip(tree.row, tree.col, strict=True)]
    return sorted(found, key=ranks.__getitem__)


def minimax(saddles: np.ndarray, edges: list[Edge]) -> np.ndarray:
    """Tell by which edge of a tree the path between two of its nodes is highest.

    Parameters
    ----------
    saddles : ndarray of shape (N, N)
    edges : list of (int, int)
        Of a spanning tree.

    Returns
    -------
    ndarray of shape (N, N), int
        Its place in `edges`; -1 on the diagonal. Of a minimum spanning tree no other path is lower.
    """
    count = len(saddles)
    which = {edge: k for k, edge in enumerate(edges)}
    found = np.full((count, count), -1)
    graph = _graph(count, edges)
    for root in range(count):
        order, before = breadth_first_order(graph, root, directed=False)
        for node in order[1:].tolist():
            parent = int(before[node])
            here = which[min(parent, node), max(parent, node)]
            above = found[root, parent]
            found[root, node] = here if above < 0 or _higher(saddles, edges[here], edges[above]) else above
    return found


def untried(saddles: np.ndarray, edges: list[Edge], tried: set[Edge]) -> Edge | None:
    """Choose the pair to connect next: one that may replace the highest edge of a tree.

    Without its highest edge the tree falls into two parts. Of the pairs across that cut which have not been tried, the
    one of the lowest known saddle is chosen. If there is none, the next highest edge is asked, and so on.

    Returns
    -------
    (int, int), or None
        None where every pair across every cut has been tried.
    """
    ordered = sorted(edges, key=lambda edge: (bool(np.isnan(saddles[edge])), saddles[edge]), reverse=True)
    for highest in ordered:
        side = parts(len(saddles), [edge for edge in edges if edge != highest])
        across = [(i, j) for i, j in combinations(range(len(saddles)), 2) if side[i] != side[j] and (i, j) not in tried]
        if across:
            return min(across, key=lambda pair: (bool(np.isnan(saddles[pair])), saddles[pair]))
    return None


def parts(count: int, edges: list[Edge]) -> np.ndarray:
    """Number the connected parts of a graph: (N,), int."""
    return connected_components(_graph(count, edges), directed=False)[1]


def _graph(count: int, edges: list[Edge]) -> csr_array:
    rows, columns = zip(*edges, strict=True) if edges else ((), ())
    return csr_array((np.ones(len(edges)), (rows, columns)), shape=(count, count))


def _higher(saddles: np.ndarray, one: Edge, other: Edge) -> bool:
    return bool(np.isnan(saddles[one]) or saddles[one] > saddles[other])
