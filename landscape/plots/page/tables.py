"""Tables: networks at their widths by what was measured of them, and the numbers of every single result."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from dataclasses import field as filled
from typing import Any, NamedTuple

import numpy as np

from landscape.comparison.comparison import CLEAR, FULL
from landscape.plots import field
from landscape.plots.page.entries import MIXED, Entry, told
from landscape.result import Result

AT_WIDTH = re.compile(r"bits_(\d+)_(.+)")  # figures of a result across widths
BETTER = {"accuracy": "higher", "loss": "lower"}  # endings of figures of which everybody wants more, or less


class Number(NamedTuple):
    """A value with its standard error: 0 where it is exact, NaN where it is not known."""

    value: float
    error: float

    def __str__(self) -> str:
        if not math.isfinite(self.value):
            return "\N{EN DASH}" if math.isnan(self.value) else str(self.value)
        if not math.isfinite(self.error):
            return f"{self.value:.4g} ± ?"
        if self.error == 0:
            return f"{self.value:.6g}"
        digits = max(0, math.floor(math.log10(abs(self.value) or self.error)) - math.floor(math.log10(self.error)) + 2)
        return f"{self.value:.{min(max(digits, 1), 9)}g} ± {self.error:.2g}"

    @property
    def sure(self) -> str:
        """What is known of the error, in words."""
        return "exact" if self.error == 0 else ""


@dataclass
class Table:
    """Rows by columns of numbers; `best` has the places of those that are clearly better than the others."""

    caption: str
    heads: list[str]
    rows: list[tuple[str, int]]
    columns: list[tuple[str, str, str]]  # name, unit, which is better
    cells: dict[tuple[int, int], Number]
    best: set[tuple[int, int]] = filled(default_factory=set)

    def marked(self) -> Table:
        """Mark in each column the best of all networks of one width, where it clearly is.

        Of a single network, the best of its widths.
        """
        widths = {width for _, width in self.rows}
        alone = len({network for network, _ in self.rows}) == 1
        groups = [[r for r, (_, w) in enumerate(self.rows) if alone or w == width] for width in widths]
        for c, (_, _, better) in enumerate(self.columns):
            for rows in groups if better else ():
                if (place := best({r: self.cells[r, c] for r in rows if (r, c) in self.cells}, better)) is not None:
                    self.best.add((place, c))
        return self


def best(numbers: dict[int, Number], better: str) -> int | None:
    """Return which number is clearly better than every other one; None if none is.

    Clearly is by more than two standard errors of the difference; errors that are not known settle nothing.

    Examples
    --------
    >>> best({0: Number(0.5, 0.1), 1: Number(0.1, 0.1)}, "lower")
    1
    >>> best({0: Number(0.5, 0.1), 1: Number(0.3, 0.1)}, "lower") is None
    True
    """
    sign = -1.0 if better == "lower" else 1.0
    known = {place: number for place, number in numbers.items() if math.isfinite(number.value)}
    if len(known) < 2:
        return None
    first = max(known, key=lambda place: sign * known[place].value)
    one = known[first]
    ahead = (
        sign * (one.value - other.value) > CLEAR * math.hypot(one.error, other.error)  # no number exceeds NaN
        for place, other in known.items() if place != first
    )  # fmt: skip
    return first if all(ahead) else None


def compared(comparison: Any, name: str) -> Table:
    """Lay out a comparison as it was measured, with the marks that it gives."""
    widths = [MIXED if math.isnan(bits) else int(bits) for bits in comparison.bits]
    rows = list(zip(map(str, comparison.network), widths, strict=True))
    sides = [better if better in ("lower", "higher") else "" for better in comparison.better.tolist()]
    columns = list(zip(comparison.measure.tolist(), comparison.unit.tolist(), sides, strict=True))
    measured = np.argwhere(~np.isnan(comparison.value)).tolist()
    cells = {(r, c): Number(float(comparison.value[r, c]), float(comparison.error[r, c])) for r, c in measured}
    best = {(r, c) for r, c in np.argwhere(comparison.best).tolist()}
    return Table(f"Networks compared: {name}", ["network", "bits"], rows, columns, cells, best)


def joined(entries: Iterable[Entry], caption: str) -> Table:
    """Bring together what results boil down to, a row for each network and width."""
    found: dict[tuple[str, int], dict[str, Number]] = {}
    columns: dict[str, tuple[str, str, str]] = {}
    for entry in entries:
        for name, (value, error) in (_center(entry.result) | entry.result.figures()).items():
            at = AT_WIDTH.fullmatch(name)
            width, measure = (int(at[1]), at[2]) if at else (entry.bits, name)
            row, column = found.setdefault((entry.network, width), {}), f"{entry.kind.lower()} {measure}"
            row.setdefault(column, Number(float(value), float(error)))
            columns.setdefault(column, (column, _unit(entry.result, measure), _better(measure)))
    rows = sorted(found, key=lambda row: (list(dict.fromkeys(n for n, _ in found)).index(row[0]), -row[1]))
    names = list(columns)
    cells = {
        (r, c): found[row][name]
        for r, row in enumerate(rows) for c, name in enumerate(names)
        if name in found[row] and not math.isnan(found[row][name].value)
    }  # fmt: skip
    return Table(caption, ["network", "bits"], rows, [columns[n] for n in names], cells).marked()


def _center(result: Any) -> dict[str, tuple[float, float]]:
    """Tell losses and accuracies at the center of a surface or line; of another result nothing."""
    if not {"a", "loss"} <= result.quantities().keys() or (at := field.center(result)) is None:
        return {}
    found = {}
    for k, part in enumerate(field.splits(result)):
        for name in ("loss", "accuracy"):
            values, errors = getattr(result, name, None), getattr(result, f"{name}_error", None)
            if values is not None:
                error = math.nan if errors is None else float(errors[k, *at])
                found[f"{part}_{name}"] = float(values[k, *at]), error
    return found


def _unit(result: Result, measure: str) -> str:
    """Tell the unit of a figure: that of the quantity by its name, or by its last word."""
    metas = result.declared()
    known = next((metas[name] for name in (measure, measure.rpartition("_")[2]) if name in metas), None)
    return "" if known is None else str(known["unit"])


def _better(measure: str) -> str:
    return next((way for ending, way in BETTER.items() if measure == ending or measure.endswith(f"_{ending}")), "")


def width(count: int) -> str:
    """Write a width for a cell."""
    return str(count) if MIXED < count < FULL else told(count)


class Column(NamedTuple):
    """A column of numbers or words of a single result."""

    name: str
    meaning: str
    cells: Sequence[str]


def numbers(result: Result) -> tuple[list[tuple[str, str, str]], list[tuple[str, list[Column]]], list[str]]:
    """Cut a result down to tables.

    Returns
    -------
    list of (name, value, meaning)
        What has no axis.
    list of (axis, columns)
        What lies over one axis.
    list of str
        What lies over several axes, in words: it is in the file.
    """
    from landscape.plots import label, summary

    metas = result.quantities()
    shown = [name for name in metas if not summary.is_error(result, name)]
    single = [(row[0], row[1], row[2]) for row in (summary.scalar(result, n) for n in shown if not metas[n]["dims"])]
    axes = dict.fromkeys(metas[name]["dims"][0] for name in shown if len(metas[name]["dims"]) == 1)
    tables, more = [], []
    for dim in axes:
        names = [name for name in shown if metas[name]["dims"] == (dim,)]
        if all((metas[name]["name"] or name) == dim for name in names):
            continue
        whole = len(getattr(result, names[0]))
        size = min(whole, summary.ROWS)
        more += [f"{whole - size} more rows by {dim}"] * (whole > size)
        columns = [
            Column(metas[n]["name"] or n, label(metas[n]), [summary.cell(result, n, (i,)) for i in range(size)])
            for n in names
        ]
        tables.append((dim, sorted(columns, key=lambda column, dim=dim: column.name != dim)))
    large = [f"{name}: {label(metas[name])}, {_shape(result, name)}" for name in shown if len(metas[name]["dims"]) > 1]
    return single, tables, more + large


def _shape(result: Result, name: str) -> str:
    """Write axes and lengths of an array, with the range of its numbers."""
    values, dims = getattr(result, name), result.declared()[name]["dims"]
    axes = " \N{MULTIPLICATION SIGN} ".join(f"{size} {dim}" for dim, size in zip(dims, values.shape, strict=True))
    finite = values[np.isfinite(values)] if values.dtype.kind in "fiu" else np.array([])
    return axes + (f", {finite.min():.4g} to {finite.max():.4g}" if finite.size else "")
