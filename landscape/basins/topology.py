"""The topology of a measured loss: minima, the saddles over which they merge, and what noise may have made of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from landscape.basins.columns import flooded, ringed, stacked
from landscape.basins.fields import fields, origin
from landscape.result import Result, quantity

PM = "\N{PLUS-MINUS SIGN}"


@dataclass(frozen=True, eq=False, repr=False)
class Topology(Result):
    """Merge tree and persistence of the loss on a plane, a line or a curve: a row for each minimum of each part.

    Errors are bounds: of a difference of two losses the sum of both standard errors, which is what it can be at worst,
    whatever the correlation between them. Losses of the same examples at neighbouring points are correlated, and their
    difference is known better than that.
    """

    part: np.ndarray = quantity("part of the data", "basin")
    minimum_a: np.ndarray = quantity("first coordinate of the minimum", "basin")
    minimum_b: np.ndarray = quantity("second coordinate of the minimum; 0 on a line", "basin")
    birth: np.ndarray = quantity("loss at the minimum", "basin", unit="nat")
    birth_error: np.ndarray = quantity("its standard error", "basin", unit="nat")
    edge: np.ndarray = quantity("the minimum lies on the edge of the grid: the basin may go on outside", "basin")
    saddle_a: np.ndarray = quantity("first coordinate of the saddle; NaN of a basin that never merges", "basin")
    saddle_b: np.ndarray = quantity("second coordinate of the saddle", "basin")
    death: np.ndarray = quantity("loss at the saddle over which the basin merges into a lower one", "basin", unit="nat")
    death_error: np.ndarray = quantity("its standard error", "basin", unit="nat")
    persistence: np.ndarray = quantity("loss at the saddle over that at the minimum", "basin", unit="nat")
    persistence_error: np.ndarray = quantity("its standard error, at most", "basin", unit="nat")
    relative: np.ndarray = quantity("persistence over the range of the loss", "basin")
    spill_a: np.ndarray = quantity("first coordinate of where the basin first overflows", "basin")
    spill_b: np.ndarray = quantity("second coordinate of where the basin first overflows", "basin")
    depth: np.ndarray = quantity(
        "loss where the basin first overflows, into another or over the edge, over that at the minimum",
        "basin", unit="nat",
    )  # fmt: skip
    depth_error: np.ndarray = quantity("its standard error, at most", "basin", unit="nat")
    told: np.ndarray = quantity("the basin is told from noise", "basin")
    parent: np.ndarray = quantity("row of the basin into which it merges; -1 if it never does", "basin")
    area: np.ndarray = quantity("share of the domain from which steepest descent leads to the minimum", "basin")
    told_area: np.ndarray = quantity(
        "the same with basins not told poured into those they merge into; NaN of one not told", "basin"
    )
    split: np.ndarray = quantity("part of the data", "split")
    basins: np.ndarray = quantity("basins told from noise", "split")
    minima: np.ndarray = quantity("minima on the grid, noise or not", "split")
    reach: np.ndarray = quantity("half the width of the band, in standard errors", "split")
    span: np.ndarray = quantity("largest less smallest finite loss", "split", unit="nat")
    missing: np.ndarray = quantity("points that are NaN, outside of the domain", "split")
    walls: np.ndarray = quantity("points that are infinite, never flooded", "split")
    smad: np.ndarray = quantity("saddle-minimum average distance", "split", unit="nat")
    smad_error: np.ndarray = quantity("its standard error, at most", "split", unit="nat")
    relative_smad: np.ndarray = quantity("saddle-minimum average distance over the range of the loss", "split")
    weighted_smad: np.ndarray = quantity("the same, each gap times the area of the minimum", "split", unit="nat")
    weighted_smad_error: np.ndarray = quantity("its standard error, at most", "split", unit="nat")
    total_persistence: np.ndarray = quantity("sum of all finite persistences", "split", unit="nat")
    total_persistence_error: np.ndarray = quantity("its standard error, at most", "split", unit="nat")
    variation: np.ndarray = quantity("total variation of the lines of the grid over their range, mean", "split")
    variation_error: np.ndarray = quantity("its standard error, at most", "split")
    deviation: np.ndarray = quantity("root mean square distance from the best quadratic", "split", unit="nat")
    deviation_error: np.ndarray = quantity("its standard error, at most", "split", unit="nat")
    a: np.ndarray = quantity("step along the first direction, or position along the curve", "a")
    b: np.ndarray = quantity("step along the second direction; a single 0 on a line", "b")
    loss: np.ndarray = quantity("mean loss", "split", "a", "b", unit="nat")
    loss_error: np.ndarray = quantity("standard error of the loss over examples", "split", "a", "b", unit="nat")
    catchment: np.ndarray = quantity(
        "row of the basin told from noise to which a point belongs; -1 where the loss is not finite", "split", "a", "b"
    )
    loop_part: np.ndarray | None = quantity("part of the data", "loop", optional=True)
    summit_a: np.ndarray | None = quantity("first coordinate of the summit within a loop", "loop", optional=True)
    summit_b: np.ndarray | None = quantity("second coordinate of the summit within a loop", "loop", optional=True)
    loop_birth: np.ndarray | None = quantity("loss at which the loop closes", "loop", unit="nat", optional=True)
    loop_death: np.ndarray | None = quantity("loss at the summit within it", "loop", unit="nat", optional=True)
    loop_persistence: np.ndarray | None = quantity(
        "loss at the summit over that of the loop", "loop", unit="nat", optional=True
    )
    loop_persistence_error: np.ndarray | None = quantity(
        "its standard error, at most", "loop", unit="nat", optional=True
    )

    def rows(self, split: str | None = None) -> np.ndarray:
        """Return the rows of the minima of a part of the data, the first one by default: the most persistent first."""
        return np.flatnonzero(self.part == (self.split[0] if split is None else split))

    def surviving(self, split: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return how many basins are left as shallow ones are poured into others.

        Returns
        -------
        persistence : ndarray
            Increasing, from 0: just above each value one basin less is left.
        count : ndarray
            Basins that persist longer. The last number is that of basins that never merge.
        """
        finite = np.sort(self.persistence[self.rows(split)])
        endless = int(np.isinf(finite).sum())
        steps = np.concatenate([[0.0], finite[: len(finite) - endless]])
        return steps, len(finite) - np.arange(len(steps))

    def deepest(self, split: str | None = None) -> int | None:
        """Return the row of the basin told from noise that persists longest of those that merge; None if none does."""
        rows = self.rows(split)
        rows = rows[self.told[rows] & (self.parent[rows] >= 0)]
        return int(rows[0]) if len(rows) else None

    def figures(self) -> dict[str, tuple[float, float]]:
        """Tell for each part how many basins and minima there are, how deep the main one is, and how rough it is.

        The number of minima is exact, of these examples and this grid; that of basins told from noise has an error
        that is not known. Other errors are bounds.
        """
        found: dict[str, tuple[float, float]] = {}
        for k, split in enumerate(self.split.tolist()):
            main, second = self.rows(split)[0], self.deepest(split)
            found[f"{split}_basins"] = float(self.basins[k]), float("nan")
            found[f"{split}_minima"] = float(self.minima[k]), 0.0
            found[f"{split}_depth"] = float(self.depth[main]), float(self.depth_error[main])
            if second is not None:
                found[f"{split}_persistence"] = float(self.persistence[second]), float(self.persistence_error[second])
            for name in ("smad", "weighted_smad", "total_persistence", "variation", "deviation"):
                found[f"{split}_{name}"] = float(getattr(self, name)[k]), float(getattr(self, f"{name}_error")[k])
            found[f"{split}_relative_smad"] = (
                float(self.relative_smad[k]), self._relative_error(k) if self.span[k] > 0 else 0.0,
            )  # fmt: skip
        return found

    def _relative_error(self, k: int) -> float:
        """Bound the error of SMAD over the range, to first order: the ends of the range have errors too."""
        loss, error = self.loss[k].ravel(), self.loss_error[k].ravel()
        finite = np.isfinite(loss)
        ends = error[finite][[loss[finite].argmin(), loss[finite].argmax()]].sum()
        return float((self.smad_error[k] + self.relative_smad[k] * ends) / self.span[k])

    def remarks(self) -> list[str]:
        """Say for each part how many basins there are for sure, what is assumed, and what cannot be told."""
        found = []
        for k, split in enumerate(self.split.tolist()):
            line = f"{split}: {self.basins[k]} of {self.minima[k]} minima told from noise"
            second = self.deepest(split)
            if second is not None:
                line += (
                    f"; next to the lowest, the deepest persists {self.persistence[second]:.3g} {PM} "
                    f"{self.persistence_error[second]:.2g} nat at most"
                )
            found.append(line)
            outside = [f"{self.missing[k]} points are NaN"] * bool(self.missing[k])
            outside += [f"{self.walls[k]} are infinite walls"] * bool(self.walls[k])
            found += [f"{split}: {', '.join(outside)}"] * bool(outside)
            if self.edge[self.rows(split)[0]]:
                found.append(f"{split}: the lowest point lies on the edge of the grid: measure a larger one")
        return [*found, self._criterion(), *_warned(self.origin)]

    def _criterion(self) -> str:
        """Say by what a basin is told from noise."""
        threshold = self.origin.get("knobs", {}).get("threshold")
        if threshold is not None:
            return f"told are basins that persist longer than {threshold:g} nat"
        if not np.isfinite(self.loss_error[np.isfinite(self.loss)]).all():
            return "standard errors are not known: nothing is told from noise; give a threshold instead"
        reach = " and ".join(f"{value:.3g}" for value in dict.fromkeys(self.reach.tolist()))
        return (
            f"told are basins that every loss within {reach} standard errors of the measured one has, whatever the "
            "correlation between points; they say nothing of what lies between points, or off the plane"
        )


