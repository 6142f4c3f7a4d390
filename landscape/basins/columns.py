"""Columns of a topology: a row for each minimum, each loop, and each part of the data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from landscape.persistence.loops import loops
from landscape.persistence.merging import MergeTree, merge_tree
from landscape.persistence.noise import band_width, told
from landscape.persistence.roughness import deviation, smad, total_persistence, variation

Columns = dict[str, Any]


def flooded(
    name: str, axes: list[np.ndarray], loss: np.ndarray, error: np.ndarray, *, neighbours: int, z: float | None,
    threshold: float | None, examples: int | None = None,
) -> tuple[Columns, Columns, np.ndarray]:  # fmt: skip
    """Flood one field.

    Returns
    -------
    rows : dict
        Columns over its minima.
    summary : dict
        Numbers of the field as a whole.
    catchment : ndarray of the shape of the field
        Row of the basin that is told from noise to which a point belongs.
    """
    tree = merge_tree(loss, neighbours=neighbours)
    reach = band_width(int(np.isfinite(loss).sum()), examples=examples) if z is None else z
    kept = tree.parent < 0
    kept |= told(tree, loss, error, reach, neighbours=neighbours) if threshold is None else tree.persistence > threshold
    cells = _cells(axes, loss)
    inside = tree.catchment >= 0
    onto = tree.reduced(kept)
    own = np.bincount(tree.catchment[inside], cells[inside], len(kept))
    poured = np.bincount(onto, own, len(kept))
    rows = {"part": np.full(len(kept), name)} | _places(tree, axes, loss, error)
    rows |= {"told": kept, "parent": tree.parent, "area": own, "told_area": np.where(kept, poured, np.nan)}
    summary = _summary(tree, axes, loss, error, own) | {"basins": int(kept.sum()), "reach": reach}
    return rows, summary, np.where(inside, onto[tree.catchment], -1)


def ringed(name: str, axes: list[np.ndarray], loss: np.ndarray, error: np.ndarray, *, neighbours: int) -> Columns:
    """Find the loops of one field: columns over them. A line has none."""
    birth, death = loops(loss, neighbours=neighbours) if loss.ndim == 2 else (np.empty(0, int), np.empty(0, int))
    level, level_error = _at(loss, birth), _at(error, birth)
    top = np.where(death >= 0, _at(loss, death), np.inf)
    steps = _steps(axes, loss.shape, death)
    return {
        "loop_part": np.full(len(birth), name), "summit_a": steps[0], "summit_b": steps[1], "loop_birth": level,
        "loop_death": top, "loop_persistence": top - level, "loop_persistence_error": level_error + _at(error, death),
    }  # fmt: skip


def stacked(tables: list[Columns]) -> Columns:
    """Put tables below one another; parents are rows of their own table."""
    starts = np.cumsum([0, *(len(next(iter(table.values()))) for table in tables)])
    found = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    if "parent" in found:
        moved = [np.where(t["parent"] >= 0, t["parent"] + s, -1) for t, s in zip(tables, starts, strict=False)]
        found["parent"] = np.concatenate(moved)
    return found


def _places(tree: MergeTree, axes: list[np.ndarray], loss: np.ndarray, error: np.ndarray) -> Columns:
    """Tell where every basin begins, ends and spills, and how high these are, with bounds of the errors."""
    low, over, out = (_steps(axes, loss.shape, places) for places in (tree.minimum, tree.saddle, tree.spill))
    spill = np.where(tree.spill >= 0, _at(loss, tree.spill), np.inf)
    born = _at(error, tree.minimum)
    edge = tree.spill == tree.minimum
    span = _span(loss)
    return {
        "minimum_a": low[0], "minimum_b": low[1], "birth": tree.birth, "birth_error": born, "edge": edge,
        "saddle_a": over[0], "saddle_b": over[1], "death": tree.death, "death_error": _at(error, tree.saddle),
        "persistence": tree.persistence, "persistence_error": born + _at(error, tree.saddle),
        "relative": tree.persistence / span if span > 0 else np.full(len(born), np.nan),
        "spill_a": out[0], "spill_b": out[1], "depth": spill - tree.birth,
        "depth_error": np.where(edge, 0.0, born + _at(error, tree.spill)),
    }  # fmt: skip


def _summary(tree: MergeTree, axes: list[np.ndarray], loss: np.ndarray, error: np.ndarray, area: np.ndarray) -> Columns:
    """Measure a field as a whole."""
    span = _span(loss)
    found = {
        "smad": smad(tree, error), "weighted_smad": smad(tree, error, area),
        "total_persistence": total_persistence(tree, error), "variation": variation(loss, error),
        "deviation": deviation(axes, loss, error),
    }  # fmt: skip
    both = {name: pair[0] for name, pair in found.items()} | {f"{name}_error": pair[1] for name, pair in found.items()}
    counts = {"missing": int(np.isnan(loss).sum()), "walls": int(np.isposinf(loss).sum())}
    relative = both["smad"] / span if span > 0 else math.nan
    return both | counts | {"minima": len(tree.minimum), "span": span, "relative_smad": relative}


def _span(loss: np.ndarray) -> float:
    finite = loss[np.isfinite(loss)]
    return float(finite.max() - finite.min())


def _at(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    return np.where(places >= 0, values.ravel()[places], np.nan)


def _steps(axes: list[np.ndarray], shape: tuple[int, ...], places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn places into steps along both axes; zero along one that is not there, NaN for no place."""
    index = np.unravel_index(np.maximum(places, 0), shape)
    found = [np.where(places >= 0, axis[i], np.nan) for axis, i in zip(axes, index, strict=True)]
    return found[0], found[1] if len(found) > 1 else np.where(places >= 0, 0.0, np.nan)


def _cells(axes: list[np.ndarray], loss: np.ndarray) -> np.ndarray:
    """Share every point has of the domain: the stretch up to the middle between it and its neighbours, of each axis."""
    shares = np.ones(())
    for axis in axes:
        edges = np.concatenate([axis[:1], (axis[1:] + axis[:-1]) / 2, axis[-1:]])
        shares = np.multiply.outer(shares, np.diff(edges) if len(axis) > 1 else np.ones(1))
    shares = np.where(np.isnan(loss), 0.0, shares)
    return shares / shares.sum()
