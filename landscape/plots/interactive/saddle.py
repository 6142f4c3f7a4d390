"""Classes as saddles: how negative their curvature is, and the density of their eigenvalues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots.interactive._numbers import BARE, SERIES, light, title
from landscape.plots.interactive.spectrum import DEEP, band, smoothed
from landscape.plots.style import BLUE, ORANGE

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

ACROSS = 5  # panels of classes in a row


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



def ratios(results: dict[str, Any]) -> Figure:
    """Draw the ratio of every class of one or several results side by side."""
    from plotly import graph_objects

    figure = graph_objects.Figure()
    for index, (name, result) in enumerate(results.items()):
        bars = _bars(result)
        figure.add_trace(bars.update(name=name, marker_color=SERIES[index % len(SERIES)], showlegend=len(results) > 1))
    figure.update_xaxes(title="class", type="category")
    figure.update_yaxes(title="-smallest / largest eigenvalue")
    figure.update_layout(template="plotly_white", barmode="group")
    return figure


def grid(results: dict[str, Any]) -> Figure:
    """Draw a panel for each class of one result with the density of its eigenvalues; negative ones are shaded."""
    from plotly.subplots import make_subplots

    (result,) = results.values()
    names = [str(name) for name in result.class_]
    columns = min(len(names), ACROSS)
    rows = -(-len(names) // columns)
    numbers = zip(names, result.ratio, result.ratio_error, strict=True)
    told = [f"{name}: {ratio:.2g} ± {error:.1g}" for name, ratio, error in numbers]
    figure = make_subplots(
        rows, columns, subplot_titles=told, shared_xaxes="all", shared_yaxes="all", vertical_spacing=0.3 / rows,
        horizontal_spacing=0.02,
    )  # fmt: skip
    highest = 0.0
    for index, name in enumerate(names):
        alone = result.spectrum(index)
        for trace in band(*smoothed(alone, alone.width), name, BLUE):
            trace.showlegend = False
            figure.add_trace(trace, row=index // columns + 1, col=index % columns + 1)
            highest = max(highest, float(np.max(trace.y)))
    figure.add_vrect(x0=float(np.min(result.lambda_min)), x1=0, fillcolor=ORANGE, opacity=0.12, line_width=0)
    figure.update_yaxes(type="log", dtick=2, exponentformat="power")
    figure.update_yaxes(range=[np.log10(highest * DEEP), np.log10(highest * 2)])
    figure.update_xaxes(title="eigenvalue [nat]", row=rows)
    figure.update_yaxes(title="density [1/nat]", col=1)
    figure.update_annotations(font_size=12)
    figure.update_layout(template="plotly_white", height=230 * rows + 60)
    return figure
