"""Matrices of pairs of networks: tiles with their numbers, one panel for each of several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rcParams

from landscape.plots import scale
from landscape.plots.style import LEAST, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WRITTEN = 9  # networks whose numbers are written into the tiles
ERRORS = 6  # networks whose errors are, in small print
PRINT = 0.53  # size of small print, over that of the type
LIGHT = 0.5  # lightness of a colour from which letters on it are dark
SAME = "#E0E0E0"  # of the diagonal, where a network meets itself


def tiles(
    ax: Axes, values: np.ndarray, names: list[str], steps: np.ndarray, *,
    errors: np.ndarray | None = None, log: bool = False, cmap: str = "viridis", corner: list[str] | None = None,
) -> Any:  # fmt: skip
    """Draw a square matrix as tiles; numbers, and errors in small print, where there is room for them.

    Parameters
    ----------
    steps : ndarray
        Levels, whose range the colours span.
    corner : list of str, optional
        What is written on the diagonal, which is gray, for there a network meets itself; 0 unless given.

    Returns
    -------
    matplotlib image
    """
    from matplotlib import colormaps

    count = len(values)
    same = np.eye(count, dtype=bool)
    norm, colors = scale.norm(steps, log), colormaps[cmap].with_extremes(bad="white")
    shown = np.where(same, np.nan, np.clip(values, steps[0], None))
    drawn = ax.imshow(np.ma.masked_invalid(shown), norm=norm, cmap=colors, interpolation="nearest")
    for k in range(count):
        ax.fill_between([k - 0.5, k + 0.5], k - 0.5, k + 0.5, color=SAME, linewidth=0)
    ax.set_xticks(range(count), names, rotation=0 if max(map(len, names)) * count <= 24 else 60)
    if max(map(len, names)) * count > 24:
        for tick in ax.get_xticklabels():
            tick.set(ha="right", rotation_mode="anchor")
    ax.set_yticks(range(count), names)
    ax.tick_params(length=0)
    ax.set_box_aspect(1)
    if count <= WRITTEN:
        _write(ax, np.where(same, np.nan, values), errors if count <= ERRORS else None, norm, colors)
        for k, text in enumerate(corner or ["0"] * count):
            ax.text(k, k, text, ha="center", va="center", fontsize="x-small")
    return drawn


def _write(ax: Axes, values: np.ndarray, errors: np.ndarray | None, norm: Any, colors: Any) -> None:
    for (i, j), value in np.ndenumerate(values):
        if i == j:
            continue
        finite = np.isfinite(value)
        color = "white" if finite and _lightness(colors(norm(value))) < LIGHT else "black"
        lifted = errors is not None and finite and errors[i, j] > 0
        ax.text(j, i - 0.12 * lifted, _short(value), ha="center", va="center", fontsize="x-small", color=color)
        if lifted and errors is not None:
            small = f"± {number(float(errors[i, j]), 2)}"
            size = max(LEAST, PRINT * rcParams["font.size"])
            ax.text(j, i + 0.22, small, ha="center", va="center", fontsize=size, color=color)


def _short(value: float) -> str:
    if not np.isfinite(value):
        return {True: "nan"}.get(bool(np.isnan(value)), "∞" if value > 0 else "−∞")
    return number(float(value), 2 if abs(value) < 10 else 3)


def _lightness(color: Any) -> float:
    red, green, blue = color[:3]
    return 0.299 * red + 0.587 * green + 0.114 * blue


def beside(ax: Axes, count: int) -> list[Axes]:
    """Divide the place of axes that are alone in their figure among several, side by side, over the whole text width.

    Axes that stand among others, or in no grid, stay one.
    """
    cell = ax.get_subplotspec()
    if count < 2 or cell is None or len(ax.figure.axes) > 1:
        return [ax]
    size = rcParams["font.size"]
    ax.figure.set_size_inches(0.82 * size, 0.82 * size / count + 0.1 * size)
    grid = cell.subgridspec(1, count)
    ax.set_subplotspec(grid[0, 0])
    return [ax, *(ax.figure.add_subplot(grid[0, k]) for k in range(1, count))]
