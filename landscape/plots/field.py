"""What is drawn: one quantity of a surface or a line, on one split of the data."""

from __future__ import annotations

from typing import Any

import numpy as np

from landscape.plots.style import number
from landscape.result import Result

QUANTITIES = ("loss", "accuracy", "loss_error", "accuracy_error", "spread")
BAND = (10, 90)  # percentiles of the draws that a band shows
SQUARES = ("mse", "mae", "huber")  # losses in units of the targets, not in nats
DECADES = 30.0  # largest over smallest value from which a logarithmic scale is easier to read


def splits(result: Any) -> list[str]:
    """Names of the parts of the data, in the order of the arrays."""
    return [str(name) for name in result.split]


def position(result: Result, split: str | None = None) -> int:
    """Index of a split; the first one when none is named.

    Raises
    ------
    ValueError
        If the result has no such split.
    """
    known = splits(result)
    if split is None:
        return 0
    if split not in known:
        raise ValueError(f"Expected a split, one of {', '.join(known)}, got {split!r}: choose one that was measured.")
    return known.index(split)


def field(result: Result, quantity: str = "loss", split: str | None = None) -> np.ndarray:
    """Numbers of one quantity on one split, in the units that are drawn (accuracies in percent).

    Where several draws of the directions were measured, loss and accuracy are the medians over the draws.

    Parameters
    ----------
    result : Surface or Line
    quantity : {"loss", "accuracy", "loss_error", "accuracy_error", "spread"}
        ``spread`` is the 10-90 % range of the loss over the draws.
    split : str, optional

    Returns
    -------
    ndarray of shape (a, b) or (a,)

    Raises
    ------
    ValueError
        If the quantity is unknown or was not measured.
    """
    if quantity not in QUANTITIES:
        raise ValueError(f"Expected a quantity, one of {', '.join(QUANTITIES)}, got {quantity!r}: choose one of these.")
    where = position(result, split)
    if quantity == "spread":
        low, high = band(result, "loss", split)
        with np.errstate(invalid="ignore"):
            return high - low
    draws = getattr(result, f"draw_{quantity}", None)
    values = getattr(result, quantity) if draws is None else draws
    if values is None:
        raise ValueError(f"Expected a result with `{quantity}`, got one without: measure it, or draw the loss.")
    values = values[where] if draws is None else np.median(draws[:, where], axis=0)
    return values * percent(quantity)


def band(result: Result, quantity: str = "loss", split: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """10th and 90th percentile of a quantity over the draws of the directions.

    Raises
    ------
    ValueError
        If a single draw was measured.
    """
    draws = getattr(result, f"draw_{quantity}", None)
    if draws is None:
        raise ValueError(f"Expected several draws of the directions, got one: measure `draw_{quantity}` (--draws 5).")
    with np.errstate(invalid="ignore"):
        low, high = np.percentile(draws[:, position(result, split)], BAND, axis=0)
    return low * percent(quantity), high * percent(quantity)


def percent(quantity: str) -> float:
    """Factor from stored to drawn units: fractions become percent in labels only."""
    return 100.0 if "accuracy" in quantity else 1.0


def caption(result: Any, quantity: str, split: str | None = None) -> str:
    """Name of a drawn quantity with its unit: ``test loss [nat]``."""
    part = splits(result)[position(result, split)]
    words = {"loss_error": "loss, standard error", "accuracy_error": "accuracy, standard error"}
    words["spread"] = f"loss, {BAND[0]}–{BAND[1]} % range over draws"
    median = getattr(result, f"draw_{quantity}", None) is not None
    words |= {name: f"{name}, median of {len(result.draw)} draws" for name in ("loss", "accuracy") if median}
    return f"{part} {words.get(quantity, quantity)} {unit(result, quantity)}".strip()


def unit(result: Result, quantity: str) -> str:
    """Unit of a drawn quantity in brackets; none for errors of regression, whose unit is that of the targets."""
    if percent(quantity) > 1:
        return "[%]"
    name = "loss" if quantity == "spread" else quantity
    stated = result.declared()[name]["unit"]
    loss = str(result.origin.get("loss", ""))
    return f"[{stated}]" if stated and not (stated == "nat" and loss in SQUARES) else ""


def spacing(quantity: str, log: bool | str) -> bool | str:
    """Leave "auto" to quantities that may span decades; accuracies are linear unless asked otherwise."""
    return False if log == "auto" and percent(quantity) > 1 else log


def logarithmic(values: np.ndarray, log: bool | str = "auto") -> bool:
    """Whether values ask for a logarithmic scale: all positive, over more than a factor of 30.

    Raises
    ------
    ValueError
        If `log` is neither a boolean nor "auto", or is True for values that are not all positive.
    """
    if log not in (True, False, "auto"):
        raise ValueError(f"Expected log to be True, False or 'auto', got {log!r}: choose one of these.")
    finite = values[np.isfinite(values)]
    positive = finite.size > 0 and finite.min() > 0
    if log is True and finite.size and not positive:
        raise ValueError(f"Expected positive values on a logarithmic scale, got {finite.min():g}: draw with log=False.")
    if log == "auto":
        return bool(positive and finite.max() / finite.min() > DECADES)
    return bool(log) and positive


def center(result: Result) -> tuple[int, ...] | None:
    """Index of the grid point at the center of the plane or line; None if the grid does not reach it."""
    axes = [getattr(result, dim) for dim in ("a", "b") if hasattr(result, dim)]
    if any(axis.min() > 0 or axis.max() < 0 for axis in axes):
        return None
    return tuple(int(np.abs(axis).argmin()) for axis in axes)


def lowest(values: np.ndarray) -> tuple[int, ...] | None:
    """Index of the smallest finite value; None if there is none."""
    finite = np.where(np.isfinite(values), values, np.inf)
    if not np.isfinite(finite).any():
        return None
    return tuple(int(i) for i in np.unravel_index(finite.argmin(), finite.shape))


def missing(values: np.ndarray) -> str:
    """Sentence on points that cannot be drawn, empty if there are none."""
    lost = int((~np.isfinite(values)).sum())
    return f"hatched: {lost} of {values.size} points not finite" if lost else ""


def explained(result: Result, axis: int) -> str:
    """Share of the trajectory's variance along an axis, in words; empty if unknown."""
    shares = getattr(result, "explained", None)
    if shares is None or not np.isfinite(shares[axis]):
        return ""
    return f"{number(100 * shares[axis])} % of variance"
