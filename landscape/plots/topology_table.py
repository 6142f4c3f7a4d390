"""Topologies in words and numbers: a row for each network and part of the data."""

from __future__ import annotations

import csv as writer
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots.summary import columns, head
from landscape.result import replaced

if TYPE_CHECKING:
    from landscape.basins.topology import Topology

PM, SHOWN = "\N{PLUS-MINUS SIGN}", 12  # basins of a part that are listed
HEADERS = {  # numbers of a part: header in words, in LaTeX
    "basins": ("basins told", "basins"), "minima": ("minima", "minima"), "depth": ("depth", "depth [nat]"),
    "persistence": ("next persistence", "persistence [nat]"), "smad": ("SMAD", "SMAD [nat]"),
    "relative_smad": ("SMAD / range", "SMAD / range"), "total_persistence": ("total persistence", "total [nat]"),
    "variation": ("variation", "variation"), "deviation": ("from quadratic", "from quadratic [nat]"),
}  # fmt: skip
COUNTS = ("basins", "minima")


def topology_table(results: Mapping[str, Topology]) -> str:
    """Write several topologies as one table, then the basins of each; errors are bounds, losses in nats."""
    named = len(results) > 1
    rows = [["network"] * named + ["part", *(words for words, _ in HEADERS.values())]]
    rows += [[name] * named + [part, *map(_cell, HEADERS, pairs)] for name, part, pairs in _numbers(results)]
    lines = [f"{head(result)}" for result in list(results.values())[:1]] if not named else []
    lines += columns(rows)
    for name, result in results.items():
        lines += ["", *([name] if named else []), *columns(_basins(result)), *result.remarks()]
    return "\n".join(lines)


def csv(results: Mapping[str, Topology], path: str | os.PathLike) -> None:
    """Write the numbers of several topologies as one table: a row for each network and part, every error beside it."""
    names = [column for name in HEADERS for column in (name, f"{name}_error")]
    with replaced(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        table = writer.writer(file, lineterminator="\n")
        table.writerow(["network", "part", *names])
        for name, split, pairs in _numbers(results):
            table.writerow([name, split, *(repr(float(value)) for pair in pairs for value in pair)])


def latex(results: Topology | Mapping[str, Topology]) -> str:
    """Write the numbers of one or several topologies in LaTeX, for the package booktabs; errors are bounds."""
    from landscape.plots.study import escaped

    several = isinstance(results, Mapping)
    table = results if several else {"": results}
    front = ["network"] * several + ["part"]
    names = [*front, *(words for _, words in HEADERS.values())]
    lines = [rf"\begin{{tabular}}{{{'l' * len(front)}{'r' * len(HEADERS)}}}", r"\toprule"]
    lines += [" & ".join(names) + r" \\", r"\midrule"]
    for name, part, pairs in _numbers(table):  # pyright: ignore
        cells = [_cell(key, pair).replace(PM, r"$\pm$") for key, pair in zip(HEADERS, pairs, strict=True)]
        lines.append(" & ".join([*([escaped(name)] * several), escaped(part), *cells]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _numbers(results: Mapping[str, Topology]) -> list[tuple[str, str, list[tuple[float, float]]]]:
    """Collect the figures of every part: NaN for those that it has not."""
    found = []
    for name, result in results.items():
        figures = result.figures()
        for part in result.split.tolist():
            pairs = [figures.get(f"{part}_{key}", (float("nan"), float("nan"))) for key in HEADERS]
            found.append((name, part, pairs))
    return found


def _cell(name: str, pair: tuple[float, float]) -> str:
    value, error = pair
    if np.isnan(value):
        return "none" if name == "persistence" else "unknown"
    if name in COUNTS:
        return f"{value:.0f}"
    return f"{value:.4g}" + (f" {PM} {error:.2g}" if np.isfinite(error) else "")


def _basins(result: Any) -> list[list[str]]:
    """List the basins that are told from noise."""
    plane = len(result.b) > 1
    rows = [["basin", "a", *["b"] * plane, "loss", "persistence", "depth", "area %", "merges into"]]
    for part in result.split.tolist():
        own = result.rows(part)
        own = own[result.told[own]]
        number = {int(row): f"{part} {k + 1}" for k, row in enumerate(own)}
        for row in own[:SHOWN].tolist():
            spot = [f"{result.minimum_a[row]:.4g}", *[f"{result.minimum_b[row]:.4g}"] * plane]
            born = _cell("", (result.birth[row], result.birth_error[row]))
            lasts = _cell("", (result.persistence[row], result.persistence_error[row]))
            deep = _cell("", (result.depth[row], result.depth_error[row]))
            into = number.get(int(result.parent[row]), "none")
            rows.append([number[row], *spot, born, lasts, deep, f"{100 * result.told_area[row]:.3g}", into])
        if len(own) > SHOWN:
            rows.append([f"{part}: {len(own) - SHOWN} more"])
    return [row + [""] * (len(rows[0]) - len(row)) for row in rows]