def topology(
    surface: Result, *, neighbours: int = 8, z: float | None = None, threshold: float | None = None, loops: bool = False
) -> Topology:
    """Find the basins of a measured loss, how they merge, and which of them are told from noise.

    Parameters
    ----------
    surface : Surface, Line or Path
        Of each, all parts of the data, and all curves. Of several draws of the directions the first one.
    neighbours : {4, 8}
        Of a point of a plane. Eight, so that a narrow valley that runs aslant of the axes is one basin.
    z : float, optional
        Half the width of the band that the loss lies in, in standard errors. By default that of a band that holds the
        loss at all points at once with 95 % confidence (Bonferroni; Student's quantile, where the result tells the
        number of examples), since the minima are picked among all points.
    threshold : float, optional
        Count basins that persist longer than so many nats instead, whatever the errors.
    loops : bool, default=False
        Find the loops of sublevel sets too, which lie around hills (needs the extra ``topology``).

    Returns
    -------
    Topology

    Raises
    ------
    ValueError
        If the result is of another kind, a part has no finite loss, or a knob is out of range.
    ImportError
        If loops are asked for and gudhi is not installed.

    Notes
    -----
    The loss is flooded as it was measured: nothing is smoothed, filled or clipped. NaN is outside of the domain, and
    what borders on it lies on an edge; infinity is a wall. What lies between grid points is not seen, and neither is
    what lies off the plane: two basins of a plane may be one in parameter space, and a minimum of a plane is no
    minimum of the loss.

    A basin is told from noise if every function within z standard errors of the measured loss has it: see
    `landscape.persistence.noise.told`. That asks for no knowledge of how errors at different points are correlated,
    and is conservative for that.

    References
    ----------
    Edelsbrunner, Letscher & Zomorodian (2002), Topological persistence and simplification (from memory); Barannikov et
    al. (2019), Barcodes as summary of objective functions' topology, arXiv:1912.00043 (from memory); Chen et al.
    (2026), Landscaper, arXiv:2602.07135.

    Examples
    --------
    >>> from landscape.probes.line import Line
    >>> wells = Line(split=["train"], a=[-2.0, -1, 0, 1, 2], loss=[[3.0, 0.5, 1.5, 0.25, 3.0]], loss_error=[[0.1] * 5],
    ...              axis=["random"], norm=[7.0])
    >>> found = topology(wells)
    >>> found.persistence.tolist(), found.told.tolist()
    ([inf, 1.0], [True, True])
    """
    if (z is not None and not 0 <= z < math.inf) or (threshold is not None and not threshold >= 0):
        raise ValueError(f"Expected z and threshold of 0 or more, got z={z}, threshold={threshold}: leave them out.")
    if z is not None and threshold is not None:
        raise ValueError(f"Expected z or a threshold, got both, {z} and {threshold}: leave one out.")
    found = fields(surface)
    knobs = {"neighbours": neighbours, "z": z, "threshold": threshold, "loops": loops}
    tables, summaries, catchments, rings = [], [], [], []
    for index, name in enumerate(found.names):
        loss, error = found.one(index)
        if not np.isfinite(loss).any():
            raise ValueError(f"Expected a finite {name} loss somewhere, got none: measure a smaller span.")
        rows, summary, catchment = flooded(
            name, found.axes, loss, error, neighbours=neighbours, z=z, threshold=threshold,
            examples=found.examples[index],
        )  # fmt: skip
        start = sum(len(table["part"]) for table in tables)
        catchments.append(np.where(catchment >= 0, catchment + start, -1).reshape(len(found.a), len(found.b)))
        tables.append(rows)
        summaries.append(summary)
        if loops:
            rings.append(ringed(name, found.axes, loss, error, neighbours=neighbours))
    arrays: dict[str, Any] = stacked(tables) | {name: [one[name] for one in summaries] for name in summaries[0]}
    arrays |= stacked(rings) if rings else {}
    return Topology(
        **arrays, split=np.array(found.names), a=found.a, b=found.b, loss=found.loss, loss_error=found.error,
        catchment=np.stack(catchments), origin=origin(surface, found, knobs),
    )  # fmt: skip


def _warned(origin: dict) -> list[str]:
    """Say what of the surface itself bears on its topology."""
    surface = origin.get("surface") or {}
    draws = (surface.get("origin") or {}).get("knobs", {}).get("draws", 1)
    found = [f"of {draws} draws of the directions, the first one"] * (isinstance(draws, int) and draws > 1)
    if stopped := surface.get("stopped"):
        found.append(f"{stopped} points were given up early: their losses are those of a tenth of the examples")
    return found
