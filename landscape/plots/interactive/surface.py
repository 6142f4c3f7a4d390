"""Surfaces in three dimensions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import field, marked, scale
from landscape.plots.interactive._grid import side_by_side
from landscape.plots.interactive._moments import moments
from landscape.plots.interactive._numbers import light
from landscape.plots.interactive._slider import slider
from landscape.plots.marking import SEGMENT, looks
from landscape.plots.quantized import across
from landscape.plots.style import ORANGE

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

BETWEEN = 8  # stretches that the line from a checkpoint to the next is made of
MAPS = {"loss": "Viridis", "accuracy": "Cividis"}


def surface(results: dict[str, Any]) -> Figure:
    """Draw reliefs that turn; buttons choose quantity, split and scale.

    Several widths share one, with a slider over bits; one with runs has a slider over their checkpoints.
    """
    if across(results):
        return slider(results)
    figure = side_by_side(list(results.values()), _relief, solid=True)
    figure.update_layout(legend={"x": 0, "xanchor": "left", "y": 1, "yanchor": "top"})
    return moments(figure, *results.values()) if len(results) == 1 else figure


def _relief(result: Any, quantity: str, part: str, last: bool) -> list[Any]:
    from plotly import graph_objects

    values = field.field(result, quantity, part)
    steps, log = scale.scaled(values, quantity, "auto", None)
    height = light(values.T)  # plotly's first array axis is y, ours is a
    ticks = scale.ticks(steps)
    with np.errstate(divide="ignore", invalid="ignore"):
        color = light(np.log10(values.T) if log else values.T)  # plotly's own are wrong on the other kind of axis
    bar = {
        "title": f"{quantity} {field.unit(result, quantity)}",
        "tickvals": list(np.log10(ticks) if log else ticks),
        "ticktext": [f"{tick:.6g}" for tick in ticks],
        "len": 0.6,
    }
    digits = ".2f" if quantity == "accuracy" else ".4g"
    relief = graph_objects.Surface(
        x=light(result.a), y=light(result.b), z=height, surfacecolor=color, colorscale=MAPS[quantity], colorbar=bar,
        showscale=last, name=f"{part} {quantity}", connectgaps=False,
        hovertemplate=f"a %{{x:.3f}}<br>b %{{y:.3f}}<br>{part} {quantity} %{{z:{digits}}}<extra></extra>",
    )  # fmt: skip
    return [relief, *_marked(result, values, last)]


def _marked(result: Any, values: np.ndarray, last: bool) -> list[Any]:
    """Runs, single checkpoints and curves on the relief, at its height; what lies off the grid is left out.

    A run is a line that clings to the relief, and its checkpoints. Both bear the number of the run and of points from
    a checkpoint to the next, by which a slider finds them.
    """
    paths, lone = marked.runs(result), marked.alone(result)
    shown = last and len(paths) + len(lone) + (result.curve is not None) > 1
    found = []
    for index, (track, look) in enumerate(zip(paths, looks(paths), strict=True)):
        line = {"mode": "lines", "line": {"color": look.color, "width": 5}, "hoverinfo": "skip"}
        found.append(_trace(result, values, _finer(track), shown, meta=[index, BETWEEN], **line))
        marks = {"mode": "markers", "marker": {"size": 3, "color": look.color}}
        found.append(_trace(result, values, track, False, meta=[index, 1], **marks))
    for track in lone:
        color = "black" if paths else ORANGE
        found.append(_trace(result, values, track, shown, mode="markers", marker={"size": 4, "color": color}))
    for track in marked.curves(result):
        line = {"color": "black", "width": 4, "dash": "dash" if track.name == SEGMENT else "solid"}
        found.append(_trace(result, values, track, shown, mode="lines", line=line))
    return found


def _trace(result: Any, values: np.ndarray, track: marked.Track, shown: bool, **look: Any) -> Any:
    from plotly import graph_objects

    told = {} if "hoverinfo" in look else {"text": _told(track), "hovertemplate": "%{text}<extra></extra>"}
    return graph_objects.Scatter3d(
        x=light(track.a), y=light(track.b), z=light(marked.height(result, values, track.a, track.b)),
        name=track.name or "checkpoints", showlegend=shown, legendgroup=track.name, **told, **look,
    )  # fmt: skip


def _finer(track: marked.Track) -> marked.Track:
    """Return a run with points between its checkpoints, so that its line follows what it walks over."""
    at = np.arange(len(track.a))
    fine = np.linspace(0, len(at) - 1, (len(at) - 1) * BETWEEN + 1)
    a, b, residual = (np.interp(fine, at, values) for values in (track.a, track.b, track.residual))
    return replace(track, names=[], a=a, b=b, residual=residual)


def _told(track: marked.Track) -> list[str]:
    """Name every point, with its distance from the plane where there is one."""
    off = [f"<br>{r:.3g} off the plane" if away else "" for r, away in zip(track.residual, track.away, strict=True)]
    names = [f"{track.name} {name}" if track.name not in name else name for name in track.names]
    return [a + b for a, b in zip(names or [track.name] * len(off), off, strict=True)]
