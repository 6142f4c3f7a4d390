"""What is laid over a drawing: center, minimum, checkpoints, hatching, notes, axis labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rcParams

from landscape.plots import field
from landscape.plots.style import casing, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.surface import Surface

RED = "#D55E00"
NAMED = 4  # checkpoints that are few enough to be named one by one
OFF = 1e-6  # of the distances in the plane, below which a checkpoint lies on it
LETTER = 0.75  # width of a letter over the height of a line


def landmarks(ax: Axes, result: Surface, values: np.ndarray | None = None) -> None:
    """Mark the center, the lowest grid point where that is not the center, and the checkpoints.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    result : Surface
    values : ndarray of shape (a, b), optional
        The drawn loss; without it no minimum is marked.
    """
    _checkpoints(ax, result)
    middle = field.center(result)
    if middle is not None:
        _mark(ax, result, middle, "+", "center")
    least = None if values is None else field.lowest(values)
    if values is None or least is None or least == middle:
        return
    if middle is None or not values[middle] <= values[least]:  # a center that is NaN is no minimum
        _mark(ax, result, least, "x", f"minimum {number(values[least])}")


def shadow(ax: Any, result: Surface) -> None:
    """Draw the checkpoints on the floor below a relief."""
    path = field.trajectory(result)
    if path is not None and path["b"] is not None:
        joined = "-" if path["path"] else "none"
        size = 0.6 * rcParams["lines.markersize"]
        ax.plot(
            path["a"], path["b"], ax.get_zlim()[0], color=RED, linestyle=joined, marker="o", markersize=size, zorder=10
        )


def _mark(ax: Axes, result: Surface, index: tuple[int, ...], marker: str, name: str) -> None:
    spot = [result.a[index[0]]], [result.b[index[1]]]
    size = 1.5 * rcParams["lines.markersize"]
    look = {"linestyle": "none", "marker": marker, "markersize": size, "zorder": 6, "clip_on": False}
    ax.plot(*spot, color="black", markeredgewidth=0.18 * size, path_effects=casing(2.6), label=name, **look)


def _checkpoints(ax: Axes, result: Surface) -> None:
    path = field.trajectory(result)
    if path is None or path["b"] is None:
        return
    a, b = path["a"], path["b"]
    look = {"color": RED, "path_effects": casing(2.4), "zorder": 5}
    name = _off_plane(path) if _bitplane(result) else _described(path)
    if path["path"]:
        size = rcParams["lines.markersize"]
        ax.plot(a, b, marker=".", markersize=0.8 * size, label=name, **look)
        ends = {"linestyle": "none", "markersize": 1.1 * size, "color": RED, "markeredgewidth": 1.0, "zorder": 5.5}
        ax.plot(a[:1], b[:1], marker="o", markerfacecolor="white", label="start", **ends)
        ax.plot(a[-1:], b[-1:], marker="o", label="end", **ends)
    else:
        ax.plot(a, b, linestyle="none", marker="o", label=name, **look)
    if not path["path"] and (len(a) <= NAMED or _bitplane(result)):
        _names(ax, path["names"], np.stack([a, b], -1))


def _bitplane(result: Surface) -> bool:
    return (result.origin.get("directions") or {}).get("kind") == "bitplane"


def _names(ax: Axes, texts: list[str], points: np.ndarray) -> None:
    """Write names beside points, where the axes have more room, and no name or point lies yet."""
    height = 1.1 * rcParams["font.size"]
    middle = np.mean(ax.get_xlim()), np.mean(ax.get_ylim())  # asking for them brings the scale up to date
    at = ax.transData.transform(points) * 72 / ax.figure.dpi
    mark = 0.5 * rcParams["lines.markersize"] + 1.5
    taken: list[tuple[float, ...]] = [(x - mark, y - mark, x + mark, y + mark) for x, y in at]
    for text, point, (x, y) in zip(texts, points, at, strict=True):
        right, top = (2 * (point < middle) - 1).tolist()
        sides = [(right, top), (right, -top), (-right, top), (-right, -top)]
        sides += [(0, top), (0, -top), (right, 0), (-right, 0)]
        width = LETTER * height * len(text)
        boxes = [_beside(x, y, width, height, *side) for side in sides]
        best = min(range(len(sides)), key=lambda i: (sum(_overlap(boxes[i], other) for other in taken), i))
        taken.append(boxes[best])
        across, up = sides[best]
        ax.annotate(
            text, point, xytext=(4 * across, 4 * up), textcoords="offset points", fontsize="small",
            ha=("center", "left", "right")[across], va=("center", "bottom", "top")[up],
            path_effects=casing(1.8), zorder=6, parse_math=False,
        )  # fmt: skip


def _beside(x: float, y: float, width: float, height: float, across: int, up: int) -> tuple[float, ...]:
    """Return the box (left, low, right, high) of a name on one side of a point, in points of type."""
    left = x + 4 * across - width * (0.5 - 0.5 * across)
    low = y + 4 * up - height * (0.5 - 0.5 * up)
    return left, low, left + width, low + height


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Return the area that two boxes share."""
    across, up = (min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1))
    return max(across, 0) * max(up, 0)


def _described(path: dict[str, Any]) -> str:
    name = "trajectory" if path["path"] else "checkpoints"
    residual = path["residual"]
    if residual is None or not np.isfinite(residual).any():
        return name
    farthest = np.nanmax(residual)
    return f"{name} (up to {number(farthest)} off the plane)" if farthest > 0 else name


def _off_plane(path: dict[str, Any]) -> str:
    """Say how far from the plane each network lies that is not on it."""
    pairs = list(zip(path["names"], path["residual"], strict=True))
    there = OFF * max(*path["residual"], *np.abs(path["a"]), *np.abs(path["b"]))
    told = [f"{name} by {number(residual, 2)}" for name, residual in pairs if residual > there]
    return f"off the plane: {', '.join(told)}" if told else "networks, all on the plane"


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
        words = str(result.axis[axis]) if _bitplane(result) else usual
        below = f"\n{note}" if note and dim == "a" and not solid else ""
        write(words + (f"\n{share}" if share else "") + below, linespacing=1.0)
    if solid and note:
        ax.set_title(f"{ax.get_title()}\n({note.replace('hatched', 'left open')})".strip(), linespacing=1.0)
