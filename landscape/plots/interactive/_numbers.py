"""Numbers and words as pages carry them."""

from __future__ import annotations

from typing import Any

import numpy as np

from landscape.plots.figure import heading
from landscape.plots.style import BLUE, GRAY, GREEN, ORANGE
from landscape.result import Result

SERIES = (BLUE, ORANGE, GREEN, GRAY, "#CC79A7", "#E69F00", "#56B4E9")  # of several models, in this order
BARE = {"thickness": 0.8, "width": 4}  # error bars


def light(values: Any) -> np.ndarray:
    """float32, with NaN for everything that is not finite."""
    with np.errstate(over="ignore"):
        small = np.ascontiguousarray(values, dtype=np.float32)
    return np.where(np.isfinite(small), small, np.float32("nan"))


def title(result: Result) -> str:
    """Return the heading of a result in the page's own markup."""
    return heading(result).replace("\n", "<br>")


def alone(results: dict[str, Any]) -> str:
    """Return the heading of a single result; several are told apart by their names."""
    return title(next(iter(results.values()))) if len(results) == 1 else ""


def seethrough(color: str, opacity: float) -> str:
    """Write a colour of six hexadecimal digits with an opacity."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def scales(axis: str, active: int) -> dict[str, Any]:
    """Buttons that choose between a linear and a logarithmic axis."""
    kinds = (("linear", {"type": "linear", "dtick": None}), ("logarithmic", {"type": "log", "dtick": 1}))
    buttons = [
        {"label": name, "method": "relayout", "args": [{f"{axis}.{key}": value for key, value in kind.items()}]}
        for name, kind in kinds
    ]
    return menu(buttons, x=1, xanchor="right", active=active)


def menu(buttons: list[dict], **placed: Any) -> dict[str, Any]:
    """Lay buttons out in a row below a figure."""
    look = {"type": "buttons", "direction": "right", "yanchor": "top", "y": -0.14, "showactive": True}
    return look | {"buttons": buttons} | placed
