"""Merge trees: where the sublevel sets of a sampled function are born, and where they merge."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from landscape.persistence.lattice import lattice


@dataclass(frozen=True)
class MergeTree:
    """Minima of a sampled function, and the saddles at which their basins merge: a row for each of K minima.

    Places are positions in the flattened grid. Rows are sorted by persistence, the largest first; ties by birth, then
    by place.

    Attributes
    ----------
    minimum, saddle : ndarray of shape (K,), int
        Where a basin is born, and where it merges into an older one; -1 of a basin that never does.
    spill : ndarray of shape (K,), int
        Where a basin first overflows: at its saddle, or before that over the edge of the domain; -1 if it never does.
    birth, death : ndarray of shape (K,), float
        Values there; a death of infinity is none.
    parent : ndarray of shape (K,), int
        Row of the older basin; -1 of one that never merges.
    catchment : ndarray of the shape of the grid, int
        Row of the minimum to which steepest descent leads; -1 at points that are not finite.
    """

    minimum: np.ndarray
    saddle: np.ndarray
    spill: np.ndarray
    birth: np.ndarray
    death: np.ndarray
    parent: np.ndarray
    catchment: np.ndarray

    @property
    def persistence(self) -> np.ndarray:
        """How high every basin rises from its minimum to its saddle; infinity where it never merges."""
        return self.death - self.birth

    def reduced(self, kept: np.ndarray) -> np.ndarray:
        """Pour basins that are not `kept` into those they merge into: row -> row that is kept.

        Basins that never merge are kept whatever is said of them.
        """
        onto = np.arange(len(self.parent))
        for row in range(len(onto)):  # a parent stands before its children: it persists as long, and ties go by place
            if not kept[row] and self.parent[row] >= 0:
                onto[row] = onto[self.parent[row]]
        return onto

    def alive(self, place: int, level: float) -> int:
        """Return the row of the basin in which a place lies once all up to a level is flooded."""
        row = int(self.catchment.flat[place])
        while self.death[row] <= level:
            row = int(self.parent[row])
        return row

    def first_saddle(self) -> np.ndarray:
        """Return the level at which every basin first meets another one, older or younger; infinity if it never does.

        That is the height of the inner node above a leaf of the tree.
        """
        first = self.death.copy()
        merging = self.parent >= 0
        np.minimum.at(first, self.parent[merging], self.death[merging])
        return first


@dataclass
class _Flood:
    """The state of a flood: a union-find over points in a frame, and what every component knows of itself."""

    root: list[int]
    lowest: dict[int, int] = field(default_factory=dict)
    spill: dict[int, int] = field(default_factory=dict)
    pairs: list[tuple[int, int, int, int]] = field(default_factory=list)  # minimum, saddle, spill, older minimum

    def find(self, point: int) -> int:
        root = self.root
        while root[point] != point:
            root[point] = root[root[point]]
            point = root[point]
        return point


def merge_tree(values: np.ndarray, births: np.ndarray | None = None, *, neighbours: int = 8) -> MergeTree:
    """Build the merge tree of the sublevel sets of a sampled function: its 0-dimensional persistent homology.

    Points are flooded from the lowest up. One without flooded neighbours begins a component; one with several
    components beside it merges them, and all but the oldest, which has the lowest minimum, die there (elder rule).

    Parameters
    ----------
    values : ndarray of shape (A,) or (A, B)
        NaN is outside of the domain: its neighbours lie on an edge. Plus infinity is a wall that is never flooded.
    births : ndarray, optional
        Heights at which components are born and compared, not below `values`; the values themselves by default.
        Parents and catchments are those of the values, and mean nothing with other births.
    neighbours : {4, 8}
        Of a point of a grid. Eight join what touches at a corner: a narrow valley that runs aslant is then one basin,
        where four cut it into a pit at each grid point. What is a minimum among eight neighbours is one among four,
        so that eight find no more of them: the conservative choice. Neither prefers an axis or a direction, as a
        triangulation does.

    Returns
    -------
    MergeTree
        Of basins that persist: a minimum that merges at its own height (of a plateau) is none.

    Raises
    ------
    ValueError
        If a value is minus infinity, nothing is finite, or the grid has another number of dimensions.

    Notes
    -----
    Ties are broken by the place in the flattened grid, the first counts as lower: births, deaths and their number do
    not depend on it, the place of a minimum on a plateau and to whom a tie belongs do. Cost: sorting N points and
    N times the number of neighbours union-find steps, in Python: 0.1 s for 101 x 101 points.

    References
    ----------
    Edelsbrunner, Letscher & Zomorodian (2002), Topological persistence and simplification, Discrete & Computational
    Geometry 28; Carr, Snoeyink & Axen (2003), Computing contour trees in all dimensions, Computational Geometry 24
    (both cited from memory).
    """
    values = np.asarray(values, dtype=float)
    births = values if births is None else np.asarray(births, dtype=float)
    _expect(values)
    grid = lattice(values, neighbours)
    order = np.argsort(values.ravel(), kind="stable")
    order = order[np.isfinite(values.ravel()[order])]
    flood = _Flood([-1] * grid.edge.size)
    height = np.full(grid.edge.size, np.nan)
    height[grid.index] = births.ravel()
    bottom = _flooded(flood, grid.index[order].tolist(), grid.steps, grid.edge.tolist(), height.tolist())
    back = np.full(grid.edge.size + 1, -1)  # the last one stands for "none"
    back[grid.index] = np.arange(values.size)
    return _tree(values, births, flood, back, bottom)


def _expect(values: np.ndarray) -> None:
    if np.isneginf(values).any():
        raise ValueError("Expected values above minus infinity, got it: leave such points out as NaN.")
    if not np.isfinite(values).any():
        raise ValueError("Expected a finite value, got none: there is nothing to flood.")


def _flooded(flood: _Flood, points: list[int], steps: list[int], edge: list[bool], height: list[float]) -> dict:
    """Flood points in their order; return the minimum to which each descends."""
    rank = {point: index for index, point in enumerate(points)}
    bottom: dict[int, int] = {}
    for point in points:
        wet = [point + step for step in steps if flood.root[point + step] >= 0]
        if not wet:
            flood.root[point] = bottom[point] = flood.lowest[point] = point
            flood.spill[point] = point if edge[point] else -1
            continue
        bottom[point] = bottom[min(wet, key=rank.__getitem__)]
        found = {flood.find(other) for other in wet}
        oldest = min(found, key=lambda one: (height[flood.lowest[one]], rank[flood.lowest[one]]))
        flood.root[point] = oldest
        for younger in sorted(found - {oldest}, key=lambda one: rank[flood.lowest[one]]):
            flood.root[younger] = oldest
            out = flood.spill.pop(younger)
            flood.pairs.append((flood.lowest.pop(younger), point, out if out >= 0 else point, flood.lowest[oldest]))
            edge_reached = out >= 0
            if edge_reached and flood.spill[oldest] < 0:
                flood.spill[oldest] = point
        if flood.spill[oldest] < 0 and edge[point]:
            flood.spill[oldest] = point
        if height[point] < height[flood.lowest[oldest]]:
            flood.lowest[oldest] = point
    return bottom


def _tree(values: np.ndarray, births: np.ndarray, flood: _Flood, back: np.ndarray, bottom: dict) -> MergeTree:
    """Sort the pairs into rows, leave out what does not persist, and lead every point to a row that is left."""
    roots = sorted(flood.lowest)
    pairs = np.array(flood.pairs + [(flood.lowest[one], -1, flood.spill[one], -1) for one in roots])
    minimum, saddle, spill, older = (back[column] for column in pairs.T)
    birth = births.ravel()[minimum]
    death = np.where(saddle >= 0, values.ravel()[saddle], np.inf)
    lasting = death > birth
    rows = np.lexsort((minimum, birth, birth - death))
    rows = rows[lasting[rows]]
    row = np.full(values.size, -1)
    row[minimum[rows]] = np.arange(len(rows))
    onward = dict(zip(minimum[~lasting].tolist(), older[~lasting].tolist(), strict=True))
    catchment = np.full(values.size, -1)
    for point, low in bottom.items():
        place = back[low]
        while place in onward:
            place = onward[place]
        catchment[back[point]] = row[place]
    parent = np.where(older[rows] >= 0, row[older[rows]], -1)
    return MergeTree(
        minimum[rows], saddle[rows], spill[rows], birth[rows], death[rows], parent, catchment.reshape(values.shape)
    )
