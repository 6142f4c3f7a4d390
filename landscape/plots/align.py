"""The way between two networks before and after their units are aligned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import field
from landscape.plots.style import BLUE, GRAY, GREEN, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.align import Align

VIEWS = ("loss", "accuracy")
COLORS = {"before": ORANGE, "after": BLUE, "repaired": GREEN}
DASHES = ("-", "--", ":", "-.")  # one per split, so that a figure printed in gray can be read


def align(
    result: Align,
    ax: Axes,
    *,
    view: str = "loss",
    split: str | None = None,
    log: bool | str = "auto",
    band: bool = True,
    legend: bool = True,
) -> Axes:
    """Draw an `Align`: loss or accuracy along the segments before and after the permutation, and repaired.

    Parameters
    ----------
    result : Align
    ax : matplotlib.axes.Axes
    view : {"loss", "accuracy"}
    split : str, optional
        One part of the data; all of them by default.
    log : bool or "auto"
        Logarithmic loss; "auto" where it is positive and spans more than a factor of 30.
    band : bool, default=True
        Shade one standard error over examples to both sides.
    legend : bool, default=True

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If a knob has no such value, or no accuracy was measured.
    """
    if view not in VIEWS:
        raise ValueError(f"Expected a view, one of {', '.join(VIEWS)}, got {view!r}: choose one of these.")
    if getattr(result, view) is None:
        raise ValueError(f"Expected a result with `{view}`, got one without: draw the loss.")
    parts = field.splits(result) if split is None else [field.splits(result)[field.position(result, split)]]
    drawn = [_curve(ax, result, view, name, part, band) for name in curves(result) for part in parts]
    _scale(ax, result, view, np.concatenate(drawn), log)
    ax.set_xlabel(result.declared()["t"]["meaning"] + ", from the first network to the second")
    ax.margins(x=0)
    if legend:
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return ax


def curves(result: Align) -> list[str]:
    """Names of the segments that were measured."""
    return [str(name) for name in result.curve]


def _curve(ax: Axes, result: Align, view: str, name: str, part: str, band: bool) -> np.ndarray:
    """Draw one segment on one split, and return what is drawn."""
    values, error = numbers(result, view, name, part)
    color, dash = COLORS.get(name, GRAY), DASHES[field.position(result, part) % len(DASHES)]
    ax.plot(result.t, np.where(np.isfinite(values), values, np.nan), dash, color=color, label=f"{name}, {part}")
    if band:
        with np.errstate(invalid="ignore"):
            low, high = values - error, values + error
        low = np.where((low <= 0) & (values > 0), values * 1e-3, low)  # a band through zero has no place on a log axis
        finite = np.isfinite(low) & np.isfinite(high)
        ax.fill_between(result.t, low, high, where=finite, color=color, alpha=0.2, linewidth=0)
    return values


def numbers(result: Any, view: str, name: str, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return values and standard errors of one segment on one split, in the units that are drawn."""
    where = curves(result).index(name), field.position(result, part)
    factor = field.percent(view)
    return factor * getattr(result, view)[where], factor * getattr(result, f"{view}_error")[where]


def _scale(ax: Axes, result: Align, view: str, values: np.ndarray, log: bool | str) -> None:
    finite = values[np.isfinite(values)]
    ax.set_ylabel(f"{view} {field.unit(result, view)}".strip())
    if view == "loss" and finite.size and field.logarithmic(finite, log):
        ax.set_yscale("log")
        ratio = finite.max() / finite.min()
        ax.set_ylim(finite.min() / max(ratio**0.04, 1.05), finite.max() * max(ratio**0.04, 1.05))
    elif view == "loss" and finite.size and finite.min() >= 0:
        ax.set_ylim(0, 1.05 * finite.max() or 1.0)
