"""Runs that walk over one relief: a slider over their checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import field, marked
from landscape.plots.interactive._grid import EYE
from landscape.plots.interactive._slider import AT_ONCE

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

DOT, HEAD = 3, 7  # sizes of a checkpoint, and of the one where a run stands


def moments(figure: Figure, result: Any) -> Figure:
    """Give a figure a slider over the checkpoints of its runs, at the last one; nothing, if there are none.

    A trace of a run bears as its `meta` the number of the run, and how many points lie from a checkpoint to the next.
    What buttons choose and how the relief is turned stay; it is first seen from where it is low.
    """
    from plotly import graph_objects

    tracks = marked.runs(result)
    if not tracks:
        return figure
    moving = [index for index, trace in enumerate(figure.data) if trace.type == "scatter3d" and trace.meta is not None]
    steps, own = marked.steps(tracks), figure.data
    figure.frames = [
        graph_objects.Frame(
            name=str(place), traces=moving, data=[_until(own[k], counts[own[k].meta[0]]) for k in moving]
        )
        for place, (_, counts) in enumerate(steps)
    ]
    marks = [
        {"label": name, "method": "animate", "args": [[str(place)], AT_ONCE]} for place, (name, _) in enumerate(steps)
    ]
    for index in moving:
        own[index].update(_until(own[index], steps[-1][1][own[index].meta[0]]))
    slider = {"steps": marks, "active": len(steps) - 1, "x": 0.06, "len": 0.88, "y": -0.08, "pad": {"t": 10}}
    figure.update_scenes(uirevision="kept", camera_eye=_eye(result))
    figure.update_layout(sliders=[slider | {"currentvalue": {"visible": False}}], margin={"b": 150})
    return figure


def _until(trace: Any, count: int) -> dict[str, Any]:
    """Return a run as far as it has come: its first checkpoints, the last of them larger, or the line through them."""
    here = slice(max(count - 1, 0) * trace.meta[1] + (count > 0))
    found = {"type": "scatter3d", "x": trace.x[here], "y": trace.y[here], "z": trace.z[here]}
    if trace.mode == "lines":
        return found
    size = [DOT] * (count - 1) + [HEAD] * (count > 0)
    return found | {"text": list(trace.text[here]), "marker": {"size": size, "color": trace.marker.color}}


def _eye(result: Any) -> dict[str, float]:
    """Return where to look from: the corner at which the loss is lowest, so that it hides nothing."""
    loss = field.field(result)
    low = [np.nan_to_num(half.mean(), nan=np.inf) for half in (loss[:1], loss[-1:], loss[:, :1], loss[:, -1:])]
    return EYE | {"x": EYE["x"] * (1 - 2 * (low[0] < low[1])), "y": EYE["y"] * (1 - 2 * (low[2] < low[3]))}
