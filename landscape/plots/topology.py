"""Topology of a loss: its basins outlined, its merge tree, its persistence diagram, and what survives of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import field
from landscape.plots.along import color, plain
from landscape.plots.style import BLUE, GRAY, casing
from landscape.plots.topology_map import topology_map
from landscape.plots.topology_table import latex as latex
from landscape.plots.topology_tree import branches

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.basins.topology import Topology

VIEWS = ("basins", "tree", "diagram", "survival")
ROOM = 0.06  # of the range of the loss, left free above and below
BINS = 24  # of the loss, by which the width of the noise band is told
NUMBERED = 12  # basins that are few enough to be numbered


def topology(
    result: Topology,
    ax: Axes,
    *,
    view: str = "basins",
    split: str | None = None,
    levels: Any = None,
    log: bool | str = "auto",
    limits: tuple[float, float] | None = None,
    colorbar: bool = True,
    legend: bool = True,
) -> Axes:
    """Draw one view of a `Topology` on one part of the data.

    Parameters
    ----------
    result : Topology
    ax : matplotlib.axes.Axes
    view : {"basins", "tree", "diagram", "survival"}
        The loss with its basins outlined and numbered; the merge tree, with the loss upwards; loss at the saddles over
        loss at the minima; how many basins persist longer than so many nats.
    split : str, optional
        Part of the data, the first one by default.
    levels : array of shape (count,), optional
        Contour levels of the basins, in nats.
    log : bool or "auto"
        Logarithmic levels and losses; "auto" where they are positive over more than a factor of 30.
    limits : (float, float), optional
        Losses that the axes reach, so that several figures can be compared.
    colorbar, legend : bool, default=True
        What to add.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If a knob has no such value.

    Notes
    -----
    What is told from noise is black or blue and numbered by persistence; what is not is gray and open. The band of the
    diagram is what a basin must rise over: z standard errors to both sides, the largest that points of about this loss
    have; where errors differ much it is a guide, and the marks say which basins are told.
    """
    if view not in VIEWS:
        raise ValueError(f"Expected a view, one of {', '.join(VIEWS)}, got {view!r}: choose one of these.")
    where = field.position(result, split)  # pyright: ignore
    part = field.splits(result)[where]
    if view == "basins":
        return topology_map(result, ax, part, numbers(result, part), levels, log, colorbar=colorbar, legend=legend)
    if view == "survival":
        return several({part: result}, ax, split=part, legend=False)
    reach = span(result, part) if limits is None else limits
    scale = "log" if field.logarithmic(np.array([reach[0], reach[1]]), log) else "linear"
    ends = margins(*reach, scale)
    (_tree if view == "tree" else _diagram)(result, ax, part, where, ends, scale)
    if legend and view == "diagram":
        ax.legend(loc="lower right", fontsize="small", handlelength=1.2)
    return ax


def several(
    results: Mapping[str, Topology], ax: Axes, *, view: str = "survival", split: str | None = None, legend: bool = True
) -> Axes:
    """Draw how many basins of several results persist longer than so many nats, over one pair of axes."""
    if view != "survival":
        raise ValueError(f"Expected view 'survival' of several topologies, got {view!r}: leave it out for all others.")
    ends = [np.inf, 0.0]
    for index, (name, result) in enumerate(results.items()):
        part = field.splits(result)[field.position(result, split)]  # pyright: ignore
        steps, count = result.surviving(part)
        far = float(result.span[field.position(result, part)])  # pyright: ignore
        ends = [min(ends[0], *steps[1:], far), max(ends[1], far)]
        look = {"color": color(index), "label": plain(name), "linewidth": 1.4 if index == 0 else 1.0}
        ax.step(np.append(steps, far), np.append(count, count[-1]), where="post", **look)
    if 0 < ends[0] < ends[1] / field.DECADES:
        ax.set_xscale("log")
        ax.set_xlim(ends[0] / 2, ends[1])
    ax.set_ylim(0)
    ax.yaxis.get_major_locator().set_params(integer=True)
    ax.set_xlabel(f"persistence {unit(next(iter(results.values())))}".strip())
    ax.set_ylabel("basins that persist longer")
    if legend:
        ax.legend(fontsize="small")
    return ax


def numbers(result: Topology, part: str) -> dict[int, str]:
    """Number the basins told from noise, by persistence: row -> number. Many are not numbered."""
    rows = [row for row in result.rows(part).tolist() if result.told[row]]
    return {row: str(k + 1) if len(rows) <= NUMBERED else "" for k, row in enumerate(rows)}


def span(result: Topology, part: str) -> tuple[float, float]:
    """Return the losses that a tree or a diagram reaches: from the lowest minimum to the largest finite loss."""
    loss = field.field(result, "loss", part)  # pyright: ignore
    finite = loss[np.isfinite(loss)]
    return float(finite.min()), float(finite.max())


def margins(low: float, high: float, scale: str) -> tuple[float, float]:
    """Leave room below and above a range of losses."""
    if high <= low:
        room = abs(low) or 1.0
        return low - 0.5 * room, high + 0.5 * room
    if scale == "log":
        room = (high / low) ** ROOM
        return low / room, high * room
    return low - ROOM * (high - low), high + ROOM * (high - low)


def unit(result: Topology) -> str:
    """Unit of the loss in brackets."""
    return field.unit(result, "loss")


def _tree(result: Topology, ax: Axes, part: str, where: int, ends: tuple[float, float], scale: str) -> None:
    """Draw branches upwards from minima to saddles; those that are not told from noise thin and gray."""
    named = numbers(result, part)
    drawn = branches(result, part)
    for branch in drawn:
        row, sure = branch.row, branch.row in named
        look = {"color": "black", "linewidth": 1.4, "zorder": 3} if sure else {"color": "#999999", "linewidth": 0.7}
        top = ends[1] if np.isinf(result.death[row]) else float(result.death[row])
        ax.plot([branch.place, branch.place], [result.birth[row], top], **look)
        if branch.parent is not None:
            ax.plot([branch.parent, branch.place], [top, top], **look)
        error = result.birth_error[row]
        if sure and np.isfinite(error):
            bar = {"color": BLUE, "elinewidth": 2.2, "alpha": 0.6, "zorder": 2}
            low = min(float(error), 0.999 * float(result.birth[row])) if scale == "log" else float(error)
            ax.errorbar(branch.place, result.birth[row], [[low], [error]], fmt="none", label="standard error", **bar)
        dot = {"marker": "o", "color": "black" if sure else "#999999", "markersize": 3.2 if sure else 2, "zorder": 4}
        ax.plot(branch.place, result.birth[row], **dot)
        if named.get(row):
            look = {"fontsize": "small", "ha": "left", "va": "center", "path_effects": casing(1.8)}
            shift = {"xytext": (4, 1), "textcoords": "offset points", "zorder": 5}
            ax.annotate(named[row], (branch.place, result.birth[row]), **look, **shift)
    ax.set(yscale=scale, ylim=ends, xlim=(-0.7, len(drawn) - 0.3), xticks=[])
    ax.set_xlabel(counted(result, where))
    ax.set_ylabel(f"{part} loss {unit(result)}".strip())


def counted(result: Topology, where: int) -> str:
    """Say how many basins and minima there are."""
    sure, all_ = int(result.basins[where]), int(result.minima[where])
    return f"{sure} basin{'s' * (sure != 1)} told of {all_} {'minima' if all_ != 1 else 'minimum'}"


def _diagram(result: Topology, ax: Axes, part: str, where: int, ends: tuple[float, float], scale: str) -> None:
    """Draw deaths over births, with the band that noise may fill."""
    rows = result.rows(part)
    ax.plot(ends, ends, color=GRAY, linewidth=0.7)
    level, rise = band(result, where)
    if len(level):
        above = np.minimum(level + rise, ends[1])
        ax.fill_between(level, level, above, color=GRAY, alpha=0.25, linewidth=0, label="may be noise")
    top = ends[1]
    for sure, look, words in (
        (False, {"markerfacecolor": "white", "markeredgecolor": GRAY, "markersize": 3.2}, "pair not told from noise"),
        (True, {"color": BLUE, "markersize": 4.4}, "pair told from noise"),
    ):
        chosen = rows[(result.told[rows] == sure) & np.isfinite(result.death[rows])]
        if len(chosen):
            ax.plot(result.birth[chosen], result.death[chosen], "o", linestyle="none", label=words, **look)
            if sure:
                bars = {"elinewidth": 0.8, "color": BLUE, "fmt": "none"}
                sizes = {"xerr": result.birth_error[chosen], "yerr": result.death_error[chosen]}
                ax.errorbar(result.birth[chosen], result.death[chosen], **sizes, **bars)
    endless = rows[np.isinf(result.death[rows])]
    look = {"marker": "^", "linestyle": "none", "color": BLUE, "clip_on": False, "markersize": 5, "zorder": 5}
    ax.plot(result.birth[endless], np.full(len(endless), top), **look, label="never merges")
    ax.set(xscale=scale, yscale=scale, xlim=ends, ylim=ends, box_aspect=1)
    ax.set_xlabel(f"{part} loss at the minimum {unit(result)}".strip())
    ax.set_ylabel(f"loss at the saddle {unit(result)}".strip())


def band(result: Topology, where: int) -> tuple[np.ndarray, np.ndarray]:
    """Return losses, and by how much a basin born there must rise to be told from noise: nothing without errors."""
    loss, error = result.loss[where].ravel(), result.loss_error[where].ravel()
    known = np.isfinite(loss) & np.isfinite(error)
    if not known.any() or result.origin.get("knobs", {}).get("threshold") is not None:
        return np.empty(0), np.empty(0)
    order = np.argsort(loss[known], kind="stable")
    parts = np.array_split(order, min(BINS, len(order)))
    level = [loss[known][part[0]] for part in parts] + [loss[known][order[-1]]]
    rise = [2 * result.reach[where] * error[known][part].max() for part in parts]
    return np.array(level), np.array([*rise, rise[-1]])
