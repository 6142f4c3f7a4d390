"""A study: one measure at a time, a row for every method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots.interactive._numbers import BARE, SERIES, alone, light, menu, seethrough
from landscape.plots.study import label, shown

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

ASIDE = 0.22  # of a row, by which single seeds stand below the interval of their method


def study(results: dict[str, Any]) -> Figure:
    """Draw changes against the baseline with their intervals, and single seeds; a list chooses the measure."""
    from plotly import graph_objects

    figure, owners, axes = graph_objects.Figure(), [], {}
    rows = {str(method): k for k, method in enumerate(dict.fromkeys(m for r in results.values() for m in r.method[1:]))}
    for index, (name, result) in enumerate(results.items()):
        for k, measure in enumerate(result.measure.tolist()):
            found = shown(result, k)
            axes.setdefault(measure, found)
            color = SERIES[index % len(SERIES)]
            figure.add_traces([_seeds(result, found, rows, name, color), _means(result, k, found, rows, name, color)])
            owners += [measure, measure]
    first = next(iter(axes), None)
    for trace, owner in zip(figure.data, owners, strict=True):
        trace.visible = owner == first
    choices = [
        {"label": name, "method": "update", "args": [{"visible": [o == name for o in owners]}, _axis(name, found)]}
        for name, found in axes.items()
    ]
    if first is not None:
        figure.update_layout({key.replace(".", "_"): value for key, value in _axis(first, axes[first]).items()})
    figure.update_yaxes(
        range=[len(rows) - 0.5, -0.5], tickvals=list(rows.values()), ticktext=list(rows), zeroline=False,
    )  # fmt: skip
    figure.update_layout(
        title=alone(results), template="plotly_white", margin={"b": 130},
        updatemenus=[menu(choices, type="dropdown", direction="up", x=0, xanchor="left")],
    )  # fmt: skip
    return figure


def _axis(name: str, found: dict[str, Any]) -> dict[str, Any]:
    words = f"{name}: {label(found)}"
    line = {"type": "line", "x0": found["none"], "x1": found["none"], "y0": 0, "y1": 1, "yref": "paper"}
    return {"xaxis.title.text": words, "xaxis.type": "log" if found["log"] else "linear", "shapes": [line]}


def _seeds(result: Any, found: dict[str, Any], rows: dict[str, int], name: str, color: str) -> Any:
    """Draw single seeds below the interval of their method, where they hide nothing of it."""
    from plotly import graph_objects

    count = len(result.seed)
    return graph_objects.Scatter(
        x=light(found["seeds"][1:].ravel()), y=np.repeat([rows[str(m)] + ASIDE for m in result.method[1:]], count),
        mode="markers", name=f"{name} seeds", marker={"color": seethrough(color, 0.35), "size": 6}, showlegend=False,
        customdata=[f"{method}, seed {seed}" for method in result.method[1:] for seed in result.seed],
        hovertemplate="%{customdata}: %{x:.4g}<extra></extra>",
    )  # fmt: skip


def _means(result: Any, k: int, found: dict[str, Any], rows: dict[str, int], name: str, color: str) -> Any:
    from plotly import graph_objects

    mean, low, high = (found[end][1:] for end in ("mean", "low", "high"))
    words = [
        (method, f"Holm p {p:.2g}, {wins} of {pairs}: {verdict}")
        for method, p, wins, pairs, verdict in zip(
            *(column[1:] for column in (result.method, result.p_holm[:, k], result.wins[:, k], result.pairs[:, k])),
            result.verdict[1:, k], strict=True,
        )
    ]
    return graph_objects.Scatter(
        x=light(mean), y=[rows[str(m)] for m in result.method[1:]], mode="markers", name=name,
        marker={"color": color, "size": 9},
        error_x=BARE | {"array": light(high - mean), "arrayminus": light(mean - low)}, customdata=words,
        hovertemplate="%{customdata[0]}: %{x:.4g}<br>%{customdata[1]}<extra></extra>",
    )  # fmt: skip
