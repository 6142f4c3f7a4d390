"""Barriers between all pairs of networks as tiles, with values under the pointer and a list of quantities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots.barriers import NAMES
from landscape.plots.interactive._numbers import alone, light, menu

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def barriers(results: dict[str, Any]) -> Figure:
    """Draw one or several results side by side, each split a panel; a list chooses the quantity."""
    from plotly.subplots import make_subplots

    panels = [(name, s) for name, result in results.items() for s in range(len(result.split))]
    titles = [" ".join(filter(None, [name * (len(results) > 1), str(results[name].split[s])])) for name, s in panels]
    figure = make_subplots(1, len(panels), subplot_titles=titles)
    shown = [q for q in NAMES if all(getattr(result, q) is not None for result in results.values())]
    owners = []
    for quantity in shown:
        for column, (name, s) in enumerate(panels, start=1):
            trace = _tiles(results[name], quantity, s, column == len(panels), quantity == shown[0])
            figure.add_trace(trace, row=1, col=column)
            owners.append(quantity)
    buttons = [
        {"label": q, "method": "restyle", "args": [{"visible": [owner == q for owner in owners]}]} for q in shown
    ]
    for column in range(1, len(panels) + 1):
        anchor = "x" if column == 1 else f"x{column}"
        figure.update_yaxes(scaleanchor=anchor, autorange="reversed", row=1, col=column)
    figure.update_yaxes(type="category", constrain="domain")
    figure.update_xaxes(type="category", constrain="domain")
    figure.update_layout(
        title=alone(results), template="plotly_white", margin={"b": 130},
        updatemenus=[menu(buttons, type="dropdown", direction="up", x=0, xanchor="left")],
    )  # fmt: skip
    return figure


def _tiles(result: Any, quantity: str, split: int, bar: bool, visible: bool) -> Any:
    from plotly import graph_objects

    values = getattr(result, quantity)
    errors = getattr(result, f"{quantity}_error", np.zeros_like(values))
    values, errors = (values, errors) if quantity == "distance" else (values[split], errors[split])
    factor = 100 if quantity in ("drop", "disagreement") else 1
    names = result.first.tolist()
    largest = factor * np.nanmax(np.where(np.isfinite(getattr(result, quantity)), getattr(result, quantity), np.nan))
    return graph_objects.Heatmap(
        x=names, y=names, z=light(factor * values),
        customdata=np.stack([light(factor * errors), light(result.t[split])], -1),
        colorscale="Viridis", zmin=0, zmax=float(largest) or 1.0, showscale=bar, visible=visible,
        colorbar={"title": NAMES[quantity]}, hoverongaps=False,
        hovertemplate="%{y} to %{x}: %{z:.5g} ± %{customdata[0]:.2g}<br>highest at t = %{customdata[1]:.3g}"
        "<extra></extra>",
    )  # fmt: skip
