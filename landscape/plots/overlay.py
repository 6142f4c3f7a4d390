"""What is laid over a drawing: center, minimum, what is marked, hatching, notes, axis labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import rcParams

from landscape.plots import field, marking
from landscape.plots.style import casing, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.surface import Surface



def landmarks(ax: Axes, result: Surface, values: np.ndarray | None = None) -> None:
    """Mark the center, the lowest grid point where that is not the center, and the checkpoints.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    result : Surface
    values : ndarray of shape (a, b), optional
        The drawn loss; without it no minimum is marked.
    """
    marking.drawn(ax, result)
    middle = field.center(result)
    if middle is not None:
        _mark(ax, result, middle, "+", "center")
    least = None if values is None else field.lowest(values)
    if values is None or least is None or least == middle:
        return
    if middle is None or not values[middle] <= values[least]:  # a center that is NaN is no minimum
        _mark(ax, result, least, "x", f"minimum {number(values[least])}")


def _mark(ax: Axes, result: Surface, index: tuple[int, ...], marker: str, name: str) -> None:
    spot = [result.a[index[0]]], [result.b[index[1]]]
    size = 1.5 * rcParams["lines.markersize"]
    look = {"linestyle": "none", "marker": marker, "markersize": size, "zorder": 6, "clip_on": False}
    ax.plot(*spot, color="black", markeredgewidth=0.18 * size, path_effects=casing(2.6), label=name, **look)


def legend(ax: Axes) -> None:
    """Explain the marks below the axis label, unless the center is the only one."""
    from matplotlib.transforms import ScaledTranslation

    handles, names = ax.get_legend_handles_labels()
    if len(handles) < 2:
        return
    lines = 1.6 + 1.25 * (1 + ax.get_xlabel().count("\n"))  # tick labels, then the axis label
    drop = ScaledTranslation(0, -lines * ax.xaxis.label.get_size() / 72, ax.figure.dpi_scale_trans)
    ax.legend(handles, names, loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=ax.transAxes + drop, ncols=2)


def hatch(ax: Axes) -> None:
    """Hatch the ground of the axes, so that blank regions read as missing and not as white."""
    from matplotlib.patches import Rectangle

    ground = {"facecolor": "white", "edgecolor": "#999999", "hatch": "/////", "linewidth": 0, "zorder": -1}
    ax.add_patch(Rectangle((0, 0), 1, 1, transform=ax.transAxes, **ground))


def axis_labels(ax: Axes, result: Surface, note: str = "", *, short: bool = False) -> None:
    """Label the axes with what the directions are and the variance they explain; a note stands below.

    In narrow panels and in three dimensions, where labels run askew beside the ticks, they are short.
    """
    metas = result.declared()
    solid = ax.name == "3d"
    for axis, (dim, write) in enumerate(zip(("a", "b"), (ax.set_xlabel, ax.set_ylabel), strict=True)):
        share = field.explained(result, axis)
        usual = metas[dim]["meaning"].removeprefix("step along the " if solid or short else "")
        words = str(result.axis[axis]) if marking.bitplane(result) else usual
        below = f"\n{note}" if note and dim == "a" and not solid else ""
        write(words + (f"\n{share}" if share else "") + below, linespacing=1.0)
    if solid and note:
        ax.set_title(f"{ax.get_title()}\n({note.replace('hatched', 'left open')})".strip(), linespacing=1.0)
