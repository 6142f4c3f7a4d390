"""A tree of curves between networks, with the loss along each edge beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots.interactive._numbers import alone, light
from landscape.plots.tree import layout

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def tree(results: dict[str, Any]) -> Figure:
    """Draw one or several trees, a row each; values of networks and edges are under the pointer."""
    from plotly.subplots import make_subplots

    figure = make_subplots(len(results), 2, horizontal_spacing=0.1)
    for row, (name, result) in enumerate(results.items(), start=1):
        place, residual = layout(result.distance)
        for k in range(len(result.edge)):
            color = _color(k, len(result.edge))
            for column, trace in enumerate((_edge(result, place, k, color), _loss(result, k, color)), start=1):
                figure.add_trace(trace, row=row, col=column)
        figure.add_trace(_networks(result, place), row=row, col=1)
        words = f"{name}: " if len(results) > 1 else ""
        told = f"{words}distances in the plane, off by {100 * residual:.1f} %"
        figure.update_xaxes(title=told, row=row, col=1)
        anchor = "x" if row == 1 else f"x{2 * row - 1}"
        figure.update_yaxes(scaleanchor=anchor, row=row, col=1)
        figure.update_xaxes(title="share of the way along the curve", row=row, col=2)
        figure.update_yaxes(title=f"{result.split[0]} loss [nat]", row=row, col=2)
    figure.update_layout(title=alone(results), template="plotly_white")
    return figure


def _color(k: int, count: int) -> str:
    from plotly.colors import sample_colorscale

    return sample_colorscale("Viridis", [0.85 * k / max(count - 1, 1)])[0]


def _edge(result: Any, place: np.ndarray, k: int, color: str) -> Any:
    from plotly import graph_objects

    one, other = place[result.end[k]]
    words = f"{result.edge[k]}: saddle {result.edge_saddle[k]:.5g} ± {result.edge_saddle_error[k]:.2g} nat"
    line = {"color": color, "width": 4 if result.kept[k] else 1.5, "dash": "solid" if result.kept[k] else "dot"}
    return graph_objects.Scatter(
        x=light(np.linspace(one[0], other[0], 9)), y=light(np.linspace(one[1], other[1], 9)), mode="lines", line=line,
        name=str(result.edge[k]), legendgroup=f"{k}", hovertemplate=words + "<extra></extra>",
    )  # fmt: skip


def _loss(result: Any, k: int, color: str) -> Any:
    from plotly import graph_objects

    return graph_objects.Scatter(
        x=light(result.arc[k] / result.length[k]), y=light(result.edge_loss[k, 0]), mode="lines+markers",
        line={"color": color, "dash": "solid" if result.kept[k] else "dot"}, marker={"size": 4}, showlegend=False,
        legendgroup=f"{k}", customdata=light(result.edge_loss_error[k, 0]),
        hovertemplate="loss %{y:.5g} ± %{customdata:.2g} nat<extra>" + str(result.edge[k]) + "</extra>",
    )  # fmt: skip


def _networks(result: Any, place: np.ndarray) -> Any:
    from plotly import graph_objects

    return graph_objects.Scatter(
        x=light(place[:, 0]), y=light(place[:, 1]), mode="markers+text", text=result.network.tolist(),
        textposition="top center", marker={"color": "black", "size": 8}, showlegend=False,
        customdata=light(result.loss[0]), hovertemplate="%{text}: loss %{customdata:.5g} nat<extra></extra>",
    )  # fmt: skip
