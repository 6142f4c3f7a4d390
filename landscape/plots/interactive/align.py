"""The way between two networks before and after their units are aligned, to be read off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from landscape.plots import align as still
from landscape.plots import field
from landscape.plots.interactive._numbers import BARE, GRAY, alone, light, scales

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

DASHES = ("solid", "dash", "dot", "dashdot")


def align(results: dict[str, Any]) -> Figure:
    """Draw loss and, where it was measured, accuracy along the segments of one or several results."""
    from plotly.subplots import make_subplots

    views = [view for view in still.VIEWS if all(getattr(r, view) is not None for r in results.values())]
    figure = make_subplots(1, len(views), horizontal_spacing=0.1)
    for name, result in results.items():
        words = f"{name}: " if len(results) > 1 else ""
        for column, view in enumerate(views, start=1):
            for curve in still.curves(result):
                for part in field.splits(result):
                    figure.add_trace(_curve(result, view, curve, part, words, column == 1), row=1, col=column)
    first = next(iter(results.values()))
    for column, view in enumerate(views, start=1):
        figure.update_xaxes(title=first.declared()["t"]["meaning"], row=1, col=column)
        figure.update_yaxes(title=f"{view} {field.unit(first, view)}".strip(), row=1, col=column)
    log = field.logarithmic(first.loss)
    figure.update_yaxes(type="log" if log else "linear", dtick=1 if log else None, row=1, col=1)
    figure.update_layout(title=alone(results), template="plotly_white", updatemenus=[scales("yaxis", int(log))])
    return figure


def _curve(result: Any, view: str, curve: str, part: str, words: str, shown: bool) -> Any:
    from plotly import graph_objects

    values, errors = still.numbers(result, view, curve, part)
    name = f"{words}{curve}, {part}"
    return graph_objects.Scatter(
        x=light(result.t), y=light(values), name=name, legendgroup=name, showlegend=shown, connectgaps=False,
        line={"color": still.COLORS.get(curve, GRAY), "dash": DASHES[field.position(result, part) % len(DASHES)]},
        mode="lines+markers", marker={"size": 3}, error_y=BARE | {"array": light(errors), "width": 0},
        hovertemplate=f"t %{{x:.3f}}<br>{view} %{{y:.4g}}<extra>{name}</extra>",
    )  # fmt: skip
