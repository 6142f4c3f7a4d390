"""A surface as a lit relief over its contours, after Figure 1 of Li et al. (2018)."""

from __future__ import annotations

from typing import Any

import numpy as np

from landscape.plots import scale
from landscape.plots.style import number

ELEVATION, AZIMUTH = 28.0, -55.0  # degrees: where one looks from
HEIGHTS = 5  # ticks that a foreshortened axis has room for
SIDE = 101  # facets per side of a relief: more are not seen, and slow every reader down
SUN = (315, 55)  # degrees: where the light comes from, and how steeply


def relief(
    ax: Any, result: Any, values: np.ndarray, steps: np.ndarray, look: dict[str, Any], *,
    elevation: float | None = None, azimuth: float | None = None, smooth: bool | None = None,
) -> Any:  # fmt: skip
    """Draw values over a plane as a lit relief, with the bands of their levels on the floor below.

    Parameters
    ----------
    ax : Axes in three dimensions
    result : Surface, Curvature
        Whose plane it is.
    values : ndarray of shape (a, b)
    steps : ndarray of shape (count,)
        Levels. The relief is cut off at the last one, and clipped up to the first one.
    look : dict
        Colour map (cmap) and scale (norm).
    elevation, azimuth : float, optional
        Degrees above the plane, and around it: where one looks from.
    smooth : bool, optional
        Round the facets between measured points, for the eye only: see `between`. By default True. The bands below
        are of the measured points.

    Returns
    -------
    matplotlib.cm.ScalarMappable
        For a colour bar.

    Raises
    ------
    ValueError
        If an angle is not finite.

    References
    ----------
    Li, Xu, Taylor, Studer & Goldstein (2018), Visualizing the Loss Landscape of Neural Nets, arXiv:1712.09913.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    for knob, angle in (("elevation", elevation), ("azimuth", azimuth)):
        if angle is not None and not np.isfinite(angle):
            raise ValueError(f"Expected {knob} in degrees, got {angle}: choose a number, or leave it out.")
    log = isinstance(look["norm"], LogNorm)
    with np.errstate(invalid="ignore", divide="ignore"):
        height = np.log10(values) if log else np.array(values, dtype=float)
    ends = np.log10(steps[[0, -1]]) if log else steps[[0, -1]]
    height = np.where(np.isfinite(height), np.clip(height, *ends), np.nan)
    floor = ends[0] - 0.45 * (ends[1] - ends[0])
    a, b, drawn = (result.a, result.b, height) if smooth is False else rounded(result.a, result.b, height)
    _lit(ax, a, b, drawn, ends, look["cmap"])
    if np.isfinite(height).any():
        bands = np.log10(steps) if log else steps
        flat = ax.contourf(
            *np.meshgrid(result.a, result.b, indexing="ij"), np.ma.masked_invalid(height), levels=bands, zdir="z",
            offset=floor, cmap=look["cmap"],
        )  # fmt: skip
        flat.set_alpha(0.7)
        flat.set_rasterized(True)
    _axes(ax, floor, ends, steps, log)
    ax.view_init(ELEVATION if elevation is None else elevation, AZIMUTH if azimuth is None else azimuth)
    return ScalarMappable(look["norm"], look["cmap"])


def cut(values: np.ndarray, steps: np.ndarray, unit: str) -> str:
    """Say at which level a relief is cut off; empty where nothing is."""
    with np.errstate(invalid="ignore"):
        above = bool((values[np.isfinite(values)] > steps[-1]).any())
    return f"cut off at {number(float(steps[-1]))} {unit.strip('[]')}".strip() if above else ""


def rounded(a: np.ndarray, b: np.ndarray, height: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Refine a grid to about `SIDE` points per side, by monotone cubics between its points.

    Parameters
    ----------
    a, b : ndarray of shape (A,), (B,)
    height : ndarray of shape (A, B)
        NaN where there is none.

    Returns
    -------
    a, b, height : ndarray
        The points of the grid are among them, with their own heights. Between them a height lies between the lowest
        and the highest of the four corners of its cell, so that no minimum or barrier is made up; a cell with a
        corner that is NaN stays empty.
    """
    fine_a, fine_b = _fine(a), _fine(b)
    one = between(b, between(a, height, fine_a).T, fine_b).T
    other = between(a, between(b, height.T, fine_b).T, fine_a)
    return fine_a, fine_b, (one + other) / 2


