"""Classes as saddles: how negative their curvature is, and the density of their eigenvalues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots.interactive._numbers import BARE, light, title
from landscape.plots.interactive.spectrum import DEEP, band, smoothed
from landscape.plots.style import BLUE

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def saddle(results: dict[str, Any]) -> Figure:
    """Draw for each result the ratio of every class, and under it the densities, which the legend switches."""
    from plotly.subplots import make_subplots

    words = [title(result) for result in results.values()]
    figure = make_subplots(2, len(results), subplot_titles=words, vertical_spacing=0.16, row_heights=[0.4, 0.6])
    highest = 0.0
    for column, result in enumerate(results.values(), start=1):
        figure.add_trace(_bars(result), row=1, col=column)
        for trace in _densities(result, first=column == 1):
            figure.add_trace(trace, row=2, col=column)
            highest = max(highest, float(np.max(trace.y)))
    figure.update_yaxes(title="-smallest / largest", row=1)
    figure.update_yaxes(title="density [1/nat]", type="log", dtick=1, exponentformat="power", row=2)
    figure.update_yaxes(range=[np.log10(highest * DEEP), np.log10(highest * 2)], row=2)
    figure.update_xaxes(title="class", type="category", row=1)
    figure.update_xaxes(title="eigenvalue of the class Hessian [nat]; each class is smoothed by its own width", row=2)
    figure.update_layout(template="plotly_white", legend_title="class")
    return figure


def _bars(result: Any) -> Any:
    from plotly import graph_objects

    columns = (result.lambda_min, result.lambda_max, result.count, result.negative_mass)
    return graph_objects.Bar(
        x=[str(name) for name in result.class_], y=light(result.ratio), marker_color=BLUE, showlegend=False,
        error_y=BARE | {"array": light(result.ratio_error)}, customdata=np.stack([light(c) for c in columns], axis=1),
        hovertemplate="class %{x}, %{customdata[2]} examples<br>ratio %{y:.4g}<br>from %{customdata[0]:.4g} to "
        "%{customdata[1]:.4g} nat<br>%{customdata[3]:.2%} of the eigenvalues negative<extra></extra>",
    )  # fmt: skip


def _densities(result: Any, first: bool) -> list[Any]:
    from plotly.colors import sample_colorscale

    count = len(result.class_)
    found = []
    for index, name in enumerate(result.class_):
        alone = result.spectrum(index)
        grid, mean, error = smoothed(alone, alone.width)
        red, green, blue = sample_colorscale("Viridis", [index / max(count - 1, 1)], colortype="tuple")[0]
        color = "#" + "".join(f"{round(255 * part):02x}" for part in (red, green, blue))
        traces = band(grid, mean, error, str(name), color)
        traces[-1].showlegend = first
        found += traces
    return found

