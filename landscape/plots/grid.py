"""Results laid out in panels: surfaces on shared scales, anything else as its own plot draws it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from landscape.plots import draw, field, kinds, overlay, panel, scale
from landscape.plots.fitting import explained

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from landscape.plots.style import Venue
    from landscape.result import Result

LOSS_ONLY = ("levels", "log", "clip", "cmap")  # knobs of the loss, which do not fit another quantity
SOLID_ONLY = ("elevation", "azimuth", "smooth")
FLAT, WIDE = 1.0, 0.8  # height of a panel over its width: of planes, and of others


class Cell(NamedTuple):
    """One panel: what it shows of which result."""

    name: str
    result: Any
    knobs: dict[str, Any]

    @property
    def plane(self) -> bool:
        """Whether it is a surface seen from above."""
        return "Surface" in kinds.lineage(self.result) and not self.solid

    @property
    def solid(self) -> bool:
        """Whether it is a relief."""
        return self.knobs.get("view") == "3d"

    @property
    def quantity(self) -> str:
        """What of a surface it shows."""
        return self.knobs.get("quantity", "loss")


def laid_out(results: Mapping[str, Result], layout: panel.Layout, page: Venue, style: dict[str, Any]) -> Figure:
    """Draw the panels of a layout.

    Without panels in words, several results have one each, and a single one its usual ones. With them, every result
    has all of these panels, in rows of its own.

    Parameters
    ----------
    results : mapping of str to Result
    layout : Layout
    page : Venue
    **style
        Knobs of the plots.

    Raises
    ------
    ValueError
        If panels do not fit the shape, a result has no such panel, or a plot no such knob.
    """
    from matplotlib.figure import Figure

    rows = cells(results, layout, style)
    shown = [cell for row in rows for cell in row]
    counts = [len(row) for row in rows] if layout.shape is None else [len(shown)]
    down, across, places = panel.places(counts, layout.shape, page)
    width = page.whole if across > 1 or page.width else page.single
    tall = max(FLAT if cell.plane or cell.solid else WIDE for cell in shown)
    drawn = Figure(figsize=(width, down * (tall * width / across + 0.1 * page.size) + 0.05 * page.size))
    drawn.set_layout_engine("constrained", wspace=0.05)  # the last tick label of a panel stays clear of the next one's
    axes = [
        drawn.add_subplot(down, across, place + 1, projection="3d" if cell.solid else None)
        for cell, place in zip(shown, places, strict=True)
    ]
    standing = dict(zip(places, shown, strict=True))
    levels = _levels(shown, style)
    for cell, ax in zip(shown, axes, strict=True):
        if cell.plane or cell.solid:
            _surface(cell, ax, levels[cell.quantity], style, several=len(results) > 1)
            if cell.plane:
                ax.locator_params(nbins=max(2, int(width / across * 72 / (4.5 * page.size))))
        else:
            _other(cell, ax, style, several=len(results) > 1)
    for cell, ax, place in zip(shown, axes, places, strict=True):
        if cell.plane:
            left = standing.get(place - 1) if place % across else None
            right = standing.get(place + 1) if (place + 1) % across else None
            _outer(cell, ax, left, standing.get(place + across))
            if style.get("colorbar", True) and not (right and right.plane and right.quantity == cell.quantity):
                _bar(cell, ax, levels[cell.quantity])
    if style.get("legend", True):
        explained(drawn, axes)
    return drawn


def cells(results: Mapping[str, Result], layout: panel.Layout, style: dict[str, Any]) -> list[list[Cell]]:
    """Say which panels are drawn, row by row."""
    chosen = {knob: style[knob] for knob in ("view", "quantity", "split", "curve") if knob in style}
    if layout.rows:
        return [
            [Cell(name, result, chosen | panel.knobs(result, words)) for words in row]
            for name, result in results.items()
            for row in layout.rows
        ]
    if len(results) > 1:
        return [[Cell(name, result, chosen) for name, result in results.items()]]
    ((name, result),) = results.items()
    usual = panel.usual(result)
    kept = [row for row in usual if "curve" not in style or row[0].get("curve") == style["curve"]] or usual[:1]
    return [[Cell(name, result, knobs | chosen) for knobs in row] for row in kept]


def _levels(shown: list[Cell], style: dict[str, Any]) -> dict[str, np.ndarray]:
    """Choose levels for every quantity of the surfaces, shared by all panels that show it."""
    found = {}
    for cell in shown:
        if not (cell.plane or cell.solid) or cell.quantity in found:
            continue
        same = [other for other in shown if (other.plane or other.solid) and other.quantity == cell.quantity]
        values = [field.field(other.result, other.quantity, other.knobs.get("split")) for other in same]
        knobs = {knob: style[knob] for knob in ("log", "clip") if knob in style and cell.quantity == "loss"}
        given = style.get("levels") if cell.quantity == "loss" else None
        found[cell.quantity] = scale.joint_levels(values, cell.quantity, **knobs) if given is None else given
    return found


def _surface(cell: Cell, ax: Axes, levels: Any, style: dict[str, Any], *, several: bool) -> None:
    """Draw one panel without the colour bar and the legend that it shares."""
    left = {"levels", *(() if cell.quantity == "loss" else LOSS_ONLY), *(() if cell.solid else SOLID_ONLY)}
    knobs = {"colorbar": False, "legend": False} | {key: value for key, value in style.items() if key not in left}
    usual = {"view": "heat"} if cell.quantity.startswith("accuracy") else {}
    draw(cell.result, ax, **knobs | usual | cell.knobs | {"levels": levels, "colorbar": False, "legend": False})
    part = field.splits(cell.result)[field.position(cell.result, cell.knobs.get("split"))]
    note = ax.get_title().partition("\n")[2] if cell.solid else ""
    words = [cell.name] * several + [f"{part} {cell.quantity.replace('_', ' ')}"] + [note] * bool(note)
    if style.get("title", True):
        ax.set_title("\n".join(words), linespacing=1.1, parse_math=False)
    if cell.plane:
        values = field.field(cell.result, cell.quantity, part)
        overlay.axis_labels(ax, cell.result, field.missing(values), short=True)
        ax.set(xlim=cell.result.a[[0, -1]], ylim=cell.result.b[[0, -1]], box_aspect=1)


def _outer(cell: Cell, ax: Axes, left: Cell | None, below: Cell | None) -> None:
    """Take from a plane the labels that the one to its left, or below it, has too; a note on missing points stays."""
    if left is not None and left.plane and _same(left, cell):
        ax.set_ylabel("")
        ax.tick_params(labelleft=False)
    if below is not None and below.plane and _same(below, cell):
        ax.set_xlabel("\n".join(line for line in ax.get_xlabel().splitlines() if line.startswith("hatched")))
        ax.tick_params(labelbottom=False)


def _same(one: Cell, other: Cell) -> bool:
    """Say whether two planes have the same axes."""
    pairs = ((one.result.a, other.result.a), (one.result.b, other.result.b))
    return one.result is other.result or all(np.array_equal(a, b) for a, b in pairs)


def _bar(cell: Cell, ax: Axes, levels: Any) -> None:
    filled = next(c for c in ax.collections if c.get_array() is not None)
    steps = np.asarray(levels, dtype=float) * field.percent(cell.quantity)
    words = f"{cell.quantity.replace('_', ' ')} {field.unit(cell.result, cell.quantity)}".strip()
    scale.colorbar(filled, ax, steps, words)


def _other(cell: Cell, ax: Axes, style: dict[str, Any], *, several: bool) -> None:
    """Draw a result of another kind, named by what it shows where its plot does not name it."""
    plot = kinds.own("landscape.plots", cell.result)
    known = inspect.signature(plot).parameters if plot else {}
    quiet = {"legend": False} if "legend" in known else {}
    draw(cell.result, ax, **quiet | style | cell.knobs | quiet)
    own = ax.get_title()
    words = own or " ".join(str(value).replace("_", " ") for value in cell.knobs.values())
    lines = [cell.name] * several + [words] * bool(words)
    if lines and style.get("title", True):
        ax.set_title("\n".join(lines), linespacing=1.1)
