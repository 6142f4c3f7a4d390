"""The numbers of a single result, cut down to tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from landscape.result import Result


class Listed(NamedTuple):
    """A column of numbers or words of a single result."""

    name: str
    meaning: str
    cells: Sequence[str]


def numbers(result: Result) -> tuple[list[tuple[str, str, str]], list[tuple[str, list[Listed]]], list[str]]:
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
            Listed(metas[n]["name"] or n, label(metas[n]), [summary.cell(result, n, (i,)) for i in range(size)])
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
