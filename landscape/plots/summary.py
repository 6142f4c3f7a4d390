"""Any result in words and numbers: what has no axis line by line, what has one as a table, the rest by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from landscape.result import ERRORS, Result

ROWS = 100  # of a table: what is longer is in the file
SAMPLES = ("probe", "epoch", "unit")  # random vectors, a training, units of a network: nobody reads them one by one
LONG = 30  # letters of a text that is written below a table instead


def summary(result: Result) -> str:
    """Summarize a result in plain text: numbers with their errors, tables of what lies over one axis.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from landscape.result import quantity
    >>> @dataclass(frozen=True, eq=False, repr=False)
    ... class Weights(Result):
    ...     layer: np.ndarray = quantity("layer", "layer")
    ...     norm: np.ndarray = quantity("length", "layer")
    ...     norm_error: np.ndarray = quantity("its standard error", "layer")
    ...     total: np.ndarray = quantity("length of all", unit="nat")
    >>> print(summary(Weights(layer=["a", "b"], norm=[1.5, 2.0], norm_error=[0.1, 0.25], total=2.5)))
    Weights
    total  2.5 nat  length of all
    layer  norm
    a      1.5 ± 0.1
    b      2 ± 0.25
    """
    metas = result.quantities()
    shown = [name for name in metas if not is_error(result, name)]
    scalars = [name for name in shown if not metas[name]["dims"]]
    axes = dict.fromkeys(metas[name]["dims"][0] for name in shown if len(metas[name]["dims"]) == 1)
    axes = [dim for dim in axes if dim not in SAMPLES]
    large = [name for name in shown if len(metas[name]["dims"]) > 1 or metas[name]["dims"] in [(s,) for s in SAMPLES]]
    lines = [head(result), *columns([scalar(result, name) for name in scalars])]
    for dim in axes:
        lines += _table(result, dim, [name for name in shown if metas[name]["dims"] == (dim,)])
    return "\n".join([*lines, *result.remarks(), *[f"arrays: {', '.join(large)}"] * bool(large)])


def head(result: Result) -> str:
    """Say what kind of result this is, of how many examples, and what it took."""
    origin, kind = result.origin, type(result).__name__
    words = [f"{kind} of the {origin['split']} split" if origin.get("split") else kind]
    if part := part_of(result):
        words += [f"{part} examples"]
    if isinstance(origin.get("products"), int | float):
        words += [f"{origin['products']:.0f} products"]
    return ", ".join(words)


def part_of(result: Result) -> int | None:
    """Tell how many examples the split has that a result is about, as far as it knows."""
    splits, name = result.origin.get("splits"), result.origin.get("split")
    entry = splits.get(name) if isinstance(splits, dict) else None
    return entry.get("examples") if isinstance(entry, dict) else None


def is_error(result: Any, name: str) -> bool:
    """Say whether an array is the error, or the residual, of another one."""
    return any(name.endswith(end) and hasattr(result, name.removesuffix(end)) for end in ERRORS)


def scalar(result: Any, name: str) -> list[str]:
    """Write what has no axis: name, value with unit, meaning."""
    meta = result.declared()[name]
    return [meta["name"] or name, f"{cell(result, name, ())} {meta['unit']}".strip(), meta["meaning"]]


def _table(result: Any, dim: str, names: list[str]) -> list[str]:
    """Lay out what lies over one axis: its coordinate first, or else a number for each row."""
    metas = result.declared()
    coordinate = [name for name in names if (metas[name]["name"] or name) == dim]
    others = [name for name in names if name not in coordinate and not _taken_for_granted(result, name)]
    if not others:
        return []
    below = [name for name in others if coordinate and _long(getattr(result, name))]
    others = [name for name in others if name not in below]
    size = len(getattr(result, names[0]))
    rows = [[dim, *others]]
    for i in range(min(size, ROWS)):
        rows.append([cell(result, coordinate[0], (i,)) if coordinate else str(i + 1)])
        rows[-1] += [cell(result, name, (i,)) for name in others]
    table = columns(rows) + [f"... {size - ROWS} more"] * (size > ROWS)
    for name in below:
        pairs = zip(getattr(result, coordinate[0]).tolist(), getattr(result, name).tolist(), strict=True)
        table += columns([[dim, name], *dict.fromkeys(pairs)])
    return table


def _taken_for_granted(result: Any, name: str) -> bool:
    """Say whether a column tells that all of another one has converged."""
    other = name.removesuffix("_converged")
    if name == other or not hasattr(result, other):
        return False
    return bool(getattr(result, name)[~np.isnan(getattr(result, other))].all())


def _long(values: Any) -> bool:
    return values.dtype.kind == "U" and max(map(len, values.tolist()), default=0) > LONG


def cell(result: Any, name: str, index: tuple[int, ...]) -> str:
    """Write a value, with its error or its residual where it has one."""
    value = getattr(result, name)[index]
    if np.asarray(value).dtype.kind != "f":
        return str(value)
    rest = next((getattr(result, name + end, None) for end in ERRORS if hasattr(result, name + end)), None)
    sure = np.nan if rest is None else rest[index]
    return f"{value:.5g}" + (f" ± {sure:.2g}" if np.isfinite(sure) else "")


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay cells out in columns as wide as their widest cell."""
    if not rows:
        return []
    wide = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, wide, strict=True)).rstrip() for row in rows]
