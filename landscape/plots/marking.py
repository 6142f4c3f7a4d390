"""Runs, single checkpoints and curves, drawn on a plane or on the floor below it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib import rcParams

from landscape.plots import marked
from landscape.plots.style import GRAY, ORANGE, casing, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.surface import Surface

RUNS = ((ORANGE, "o"), ("#56B4E9", "s"), ("#CC79A7", "^"), ("#E69F00", "D"), ("#0072B2", "v"), ("#009E73", "P"))
FOLDERS = ("D", "s", "^", "v")  # marks of checkpoints of a folder
DASHED, SEGMENT = (0, (4, 2)), "segment"  # the line of the straight way between two ends, and its name
NAMED = 4  # checkpoints that are few enough to say how far off the plane each of them is
SINGLES = 8  # and those that are few enough to be named
LETTER = 0.75  # width of a letter over the height of a line


def drawn(ax: Axes, result: Surface, *, moving: bool = False) -> None:
    """Draw curves, runs and single checkpoints on a plane; what the grid does not reach is cut, and counted.

    Runs that are `moving` are explained, and left to whom moves them.
    """
    ax.set(xlim=ax.get_xlim(), ylim=ax.get_ylim())  # marks do not move the edges of the grid
    for track in marked.curves(result):
        look = {"linestyle": DASHED, "linewidth": 0.9} if track.name == SEGMENT else {"linestyle": "-"}
        ax.plot(track.a, track.b, color="black", path_effects=casing(2.4), zorder=4.5, label=track.told(), **look)
    paths = marked.runs(result)
    if moving:
        for look in dict.fromkeys(looks(paths)):
            ax.plot([], [], color=look.color, marker=look.marker, label=look.name)
    else:
        _runs(ax, paths)
    _alone(ax, result, _ink(paths))
    if note := marked.outside(result):
        ax.plot([], [], linestyle="none", label=note)


def shadow(ax: Any, result: Surface, *, legend: bool = True) -> None:
    """Draw what is marked on the floor below a relief, as far as it goes; explain it where it is of several kinds."""
    floor, size = ax.get_zlim()[0], 0.6 * rcParams["lines.markersize"]
    paths, lone, curves = marked.runs(result), marked.alone(result), marked.curves(result)
    shown = [{"color": "black", "linestyle": DASHED if track.name == SEGMENT else "-"} for track in curves]
    shown += [{"color": look.color, "marker": "o"} for look in looks(paths)]
    shown += [{"color": _ink(paths), "marker": _marker(lone, track), "linestyle": "none"} for track in lone]
    for track, look in zip([*curves, *paths, *lone], shown, strict=True):
        here = track.inside(result)
        a, b = np.where(here, track.a, np.nan), np.where(here, track.b, np.nan)
        ax.plot(a, b, floor, markersize=size, zorder=10, label=track.name or "checkpoints", **look)
    if legend and len(shown) > 1:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.04), ncols=3, handlelength=1.4)


def _called(track: marked.Track) -> marked.Track:
    return track if track.name else replace(track, name="checkpoints")


def bitplane(result: Surface) -> bool:
    """Say whether a plane goes through a network and its quantizations."""
    return (result.origin.get("directions") or {}).get("kind") == "bitplane"


class Look(NamedTuple):
    """Colour and mark of a run, and its name in the legend."""

    color: str
    marker: str
    name: str


def looks(paths: list[marked.Track]) -> list[Look]:
    """Give every run a colour and a mark; beyond six the last ones share gray."""
    if len(paths) == 1:
        return [Look(ORANGE, "o", paths[0].told())]
    own = len(paths) if len(paths) <= len(RUNS) else len(RUNS) - 1
    found = [Look(*RUNS[k], track.told()) for k, track in enumerate(paths[:own])]
    return found + [Look(GRAY, "o", f"{len(paths) - own} more runs")] * (len(paths) - own)


def _runs(ax: Axes, paths: list[marked.Track]) -> None:
    """Draw every run as a line with a hollow mark at its start and a full one at its end."""
    size, told = rcParams["lines.markersize"], set()
    for track, look in zip(paths, looks(paths), strict=True):
        label = "_nolegend_" if look.name in told else look.name
        told.add(look.name)
        shared = {"color": look.color, "zorder": 5}
        ax.plot(track.a, track.b, marker=".", markersize=0.8 * size, label=label, path_effects=casing(2.4), **shared)
        ends = {"linestyle": "none", "markersize": 1.1 * size, "marker": look.marker, "markeredgewidth": 1.0}
        ends |= {"color": look.color, "zorder": 5.5}
        single = len(paths) == 1
        start, end = ("start", "end") if single else ("_start", "_end")
        ax.plot(track.a[:1], track.b[:1], markerfacecolor="white", label=start, **ends)
        ax.plot(track.a[-1:], track.b[-1:], label=end, **ends | ({} if single else {"markeredgecolor": "white"}))
    if len(paths) > 1:
        ends = {"linestyle": "none", "color": GRAY, "markersize": 1.1 * size, "markeredgewidth": 1.0, "marker": "o"}
        ax.plot([], [], markerfacecolor="white", label="start", **ends)
        ax.plot([], [], label="end", **ends)


def _ink(paths: list[marked.Track]) -> str:
    """Return the colour of single checkpoints: that of marks, unless runs have it."""
    return "black" if paths else ORANGE


def _alone(ax: Axes, result: Surface, color: str) -> None:
    """Draw checkpoints that belong to no run; those with a name of their own are named, if they are few."""
    lone = marked.alone(result)
    for track in lone:
        own = not track.name
        name = _off_plane(track, bitplane=bitplane(result)) if own else _members(track)
        face = {} if own else {"markerfacecolor": "white", "markeredgewidth": 1.0}
        ax.plot(
            track.a, track.b, linestyle="none", marker=_marker(lone, track), color=color, label=name, zorder=4.8,
            path_effects=casing(2.4), **face,
        )  # fmt: skip
        here = track.inside(result)
        if own and (len(track.a) <= SINGLES or bitplane(result)):
            told = [name for name, seen in zip(track.names, here, strict=True) if seen]
            beside = [*marked.runs(result), *marked.curves(result), *lone]
            others = [np.stack([other.a, other.b], -1) for other in beside if other is not track]
            names(ax, told, np.stack([track.a, track.b], -1)[here], np.concatenate([np.empty((0, 2)), *others]))


def _marker(lone: list[marked.Track], track: marked.Track) -> str:
    """Return the mark of single checkpoints: a circle for those with names, another one for each folder."""
    folders = [other.name for other in lone if other.name]
    return FOLDERS[folders.index(track.name) % len(FOLDERS)] if track.name else "o"


def names(ax: Axes, texts: list[str], points: np.ndarray, others: np.ndarray) -> None:
    """Write names beside points, inside the axes, where these have more room and no name, point or mark lies yet."""
    height = 1.1 * rcParams["font.size"]
    middle = np.mean(ax.get_xlim()), np.mean(ax.get_ylim())  # asking for them brings the scale up to date
    scale = 72 / ax.figure.dpi
    at, beside = (ax.transData.transform(where) * scale for where in (points, others))
    inside = tuple((ax.transAxes.transform([[0, 0], [1, 1]]) * scale).ravel().tolist())
    mark = 0.5 * rcParams["lines.markersize"] + 1.5
    taken: list[tuple[float, ...]] = [(x - mark, y - mark, x + mark, y + mark) for x, y in [*at, *beside]]
    for text, point, (x, y) in zip(texts, points, at, strict=True):
        right, top = (2 * (point < middle) - 1).tolist()
        sides = [(right, top), (right, -top), (-right, top), (-right, -top)]
        sides += [(0, top), (0, -top), (right, 0), (-right, 0)]
        width = LETTER * height * len(text)
        boxes = [_beside(x, y, width, height, *side) for side in sides]
        kept = [round(_overlap(box, inside)) for box in boxes]
        best = min(range(len(sides)), key=lambda i: (-kept[i], sum(_overlap(boxes[i], o) for o in taken), i))
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


def _members(track: marked.Track) -> str:
    """Say how many checkpoints of a folder are marked, and how far from the plane they lie."""
    count = f"{track.name}: {len(track.a)} checkpoint{'s' * (len(track.a) > 1)}"
    return replace(track, name=count).told()


def _off_plane(track: marked.Track, *, bitplane: bool) -> str:
    """Say which of some named checkpoints are not on the plane, and how far from it each of them lies."""
    far = zip(track.names, track.residual, track.away, strict=True)
    told = [f"{name} by {number(residual, 2)}" for name, residual, away in far if away]
    if not bitplane and len(told) > NAMED:
        return _called(track).told()
    off = f"off the plane: {', '.join(told)}" if told else ""
    if bitplane:
        return off or "networks, all on the plane"
    return f"checkpoints ({off})" if off else "checkpoints"
