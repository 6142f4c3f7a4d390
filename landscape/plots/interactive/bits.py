"""Networks across bit widths: a quantity over widths, the sensitivity of single weights, the ways between widths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from landscape.plots import label
from landscape.plots.interactive._numbers import BARE, SERIES, alone, light, menu
from landscape.plots.style import BLUE, GRAY, GREEN, ORANGE

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

DASHES = ("solid", "dash", "dot")  # of splits
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x", "star")  # of widths
COLORS = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#000000", GRAY)
ERRORS = ("_error", "_residual")
FIRST = ("loss", "accuracy", "loss_change", "bin_sharpness", "flip_mean", "flip_worst", "scaled", "lambda_max")


def bits(results: dict[str, Any]) -> Figure:
    """Draw any quantity over widths, which a list chooses; sensitivities with the names of weights; segments."""
    from plotly.subplots import make_subplots

    below = _below(results)
    cells: Any = [[{"colspan": 2}, None], *([[{}, {}]] if len(below) == 2 else [[{"colspan": 2}, None]] * len(below))]
    titles = ["over widths, ± one error", *(panel.title for panel in below)]
    figure = make_subplots(len(cells), 2, specs=cells, subplot_titles=titles, vertical_spacing=0.14)
    first, owners = next(iter(results.values())), []
    shown = _quantities(first)
    for index, (name, result) in enumerate(results.items()):
        for quantity in shown:
            for trace in _curves(result, quantity, name, index, len(results) > 1):
                trace.visible = quantity == shown[0]
                figure.add_trace(trace, row=1, col=1)
                owners.append(quantity)
    for column, panel in enumerate(below, start=1):
        figure.add_traces(panel.traces, rows=2, cols=column)
        owners += [""] * len(panel.traces)
        figure.update_xaxes(panel.x, row=2, col=column)
        figure.update_yaxes(panel.y, row=2, col=column)
    choices = [
        {"label": q, "method": "update",
         "args": [{"visible": [o in ("", q) for o in owners]}, {"yaxis.title.text": _axis(first, q)}]}
        for q in shown
    ]  # fmt: skip
    order = [str(b) for b in sorted({int(b) for result in results.values() for b in result.bits}, reverse=True)]
    figure.update_xaxes(title="bits of a weight", type="category", categoryarray=order, row=1, col=1)
    figure.update_yaxes(title=_axis(first, shown[0]), row=1, col=1)
    scales = [
        {"label": word, "method": "relayout", "args": [{"yaxis.type": kind}]}
        for word, kind in (("linear", "linear"), ("logarithmic", "log"))
    ]
    figure.update_layout(
        title=alone(results), template="plotly_white", margin={"b": 110}, height=820 if below else 460,
        updatemenus=[
            menu(choices, type="dropdown", direction="up", x=0, xanchor="left") | {"y": -0.09},
            menu(scales, x=1, xanchor="right", active=0) | {"y": -0.09},
        ],
    )  # fmt: skip
    return figure


class Panel(NamedTuple):
    """What stands below the quantities over widths: its title, its traces, its axes."""

    title: str
    traces: list[Any]
    x: dict[str, Any]
    y: dict[str, Any]


def _below(results: dict[str, Any]) -> list[Panel]:
    """Make the panels of what was measured: sensitivities of weights, and ways between widths."""
    first = next(iter(results.values()))
    layers, segments = [], []
    for index, (name, result) in enumerate(results.items()):
        layers += _layers(result, name, index, len(results) > 1)
        if np.array_equal(result.segment, first.segment):  # others have other places
            segments += _segments(result, name, index, len(results) > 1)
    changes = [
        {"title": f"{word} change, modulus [nat]", "type": "log", "exponentformat": "power"}
        for word in ("predicted", "measured")
    ]
    names = ["full", *map(str, first.bits.tolist())]
    widths = {"title": "bits", "tickvals": list(range(len(names))), "ticktext": names}
    losses = {"title": "loss [nat]", "type": "log", "exponentformat": "power"}
    panels = [
        Panel("one weight at a time; pale: one is negative", layers, *changes),
        Panel("from width to width", segments, widths, losses),
    ]
    return [panel for panel in panels if panel.traces]


def _quantities(result: Any) -> list[str]:
    """List what lies over widths, the most asked for first."""
    found = [
        name for name, meta in result.quantities().items()
        if meta["dims"] in (("bits",), ("split", "bits")) and getattr(result, name).dtype.kind == "f"
        and not name.endswith(ERRORS)
    ]  # fmt: skip
    return [*(n for n in FIRST if n in found), *(n for n in found if n not in FIRST)]


def _axis(result: Any, quantity: str) -> str:
    return label(result.declared()[quantity])


def _curves(result: Any, quantity: str, name: str, index: int, many: bool) -> list[Any]:
    from plotly import graph_objects

    values = getattr(result, quantity)
    if values is None:
        return []
    errors = next((e for end in ERRORS if (e := getattr(result, quantity + end, None)) is not None), None)
    found = []
    for k, part in enumerate(result.split.tolist() if values.ndim == 2 else [""]):
        row = k if values.ndim == 2 else slice(None)
        words = " ".join(word for word in (name if many else "", part) if word) or quantity
        found.append(graph_objects.Scatter(
            x=result.bits.astype(str), y=light(values[row]), mode="lines+markers", name=words, legendgroup=words,
            line={"color": SERIES[(index if many else k) % len(SERIES)], "dash": DASHES[k % len(DASHES)]},
            error_y=None if errors is None else BARE | {"array": light(errors[row])},
            hovertemplate=f"%{{x}} bits: {quantity} %{{y:.5g}}<extra>{words}</extra>",
        ))  # fmt: skip
    return found


def _layers(result: Any, name: str, index: int, many: bool) -> list[Any]:
    from plotly import graph_objects

    if result.tensor_change is None:
        return []
    found = []
    for k, count in enumerate(result.bits.tolist()):
        x, y, error = result.tensor_predicted[k], result.tensor_change[k], result.tensor_change_error[k]
        words = f"{name if many else ''} {count} bits, rank correlation {result.spearman[k]:.2f}".strip()
        found.append(graph_objects.Scatter(
            x=light(np.abs(x)), y=light(np.abs(y)), mode="markers", name=words,
            marker={"color": COLORS[(index if many else k) % len(COLORS)], "symbol": SYMBOLS[k % len(SYMBOLS)],
                    "size": 8, "opacity": np.where((x < 0) | (y < 0), 0.35, 1.0)},
            customdata=np.stack([result.tensor, *(v.astype("U12") for v in (x, y, error))], axis=1),
            hovertemplate=f"%{{customdata[0]}}, {count} bits<br>predicted %{{customdata[1]}}<br>measured "
            "%{customdata[2]} ± %{customdata[3]} nat<extra></extra>",
        ))  # fmt: skip
    ends = np.abs(np.stack([result.tensor_predicted, result.tensor_change]))
    ends = ends[(ends > 0) & np.isfinite(ends)]
    if ends.size and not index:
        sides = light([ends.min(), ends.max()])
        line = {"color": "black", "width": 0.8}
        found.append(graph_objects.Scatter(x=sides, y=sides, mode="lines", name="as predicted", line=line))
    return found


def _segments(result: Any, name: str, index: int, many: bool) -> list[Any]:
    from plotly import graph_objects

    found = []
    for k, part in enumerate(result.split.tolist()):
        words = " ".join(word for word in (name if many else "", part) if word)
        places = (np.arange(len(result.segment))[:, None] + result.t).ravel()
        ways = np.repeat([f"{way}, barrier {b:.3g} ± {e:.2g}" for way, b, e in zip(
            result.segment, result.barrier[k], result.barrier_error[k], strict=True)], len(result.t))  # fmt: skip
        found.append(graph_objects.Scatter(
            x=light(places), y=light(result.segment_loss[k].ravel()), mode="lines", name=f"{words} on the way",
            line={"color": SERIES[(index if many else k) % len(SERIES)], "dash": DASHES[k % len(DASHES)]},
            customdata=ways, hovertemplate="%{customdata}<br>loss %{y:.5g}<extra>" + words + "</extra>",
        ))  # fmt: skip
    return found
