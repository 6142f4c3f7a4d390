"""Text alternatives: a picture in one sentence with numbers, for those who do not see it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from landscape.plots import field
from landscape.plots.page.entries import Entry
from landscape.plots.page.tables import Number

MOST = 3  # numbers of a result that one sentence has room for
SEVERAL = 4  # results of which one sentence tells


def sentence(entries: Sequence[Entry]) -> str:
    """Say in one sentence which results a picture shows, with their first numbers."""
    told = [f"{entry.label}: {_numbers(entry)}" for entry in entries[:SEVERAL]]
    rest = f"; and {len(entries) - SEVERAL} more" if len(entries) > SEVERAL else ""
    return f"{entries[0].kind} of {'; '.join(told)}{rest}."


def surface(entry: Entry) -> str:
    """Say in one sentence where the surfaces of a result lie: the first loss at its center and over the plane."""
    result = entry.result
    values, part = field.field(result), field.splits(result)[0]
    unit = field.unit(result, "loss").strip("[]")
    middle, finite = field.center(result), values[np.isfinite(values)]
    size = f"{len(result.a)} by {len(result.b)} points"
    if not finite.size:
        return f"{entry.label}: no finite {part} loss on {size}."
    error = result.loss_error
    sure = float("nan") if error is None or middle is None else float(field.field(result, "loss_error")[middle])
    at = "" if middle is None else f"{Number(float(values[middle]), sure)} {unit} at the center, ".replace(" ,", ",")
    return f"{entry.label}: {part} loss {at}from {finite.min():.4g} to {finite.max():.4g} {unit} on {size}."


def _numbers(entry: Entry) -> str:
    """Write the first numbers of a result: its figures, its scalars, or the ranges of its arrays."""
    result = entry.result
    if figures := result.figures():
        return ", ".join(f"{name.replace('_', ' ')} {Number(*pair)}" for name, pair in list(figures.items())[:MOST])
    metas = result.quantities()
    found = []
    for name in metas:
        values = getattr(result, name)
        finite = values[np.isfinite(values)] if values.dtype.kind in "fiu" else np.array([])
        if finite.size and not name.endswith(("_error", "_residual")):
            ends = f"{finite.min():.4g}" + (f" to {finite.max():.4g}" if values.ndim else "")
            found.append(f"{metas[name]['meaning']} {ends} {metas[name]['unit']}".strip())
    return ", ".join(found[:MOST]) or "no numbers"
