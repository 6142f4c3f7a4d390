"""Surfaces in three dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import field, scale
from landscape.plots.interactive._grid import side_by_side
from landscape.plots.interactive._numbers import light
from landscape.plots.interactive._slider import slider
from landscape.plots.quantized import across
from landscape.plots.style import ORANGE

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MAPS = {"loss": "Viridis", "accuracy": "Cividis"}


def surface(results: dict[str, Any]) -> Figure:
    """Draw reliefs that turn; buttons choose quantity, split and scale. Several widths share one, with a slider."""
    if across(results):
        return slider(results)
    return side_by_side(list(results.values()), _relief, solid=True)


def _relief(result: Any, quantity: str, part: str, last: bool) -> list[Any]:
    from plotly import graph_objects

    values = field.field(result, quantity, part)
    steps, log = scale.scaled(values, quantity, "auto", None)
    height = light(values.T)  # plotly's first array axis is y, ours is a
    ticks = scale.ticks(steps)
    with np.errstate(divide="ignore", invalid="ignore"):
        color = light(np.log10(values.T)) if log else None
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
    return [relief, *_path(result, values, f"{part} {quantity}")]


def _path(result: Any, values: np.ndarray, name: str) -> list[Any]:
    """Checkpoints on the relief, each at the height of the nearest grid point of the plane."""
    from plotly import graph_objects

    path = field.trajectory(result)
    if path is None or path["b"] is None:
        return []
    nearest = [
        np.abs(axis[None] - steps[:, None]).argmin(1) for axis, steps in ((result.a, path["a"]), (result.b, path["b"]))
    ]
    residual = path["residual"] if path["residual"] is not None else np.full(len(path["a"]), np.nan)
    off = [f"<br>{r:.3g} off the plane" if np.isfinite(r) else "" for r in residual]
    return [
        graph_objects.Scatter3d(
            x=light(path["a"]),
            y=light(path["b"]),
            z=light(values[tuple(nearest)]),
            name=f"checkpoints, {name}",
            mode="lines+markers" if path["path"] else "markers",
            marker={"size": 3, "color": ORANGE},
            line={"color": ORANGE, "width": 4},
            text=[n + o for n, o in zip(path["names"], off, strict=True)],
            hovertemplate="checkpoint %{text}<extra></extra>",
            showlegend=False,
        )  # fmt: skip
    ]
