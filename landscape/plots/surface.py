"""A surface as filled contours, as a lit relief, or as a heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import field, marking, overlay, scale
from landscape.plots.style import COLORS, casing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.surface import Surface

VIEWS = ("contour", "3d", "heat")
HEIGHTS = 6  # ticks that a foreshortened axis has room for
SIDE = 101  # facets per side of a relief: more are not seen, and slow every reader down


def surface(
    result: Surface,
    ax: Axes,
    *,
    view: str = "contour",
    quantity: str = "loss",
    split: str | None = None,
    levels: Any = None,
    log: bool | str = "auto",
    clip: float | None = None,
    cmap: str | None = None,
    colorbar: bool = True,
    numbers: bool = True,
    landmarks: bool = True,
    legend: bool = True,
    title: bool = True,
) -> Axes:
    """Draw one quantity of a `Surface`; the first direction runs to the right, the second one up.

    Parameters
    ----------
    result : Surface
        Where it holds several draws of the directions, loss and accuracy are medians over the draws.
    ax : matplotlib.axes.Axes
        With projection "3d" for the relief.
    view : {"contour", "3d", "heat"}
        Filled contours with labelled lines; a lit relief over its contours; one tile per grid point.
    quantity : {"loss", "accuracy", "loss_error", "accuracy_error", "spread"}
        ``spread`` is the 10-90 % range of the loss over the draws of the directions.
    split : str, optional
        Part of the data, the first one by default.
    levels : array of shape (count,), optional
        Contour levels in nats, or as fractions for accuracies; see `shared_levels`.
    log : bool or "auto"
        Logarithmic colours and levels; "auto" where positive values span more than a factor of 30.
    clip : float, optional
        Highest level when `levels` is not given, in the same units; what lies above shares one colour.
    cmap : str, optional
        A colour map of matplotlib.
    colorbar, numbers, landmarks, legend, title : bool, default=True
        What to add: the colour bar; the levels on contour lines; center, minimum and checkpoints; the
        legend of these; the title. Under a relief, checkpoints lie on the floor.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If a knob has no such value, the quantity was not measured, or the axes do not fit the view.

    Notes
    -----
    Values that are not finite stay blank, hatched and counted: they are never replaced.
    """
    if view not in VIEWS:
        raise ValueError(f"Expected a view, one of {', '.join(VIEWS)}, got {view!r}: choose one of these.")
    if (view == "3d") != (ax.name == "3d"):
        need = "axes with" if view == "3d" else "axes without"
        raise ValueError(f"Expected {need} projection='3d' for view {view!r}, got {ax.name!r} ones: pass no axes.")
    values = field.field(result, quantity, split)
    if min(values.shape) < 2:
        raise ValueError(
            f"Expected two points or more along each direction, got {values.shape}: measure a line instead."
        )
    steps, log = _scale(values, quantity, levels, log, clip)
    look = {"cmap": cmap or COLORS[quantity], "norm": scale.norm(steps, log)}
    drawn = {"contour": _contour, "heat": _heat, "3d": _relief}[view](ax, result, values, steps, look)
    if view == "contour":
        _lines(ax, result, values, steps, numbers)
    caption = field.caption(result, quantity, split)
    if colorbar:
        layout = {"ax": ax, "shrink": 0.6, "pad": 0.12, "aspect": 18} if view == "3d" else {}
        scale.colorbar(drawn, ax, steps, caption, **layout)
    if title:
        ax.set_title(caption.partition(" [")[0])
    overlay.axis_labels(ax, result, field.missing(values))
    if view == "3d":
        if landmarks:
            marking.shadow(ax, result)
        return ax
    if landmarks:
        overlay.landmarks(ax, result, values if quantity == "loss" else None)
    if legend:
        overlay.legend(ax)
    return ax


shared_levels = scale.shared_levels


def _scale(
    values: np.ndarray, quantity: str, given: Any, log: bool | str, clip: float | None
) -> tuple[np.ndarray, bool]:
    """Levels to draw, and whether colours are spaced by ratio."""
    if given is None:
        return scale.scaled(values, quantity, log, clip)
    steps = np.asarray(given, dtype=float) * field.percent(quantity)
    if steps.ndim != 1 or len(steps) < 2 or not (np.diff(steps) > 0).all():
        raise ValueError(f"Expected at least two increasing levels, got {given}: sort them.")
    return steps, scale.spaced_by_ratio(steps) if log == "auto" else bool(log) and steps[0] > 0


def _contour(ax: Axes, result: Surface, values: np.ndarray, steps: np.ndarray, look: dict[str, Any]) -> Any:
    grid = np.ma.masked_invalid(values.T)  # matplotlib's first array axis is the vertical one, ours the horizontal one
    filled = ax.contourf(result.a, result.b, grid, levels=steps, extend=scale.beyond(values, steps), **look)
    filled.set_edgecolor("face")  # else readers of PDF show hairlines between neighbouring bands
    filled.set_linewidth(0.4)
    if not np.isfinite(values).all():
        overlay.hatch(ax)
    return filled


def _lines(ax: Axes, result: Surface, values: np.ndarray, steps: np.ndarray, numbers: bool) -> None:
    """Draw contour lines, with their levels on them if there is room."""
    grid = np.ma.masked_invalid(values.T)
    finite = values[np.isfinite(values)]
    inner = [step for step in steps if finite.size and finite.min() < step < finite.max()]
    if not inner:
        return
    lines = ax.contour(result.a, result.b, grid, levels=inner, colors="white", linewidths=0.5, linestyles="solid")
    if not numbers:
        return
    shown = [step for step in inner if step in scale.ticks(np.asarray(inner))]
    texts = lines.clabel(shown, fontsize="x-small", fmt=dict(zip(inner, scale.labelled(inner), strict=True)))
    for text in texts:
        text.set(color="black", path_effects=casing(1.5))


def _heat(ax: Axes, result: Surface, values: np.ndarray, steps: np.ndarray, look: dict[str, Any]) -> Any:
    grid = np.ma.masked_invalid(values.T)
    drawn = ax.pcolormesh(result.a, result.b, grid, shading="nearest", rasterized=True, **look)
    if not np.isfinite(values).all():
        overlay.hatch(ax)
    return drawn


def _relief(ax: Any, result: Surface, values: np.ndarray, steps: np.ndarray, look: dict[str, Any]) -> Any:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LightSource, LogNorm

    log = isinstance(look["norm"], LogNorm)
    with np.errstate(invalid="ignore", divide="ignore"):
        height = np.log10(values) if log else np.array(values, dtype=float)
    ends = np.log10(steps[[0, -1]]) if log else steps[[0, -1]]
    height = np.where(np.isfinite(height), np.clip(height, *ends), np.nan)
    floor = ends[0] - 0.45 * (ends[1] - ends[0])
    a, b = np.meshgrid(result.a, result.b, indexing="ij")
    share = (height - ends[0]) / (ends[1] - ends[0])
    colors = colormaps[look["cmap"]](np.nan_to_num(share))
    sizes = {"dx": 1 / max(len(result.a) - 1, 1), "dy": 1 / max(len(result.b) - 1, 1)}
    sun = LightSource(azdeg=315, altdeg=60)
    lit = sun.shade_rgb(colors[..., :3], np.nan_to_num(share), fraction=0.5, blend_mode="soft", **sizes)
    lit = np.dstack([lit, np.isfinite(height)])  # what is not finite is left open
    count = min(SIDE, max(height.shape))
    ax.plot_surface(
        a, b, height, facecolors=lit, rcount=count, ccount=count, linewidth=0, antialiased=False, shade=False,
        rasterized=True,
    )  # fmt: skip
    if np.isfinite(height).any():
        bands = np.log10(steps) if log else steps
        flat = ax.contourf(a, b, np.ma.masked_invalid(height), levels=bands, zdir="z", offset=floor, cmap=look["cmap"])
        flat.set_alpha(0.7)
        flat.set_rasterized(True)
    _relief_axes(ax, floor, ends, steps, log)
    return ScalarMappable(look["norm"], look["cmap"])


def _relief_axes(ax: Any, floor: float, ends: np.ndarray, steps: np.ndarray, log: bool) -> None:
    ax.set_zlim(floor, ends[1])
    shown = scale.ticks(steps)
    shown = shown[:: -(-len(shown) // HEIGHTS)]
    ax.set_zticks(np.log10(shown) if log else shown, labels=scale.labelled(shown))
    ax.set_box_aspect((1, 1, 0.8), zoom=0.85)
    ax.view_init(elev=28, azim=-55)
    ax.locator_params(axis="x", nbins=5)
    ax.locator_params(axis="y", nbins=5)
    ax.tick_params(pad=-2)
    ax.xaxis.labelpad = ax.yaxis.labelpad = -3
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.pane.set_facecolor("white")
        axis._axinfo["grid"].update(color="#dddddd", linewidth=0.4)  # matplotlib has no public name for it
