"""Surfaces of a comparison in a matrix of panels: networks below one another, widths side by side, one colour scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import certain, draw, field, measured, overlay, scale
from landscape.plots.blocks import by_width
from landscape.plots.style import GRAY, LEAST, SANS, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.comparison import Comparison
    from landscape.plots.style import Venue
    from landscape.probes.surface import Surface

SMALL = 0.75  # type of the numbers over a panel, relative to that of the page
LINE, GAP = 1.2, 0.6  # height of a line in heights of its type, room between panels in widths of the page's type
NAME, LABEL, TICKS = 1.6, 1.4, 2.6  # beside panels: names of networks, label of the axis, its ticks
BAR = 0.9, 1.0, 4.6  # room before the colour bar, its width, its ticks and label
BELOW, LARGEST, SMALLEST = 3.0, 26.0, 7.0  # ticks and label below; sides of panels: more is not needed, less not read
LEGIBLE = 8.5  # side of a panel, below which a row is broken


@dataclass(frozen=True)
class Matrix:
    """Which panel shows what; sizes are in widths of the page's type.

    Attributes
    ----------
    result : Comparison
    members : dict of int to Surface
        Surfaces by the rows of the comparison.
    places : list of list of (int or None)
        Rows of the comparison by panel, of None nothing is drawn.
    left, top : list of str
        What rows and columns of panels are called; empty where every panel has a name of its own.
    names : dict of int to str
        Of panels that have one.
    """

    result: Comparison
    members: dict[int, Surface]
    places: list[list[int | None]]
    left: list[str]
    top: list[str]
    names: dict[int, str]

    @property
    def lines(self) -> int:
        """Lines of numbers over a panel: loss, and accuracy where there is one."""
        return 1 + (next(iter(self.members.values())).accuracy is not None)

    def above(self, row: int) -> float:
        """Return the height of what stands over a row of panels."""
        return LINE * SMALL * self.lines + 0.7 + 1.4 * bool(self.names or (self.top and row == 0))

    def beside(self) -> float:
        """Return the width of what stands to the left."""
        return NAME * bool(self.left) + LABEL + TICKS

    def size(self, page: Venue, room: float) -> float:
        """Return the side of a panel: as large as width and height of the page allow."""
        across, down = len(self.places[0]), len(self.places)
        wide = page.whole * 72 / page.size - self.beside() - sum(BAR) - GAP * (across - 1)
        high = room - BELOW - sum(self.above(row) for row in range(down))
        return min(wide / across, max(high / down, SMALLEST), LARGEST)

    def wide(self, size: float) -> float:
        """Return the width of the whole."""
        across = len(self.places[0])
        return self.beside() + across * size + GAP * (across - 1) + sum(BAR)

    def tall(self, size: float) -> float:
        """Return the height of the whole."""
        return sum(self.above(row) + size for row in range(len(self.places))) + BELOW

    def least(self, page: Venue) -> float:
        """Return the height that the whole takes when panels are as wide as the page allows."""
        return self.tall(self.size(page, np.inf))


def matrix(result: Comparison, page: Venue) -> Matrix | None:
    """Lay out the surfaces of a comparison; None if there are none.

    Networks are rows and widths columns. Where one of both is alone, panels follow one another and bear their names, in
    as many rows as the page asks for.
    """
    found = result.of("surface")
    members: dict[int, Any] = {i: found[name] for i, name in enumerate(result.rows) if name in found}
    if not members:
        return None
    groups = {name: [i for i in rows if i in members] for name, rows in by_width(result).items()}
    groups = {name: rows for name, rows in groups.items() if rows}
    networks = list(dict.fromkeys(str(result.network[i]) for i in members))
    if len(groups) > 1 and len(networks) > 1:
        at = {(str(result.network[i]), name): i for name, rows in groups.items() for i in rows}
        places = [[at.get((network, name)) for name in groups] for network in networks]
        return Matrix(result, members, places, networks, list(groups), {})
    names = {i: str(result.network[i]) if len(groups) == 1 else name for name, rows in groups.items() for i in rows}
    order: list[int | None] = list(names)
    room = page.whole * 72 / page.size - LABEL - TICKS - sum(BAR)
    rows = -(-len(order) // max(1, int(room / (LEGIBLE + GAP))))
    across = -(-len(order) // rows)
    order += [None] * (rows * across - len(order))
    return Matrix(result, members, [order[k * across : (k + 1) * across] for k in range(rows)], [], [], names)


def drawn(
    grid: Matrix, panel: Callable[[float, float, float, float], Axes], place: tuple[float, float, float], page: Venue,
    knobs: dict[str, Any],
) -> None:  # fmt: skip
    """Draw all panels with the same levels, and one colour bar.

    Parameters
    ----------
    grid : Matrix
    panel : callable
        Makes axes at (left, top, width, height).
    place : (float, float, float)
        Left and upper end of the whole, side of a panel.
    page : Venue
    knobs : dict
        Of `landscape.plots.surface.surface`.
    """
    start, top, size = place
    levels = _levels(grid, knobs)
    look = {"numbers": size > 0.8 * LARGEST} | knobs
    look |= {"levels": levels, "colorbar": False, "legend": False, "title": False}
    numbers = _numbers(grid, knobs.get("split"), size, page)
    axes: dict[tuple[int, int], Axes] = {}
    y = top
    for r, row in enumerate(grid.places):
        y += grid.above(r)
        for c, at in enumerate(row):
            if at is not None or grid.left:
                axes[r, c] = panel(start + grid.beside() + c * (size + GAP), y, size, size)
                _panel(axes[r, c], grid, at, look, numbers, page)
        y += size
    _labels(grid, axes, page, size)
    if knobs.get("colorbar", True):
        left = start + grid.beside() + len(grid.places[0]) * (size + GAP) - GAP + BAR[0]
        tall = y - top - grid.above(0)
        long = min(tall, 2 * LARGEST)
        cax = panel(left, top + grid.above(0) + (tall - long) / 2, BAR[1], long)
        _bar(grid, axes, levels, look, cax)


def _levels(grid: Matrix, knobs: dict[str, Any]) -> Any:
    if knobs.get("levels") is not None:
        return knobs["levels"]
    chosen = {key: knobs[key] for key in ("log", "clip") if key in knobs}
    return scale.shared_levels(grid.members.values(), knobs.get("quantity", "loss"), knobs.get("split"), **chosen)


def _panel(
    ax: Axes, grid: Matrix, at: int | None, look: dict[str, Any], numbers: dict[int, str], page: Venue
) -> None:  # fmt: skip
    if at is None:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        place = {"transform": ax.transAxes, "ha": "center", "va": "center"}
        ax.text(0.5, 0.5, "not measured", color=GRAY, fontsize="small", **place)
        return
    result = grid.members[at]
    draw(result, ax, **look)
    ax.set(xlim=result.a[[0, -1]], ylim=result.b[[0, -1]], xlabel="", ylabel="")
    _ticks(ax)
    type_ = max(SMALL * page.size, LEAST)
    ax.set_title(numbers[at], fontsize=type_, pad=2.5, linespacing=1.05)


def _ticks(ax: Axes) -> None:
    """Number both ends of the axes, and zero between them; numbers at the ends stay within the panel."""
    for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        ticks = [low, 0.0, high] if low < 0 < high else [low, high]
        axis.set_ticks(ticks, [number(tick).replace("-", certain.MINUS) for tick in ticks])
        name, ends = ("ha", ("left", "right")) if axis is ax.xaxis else ("va", ("bottom", "top"))
        for label, side in zip((axis.get_ticklabels()[0], axis.get_ticklabels()[-1]), ends, strict=True):
            label.set(**{name: side})


def _numbers(grid: Matrix, split: str | None, size: float, page: Venue) -> dict[int, str]:
    """Write loss and accuracy of networks with errors and units; without nats, or errors, where no room is left."""
    letter = (0.6 if page.family == SANS else 0.48) * max(SMALL, LEAST / page.size)
    found: dict[int, str] = {}
    for form in FORMS:
        found = {at: "\n".join(form(*number) for number in _centers(grid, at, split)) for at in grid.members}
        if max(len(line) for words in found.values() for line in words.splitlines()) * letter <= size + GAP / 2:
            break
    return found


def _centers(grid: Matrix, at: int, split: str | None) -> list[tuple[float, float, str]]:
    """Return value, error and unit of loss and accuracy, as measured of the network, else at the center of the grid."""
    result, surface, found = grid.result, grid.members[at], []
    where = field.position(surface, split)
    place = (where, *(field.center(surface) or ()))
    standing = len(place) > 1 and all(abs(getattr(surface, d)[i]) < 1e-9 for d, i in zip("ab", place[1:], strict=True))
    for quantity in ("loss", "accuracy")[: grid.lines]:
        name, factor = f"{field.splits(surface)[where]}_{quantity}", field.percent(quantity)
        unit = measured.unit(result, name, surface.declared()[quantity]["unit"])
        value = error = np.nan
        if name in result.measure:
            column = result.measure.tolist().index(name)
            value, error = result.value[at, column], result.error[at, column]
        if np.isnan(value) and standing:
            spread = getattr(surface, f"{quantity}_error", None)
            value = getattr(surface, quantity)[place]
            error = np.nan if spread is None else spread[place]
        found.append((factor * float(value), factor * float(error), unit))
    return found


def _plain(value: float, error: float = np.nan, unit: str = "") -> str:
    words = certain.plain(certain.certain(value, error))
    return words if np.isnan(value) else f"{words} {unit}".strip()


FORMS: tuple[Callable[[float, float, str], str], ...] = (
    _plain, lambda value, error, unit: _plain(value, error, "%" * (unit == "%")), lambda value, *_: _plain(value),
)  # fmt: skip


def _labels(grid: Matrix, axes: dict[tuple[int, int], Axes], page: Venue, size: float) -> None:
    """Name columns, rows or panels; number the outer axes, and label them once."""
    for (r, c), ax in axes.items():
        at = grid.places[r][c]
        words = grid.names.get(at, "") if at is not None else ""
        _name(ax, words or (grid.top[c] if grid.top and r == 0 else ""), page, above=grid.lines)
        if grid.left and c == 0:
            _name(ax, grid.left[r], page)
        last = all(grid.places[k][c] is None for k in range(r + 1, len(grid.places)))
        ax.tick_params(labelleft=c == 0, labelbottom=last)
    down, across = len(grid.places), len(grid.places[0])
    first = next(iter(grid.members.values()))
    corner = axes[down - 1, 0]
    overlay.axis_labels(corner, first, short=True)
    words = [" ".join(label.get_text().split()) for label in (corner.xaxis.label, corner.yaxis.label)]
    corner.set(xlabel="", ylabel="")  # those of one panel would be broken where it is narrow: these are of all panels
    middle = (across + (across - 1) * GAP / size) / 2, (1 + (down - 1) * (1 + grid.above(1) / size)) / 2
    look = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
    drop, reach = 1.6 * page.size, (TICKS + 0.1) * page.size
    corner.annotate(words[0], (middle[0], 0), (0, -drop), ha="center", va="top", **look)
    corner.annotate(words[1], (0, middle[1]), (-reach, 0), ha="right", va="center", rotation=90, **look)
    if any(not np.isfinite(surface.loss).all() for surface in grid.members.values()):
        corner.figure.text(0.995, 0.002, "hatched: not finite", ha="right", va="bottom", fontsize="small")


def _name(ax: Axes, words: str, page: Venue, above: int = 0) -> None:
    """Write a name over the numbers of a panel, or else to its left."""
    look = {"fontsize": page.size, "annotation_clip": False, "textcoords": "offset points", "parse_math": False}
    if above:
        lift = (0.3 + LINE * SMALL * above) * page.size
        ax.annotate(words, (0.5, 1), (0, lift), xycoords="axes fraction", ha="center", va="bottom", **look)
    else:
        reach = -(LABEL + TICKS + 0.2) * page.size
        ax.annotate(
            words, (0, 0.5), (reach, 0), xycoords="axes fraction", ha="right", va="center", rotation=90, **look
        )


def _bar(grid: Matrix, axes: dict[tuple[int, int], Axes], levels: Any, look: dict[str, Any], cax: Axes) -> None:
    quantity = look.get("quantity", "loss")
    found = (ax for (row, column), ax in axes.items() if grid.places[row][column] is not None)
    filled = next(c for ax in found for c in ax.collections if c.get_array() is not None)
    steps = np.asarray(levels, dtype=float) * field.percent(quantity)
    first = next(iter(grid.members.values()))
    scale.colorbar(filled, cax, steps, field.caption(first, quantity, look.get("split")), cax=cax)
