"""A map of the Hessian's extreme eigenvalues over a plane, under contours of the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import field, overlay, scale
from landscape.plots.style import casing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.curvature import Curvature

TITLES = {
    "lambda_max": r"$\lambda_{\max}$",
    "lambda_min": r"$\lambda_{\min}$",
    "ratio": r"$|\lambda_{\min}|\,/\,|\lambda_{\max}|$",
    "products": "products used",
}
QUANTITIES = tuple(TITLES)
ENDS = {"lambda_max": ("max",), "lambda_min": ("min",), "ratio": ("max", "min"), "products": ("max", "min")}
COLORS = {"lambda_max": "viridis", "lambda_min": "viridis", "ratio": "magma", "products": "cividis"}
DIVERGING = "RdBu_r"  # for values of both signs, centered at zero
LINES = 6  # contours of the loss, at most: they lie over a map of something else


def curvature(
    result: Curvature,
    ax: Axes,
    *,
    quantity: str = "lambda_max",
    contours: bool = True,
    split: str | None = None,
    log: bool | str = "auto",
    clip: float | None = None,
    cmap: str | None = None,
    colorbar: bool = True,
    landmarks: bool = True,
    legend: bool = True,
    title: bool = True,
) -> Axes:
    """Draw one quantity of a `Curvature`, a tile for each point; the first direction runs to the right.

    Parameters
    ----------
    result : Curvature
    ax : matplotlib.axes.Axes
    quantity : {"lambda_max", "lambda_min", "ratio", "products"}
        ``ratio`` is ``|lambda_min| / |lambda_max|``: near zero where the landscape is nearly convex.
    contours : bool, default=True
        Lay labelled contours of the loss over the map.
    split : str, optional
        Whose loss the contours show, the first one by default. Eigenvalues are always those of the first.
    log : bool or "auto"
        Logarithmic colours; "auto" where positive values span more than a factor of 30.
    clip : float, optional
        Highest level; what lies above shares one colour.
    cmap : str, optional
        A colour map of matplotlib; by default a diverging one where eigenvalues have both signs.
    colorbar, landmarks, legend, title : bool, default=True
        What to add: the colour bar; center and checkpoints; the legend of these; the title.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If a knob has no such value.

    Notes
    -----
    Points whose eigenvalues have not converged are hatched over their colour, and counted; points where they are not
    finite stay blank, on a hatched ground.
    """
    if quantity not in TITLES:
        raise ValueError(f"Expected a quantity, one of {', '.join(TITLES)}, got {quantity!r}: choose one of these.")
    values = np.asarray(getattr(result, quantity), dtype=float)
    steps, look = _colors(values, quantity, log, clip, cmap)
    grid = np.ma.masked_invalid(values.T)  # matplotlib's first array axis is the vertical one, ours the horizontal one
    drawn = ax.pcolormesh(result.a, result.b, grid, shading="nearest", rasterized=True, **look)
    if not np.isfinite(values).all():
        overlay.hatch(ax)
    waiting = _unfinished(result, quantity, values)
    _hatch_tiles(ax, result, waiting)
    if contours:
        _contours(ax, result, split)
    caption = TITLES[quantity] + ("" if quantity in ("ratio", "products") else f" [{_unit(result, quantity)}]")
    if colorbar:
        scale.colorbar(drawn, ax, steps, caption)
    if title:
        ax.set_title(_title(result, quantity, contours, split))
    overlay.axis_labels(ax, result, "\n".join(note for note in _notes(values, waiting) if note))  # pyright: ignore
    if landmarks:
        overlay.landmarks(ax, result)  # pyright: ignore
    if legend:
        overlay.legend(ax)
    return ax


def _colors(
    values: np.ndarray, quantity: str, log: bool | str, clip: float | None, cmap: str | None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Levels of the colour bar; colour map and norm."""
    finite = values[np.isfinite(values)]
    signed = finite.size > 0 and finite.min() < 0 < finite.max() and quantity.startswith("lambda")
    if not signed:
        steps, ratio = scale.scaled(values, quantity, log, clip)
        return steps, {"cmap": cmap or COLORS[quantity], "norm": scale.norm(steps, ratio)}
    reach = np.abs(finite).max() if clip is None else clip
    steps = scale.levels(np.array([-reach, reach]), log=False)
    return steps, {"cmap": cmap or DIVERGING, "norm": scale.norm(steps, False)}


def _unfinished(result: Curvature, quantity: str, values: np.ndarray) -> np.ndarray:
    """Whether the drawn value of a point (a, b) is there but has not converged."""
    reached = np.logical_and.reduce([getattr(result, f"lambda_{end}_converged") for end in ENDS[quantity]])
    return np.isfinite(values) & ~reached


def _hatch_tiles(ax: Axes, result: Curvature, waiting: np.ndarray) -> None:
    from matplotlib.patches import Rectangle

    (left, right), (low, high) = _edges(result.a), _edges(result.b)
    for i, j in np.argwhere(waiting):
        ax.add_patch(
            Rectangle(
                (left[i], low[j]), right[i] - left[i], high[j] - low[j],
                facecolor="none", edgecolor="white", hatch="xxx", linewidth=0,
            )
        )  # fmt: skip


def _edges(axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges of tiles around evenly spaced steps."""
    half = (axis[1] - axis[0]) / 2
    return axis - half, axis + half


def _contours(ax: Axes, result: Curvature, split: str | None) -> None:
    loss = result.loss[field.position(result, split)]
    steps = scale.levels(loss, log="auto")
    finite = loss[np.isfinite(loss)]
    inner = [step for step in steps if finite.size and finite.min() < step < finite.max()]
    inner = inner[:: -(-len(inner) // LINES) or 1]
    if not inner:
        return
    lines = ax.contour(
        result.a, result.b, np.ma.masked_invalid(loss.T), levels=inner, colors="white", linewidths=0.9,
        linestyles="solid",
    )  # fmt: skip
    lines.set_path_effects(casing(1.6, "black"))
    texts = lines.clabel(inner, fontsize="x-small", fmt=dict(zip(inner, scale.labelled(inner), strict=True)))
    for text in texts:
        text.set(color="black", path_effects=casing(1.5))


def _title(result: Curvature, quantity: str, contours: bool, split: str | None) -> str:
    first, part = field.splits(result)[0], field.splits(result)[field.position(result, split)]
    name = TITLES[quantity] if quantity == "products" else f"{TITLES[quantity]} of the Hessian, {first}"
    return name + (f"; contours: {part} loss {field.unit(result, 'loss')}".rstrip() if contours else "")


def _unit(result: Curvature, quantity: str) -> str:
    return result.declared()[quantity]["unit"]


def _notes(values: np.ndarray, waiting: np.ndarray) -> tuple[str, str]:
    lost = int((~np.isfinite(values)).sum())
    count = int(waiting.sum())
    return (
        f"cross-hatched: {count} of {values.size} points not converged" if count else "",
        f"left open: {lost} of {values.size} points not finite" if lost else "",
    )
