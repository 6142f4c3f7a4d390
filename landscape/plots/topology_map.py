"""A loss with its basins: outlined and numbered on a plane, coloured along a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import field, overlay, scale
from landscape.plots.along import color
from landscape.plots.style import COLORS, casing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.basins.topology import Topology


def topology_map(
    result: Topology, ax: Axes, part: str, named: dict[int, str], levels: Any, log: bool | str, *, colorbar: bool,
    legend: bool,
) -> Axes:  # fmt: skip
    """Draw the loss of a part of the data, and what is known of its basins."""
    loss = field.field(result, "loss", part)
    if len(result.b) == 1:
        _line(ax, result, part, named, loss[:, 0], log)
    else:
        _plane(ax, result, part, loss, levels, log, colorbar)
    _marks(ax, result, part, named)
    if legend:
        overlay.legend(ax)
    return ax


def _plane(ax: Axes, result: Any, part: str, loss: np.ndarray, levels: Any, log: bool | str, colorbar: bool) -> None:
    steps, ratio = scale.scaled(loss, "loss", log, None)
    if levels is not None:
        steps = np.asarray(levels, dtype=float)
        ratio = scale.spaced_by_ratio(steps) if log == "auto" else bool(log) and steps[0] > 0
    grid = np.ma.masked_invalid(loss.T)
    look = {"cmap": COLORS["loss"], "norm": scale.norm(steps, ratio), "extend": scale.beyond(loss, steps)}
    filled = ax.contourf(result.a, result.b, grid, levels=steps, **look)
    filled.set_edgecolor("face")
    filled.set_linewidth(0.4)
    if not np.isfinite(loss).all():
        overlay.hatch(ax)
    look = {"color": "black", "linewidth": 0.9, "path_effects": casing(2.2), "solid_capstyle": "round", "zorder": 3}
    ax.plot(*borders(result, part), **look)
    if colorbar:
        scale.colorbar(filled, ax, steps, field.caption(result, "loss", part))
    ax.set(xlim=result.a[[0, -1]], ylim=result.b[[0, -1]], box_aspect=1)
    ax.set_xlabel("\n".join(["first direction", field.missing(loss)]).strip())
    ax.set_ylabel("second direction")


def borders(result: Any, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the lines between grid points that belong to different basins: stretches with NaN between them."""
    owner = result.catchment[field.position(result, part)]
    a, b = (np.concatenate([s[:1], (s[1:] + s[:-1]) / 2, s[-1:]]) for s in (result.a, result.b))
    i, j = np.nonzero(owner[1:] != owner[:-1])
    upright = np.stack([a[i + 1], a[i + 1], np.full(len(i), np.nan)]), np.stack([b[j], b[j + 1], b[j]])
    i, j = np.nonzero(owner[:, 1:] != owner[:, :-1])
    level = np.stack([a[i], a[i + 1], np.full(len(i), np.nan)]), np.stack([b[j + 1], b[j + 1], b[j]])
    x, y = (np.concatenate([one.T.ravel(), other.T.ravel()]) for one, other in zip(upright, level, strict=True))
    return x, y


def _line(ax: Axes, result: Any, part: str, named: dict[int, str], loss: np.ndarray, log: bool | str) -> None:
    where = field.position(result, part)
    shown = np.where(np.isfinite(loss), loss, np.nan)
    error = result.loss_error[where, :, 0]
    if np.isfinite(error).any():
        ax.fill_between(result.a, shown - error, shown + error, color="#999999", alpha=0.3, linewidth=0)
    ax.plot(result.a, shown, color="#999999", linewidth=0.8)
    for index, row in enumerate(named):
        own = result.catchment[where, :, 0] == row
        ax.plot(result.a, np.where(own, shown, np.nan), color=color(index), linewidth=1.4)
    if field.logarithmic(loss, log):
        ax.set_yscale("log")
    along = "t" if result.origin.get("surface", {}).get("kind") not in (None, "Line") else "step along the direction"
    ax.set_xlabel("\n".join([along, field.missing(loss).replace("hatched", "left out")]).strip())
    ax.set_ylabel(field.caption(result, "loss", part))


def _marks(ax: Axes, result: Any, part: str, named: dict[int, str]) -> None:
    """Mark minima and saddles; basins that are told from noise by their numbers."""
    rows = result.rows(part)
    flat = len(result.b) == 1
    upward = (result.birth, result.death) if flat else (result.minimum_b, result.saddle_b)
    spots = {"minimum": (result.minimum_a, upward[0]), "saddle": (result.saddle_a, upward[1])}

    def places(chosen: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
        return spots[what][0][chosen], spots[what][1][chosen]

    sure = rows[result.told[rows]]
    rest = rows[~result.told[rows]]
    open_ = {"marker": "o", "linestyle": "none", "markerfacecolor": "none", "markersize": 3, "clip_on": False}
    if len(rest):
        ax.plot(*places(rest, "minimum"), markeredgecolor="#bbbbbb" if not flat else "#777777",
                label="minimum, not told from noise", zorder=4, **open_)  # fmt: skip
    merged = sure[result.parent[sure] >= 0]
    if len(merged):
        cross = {"marker": "X", "linestyle": "none", "color": "white", "markeredgecolor": "black", "markersize": 5}
        ax.plot(*places(merged, "saddle"), label="saddle between basins", zorder=5, **cross)
    dot = {"marker": "o", "linestyle": "none", "color": "white", "markeredgecolor": "black", "clip_on": False}
    ax.plot(*places(sure, "minimum"), label="minimum of a basin", markersize=4.5, zorder=5, **dot)
    look = {"xytext": (4, 3), "textcoords": "offset points", "fontsize": "small", "path_effects": casing(2)}
    for row, (x, y) in zip(sure.tolist(), zip(*places(sure, "minimum"), strict=True), strict=True):
        if named.get(row):
            ax.annotate(named[row], (x, y), annotation_clip=False, zorder=6, **look)
