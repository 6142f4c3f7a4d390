"""Loss and accuracy of a network where it stands: over all examples, and class by class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import field
from landscape.plots.along import COLORS, MARKS, finite, plain
from landscape.plots.style import GRAY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.evaluate import Evaluate

QUANTITIES = ("loss", "accuracy")
WHOLE = "all"  # name of the mean over all examples, which stands before the classes
SHORT, MANY = 2, 16  # letters of a class up to which names stand upright, and names up to which each is written
SPREAD = 0.5  # of the room of a class, over which the parts of the data stand beside each other


def evaluate(
    result: Evaluate, ax: Axes, *, quantity: str = "loss", split: str | None = None, legend: bool = True
) -> Axes:
    """Draw loss or accuracy with bars of one standard error: over all examples, then of each class.

    Parameters
    ----------
    result : Evaluate
    ax : matplotlib.axes.Axes
    quantity : {"loss", "accuracy"}
    split : str, optional
        One part of the data; all of them by default, a colour and a mark for each.
    legend : bool, default=True

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the quantity is none of these or was not measured, or there is no such split.
    """
    if quantity not in measured(result):
        raise ValueError(f"Expected a quantity, one of {', '.join(measured(result))}, got {quantity!r}: choose one.")
    parts = list(range(len(result.split))) if split is None else [field.position(result, split)]
    names, unit = [WHOLE, *_classes(result, quantity)], field.percent(quantity)
    aside = np.linspace(-SPREAD, SPREAD, len(parts) + 2)[1:-1] / 2
    for k, s in enumerate(parts):
        values, errors = (finite(unit * _row(result, f"{quantity}{end}", s, len(names))) for end in ("", "_error"))
        ax.errorbar(
            np.arange(len(names)) + aside[k], values, np.nan_to_num(errors), linestyle="none",
            color=COLORS[s % len(COLORS)], marker=MARKS[1 + s % (len(MARKS) - 1)], label=plain(str(result.split[s])),
        )  # fmt: skip
    _horizontal(ax, names)
    part = f"{plain(str(result.split[parts[0]]))} " if len(parts) == 1 else ""
    ax.set_ylabel(f"{part}{quantity} {field.unit(result, quantity)}".strip())
    if quantity == "loss" and ax.get_ylim()[0] > 0:
        ax.set_ylim(bottom=0)
    if legend and len(parts) > 1:
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(parts))
    return ax


def measured(result: Any) -> list[str]:
    """Name the quantities that a result has."""
    return [name for name in QUANTITIES if getattr(result, name) is not None]


def usual(result: Any) -> list[list[dict[str, str]]]:
    """Return the panels of a whole figure: every quantity that was measured."""
    return [[{"quantity": name} for name in measured(result)]]


def _classes(result: Any, quantity: str) -> list[str]:
    names = None if getattr(result, f"class_{quantity}") is None else result.class_
    return [] if names is None else [plain(str(name)) for name in names]


def _row(result: Any, name: str, split: int, count: int) -> np.ndarray:
    """Return the number of all examples of a split, then those of its classes; NaN where none is known."""
    classes = getattr(result, f"class_{name}") if count > 1 else np.zeros((len(result.split), 0))
    known = np.full(count - 1, np.nan) if classes is None else classes[split]
    return np.append(getattr(result, name)[split], known)


def _horizontal(ax: Axes, names: list[str]) -> None:
    kept = range(0, len(names), -(-len(names) // MANY))
    long = max(len(name) for name in names[1:] or [""]) > SHORT
    ax.set_xticks(list(kept), [names[k] for k in kept], rotation=90 if long else 0)
    ax.set_xlim(-0.6, len(names) - 0.4)
    if len(names) > 1:
        ax.axvline(0.5, color=GRAY, linewidth=0.6, linestyle=":")
        ax.set_xlabel("examples of a class")
    else:
        ax.set_xlabel("examples")
