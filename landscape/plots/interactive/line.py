"""Lines, with their errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from landscape.plots import field
from landscape.plots.interactive._grid import side_by_side
from landscape.plots.interactive._numbers import light
from landscape.plots.style import BLUE, ORANGE

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def line(results: dict[str, Any]) -> Figure:
    """Draw all splits of a quantity; buttons choose quantity and scale."""
    return side_by_side(list(results.values()), _curve, solid=False)


def _curve(result: Any, quantity: str, part: str, last: bool) -> list[Any]:
    from plotly import graph_objects

    values = field.field(result, quantity, part)
    error = getattr(result, f"{quantity}_error", None)
    errors = None if error is None else light(field.field(result, f"{quantity}_error", part))
    return [
        graph_objects.Scatter(
            x=light(result.a),
            y=light(values),
            name=f"{part} {quantity}",
            connectgaps=False,
            showlegend=last,
            error_y=None if errors is None else {"array": errors, "thickness": 0.7, "width": 0},
            line={"color": ORANGE if quantity == "accuracy" else BLUE, "dash": _dash(result, part)},
            mode="lines+markers",
            marker={"size": 3},
            hovertemplate=f"a %{{x:.3f}}<br>{part} {quantity} %{{y:.4g}}<extra></extra>",
        )  # fmt: skip
    ]


def _dash(result: Any, part: str) -> str:
    return ("solid", "dash", "dot", "dashdot")[field.position(result, part) % 4]
