"""The summary: networks at their widths by what was measured of them, the best marked where it clearly is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as filled
from typing import Any, NamedTuple

import numpy as np

from landscape.comparison.comparison import CLEAR, FULL
from landscape.comparison.measures import NATS
from landscape.plots import certain, field, measured
from landscape.plots.blocks import ABREAST, ACROSS, head
from landscape.plots.footnotes import footnotes
from landscape.plots.page.entries import MIXED, Entry, told
from landscape.result import Result

AT_WIDTH = re.compile(r"bits_(\d+)_(.+)")  # figures of a result across widths
BETTER = {"accuracy": "higher", "loss": "lower"}  # endings of figures of which everybody wants more, or less
FIRST = re.compile(r"(?!.*extra)([^_ ]+_){0,2}(loss|accuracy|rise|lambda_max|lambda_min|trace|barrier)")
ORDER = ("Evaluate", "Eigen", "Spectrum", "Trace", "Surface", "Bits", "Barriers", "Path", "Connect", "Align")
BESIDES = {"Sharpness", "Batchsize", "Covariance", "Topology", "Ensembling", "Line"}
UNKNOWN = "†"  # an error that is not known


class Number(NamedTuple):
    """A value with its standard error, in the unit that is shown: 0 where it is exact, NaN where it is not known."""

    value: float
    error: float

    def __str__(self) -> str:
        return certain.plain(certain.certain(self.value, self.error))

    @property
    def cell(self) -> str:
        """As it stands in a table, with a sign where its error is not known."""
        return f"{self}{UNKNOWN * (math.isnan(self.error) and math.isfinite(self.value))}"


class Column(NamedTuple):
    """What was measured: its name, the unit that is shown, and which is better: lower, higher, or neither."""

    name: str
    unit: str
    better: str


class Laid(NamedTuple):
    """A table as it is read: headings with what is said below them, rows of names and of cells.

    A cell has its words, the number that it sorts by (NaN where nothing was measured), and whether it is best.
    """

    heads: list[tuple[str, str]]
    rows: list[tuple[list[tuple[str, str, float]], list[tuple[str, float, bool]]]]


@dataclass
class Table:
    """Rows by columns of numbers; `best` has the places of those that are clearly better than the others."""

    caption: str
    notes: list[str]
    rows: list[tuple[str, int]]
    columns: list[Column]
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

    def laid(self) -> Laid:
        """Lay out networks below one another; side by side where they are few, and what was measured is much."""
        names = [(name, f"{better} is better" if better else "", unit) for name, unit, better in self.columns]
        shown = [f"{name} [{unit}]" if unit else name for name, _, unit in names]
        if len(self.rows) <= ABREAST and len(self.columns) > ACROSS:
            rows = [
                ([(words, note, math.nan)], [self._cell(r, c) for r in range(len(self.rows))])
                for c, (words, (_, note, _)) in enumerate(zip(shown, names, strict=True))
            ]
            return Laid([("measure", ""), *((network, told(bits)) for network, bits in self.rows)], rows)
        heads = [("network", ""), ("bits", ""), *zip(shown, (note for _, note, _ in names), strict=True)]
        return Laid(heads, [
            ([(network, "", math.nan), (width(bits), "", float(bits))], [self._cell(r, c) for c in range(len(shown))])
            for r, (network, bits) in enumerate(self.rows)
        ])  # fmt: skip

    def _cell(self, row: int, column: int) -> tuple[str, float, bool]:
        number = self.cells.get((row, column))
        if number is None:
            return certain.MISSING, math.nan, False
        return number.cell, number.value, (row, column) in self.best


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
    """Lay out a comparison as it was measured, with the marks that it gives; named and rounded as its tables are."""
    widths = [MIXED if math.isnan(bits) else int(bits) for bits in comparison.bits]
    rows = list(zip(map(str, comparison.network), widths, strict=True))
    measures = comparison.measure.tolist()
    sides = [better if better in ("lower", "higher") else "" for better in comparison.better.tolist()]
    heads = [head(comparison, c) for c in range(len(measures))]
    columns = [Column(measured.plain(words), unit, side) for (words, unit), side in zip(heads, sides, strict=True)]
    factors = [measured.percent(comparison, measure) for measure in measures]
    known = np.argwhere(~np.isnan(comparison.value)).tolist()
    cells = {
        (r, c): Number(factors[c] * float(comparison.value[r, c]), factors[c] * float(comparison.error[r, c]))
        for r, c in known
    }
    best = {(r, c) for r, c in np.argwhere(comparison.best).tolist()}
    notes = [measured.plain(note) for note in footnotes(comparison, unknown=UNKNOWN)]
    return Table(f"Networks compared: {name}", notes, rows, columns, cells, best)


def outlined(entries: Sequence[Entry], caption: str) -> Table:
    """Bring together what is asked first: losses, accuracies, ends of the spectrum, traces and barriers.

    Kinds that tell it of no network of which another kind has not told it are left out, and so are those that tell
    little of it but much besides; unless there are no others.
    """
    place = {kind: k for k, kind in enumerate(ORDER)}
    first = sorted((e for e in entries if e.kind not in BESIDES), key=lambda e: place.get(e.kind, len(place)))
    table = joined(first, caption, FIRST)
    return table if table.cells else joined(entries, caption)


def joined(entries: Iterable[Entry], caption: str, asked: re.Pattern[str] | None = None) -> Table:
    """Bring together what results boil down to, a row for each network and width.

    Where results of two kinds tell the same, columns say whose they are. With a pattern, only what it matches stays.
    """
    found: dict[tuple[str, int], dict[tuple[str, str], Number]] = {}
    columns: dict[tuple[str, str], Column] = {}
    for entry in entries:
        for name, (value, error) in (_center(entry.result) | entry.result.figures()).items():
            at = AT_WIDTH.fullmatch(name)
            width, measure = (int(at[1]), at[2]) if at else (entry.bits, name)
            if asked and not asked.fullmatch(measure):
                continue
            key, factor = (entry.kind.lower(), measure), measured.percent(entry.result, measure)
            row = found.setdefault((entry.network, width), {})
            row.setdefault(key, Number(factor * float(value), factor * float(error)))
            unit = measured.unit(entry.result, measure, _unit(entry.result, measure))
            columns.setdefault(key, Column("", unit, _better(measure)))
    if asked:
        columns = {key: columns[key] for key in columns if _new(key, list(columns), found)}
    rows = sorted(found, key=lambda row: (list(dict.fromkeys(n for n, _ in found)).index(row[0]), -row[1]))
    told = [measure for _, measure in columns]
    heads = [column._replace(name=_name(*key, told)) for key, column in columns.items()]
    cells = {
        (r, c): found[row][key]
        for r, row in enumerate(rows) for c, key in enumerate(columns)
        if key in found[row] and not math.isnan(found[row][key].value)
    }  # fmt: skip
    table = Table(caption, [], rows, heads, cells).marked()
    return replace(table, notes=_notes(table))


def _new(key: tuple[str, str], columns: Sequence[tuple[str, str]], found: Mapping[Any, Mapping[Any, Number]]) -> bool:
    """Say whether a column tells its measure of a row of which no column before it does."""
    before = [other for other in columns[: columns.index(key)] if other[1] == key[1]]
    return any(key in row and not any(other in row for other in before) for row in found.values())


def _name(probe: str, measure: str, told: Sequence[str]) -> str:
    """Name a measure as papers do, with its probe where others measure the like."""
    several = told.count(measure) > 1 or measure.endswith("rise")
    dotted = f"{probe}.{measure}" if several and re.fullmatch(r"\w+", measure) else measure
    return measured.plain(measured.name(dotted))


def _notes(table: Table) -> list[str]:
    """Say how a table is read."""
    lost = any(math.isnan(number.error) for number in table.cells.values())
    alone = len({network for network, _ in table.rows}) == 1
    others = "width of the network" if alone else "network of the same width"
    return [
        "±: a standard error, of eigenvalues a residual. Without ±, it is zero or below a ten-thousandth of the value.",
        *[f"{UNKNOWN}: error not known (a lower bound, or a single draw)."] * lost,
        *[f"Bold: better than every other {others}, by more than {CLEAR:g} standard errors of their difference."]
        * bool(table.best),
    ]


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
    if known is None:
        return "nat" if measure.endswith(NATS) and not measure.endswith("error_barrier") else ""
    return str(known["unit"])


def _better(measure: str) -> str:
    return next((way for ending, way in BETTER.items() if measure == ending or measure.endswith(f"_{ending}")), "")


def width(count: int) -> str:
    """Write a width for a cell."""
    return str(count) if MIXED < count < FULL else told(count)
