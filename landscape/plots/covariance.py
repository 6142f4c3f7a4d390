"""Overlap of gradient covariance and Hessian: their spectra along a matrix of squared cosines, or their subspaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rcParams

from landscape.plots import field, overlay, scale
from landscape.plots.pairs import PRINT
from landscape.plots.style import BLUE, GRAY, GREEN, LEAST, ORANGE, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.covariance import Covariance

VIEWS = ("overlap", "subspace")
WRITTEN = 12  # eigenvectors whose overlaps are written into the tiles
WORTH = 0.095  # the smallest overlap that is written
LIGHT = 0.55  # share of the colours from which letters are dark


def covariance(
    result: Covariance,
    ax: Axes,
    *,
    view: str = "overlap",
    log: bool = False,
    cmap: str = "viridis",
    colorbar: bool = True,
    legend: bool = True,
) -> Axes:
    """Draw a `Covariance`.

    Parameters
    ----------
    result : Covariance
    ax : matplotlib.axes.Axes
    view : {"overlap", "subspace"}
        The matrix of squared cosines, eigenvalues of the covariance along its left and those of the Hessian along its
        upper side (if the axes are a subplot), hatched where they have not converged; or, against the dimension of the
        top subspaces, their overlap, that of random ones, and the share of the mean gradient in each.
    log : bool, default=False
        Logarithmic colours from 1 / D, what unrelated vectors have, to 1; or a logarithmic axis of shares.
    cmap : str, default="viridis"
    colorbar, legend : bool, default=True

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the view is unknown.
    """
    if view not in VIEWS:
        raise ValueError(f"Expected a view, one of {', '.join(VIEWS)}, got {view!r}: choose one of these.")
    if view == "overlap":
        return _matrix(result, ax, log, cmap, colorbar)
    return _subspaces(result, ax, log, legend)


def _matrix(result: Covariance, ax: Axes, log: bool, cmap: str, colorbar: bool) -> Axes:
    steps = _levels(result) if log else np.linspace(0, 1, 6)
    norm = scale.norm(steps, log)
    shown = np.maximum(result.overlap, steps[0])
    drawn = ax.imshow(shown, norm=norm, cmap=cmap, aspect="auto", interpolation="nearest")
    count = len(result.value)
    ticks = np.arange(0, count, -(-count // 10))
    ax.set_xticks(ticks, labels=[str(tick + 1) for tick in ticks])
    ax.set_yticks([])
    ax.set_xlabel("eigenvector of the Hessian")
    if count <= WRITTEN:
        _write(ax, result.overlap, norm)
    if colorbar:
        scale.colorbar(drawn, ax, steps, "squared cosine")
    _along(ax, result, ticks)
    return ax


def _levels(result: Covariance) -> np.ndarray:
    return scale.levels(np.array([1 / float(result.dimension), 1.0]), log=True)


def _write(ax: Axes, values: np.ndarray, norm: Any) -> None:
    size = max(LEAST, PRINT * rcParams["font.size"])
    for (i, j), value in np.ndenumerate(values):
        if value >= WORTH:
            text = "1" if value > 0.995 else f"{value:.2f}".lstrip("0")
            color = "black" if norm(value) > LIGHT else "white"
            ax.text(j, i, text, ha="center", va="center", fontsize=size, color=color)


def _along(ax: Axes, result: Covariance, ticks: np.ndarray) -> None:
    """Draw the eigenvalues as bars beside the rows and above the columns, where the axes are a cell of a grid."""
    cell = ax.get_subplotspec()
    if cell is None:
        return
    name = "second moment" if result.origin.get("matrix") == "fisher" else "covariance"
    grid = cell.subgridspec(2, 2, width_ratios=(1, 3), height_ratios=(1, 3), wspace=0.04, hspace=0.04)
    ax.set_subplotspec(grid[1, 1])
    left, upper = ax.figure.add_subplot(grid[1, 0]), ax.figure.add_subplot(grid[0, 1])
    places = np.arange(len(result.value))
    bars = left.barh(places, result.value, xerr=_within(result.residual), color=ORANGE, height=0.7)
    rows = upper.bar(places, result.hessian_value, yerr=_within(result.hessian_residual), color=BLUE, width=0.7)
    left.set(ylim=ax.get_ylim(), ylabel=f"eigenvector of the gradient {name}")
    left.set_xlabel("eigenvalue\n[nat²]", linespacing=1.0)
    left.set_yticks(ticks, labels=[str(tick + 1) for tick in ticks])
    upper.set(xlim=ax.get_xlim())
    upper.yaxis.set_label_position("right")
    upper.yaxis.tick_right()
    upper.set_ylabel("eigenvalue\n[nat]", linespacing=1.0)
    upper.set_xticks(ticks, labels=[])
    for axis, values in ((left.xaxis, result.value), (upper.yaxis, result.hessian_value)):
        _scale(axis, values)
    left.invert_xaxis()
    for patches, converged in ((bars, result.converged), (rows, result.hessian_converged)):
        for patch, good in zip(patches, converged, strict=True):
            if not good:
                patch.set(hatch="xxxx", edgecolor="white")
    left.spines[["top", "left"]].set_visible(False)
    upper.spines[["top", "left"]].set_visible(False)


def _within(residual: np.ndarray) -> np.ndarray | None:
    """Residual bars, unless there is nothing to be seen."""
    return residual if (residual > 0).any() else None


def _scale(axis: Any, values: np.ndarray) -> None:
    """Space eigenvalues by ratio where they are positive over more than a factor of 30, with few ticks."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    if not field.logarithmic(values):
        axis.set_major_locator(MaxNLocator(2 if axis.axis_name == "x" else 3))
        return
    (axis.axes.set_xscale if axis.axis_name == "x" else axis.axes.set_yscale)("log")
    axis.set_major_locator(LogLocator(numticks=4))
    axis.set_major_formatter(lambda value, _: number(value))
    axis.set_minor_formatter(NullFormatter())


def _subspaces(result: Covariance, ax: Axes, log: bool, legend: bool) -> Axes:
    curves = (
        (result.subspace_overlap, BLUE, "o-", "overlap of the subspaces"),
        (result.random_overlap, GRAY, ":", f"random subspaces, $k/D$, $D$ = {number(float(result.dimension))}"),
        (result.hessian_gradient_share, GREEN, "s--", "gradient in the Hessian's"),
        (result.gradient_share, ORANGE, "^--", "gradient in the covariance's"),
    )
    for values, color, look, name in curves:
        ax.plot(result.k, values, look, color=color, label=name, markersize=3, clip_on=False)
    ax.set(xlabel="dimension $k$ of the top subspaces", ylabel="share")
    if log:
        ax.set_yscale("log")
        ax.set_ylim(top=1.1)
    else:
        ax.set_ylim(0, 1.02)
    ax.xaxis.get_major_locator().set_params(integer=True)
    if legend:
        overlay.legend(ax)
    return ax
