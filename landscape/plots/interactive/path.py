"""Paths between networks: every quantity that was measured, side by side, with values under the pointer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from landscape.plots import field
from landscape.plots.along import COLORS, knots
from landscape.plots.interactive._numbers import BARE, alone, light, menu
from landscape.plots.path import panels

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

DASHES = ("solid", "dash", "dot", "dashdot")
STROKES = ("solid", "dashed", "dotted")  # the same in words
CURVATURES = ("lambda_max", "lambda_min", "tangent_curvature")
TITLES = {
    "loss": "loss", "accuracy": "accuracy [%]", "disagreement": "answers that differ [%]",
    "curvature": "curvature [nat]", "training": "objective of the training [nat]",
}  # fmt: skip


def path(results: dict[str, Any]) -> Figure:
    """Draw a panel for each quantity; curves of several results lie over one another. Names in the legend hide curves.

    Buttons choose the scale of the loss, and whether curves run over t or over their lengths.
    """
    from plotly.subplots import make_subplots

    shown = list(dict.fromkeys(name for result in results.values() for name in panels(result)))
    columns = 1 if len(shown) == 1 else 2
    rows = -(-len(shown) // columns)
    figure = make_subplots(rows, columns, subplot_titles=[_title(results, name) for name in shown])
    lengths: list[Any] = []  # of every trace, what its points have for t: None where it is no curve
    color = 0
    for name, result in results.items():
        for c, curve in enumerate(result.curve.tolist()):
            words = curve if len(results) == 1 else f"{name}: {curve}"
            for quantity in shown:
                at = shown.index(quantity)
                for trace, arc in _traces(result, quantity, c, words, COLORS[color % len(COLORS)], first=at == 0):
                    figure.add_trace(trace, row=at // columns + 1, col=at % columns + 1)
                    lengths.append(arc)
            color += 1
    _layout(figure, results, lengths)
    return figure


def _title(results: dict[str, Any], quantity: str) -> str:
    first = next(iter(results.values()))
    if quantity != "loss":
        return TITLES[quantity]
    parts = field.splits(first)
    dashes = ", ".join(f"{part} {STROKES[s % len(STROKES)]}" for s, part in enumerate(parts))
    return f"loss {field.unit(first, 'loss')}".strip() + f" ({dashes})" * (len(parts) > 1)


def _traces(result: Any, quantity: str, c: int, words: str, color: str, *, first: bool) -> Iterator[tuple[Any, Any]]:
    """Make the lines of a curve in a panel, each with the lengths that its points have in place of t."""
    if quantity not in panels(result) or (quantity == "training" and c):
        return
    t, arc = result.t, result.arc[c]
    if quantity == "training":
        yield _line(words, "black", "solid", result.epoch, result.objective, None, ""), None
    elif quantity == "curvature":
        for name, dash in zip(CURVATURES, DASHES, strict=False):
            rest = getattr(result, f"{name}_residual", None)
            error = None if rest is None else rest[c]
            yield _line(words, color, dash, result.s, getattr(result, name)[c], error, name), result.bend_arc[c]
    elif quantity == "disagreement":
        part = len(result.split) - 1
        for end, dash in zip(("first", "last"), DASHES, strict=False):
            values, error = (100 * getattr(result, f"disagreement_{end}{e}")[c, part] for e in ("", "_error"))
            yield _line(words, color, dash, t, values, error, f"{result.split[part]}, from the {end} end"), arc
    else:
        unit = field.percent(quantity)
        for s, part in enumerate(field.splits(result)):
            values, error = (unit * getattr(result, f"{quantity}{e}")[c, s] for e in ("", "_error"))
            line = _line(words, color, DASHES[s % len(DASHES)], t, values, error, f"{part} {quantity}")
            line.showlegend = first and s == 0
            yield line, arc
        marks = knots(result, str(result.curve[c]))
        if marks is not None and quantity == "loss":
            yield _marks(result, c, words, color, marks), None


def _line(words: str, color: str, dash: str, x: Any, values: Any, error: Any, told: str) -> Any:
    from plotly import graph_objects

    return graph_objects.Scatter(
        x=light(x), y=light(values), name=words, legendgroup=words, showlegend=False, mode="lines+markers",
        line={"color": color, "dash": dash}, marker={"size": 3}, connectgaps=False,
        error_y=None if error is None else BARE | {"array": light(error), "width": 0},
        hovertemplate="%{x:.3f}<br>" + told + " %{y:.4g}<extra>" + words + "</extra>",
    )  # fmt: skip


def _marks(result: Any, c: int, words: str, color: str, marks: Any) -> Any:
    """Mark the checkpoints of a chain on its loss."""
    import numpy as np
    from plotly import graph_objects

    return graph_objects.Scatter(
        x=light(marks), y=light(np.interp(marks, result.t, result.loss[c, 0])), mode="markers", legendgroup=words,
        showlegend=False, marker={"symbol": "line-ns-open", "size": 10, "color": color}, hoverinfo="skip",
    )  # fmt: skip


def _layout(figure: Figure, results: dict[str, Any], lengths: list[Any]) -> None:
    log = all(field.logarithmic(result.loss) for result in results.values())
    scales = [
        {"label": label, "method": "relayout", "args": [{"yaxis.type": kind}]}
        for label, kind in (("linear", "linear"), ("logarithmic", "log"))
    ]
    own = [trace.x for trace in figure.data]
    far = [x if arc is None else light(arc) for x, arc in zip(own, lengths, strict=True)]
    ways = [
        {"label": label, "method": "restyle", "args": [{"x": list(values)}]}
        for label, values in (("over t", own), ("over length", far))
    ]
    figure.update_yaxes(type="log" if log else "linear", row=1, col=1)
    figure.update_layout(
        title=alone(results), template="plotly_white", margin={"b": 110, "t": 90},
        updatemenus=[menu(ways, x=0, xanchor="left"), menu(scales, x=1, xanchor="right", active=int(log))],
    )  # fmt: skip
