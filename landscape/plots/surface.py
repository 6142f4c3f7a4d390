"""A surface as filled contours, as a lit relief, or as a heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import field, marking, overlay, scale
from landscape.plots.relief import cut, relief
from landscape.plots.style import COLORS, casing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.surface import Surface

VIEWS = ("contour", "3d", "heat")
QUANTITIES = field.QUANTITIES


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
    elevation: float | None = None,
    azimuth: float | None = None,
    smooth: bool | None = None,
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
    elevation, azimuth : float, optional
        Of a relief: degrees above the plane, and around it, from where it is seen.
    smooth : bool, optional
        Of a relief: round the facets between measured points, for the eye only; true unless given. Nothing is drawn
        outside the range of the corners of a cell, or over points that are not finite: see
        `landscape.plots.relief.rounded`.

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
    angles = {"elevation": elevation, "azimuth": azimuth, "smooth": smooth}
    turned = [name for name, value in angles.items() if value is not None]
    if turned and view != "3d":
        raise ValueError(f"Expected {turned[0]} of a relief, got view {view!r}: choose view '3d', or leave it out.")
    values = field.field(result, quantity, split)
    if min(values.shape) < 2:
        raise ValueError(
            f"Expected two points or more along each direction, got {values.shape}: measure a line instead."
        )
    steps, log = _scale(values, quantity, levels, log, clip)
    look = {"cmap": cmap or COLORS[quantity], "norm": scale.norm(steps, log)}
    if view == "3d":
        drawn = relief(ax, result, values, steps, look, elevation=elevation, azimuth=azimuth, smooth=smooth)
    else:
        drawn = {"contour": _contour, "heat": _heat}[view](ax, result, values, steps, look)
    if view == "contour":
        _lines(ax, result, values, steps, numbers)
    caption = field.caption(result, quantity, split)
    if colorbar:
        layout = {"ax": ax, "shrink": 0.6, "pad": 0.12, "aspect": 18} if view == "3d" else {}
        scale.colorbar(drawn, ax, steps, caption, **layout)
    if title:
        ax.set_title(caption.partition(" [")[0])
    notes = [field.missing(values), cut(values, steps, field.unit(result, quantity)) if view == "3d" else ""]
    overlay.axis_labels(ax, result, ", ".join(note for note in notes if note))
    if view == "3d":
        if landmarks:
            marking.shadow(ax, result, legend=legend)
        return ax
    if landmarks:
        overlay.landmarks(ax, result, values if quantity == "loss" else None)
    if legend:
        overlay.legend(ax)
    return ax


shared_levels = scale.shared_levels


def usual(result: Surface) -> list[list[dict[str, Any]]]:
    """Return the panels of a whole figure: the loss on every split, and the accuracy on the last one."""
    parts = field.splits(result)
    shown = [{"quantity": "loss", "split": part} for part in parts]
    return [shown + [{"quantity": "accuracy", "split": parts[-1]}] * (result.accuracy is not None)]


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
