"""Loss and accuracy of networks where they stand: over all examples, then class by class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import field
from landscape.plots.interactive._numbers import BARE, SERIES, alone, light, menu

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

QUANTITIES = ("loss", "accuracy")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x")
WHOLE = "all examples"


def evaluate(results: dict[str, Any]) -> Figure:
    """Draw loss or accuracy with bars of one standard error, a colour and a mark for each network and split."""
    from plotly import graph_objects

    figure, owners = graph_objects.Figure(), []
    shown = [name for name in QUANTITIES if all(getattr(result, name) is not None for result in results.values())]
    pairs = [(name, result, part) for name, result in results.items() for part in field.splits(result)]
    for quantity in shown:
        for k, (name, result, part) in enumerate(pairs):
            x, y, error = _numbers(result, quantity, field.position(result, part))
            words = f"{name} {part}" if len(results) > 1 else part
            figure.add_trace(graph_objects.Scatter(
                x=x, y=light(y), error_y=BARE | {"array": light(error)}, mode="markers", name=words,
                visible=quantity == shown[0],
                marker={"color": SERIES[k % len(SERIES)], "symbol": SYMBOLS[k % len(SYMBOLS)], "size": 9},
                hovertemplate=f"%{{x}}: %{{y:.5g}}<extra>{words}</extra>",
            ))  # fmt: skip
            owners.append(quantity)
    titles = {q: f"{q} {field.unit(next(iter(results.values())), q)}".strip() for q in shown}
    choices = [
        {"label": q, "method": "update", "args": [{"visible": [o == q for o in owners]}, {"yaxis.title.text": title}]}
        for q, title in titles.items()
    ]
    figure.update_xaxes(type="category", title="examples of a class")
    figure.update_yaxes(title=titles[shown[0]])
    figure.update_layout(
        title=alone(results), template="plotly_white", margin={"b": 130}, scattermode="group", scattergap=0.6,
        showlegend=True, updatemenus=[menu(choices, x=0, xanchor="left")],
    )  # fmt: skip
    return figure


def _numbers(result: Any, quantity: str, split: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return names, values and errors, as they are shown: of all examples of a split, then of every class."""
    unit, names, values, errors = field.percent(quantity), [WHOLE], [], []
    for end, numbers in (("", values), ("_error", errors)):
        numbers.append(np.atleast_1d(getattr(result, f"{quantity}{end}")[split]))
        known = getattr(result, f"class_{quantity}{end}")
        numbers.append(np.full(_count(result, quantity), np.nan) if known is None else known[split])
    names += [str(name) for name in result.class_] if _count(result, quantity) else []
    return names, unit * np.concatenate(values), unit * np.concatenate(errors)


def _count(result: Any, quantity: str) -> int:
    names = result.class_
    return 0 if names is None or getattr(result, f"class_{quantity}") is None else len(names)
