"""A comparison as a figure: surfaces of networks and widths with one colour scale, and measures against bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from landscape.plots import surfaces
from landscape.plots.comparison import comparison, usual_measures
from landscape.plots.fitting import wrapped
from landscape.plots.heading import shared
from landscape.plots.style import SANS, Venue, style
from landscape.plots.surface import VIEWS as PLANES
from landscape.plots.surfaces import Matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.comparison import Comparison

VIEWS = ("surfaces", "measures", "both")
BESIDE, MOST = 4, 8  # panels of measures below surfaces, and of those without any
TALL = {True: 0.56, False: 1.3}  # height of a page over its width: of slides, and of papers
NARROW, SHAPE = 12, 0.8  # of a panel of a measure: least width in widths of type, height over width
LEFT, ABOVE, BELOW = 3.6, 1.7, 3.0  # of these panels, in widths of type: ticks, title, ticks and label
LINE = 1.25  # of a title or legend, in heights of type


def comparison_grid(
    result: Comparison, *, venue: str | Venue | None = None, title: str | None = None, view: str | None = None,
    measures: list[str] | tuple[str, ...] | None = None, **knobs: Any,
) -> Figure:  # fmt: skip
    """Draw networks as rows and widths as columns: surfaces with one colour scale; below them, measures against bits.

    At a single width, and of a single network, panels follow one another. Over each stand loss and accuracy of the
    network, with standard errors.

    Parameters
    ----------
    result : Comparison
    venue : str or Venue, optional
        Width of the page and size of type: see `landscape.plots.style.style`.
    title : str, optional
        By default what all surfaces have in common; empty for none.
    view : {"surfaces", "measures", "both", "contour", "heat"}, optional
        By default both, where the page is tall enough; surfaces alone else, and measures where there are none. The last
        two choose how surfaces are drawn, alone.
    measures : sequence of str, optional
        Which measures; by default the first four of `landscape.plots.comparison.usual_measures`, and eight of them
        where there are no surfaces.
    **knobs
        Those of `landscape.plots.surface.surface`, such as ``quantity``, ``split``, ``log`` and ``levels``.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If a knob has no such value, or what is asked for was not measured.
    """
    if view is not None and view not in (*VIEWS, *PLANES) or view == "3d":
        raise ValueError(f"Expected a view, one of {', '.join([*VIEWS, 'contour', 'heat'])}, got {view!r}: choose one.")
    if view in PLANES:
        knobs, view = knobs | {"view": view}, "surfaces"
    with style(venue) as page:
        grid = surfaces.matrix(result, page) if view != "measures" else None
        if grid is None and view in ("surfaces", "both"):
            raise ValueError("Expected surfaces to draw, got a comparison without any: choose view 'measures'.")
        chosen = [] if view == "surfaces" else _chosen(result, measures, BESIDE if grid else MOST)
        words = _words(grid) if title is None else title
        lines = wrapped(words, page.whole, page).splitlines()
        room = TALL[page.family == SANS] * page.whole * 72 / page.size - LINE * len(lines)
        if grid and chosen and view is None and _tall(chosen, result, page) + grid.least(page) > room:
            chosen = []
        return _drawn(result, grid, chosen, lines, room, page, knobs, math=title is not None)


def _chosen(result: Comparison, measures: Any, most: int) -> list[str]:
    if measures is None:
        return usual_measures(result)[:most]
    return [measures] if isinstance(measures, str) else list(measures)


def _words(grid: Matrix | None) -> str:
    return shared(list(grid.members.values())) if grid else ""


def _drawn(
    result: Comparison, grid: Matrix | None, chosen: list[str], lines: list[str], room: float, page: Venue,
    knobs: dict[str, Any], *, math: bool,
) -> Figure:  # fmt: skip
    """Lay the figure out in widths of type from the top, and draw it."""
    em = page.size / 72
    below = _tall(chosen, result, page)
    above = LINE * len(lines) + 0.3
    size = grid.size(page, room - below) if grid else 0.0
    middle = grid.tall(size) if grid else 0.0
    letter = 0.6 if page.family == SANS else 0.5
    wide = page.whole / em
    if grid and not chosen:
        wide = min(wide, max([grid.wide(size), *(letter * len(line) + 1 for line in lines)]))
    tall = above + middle + below
    drawn = Figure(figsize=(wide * em, tall * em), layout="none")

    def panel(left: float, top: float, width: float, height: float) -> Axes:
        return drawn.add_axes((left / wide, 1 - (top + height) / tall, width / wide, height / tall))

    if lines:
        drawn.suptitle(
            "\n".join(lines), y=1 - 0.2 / tall, va="top", fontsize="medium", linespacing=1.0, parse_math=math
        )
    if grid:
        surfaces.drawn(grid, panel, ((wide - grid.wide(size)) / 2, above, size), page, knobs)
    if chosen:
        _measures(result, chosen, panel, above + middle, wide, page)
    return drawn


def _across(chosen: list[str], page: Venue) -> int:
    rows = -(-len(chosen) // max(1, int(page.whole * 72 / page.size / NARROW)))
    return -(-len(chosen) // rows)


def _panel(chosen: list[str], page: Venue) -> tuple[float, float]:
    """Return width and height of a panel of a measure."""
    across = _across(chosen, page)
    width = min(page.whole * 72 / page.size / across - LEFT - 0.5, 2.2 * NARROW)
    return width, SHAPE * width


def _alone(result: Comparison) -> bool:
    """Say whether there is a single width, so that networks stand side by side."""
    return len(set(result.bits.astype(str).tolist())) == 1


def _below(result: Comparison, width: float) -> float:
    """Return the height of what stands below a panel: nothing where a legend names networks instead."""
    return 0.6 if _alone(result) and _explained(result, width) else BELOW


def _explained(result: Comparison, width: float) -> bool:
    """Say whether a legend names the networks: where they are not alone, and not named below the axes."""
    names = set(result.network.tolist())
    below = _alone(result) and 0.5 * sum(len(name) + 2 for name in names) < width
    return len(names) > 1 and not below


def _tall(chosen: list[str], result: Comparison, page: Venue) -> float:
    """Return the height that panels of measures and their legend take."""
    if not chosen:
        return 0.0
    rows, (width, height) = -(-len(chosen) // _across(chosen, page)), _panel(chosen, page)
    return rows * (ABOVE + height + _below(result, width)) + (LINE + 0.4) * _explained(result, width)


def _measures(result: Comparison, chosen: list[str], panel: Any, top: float, wide: float, page: Venue) -> None:
    """Draw panels of measures in rows, and one legend below them."""
    across, (width, height) = _across(chosen, page), _panel(chosen, page)
    start = (wide - across * (LEFT + width)) / 2
    explained, axes = _explained(result, width), []
    for k, name in enumerate(chosen):
        row, column = divmod(k, across)
        down = top + row * (ABOVE + height + _below(result, width)) + ABOVE
        ax = panel(start + column * (LEFT + width) + LEFT, down, width, height)
        comparison(result, ax, measure=name, legend=False)
        ax.margins(y=0.12)
        if ax.get_yscale() == "linear":
            ax.locator_params(axis="y", nbins=4)
        if explained and _alone(result):
            ax.set_xticks([])
        axes.append(ax)
    if explained:
        handles, labels = axes[0].get_legend_handles_labels()
        axes[0].figure.legend(handles, labels, loc="lower center", ncols=len(labels), borderaxespad=0.2)