def between(x: np.ndarray, y: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Interpolate columns by cubics that are monotone wherever the points are.

    Parameters
    ----------
    x : ndarray of shape (N,)
        Increasing.
    y : ndarray of shape (N, K)
        NaN where a point is missing: nothing is drawn up to it, and it does not bend what is beside it.
    at : ndarray of shape (M,)
        Within x.

    Returns
    -------
    ndarray of shape (M, K)

    References
    ----------
    Fritsch & Butland (1984), A method for constructing local monotone piecewise cubic interpolants, SIAM J. Sci. Stat.
    Comput. 5(2).
    """
    gap = np.diff(x)[:, None]
    secant = np.pad(np.diff(y, axis=0) / gap, ((1, 1), (0, 0)), constant_values=np.nan)
    before, after = secant[:-1], secant[1:]
    wide = np.pad(gap, ((1, 1), (0, 0)), mode="edge")
    first, second = 2 * wide[1:] + wide[:-1], wide[1:] + 2 * wide[:-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(before * after > 0, (first + second) / (first / before + second / after), 0.0)
    slope = np.where(np.isnan(before), after, np.where(np.isnan(after), before, mean))
    cell = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    t = ((at - x[cell]) / gap[cell, 0])[:, None]
    low, high = y[cell], y[cell + 1]
    begin, end = (gap[cell] * np.nan_to_num(slope[at]) for at in (cell, cell + 1))
    found = low * (1 + 2 * t) * (1 - t) ** 2 + high * t**2 * (3 - 2 * t) + t * (1 - t) * (begin * (1 - t) - end * t)
    found = np.where(t == 0, low, np.where(t == 1, high, found))
    return np.clip(found, np.fmin(low, high), np.fmax(low, high))  # rounding may leave the last digit beyond


def _fine(axis: np.ndarray) -> np.ndarray:
    """Divide every interval into so many that there are about `SIDE` points, without moving those that are there."""
    parts = max(1, round((SIDE - 1) / (len(axis) - 1)))
    inner = axis[:-1, None] + np.diff(axis)[:, None] * np.arange(parts) / parts
    return np.append(inner.ravel(), axis[-1])


def _lit(ax: Any, a: np.ndarray, b: np.ndarray, height: np.ndarray, ends: np.ndarray, cmap: str) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import LightSource

    share = np.nan_to_num((height - ends[0]) / (ends[1] - ends[0]))
    sizes = {"dx": 1 / max(len(a) - 1, 1), "dy": 1 / max(len(b) - 1, 1)}
    colors = colormaps[cmap](share)[..., :3]
    lit = LightSource(*SUN).shade_rgb(colors, share, fraction=0.6, blend_mode="soft", **sizes)
    lit = np.dstack([lit, np.isfinite(height)])  # what is not finite is left open
    count = min(SIDE, max(height.shape))
    ax.plot_surface(
        *np.meshgrid(a, b, indexing="ij"), height, facecolors=lit, rcount=count, ccount=count, linewidth=0,
        antialiased=False, shade=False, rasterized=True,
    )  # fmt: skip


def _axes(ax: Any, floor: float, ends: np.ndarray, steps: np.ndarray, log: bool) -> None:
    ax.set_zlim(floor, ends[1])
    shown = scale.ticks(steps)
    shown = shown[:: -(-len(shown) // HEIGHTS)]
    ax.set_zticks(np.log10(shown) if log else shown, labels=scale.labelled(shown))
    ax.set_box_aspect((1, 1, 0.8), zoom=0.85)
    ax.locator_params(axis="x", nbins=4)
    ax.locator_params(axis="y", nbins=4)
    ax.tick_params(pad=-2)
    ax.xaxis.labelpad = ax.yaxis.labelpad = -3
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.pane.set_facecolor("white")
        axis._axinfo["grid"].update(color="#dddddd", linewidth=0.4)  # matplotlib has no public name for it
