"""Densities of eigenvalues of one or several models, with one standard error over probes, and both ends."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots.interactive._numbers import SERIES, alone, light, menu, scales, seethrough

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

ROOM = 3  # widths of the smoothing beyond both ends
FINE, MOST = 4, 10_000  # points of a curve for each width of the smoothing, and in all
PEAK = np.linspace(-ROOM, ROOM, 6 * FINE + 1)  # points about what was taken out, in widths
DEEP = 1e-7  # of the highest density, below which nothing is shown: bells have no end


def spectrum(results: dict[str, Any]) -> Figure:
    """Draw densities over one pair of axes, with a band of one standard error; buttons choose the scales."""
    from plotly import graph_objects

    figure = graph_objects.Figure()
    highest = 0.0
    width = max(result.width for result in results.values())  # one for all: else heights would not compare
    for index, (name, result) in enumerate(results.items()):
        color = SERIES[index % len(SERIES)]
        grid, mean, error = smoothed(result, width)
        highest = max(highest, float(mean.max()))
        for trace in band(grid, mean, error, name, color):
            figure.add_trace(trace)
        figure.add_trace(_ends(result, mean, name, color))
    figure.update_xaxes(title="eigenvalue [nat]")
    figure.update_yaxes(title="density of eigenvalues [1/nat]", type="log", dtick=1, exponentformat="power")
    figure.update_yaxes(range=[np.log10(highest * DEEP), np.log10(highest * 3)])
    figure.update_layout(
        title=alone(results), template="plotly_white", hovermode="x unified",
        updatemenus=[menu(_views(highest), x=0, xanchor="left"), scales("xaxis", 0)], margin={"b": 130},
    )  # fmt: skip
    return figure


def smoothed(result: Any, width: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return eigenvalues, the density there and its standard error, each (G,)."""
    low, high = float(result.node.min()), float(result.node.max())
    taken = getattr(result, "outlier", None)
    if taken is not None and len(taken):
        low, high = min(low, float(taken.min())), max(high, float(taken.max()))
    room = ROOM * width
    grid = np.linspace(low - room, high + room, min(MOST, math.ceil(FINE * (high - low + 2 * room) / width)))
    if taken is not None:
        grid = np.union1d(grid, taken[:, None] + width * PEAK)
    return grid, *result.density(grid, width)


def band(grid: np.ndarray, mean: np.ndarray, error: np.ndarray, name: str, color: str) -> list[Any]:
    """A curve, and the band of one standard error about it; the legend's entry switches both."""
    from plotly import graph_objects

    error = np.nan_to_num(error)
    floor = max(float(mean.max()), np.finfo(float).tiny) * DEEP
    low, high = np.maximum(mean - error, floor / 10), np.maximum(mean + error, floor / 10)
    edge = {"x": light(grid), "mode": "lines", "line": {"width": 0}, "legendgroup": name, "showlegend": False}
    edge |= {"hoverinfo": "skip"}
    return [
        graph_objects.Scatter(y=light(high), **edge),
        graph_objects.Scatter(y=light(low), fill="tonexty", fillcolor=seethrough(color, 0.25), **edge),
        graph_objects.Scatter(
            x=light(grid), y=light(np.maximum(mean, floor / 10)), name=name, legendgroup=name, showlegend=True,
            line={"color": color}, customdata=light(error),
            hovertemplate="%{y:.3g} ± %{customdata:.2g}<extra>" + name + "</extra>",
        ),
    ]  # fmt: skip


def _ends(result: Any, mean: np.ndarray, name: str, color: str) -> Any:
    """Smallest and largest eigenvalue, with their residuals."""
    from plotly import graph_objects

    values = np.array([float(result.smallest), float(result.largest)])
    residuals = np.array([float(result.smallest_residual), float(result.largest_residual)])
    return graph_objects.Scatter(
        x=light(values), y=light(np.full(2, float(mean.max()) * DEEP * 3)), mode="markers", legendgroup=name,
        showlegend=False, marker={"color": color, "symbol": "triangle-down", "size": 11},
        error_x={"array": light(residuals)}, customdata=light(residuals),
        hovertemplate="%{x:.6g}, residual %{customdata:.1g}<extra>" + name + "</extra>",
    )  # fmt: skip


def _views(highest: float) -> list[dict]:
    low, high = float(np.log10(highest * DEEP)), float(np.log10(highest * 3))
    log = {"yaxis.type": "log", "yaxis.dtick": 1, "yaxis.range": [low, high]}
    linear = {"yaxis.type": "linear", "yaxis.dtick": None, "yaxis.range": [0, highest * 1.05]}
    return [
        {"label": "logarithmic density", "method": "relayout", "args": [log]},
        {"label": "linear density", "method": "relayout", "args": [linear]},
    ]
