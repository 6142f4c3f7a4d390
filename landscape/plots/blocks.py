"""The table of a comparison, cut to what a page carries: rows, columns, cells, whatever format they are written in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from landscape.plots import measured
from landscape.plots.certain import Certain, certain

if TYPE_CHECKING:
    from landscape.comparison import Comparison

ACROSS = 6  # columns of numbers that a page carries below the names of measures,
ABREAST = 4  # and beside them
FULL = 32  # bits of a weight that is not rounded


class Cell(NamedTuple):
    """One number: rounded, whether it is marked, whether its error is unknown."""

    number: Certain
    best: bool = False
    unknown: bool = False


class Block(NamedTuple):
    """One table. In labels, what stands between dollars is mathematics.

    Attributes
    ----------
    corner : str
        What rows are.
    spans : list of (str, int)
        Groups of columns: name and number of columns; none where widths are groups of rows.
    head : list of (str, str)
        Name and unit of every column.
    groups : list of (str, rows)
        Groups of rows by name; of every row name, unit and cells.
    """

    corner: str
    spans: list[tuple[str, int]]
    head: list[tuple[str, str]]
    groups: list[tuple[str, list[tuple[str, str, list[Cell]]]]]

    @property
    def cells(self) -> list[Cell]:
        """All cells, row by row."""
        return [cell for _, rows in self.groups for *_, row in rows for cell in row]


def blocks(result: Comparison, *, across: int = ACROSS, abreast: int = ABREAST) -> list[Block]:
    """Lay a comparison out in tables that are no wider than a page.

    Networks stand below one another, grouped by width, and measures side by side. With more than `across` measures,
    these stand below one another instead, and networks side by side, where there are at most `abreast` of them at all
    widths together; else measures are dealt out to several tables. What was measured of no network is left out.

    Parameters
    ----------
    result : Comparison
    across : int, default=6
    abreast : int, default=4

    Raises
    ------
    ValueError
        If nothing was measured.
    """
    chosen = [int(j) for j in np.flatnonzero(~np.isnan(result.value).all(axis=0))]
    if not chosen:
        raise ValueError("Expected a comparison with something measured, got none: measure the networks first.")
    groups = by_width(result)
    if len(chosen) > across and len(result.network) <= abreast:
        return [_transposed(result, chosen, groups)]
    tables = -(-len(chosen) // across)
    parts = np.array_split(np.array(chosen), tables)
    return [_upright(result, part.tolist(), groups) for part in parts]


def by_width(result: Comparison) -> dict[str, list[int]]:
    """Group the rows of a comparison by width: full precision first, then fewer and fewer bits, mixed ones last."""
    keys = [np.inf if np.isnan(bits) else -bits for bits in result.bits]
    rows = sorted(range(len(keys)), key=lambda i: keys[i])
    found: dict[str, list[int]] = {}
    for row in rows:
        found.setdefault(width(result.bits[row]), []).append(row)
    return found


def width(bits: float) -> str:
    """Write a width.

    Examples
    --------
    >>> width(32), width(4), width(1), width(float("nan"))
    ('full precision', '4 bits', '1 bit', 'mixed precision')
    """
    if np.isnan(bits):
        return "mixed precision"
    return "full precision" if bits == FULL else f"{bits:g} {'bit' if bits == 1 else 'bits'}"


def head(result: Comparison, measure: int) -> tuple[str, str]:
    """Return the name of a measure, and the unit that it is shown in."""
    stored = str(result.measure[measure])
    return measured.name(stored), measured.unit(result, stored, str(result.unit[measure]))


def _upright(result: Comparison, measures: Sequence[int], groups: dict[str, list[int]]) -> Block:
    best = result.best
    rows = {
        name: [(_network(result, i), "", [_cell(result, i, j, best) for j in measures]) for i in group]
        for name, group in groups.items()
    }
    return Block("network", [], [head(result, j) for j in measures], list(rows.items()))


def _transposed(result: Comparison, measures: Sequence[int], groups: dict[str, list[int]]) -> Block:
    best, order = result.best, [i for group in groups.values() for i in group]
    spans = [(name, len(group)) for name, group in groups.items()]
    rows = [(*head(result, j), [_cell(result, i, j, best) for i in order]) for j in measures]
    return Block("measure", spans, [(_network(result, i), "") for i in order], [("", rows)])


def _network(result: Comparison, row: int) -> str:
    return str(result.network[row]).replace("$", r"\$")


def _cell(result: Comparison, row: int, measure: int, best: np.ndarray) -> Cell:
    factor = measured.percent(result, str(result.measure[measure]))
    value, error = float(result.value[row, measure]), float(result.error[row, measure])
    lost = bool(np.isnan(error) and not np.isnan(value))
    return Cell(certain(factor * value, factor * error), bool(best[row, measure]), lost)
