"""Networks along curves asked together: accuracy, loss and calibration against distance; buttons for the curve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from landscape.plots import field
from landscape.plots.ensembling import HORIZONTAL, LOOKS, VIEWS, WORDS, horizontal, lines
from landscape.plots.interactive._numbers import BARE, alone, light, menu

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PANELS = ("accuracy", "loss", "calibration")
DASHES = {"-": "solid", "--": "dash", ":": "dot"}
Choice = tuple[str, int, int]  # name of the result, number of the curve, number of the split


def ensembling(results: dict[str, Any]) -> Figure:
    """Draw one curve and split at a time; buttons choose among all of them."""
    from plotly.subplots import make_subplots

    choices = [
        (name, c, s)
        for name, result in results.items()
        for c in range(len(result.curve))
        for s in reversed(range(len(result.split)))
    ]
    figure = make_subplots(1, len(PANELS), horizontal_spacing=0.08)
    for choice in choices:
        for column, view in enumerate(PANELS, start=1):
            for trace in _traces(results, choice, view):
                trace.visible = choice == choices[0]
                figure.add_trace(trace, row=1, col=column)
    for column, view in enumerate(PANELS, start=1):
        figure.update_yaxes(title=VIEWS[view], row=1, col=column)
    figure.update_xaxes(title=_across(results, choices[0]))
    figure.update_layout(
        title=alone(results), template="plotly_white", updatemenus=[_buttons(results, choices)], margin={"b": 140},
        legend={"orientation": "h", "x": 0.5, "xanchor": "center", "y": 1.02, "yanchor": "bottom"},
    )  # fmt: skip
    return figure


def _traces(results: dict[str, Any], choice: Choice, view: str) -> list[Any]:
    from plotly import graph_objects

    name, c, s = choice
    result = results[name]
    _, x = horizontal(result, c)
    return [
        graph_objects.Scatter(
            x=light(x), y=light(values), error_y=BARE | {"array": light(errors)}, name=WORDS[way], legendgroup=way,
            showlegend=view == PANELS[0], mode="lines+markers", connectgaps=False, customdata=light(result.t),
            line={"color": LOOKS[way]["color"], "dash": DASHES[LOOKS[way].get("linestyle", "-")]},
            hovertemplate=f"t %{{customdata:.3f}}<br>{VIEWS[view]} %{{y:.4g}}<extra>{WORDS[way]}</extra>",
        )
        for way, values, errors in lines(result, view, c, s)
    ]  # fmt: skip


def _buttons(results: dict[str, Any], choices: list[Choice]) -> dict[str, Any]:
    """Make a button for every curve and split, of every result."""
    traces = len(PANELS) * len(LOOKS)
    buttons = [
        {
            "label": _label(results, choice),
            "method": "update",
            "args": [
                {"visible": [choice == other for other in choices for _ in range(traces)]},
                {f"xaxis{column or ''}.title.text": _across(results, choice) for column in ("", 2, 3)},
            ],
        }
        for choice in choices
    ]
    return menu(buttons, x=0, xanchor="left")


def _label(results: dict[str, Any], choice: Choice) -> str:
    name, c, s = choice
    words = [*[name] * (len(results) > 1), str(results[name].curve[c]), field.splits(results[name])[s]]
    return ", ".join(words)


def _across(results: dict[str, Any], choice: Choice) -> str:
    name, c, _ = choice
    return HORIZONTAL[horizontal(results[name], c)[0]]
