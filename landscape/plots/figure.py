"""A whole figure for a result: what the command line writes, ready for a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from landscape.plots import draw, kinds, panel
from landscape.plots import style as look
from landscape.plots.bits_grid import BANDS
from landscape.plots.comparison_grid import comparison_grid
from landscape.plots.fitting import broken, entitled, fitted, legible, wrapped
from landscape.plots.grid import laid_out
from landscape.plots.heading import heading, named, shared
from landscape.plots.latex import dressed
from landscape.result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from landscape.plots.style import Venue

__all__ = ["figure", "heading", "named", "wrapped"]


def figure(
    result: Result | Mapping[str, Result],
    *,
    venue: str | Venue | None = None,
    page_width: str | None = None,
    latex: bool = False,
    title: str | None = None,
    panels: str | None = None,
    classes: bool = False,
    **style: Any,
) -> Figure:
    """Draw a result as a finished figure.

    A surface becomes a row of panels: the loss on every split, on one scale, and the accuracy. If `view`, `quantity`
    or `split` is given, that one panel is drawn. A line becomes one panel with loss and accuracy. Any other result
    is drawn by `landscape.plots.draw`; a saddle by class becomes a grid of spectra, an ensemble a row of its views, and
    networks asked together along curves a row for each curve.
    Several surfaces stand side by side with the same levels: see `landscape.plots.widths.widths`.

    Parameters
    ----------
    result : Result, or several by name
        Several spectra, or paths, share their axes; several surfaces one scale; others, of whatever kinds, stand side
        by side if `panels` says how.
    venue : {"neurips", "iclr", "icml", "cvpr", "thesis", "slides"} or Venue, optional
        Width of the page and size of type.
    page_width : {"column", "text"}, optional
        What the figure is as wide as. By default several panels are as wide as the text.
    latex : bool, default=False
        Let LaTeX set all texts; without it sub- and superscripts between dollars are set too.
    title : str, optional
        By default the model, the data and the directions, as far as the result knows them; empty for none. What stands
        between dollars is mathematics.
    panels : str, optional
        ``2x3``, or panels in words such as ``train loss, accuracy / 3d``: see `landscape.plots.panel.read`.
    classes : bool, default=False
        Draw one panel per class instead: see `landscape.plots.classes.classes`.
    **style
        Knobs of the plot of that kind.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If a knob has no such value, a quantity was not measured, or LaTeX is asked for and not installed.
    """
    results = dict(result) if isinstance(result, Mapping) else {"": result}
    with look.style(look.venue(venue, width=page_width, latex=latex)) as page:
        if classes and panels:
            raise ValueError("Expected panels or classes, got both: every class has a panel already.")
        if classes:
            drawn = _classes(results, page, title, style)
        elif panels is None and len(results) == 1 and "Comparison" in kinds.lineage(result):
            drawn = comparison_grid(result, venue=page, title=title, **style)  # pyright: ignore
        else:
            drawn = _drawn(results, panels, page, style)
            drawn.set_figwidth(min(drawn.get_figwidth(), page.whole))
            words = _words(results) if title is None else title
            entitled(drawn, words, page, math=title is not None)
        if page.latex:
            dressed(drawn)
        if page.size > look.DEFAULT.size:
            legible(drawn, page)
        broken(drawn)
        fitted(drawn)
    return drawn


def _drawn(results: dict[str, Result], panels: str | None, page: Venue, style: dict[str, Any]) -> Figure:
    """Draw everything but the title."""
    chosen = {"view", "quantity", *(["split"] if "Surface" in kinds.lineage(next(iter(results.values()))) else [])}
    if panels is not None:
        return laid_out(results, panel.read(panels), page, style)
    if len(results) > 1:
        return _several(results, page, style)
    (result,) = results.values()
    grid = kinds.whole(result)
    if grid and not {"view", "quantity"} & style.keys() and "Saddle" not in kinds.lineage(result):
        return grid(result, venue=page, title="", **style)
    if kinds.own("landscape.plots", result, "usual") and not chosen & style.keys():
        return laid_out(results, panel.Layout(None, []), page, style)
    return _single(page, result, style)


def _several(results: dict[str, Result], page: Venue, style: dict[str, Any]) -> Figure:
    """Draw several results of one kind over one pair of axes, or surfaces side by side."""
    from matplotlib.figure import Figure

    from landscape.plots.widths import widths

    found = list(results.values())
    if {type(result).__name__ for result in found} == {"Surface"}:
        return widths(results, page, **style)  # pyright: ignore
    grid, overlaid = kinds.whole(found[0]), kinds.own("landscape.plots", found[0], "several")
    alike = len({id(kinds.own("landscape.plots", result)) for result in found}) == 1
    if not alike or overlaid is None:
        names = sorted({type(result).__name__ for result in found})
        raise ValueError(
            f"Expected one result, or several of Bits, Path, Spectrum, Surface, got {len(found)} of "
            f"{', '.join(names)}: draw them one by one, or side by side with panels='1x{len(found)}'."
        )
    if grid and not {"view", "quantity"} & style.keys():
        return grid(results, venue=page, title="", **style)
    drawn = Figure(figsize=(page.single, 0.75 * page.single + 0.06 * page.size), layout="constrained")
    overlaid(results, drawn.add_subplot(), **style)
    return drawn


def _words(results: dict[str, Result]) -> str:
    """Say what stands over a figure: of one result what it is, of several what they have in common."""
    found = list(results.values())
    note = BANDS if type(found[0]).__name__ == "Bits" else ""
    if len(found) == 1:
        return "\n".join(line for line in (heading(found[0]), note) if line)
    return shared(found) if {type(result).__name__ for result in found} == {"Surface"} else note


def _classes(results: dict[str, Result], page: Venue, title: str | None, style: dict[str, Any]) -> Figure:
    from landscape.plots.classes import classes
    from landscape.plots.saddle_grid import saddle_grid

    if len(results) > 1:
        raise ValueError(f"Expected one result to draw by class, got {len(results)}: draw them one by one.")
    (result,) = results.values()
    if type(result).__name__ == "Saddle":
        return saddle_grid(result, venue=page, title=title, **style)  # pyright: ignore
    unknown = style.keys() - {"quantity", "split", "log", "clip"}
    if unknown:
        raise ValueError(
            f"Expected quantity, split, log or clip for classes, got {sorted(unknown)[0]!r}: leave it out."
        )
    knobs = {key: style[key] for key in ("log", "clip") if key in style}
    quantity = "class_" + style.get("quantity", "loss").removeprefix("class_")
    return classes(result, quantity, style.get("split"), venue=page, title=title, **knobs)


def _single(page: Venue, result: Result, style: dict[str, Any]) -> Figure:
    from matplotlib.figure import Figure

    solid = style.get("view") == "3d"
    width = page.single
    drawn = Figure(figsize=(width, (0.8 if solid else 0.75) * width + 0.06 * page.size), layout="constrained")
    draw(result, drawn.add_subplot(projection="3d" if solid else None), **style)
    return drawn
