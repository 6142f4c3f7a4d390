"""The columns of a comparison: what each result says of its network, in numbers with errors."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from landscape.paired import mean
from landscape.result import Result

BETWEEN = "between"  # stands for a network in the names of what lies between all of them
NAME = re.compile(r"(?P<network>.+)/(?:w(?P<bits>\d+)|mixed)/(?P<probe>[^/]+)")
PLAIN = {"evaluate": (), "eigen": ("lambda_max", "lambda_min"), "trace": ("trace",), "sharpness": ()}  # () for all
ROUNDING, BARRIER = "rise_by_rounding", "barrier_to"
NATS = ("loss", "rise", ROUNDING, "lambda_max", "lambda_min", "trace", "barrier")  # ends of measures in nats
LOWER, HIGHER = ("loss", "rise", ROUNDING, "lambda_max", "trace", "barrier"), ("accuracy",)  # what is marked

Row = tuple[str, float]


@dataclass(frozen=True)
class Column:
    """One measure of all rows: values and errors (row,), and the errors of their differences (row, row)."""

    name: str
    unit: str
    better: str
    value: np.ndarray
    error: np.ndarray
    apart: np.ndarray


def columns(members: Mapping[str, Result]) -> tuple[list[Row], list[Column]]:
    """Read the rows and columns of a comparison out of its members.

    Raises
    ------
    ValueError
        If a member's name is not of the form NETWORK/wBITS/PROBE, or no member is about a network.
    """
    known = {read(name): member for name, member in members.items()}
    if wrong := [probe for row, probe in known if row[0] == BETWEEN and _kind(probe) != "barriers"]:
        raise ValueError(f"Expected barriers between networks, got {wrong[0]} of one called {BETWEEN}: rename it.")
    rows = list(dict.fromkeys(row for row, probe in known if row[0] != BETWEEN and _kind(probe) != "bits"))
    if not rows:
        raise ValueError("Expected results of a network, got none: compare checkpoints or results.")
    cells: dict[str, dict[int, tuple[float, float]]] = {}
    units: dict[str, str] = {}
    for (row, probe), member in known.items():
        for name, at, pair in _cells(row, probe, member, rows):
            cells.setdefault(name, {})[at] = pair
        if probe == "sharpness":
            units |= dict(zip(settled(member), member.unit.tolist(), strict=True))  # pyright: ignore
    singles = {rows.index(row): member for (row, probe), member in known.items() if probe == "evaluate"}
    return rows, [_column(name, found, units.get(name), singles, len(rows)) for name, found in cells.items()]


def read(name: str) -> tuple[Row, str]:
    """Read the name of a member: its network, its width and its probe.

    Raises
    ------
    ValueError
        If it is of another form.

    Examples
    --------
    >>> read("sgd/w4/surface")
    (('sgd', 4.0), 'surface')
    """
    found = NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"Expected names such as sgd/w4/surface, got {name!r}: name network, width and probe.")
    return (found["network"], float(found["bits"]) if found["bits"] else math.nan), found["probe"]  # one NaN for all


def _kind(probe: str) -> str:
    """Return the name of a probe whose label may be its text, with knobs."""
    return probe.partition(":")[0]


def _cells(
    row: Row, probe: str, member: Result, rows: list[Row]
) -> Iterator[tuple[str, int, tuple[float, float]]]:
    """Tell what a result says of which rows: measure, row, value and error."""
    beside = {"bits": _rounding, "barriers": _barriers}.get(_kind(probe))
    if beside is not None:
        prefix = "" if probe == _kind(probe) else f"{probe}."
        yield from ((f"{prefix}{name}", at, pair) for name, at, pair in beside(row, member, rows))
    else:
        kept = PLAIN.get(probe)
        for name, pair in (settled(member) if probe == "sharpness" else member.figures()).items():
            if kept == () or kept is not None and name in kept:
                yield name, rows.index(row), pair
            elif kept is None:
                yield f"{probe}.{name}", rows.index(row), pair


def settled(member: Any) -> dict[str, tuple[float, float]]:
    """Tell measures of sharpness with their settings, without which a number means nothing."""
    told = zip(member.measure.tolist(), member.setting.tolist(), member.value, member.error, strict=True)
    return {f"{name} {setting}".strip(): (float(value), float(error)) for name, setting, value, error in told}


def _rounding(row: Row, member: Result, rows: list[Row]) -> Iterator[tuple[str, int, tuple[float, float]]]:
    """Tell what rounding does to the loss, paired over examples, of every width that has a row."""
    for k, split in enumerate(member.split.tolist()):  # pyright: ignore
        if row in rows:
            yield f"{split}_{ROUNDING}", rows.index(row), (0.0, 0.0)
        for j, bits in enumerate(member.bits.tolist()):  # pyright: ignore
            if (row[0], float(bits)) in rows:
                pair = float(member.loss_change[k, j]), float(member.loss_change_error[k, j])  # pyright: ignore
                yield f"{split}_{ROUNDING}", rows.index((row[0], float(bits))), pair


def _barriers(row: Row, member: Result, rows: list[Row]) -> Iterator[tuple[str, int, tuple[float, float]]]:
    """Tell the barrier on the segment from the first network to every other one of the same width."""
    names = member.first.tolist()  # pyright: ignore
    for k, split in enumerate(member.split.tolist()):  # pyright: ignore
        for j, name in enumerate(names[1:], start=1):
            pair = float(member.barrier[k, 0, j]), float(member.barrier_error[k, 0, j])  # pyright: ignore
            if (name, row[1]) in rows:
                yield f"{split}_{BARRIER}_{names[0]}", rows.index((name, row[1])), pair


def _column(
    name: str, cells: Mapping[int, tuple[float, float]], unit: str | None, singles: Mapping[int, Result], count: int
) -> Column:
    """Lay the cells of one measure out over all rows; rows whose single examples are known are paired.

    A measure that brings its unit is one of sharpness, of which the lower is marked.
    """
    value, error = np.full(count, np.nan), np.full(count, np.nan)
    for at, (number, sure) in cells.items():
        value[at], error[at] = number, sure
    apart = np.hypot(error[:, None], error[None, :])
    np.fill_diagonal(apart, 0.0)
    split, _, kind = name.rpartition("_")
    if kind in ("loss", "accuracy"):
        for i, one in singles.items():
            for j, other in singles.items():
                paired = _paired(one, other, split, kind) if i < j else None
                if paired is not None:
                    apart[i, j] = apart[j, i] = paired
    kind = "barrier" if BARRIER in name else name
    side = "lower" if unit is not None or kind.endswith(LOWER) else "higher" if kind.endswith(HIGHER) else ""
    return Column(name, unit or "nat" * kind.endswith(NATS), side, value, error, apart)


def _paired(one: Result, other: Result, split: str, kind: str) -> float | None:
    """Return the standard error of the difference of two means over the same examples, where these were kept."""
    field = {"loss": "example_loss", "accuracy": "example_correct"}[kind]
    arrays = [getattr(result, name, None) for result in (one, other) for name in (field, "example_weight")]
    splits = one.split.tolist()  # pyright: ignore
    if any(array is None for array in arrays) or split not in splits or len(arrays[0]) != len(arrays[2]):  # pyright: ignore
        return None
    sizes = one.size.tolist()  # pyright: ignore
    start = sum(sizes[: splits.index(split)])
    part = slice(start, start + sizes[splits.index(split)])
    mine, weight, yours, theirs = (np.asarray(array, dtype=float)[part] for array in arrays)
    if not np.array_equal(weight, theirs):
        return None
    return float(mean(mine - yours, weight)[1])
