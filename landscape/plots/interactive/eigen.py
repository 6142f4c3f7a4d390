"""Eigenvalues as bars, with their residuals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots.interactive._numbers import BARE, SERIES, alone, light, scales

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def eigen(results: dict[str, Any]) -> Figure:
    """Draw the eigenvalues of one or several models side by side; those that have not converged are pale."""
    from plotly import graph_objects

    figure = graph_objects.Figure()
    for index, (name, result) in enumerate(results.items()):
        figure.add_trace(
            graph_objects.Bar(
                x=_ranks(result), y=light(result.value), name=name, marker_color=SERIES[index % len(SERIES)],
                marker_opacity=np.where(result.converged, 1.0, 0.35),
                error_y=BARE | {"array": light(result.residual)},
                customdata=np.stack([light(result.residual), light(result.participation)], axis=1),
                hovertemplate="%{x} eigenvalue %{y:.6g}<br>residual %{customdata[0]:.2g}<br>"
                "%{customdata[1]:.3g} parameters take part<extra>" + name + "</extra>",
            )
        )  # fmt: skip
    figure.update_xaxes(title="eigenvalue, from each end of the spectrum", type="category")
    figure.update_yaxes(title="eigenvalue of the Hessian [nat]")
    figure.update_layout(
        title=alone(results), template="plotly_white", barmode="group",
        showlegend=len(results) > 1, updatemenus=[scales("yaxis", 0)], margin={"b": 130},
    )  # fmt: skip
    return figure


def _ranks(result: Any) -> list[str]:
    """Count eigenvalues from their end: largest 1, largest 2, ..., smallest 2, smallest 1."""
    ends = [str(end) for end in result.end]
    count = {end: ends.count(end) for end in set(ends)}
    return [
        f"{end} {ends[: k + 1].count(end) if end == 'largest' else count[end] - ends[:k].count(end)}"
        for k, end in enumerate(ends)
    ]
