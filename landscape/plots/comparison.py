"""One measure of a comparison: networks against the bits of their weights, or side by side at one width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rcParams
from matplotlib.ticker import NullFormatter

from landscape.plots import field, measured
from landscape.plots.blocks import by_width, head
from landscape.plots.blocks import width as width_of
from landscape.plots.tables import csv, latex, markdown, text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.comparison import Comparison

__all__ = ["comparison", "csv", "latex", "looks", "markdown", "shown", "text", "usual_measures"]

MARKERS = "osD^vP*X"
FIRST = ("test_accuracy", "test_loss", "lambda_max", "trace", "train_loss", "train_accuracy")  # most asked for
FULL = 32  # bits of a weight that is not rounded
APART = 0.5  # of the way from one width to the next, over which networks stand
ASLANT = 12  # letters of all names of networks, a panel's width, from which on names stand aslant


def comparison(
    result: Comparison, ax: Axes, *, measure: str | None = None, log: bool | str = "auto", errors: bool = True,
    legend: bool = True, title: bool = True,
) -> Axes:  # fmt: skip
    """Draw one measure of a `Comparison` with its errors: a colour and a mark for each network, against bits.

    At a single width, networks stand side by side. What was not measured is left out, and lines end there.

    Parameters
    ----------
    result : Comparison
    ax : matplotlib.axes.Axes
    measure : str, optional
        By default the first of `usual_measures`.
    log : bool or "auto"
        Logarithmic axis; "auto" where positive values span more than a factor of 30.
    errors : bool, default=True
        Draw errors as bars, where they are known.
    legend : bool, default=True
        Name the networks, where they do not stand below the axis.
    title : bool, default=True
        Name the measure above the axes; else beside them.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no such measure, nothing of it is finite, or it has no logarithm.
    """
    name = (usual_measures(result) or [""])[0] if measure is None else measure
    value, error = shown(result, name)
    column = result.measure.tolist().index(name)
    groups, names = by_width(result), list(dict.fromkeys(result.network.tolist()))
    alone = len(groups) == 1
    for k, network in enumerate(names):
        rows = [next((i for i in group if result.network[i] == network), None) for group in groups.values()]
        places = np.array([k]) if alone else np.arange(len(rows)) + _shift(k, len(names))
        y = np.array([np.nan if i is None else value[i] for i in rows])
        spread = np.array([0.0 if i is None or not errors or not np.isfinite(error[i]) else error[i] for i in rows])
        ax.errorbar(places, y, yerr=spread, linestyle="none" if alone else "-", label=network, **looks(k))
    _axes(ax, result, groups, names, alone)
    if field.logarithmic(value, log):
        ax.set_yscale("log")
        ax.yaxis.set_minor_formatter(NullFormatter() if field.logarithmic(value) else ax.yaxis.get_minor_formatter())
    label, unit = head(result, column)
    words = f"{label} [{unit}]" if unit else label
    (ax.set_title if title else ax.set_ylabel)(words)
    if legend and not alone and len(names) > 1:
        ax.legend()
    return ax


def usual_measures(result: Comparison) -> list[str]:
    """List the measures that have a finite value, the most asked for first."""
    finite = [str(name) for j, name in enumerate(result.measure) if np.isfinite(result.value[:, j]).any()]
    return [name for name in FIRST if name in finite] + [name for name in finite if name not in FIRST]


def shown(result: Comparison, measure: str) -> tuple[np.ndarray, np.ndarray]:
    """Return values and errors of a measure (row,), as they are drawn: accuracies in percent, infinity left out.

    Raises
    ------
    ValueError
        If there is no such measure, or nothing of it is finite.
    """
    known = usual_measures(result)
    if measure not in known:
        listed = ", ".join(known) or "none"
        raise ValueError(f"Expected a measure, one of {listed}, got {measure!r}: choose one of these.")
    column, factor = result.measure.tolist().index(measure), measured.percent(result, measure)
    value = np.where(np.isfinite(result.value[:, column]), result.value[:, column], np.nan)
    return factor * value, factor * result.error[:, column]


def looks(network: int) -> dict[str, Any]:
    """Colour and mark of a network, by its number."""
    colors = rcParams["axes.prop_cycle"].by_key()["color"]
    size = rcParams["lines.markersize"]
    return {
        "color": colors[network % len(colors)], "marker": MARKERS[network % len(MARKERS)], "markersize": size,
        "linewidth": 0.8 * rcParams["lines.linewidth"], "elinewidth": 0.8 * rcParams["lines.linewidth"],
        "capsize": 0.4 * size,
    }  # fmt: skip


def _shift(network: int, count: int) -> float:
    """Stand networks beside one another, so that none hides the error of another one."""
    return 0.0 if count == 1 else APART * (network / (count - 1) - 0.5) * min(1.0, (count - 1) / 4)


def _axes(ax: Axes, result: Comparison, groups: dict[str, list[int]], names: list[str], alone: bool) -> None:
    if alone:
        ax.set_xticks(range(len(names)), names, parse_math=False)
        ax.set_xlim(-0.6, len(names) - 0.4)
        if sum(map(len, names)) > ASLANT:
            ax.tick_params(axis="x", labelrotation=30)
            for tick in ax.get_xticklabels():
                tick.set(ha="right", rotation_mode="anchor")
        return
    bits = [float(result.bits[rows[0]]) for rows in groups.values()]
    ax.set_xticks(range(len(bits)), [_short(one) for one in bits])
    ax.set(xlim=(-0.5, len(bits) - 0.5), xlabel="bits of a weight")


def _short(bits: float) -> str:
    return width_of(bits).partition(" ")[0] if np.isnan(bits) or bits == FULL else f"{bits:g}"
