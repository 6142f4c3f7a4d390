"""Maps of the Hessian's extreme eigenvalues, under contours of the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots.interactive._numbers import light, menu, title

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

QUANTITIES = {"lambda_max": "largest eigenvalue [nat]", "lambda_min": "smallest eigenvalue [nat]",
              "ratio": "|smallest| / |largest| eigenvalue", "products": "products used"}  # fmt: skip
MAPS = {"products": "Cividis", "ratio": "Magma"}


def curvature(results: dict[str, Any]) -> Figure:
    """Draw a tile for each point; buttons choose what its colour tells. White lines are contours of the loss."""
    from plotly.subplots import make_subplots

    shown = list(results.values())
    figure = make_subplots(1, len(results), subplot_titles=[title(result) for result in shown])
    owners: list[str] = []  # the button that each trace belongs to; contours belong to none
    for column, result in enumerate(shown, start=1):
        for name in QUANTITIES:
            figure.add_trace(_tiles(result, name, last=column == len(results)), row=1, col=column)
            owners.append(name)
        figure.add_trace(_contours(result), row=1, col=column)
        owners.append("")
    buttons = [
        {"label": words, "method": "restyle", "args": [{"visible": [owner in ("", name) for owner in owners]}]}
        for name, words in QUANTITIES.items()
    ]
    for trace, owner in zip(figure.data, owners, strict=True):
        trace.visible = owner in ("", next(iter(QUANTITIES)))
    metas = shown[0].declared()
    figure.update_xaxes(title=metas["a"]["meaning"])
    figure.update_yaxes(title=metas["b"]["meaning"])
    figure.update_layout(
        template="plotly_white", updatemenus=[menu(buttons, x=0, xanchor="left")], margin={"b": 130, "t": 70}
    )
    return figure


def _tiles(result: Any, name: str, *, last: bool) -> Any:
    from plotly import graph_objects

    values = np.asarray(getattr(result, name), dtype=float)
    finite = values[np.isfinite(values)]
    signed = finite.size > 0 and finite.min() < 0 < finite.max()
    rest = np.zeros_like(values) if name == "products" else np.asarray(getattr(result, f"{name}_residual"))
    reach = {"zmid": 0, "colorscale": "RdBu_r"} if signed else {"colorscale": MAPS.get(name, "Viridis")}
    return graph_objects.Heatmap(
        x=light(result.a), y=light(result.b), z=light(values.T), customdata=light(rest.T), showscale=last,
        colorbar_title=QUANTITIES[name], hoverongaps=False, **reach,
        hovertemplate="a %{x:.3f}<br>b %{y:.3f}<br>" + name + " %{z:.4g} ± %{customdata:.1g}<extra></extra>",
    )  # fmt: skip


def _contours(result: Any) -> Any:
    from plotly import graph_objects

    return graph_objects.Contour(
        x=light(result.a), y=light(result.b), z=light(result.loss[0].T), showscale=False, hoverinfo="skip",
        contours={"coloring": "lines", "showlabels": True, "labelfont": {"color": "white"}},
        colorscale=[[0, "white"], [1, "white"]], line_width=1.5, ncontours=8,
    )  # fmt: skip
