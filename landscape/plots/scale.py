"""Contour levels: round numbers, on a logarithmic scale where the range asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots.field import field, logarithmic, percent, spacing
from landscape.plots.style import number
from landscape.result import Result

if TYPE_CHECKING:
    from matplotlib.colors import Normalize

LADDERS = ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))  # steps within a decade, finest first
MOST = 14  # more lines than this are not told apart in one column
TICKS = 10
DIGITS = range(3, 9)  # of a label: as few as do
READABLE = 0.02  # of the gap between levels, by which a label may be rounded


def levels(values: np.ndarray, *, log: bool | str = "auto", clip: float | None = None) -> np.ndarray:
    """Choose round contour levels that enclose all finite values.

    Parameters
    ----------
    values : ndarray
        NaN and infinity are passed over.
    log : bool or "auto"
        Logarithmic if True, or if "auto" finds positive values over more than a factor of 30.
    clip : float, optional
        Highest level; what lies above shares one colour.

    Returns
    -------
    ndarray of shape (count,)
        Increasing, at least two.

    Examples
    --------
    >>> levels(np.array([0.0, 1.0]))[[0, -1]]
    array([0., 1.])
    >>> levels(np.array([0.02, 60.0])).tolist()
    [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]
    """
    finite = values[np.isfinite(values)].astype(float)
    if clip is not None:
        finite = finite[finite <= clip] if (finite <= clip).any() else np.array([clip])
    if finite.size == 0:
        return np.array([0.0, 1.0])
    low, high = finite.min(), finite.max()
    if high - low <= 4 * np.finfo(float).eps * max(abs(low), abs(high)):
        room = 0.5 * abs(low) or 1.0
        return np.array([low - room, low, low + room])
    return _decades(low, high) if logarithmic(finite, log) else _linear(low, high)


def shared_levels(
    results: Iterable[Result],
    quantity: str = "loss",
    split: str | Sequence[str] | None = None,
    *,
    log: bool | str = "auto",
    clip: float | None = None,
) -> np.ndarray:
    """Choose one set of levels for several results (or splits), so that their figures can be compared.

    Parameters
    ----------
    results : iterable of Surface or Line
    quantity : str, default="loss"
    split : str or sequence of str, optional
        One split or several of each result; the first one by default.

    Returns
    -------
    ndarray of shape (count,)
        In the units that are stored: nats, or fractions for accuracies.
    """
    parts = [split] if split is None or isinstance(split, str) else list(split)
    values = [field(result, quantity, part) for result in results for part in parts]
    if not values:
        raise ValueError("Expected at least one result to take levels from, got none: pass a list of results.")
    return joint_levels(values, quantity, log=log, clip=clip)


def joint_levels(
    values: Sequence[np.ndarray], quantity: str = "loss", *, log: bool | str = "auto", clip: float | None = None
) -> np.ndarray:
    """Choose one set of levels for several grids of drawn values, as `landscape.plots.field.field` returns them.

    Returns
    -------
    ndarray of shape (count,)
        In the units that are stored.
    """
    factor = percent(quantity)
    high = None if clip is None else clip * factor
    shown = np.concatenate([np.ravel(one) for one in values])
    return levels(shown, log=spacing(quantity, log), clip=high) / factor


def scaled(values: np.ndarray, quantity: str, log: bool | str, clip: float | None) -> tuple[np.ndarray, bool]:
    """Levels for the drawn values of a quantity, and whether its colours are spaced by ratio."""
    log = spacing(quantity, log)
    clip = None if clip is None else clip * percent(quantity)
    steps = levels(values, log=log, clip=clip)
    shown = values[np.isfinite(values)]
    shown = shown if clip is None else shown[shown <= clip]
    constant = shown.size == 0 or shown.min() == shown.max()
    return steps, logarithmic(shown, log) and not constant


def norm(steps: np.ndarray, log: bool) -> Normalize:
    """Map values to colours over the range of the levels."""
    from matplotlib.colors import LogNorm, Normalize

    return (LogNorm if log else Normalize)(float(steps[0]), float(steps[-1]))


def spaced_by_ratio(steps: np.ndarray) -> bool:
    """Whether given levels are meant for a logarithmic scale: all positive, the last gap far wider than the first."""
    return bool(
        len(steps) > 2 and steps[0] > 0 and steps[-1] / steps[0] > 10 and np.diff(steps)[-1] > 3 * np.diff(steps)[0]
    )


def beyond(values: np.ndarray, steps: np.ndarray) -> str:
    """Sides on which values leave the levels, as matplotlib's ``extend``."""
    finite = values[np.isfinite(values)]
    below, above = (finite < steps[0]).any(), (finite > steps[-1]).any()
    return {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[int(below), int(above)]


def ticks(steps: np.ndarray) -> np.ndarray:
    """Thin levels to what a colour bar has room for: powers of ten first, or every other one."""
    if spaced_by_ratio(steps):
        for ladder in LADDERS:
            round_ones = steps[[any(np.isclose(_mantissa(s), rung) for rung in ladder) for s in steps]]
            if 3 <= len(round_ones) <= TICKS:
                return round_ones
    stride = -(-len(steps) // TICKS)
    offsets = range(stride)
    return max((steps[offset::stride] for offset in offsets), key=_roundness)


def labelled(steps: Iterable[float]) -> list[str]:
    """Write levels as labels, with the digits that tell neighbours apart.

    Examples
    --------
    >>> labelled([9.96, 10.0, 10.04]), labelled([2.3, 2.3025, 2.305]), labelled([0.0, 0.5, 1.0])
    (['9.96', '10', '10.04'], ['2.3', '2.3025', '2.305'], ['0', '0.5', '1'])
    """
    steps = np.asarray(list(steps), dtype=float)
    room = READABLE * np.diff(steps).min() if len(steps) > 1 else np.inf
    digits = next((d for d in DIGITS if (np.abs(_rounded(steps, d) - steps) <= room).all()), DIGITS[-1])
    return [number(step, digits) for step in steps]


def _rounded(steps: np.ndarray, digits: int) -> np.ndarray:
    return np.array([float(f"{step:.{digits - 1}e}") for step in steps])


def colorbar(drawn: Any, panels: Any, steps: np.ndarray, label: str, **place: Any) -> Any:
    """Add a colour bar whose ticks are round levels: as tall as the last of its panels, unless `place` says where."""
    last = np.atleast_1d(panels)[-1]
    place = place or {"cax": last.inset_axes([1.04, 0, 0.05, 1])}
    bar = last.figure.colorbar(drawn, label=label, **place)
    shown = ticks(steps)
    bar.set_ticks(list(shown), labels=labelled(shown))
    bar.minorticks_off()
    bar.outline.set_linewidth(0.5)
    return bar


def _linear(low: float, high: float) -> np.ndarray:
    from matplotlib.ticker import MaxNLocator

    return np.asarray(MaxNLocator(nbins=MOST - 2, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high))


def _decades(low: float, high: float) -> np.ndarray:
    first, last = int(np.floor(np.log10(low))) - 1, int(np.ceil(np.log10(high))) + 1
    for ladder in LADDERS:
        steps = np.array([rung * 10.0**exponent for exponent in range(first, last + 1) for rung in ladder])
        steps = _enclosing(steps, low, high)
        if len(steps) <= MOST:
            return steps
    stride = -(-len(steps) // MOST)
    steps = 10.0 ** np.arange(first, last + stride + 1, stride)
    return _enclosing(steps, low, high)


def _enclosing(steps: np.ndarray, low: float, high: float) -> np.ndarray:
    begin = max(np.searchsorted(steps, low * (1 + 1e-9), side="right") - 1, 0)
    return steps[begin : np.searchsorted(steps, high * (1 - 1e-9)) + 1]


def _mantissa(value: float) -> float:
    return value / 10.0 ** np.floor(np.log10(value) + 1e-9)


def _roundness(steps: np.ndarray) -> float:
    """Prefer the thinning that keeps zero, then the one with the shorter labels."""
    return 100.0 * bool((steps == 0).any()) - float(np.mean([len(number(step)) for step in steps]))
