"""How a figure meets its page: a title over it, one legend below it, no more height than it needs."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any

from matplotlib import rcParams

from landscape.plots.style import SANS, Venue

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

SOLID = 0.85  # height of a relief over its width
LONGER = 1.1  # a label may be that much longer than its axis, if the page has room around it
LETTER, MARGIN = 0.5, 0.8  # a letter over its type; what a layout leaves of axes for certain
THIN, SMALL = 0.07, 0.4  # least width of a line and least size of a mark, in sizes of the type
KEPT = "\0"  # for spaces within mathematics, at which no line is broken


def wrapped(words: str, width: float, page: Venue) -> str:
    """Break lines that are too long for a width in inches in the type of a page."""
    letter = (0.54 if page.family == SANS else 0.45) * page.size / 72  # mean advance of the two families
    long = max(int(width / letter), 12)
    whole = re.sub(r"\$[^$\n]*\$", lambda found: found[0].replace(" ", KEPT), words)
    pieces = (piece for line in whole.splitlines() for piece in textwrap.wrap(line, long))
    return "\n".join(piece.removesuffix(" ·").removeprefix("· ").replace(KEPT, " ") for piece in pieces)


def entitled(drawn: Figure, words: str, page: Venue, *, math: bool = False) -> None:
    r"""Write a title over a figure, in lines that are not wider than it.

    Parameters
    ----------
    drawn : matplotlib.figure.Figure
    words : str
        None is written if it is empty.
    page : Venue
    math : bool, default=False
        Read what stands between dollars as mathematics, ``$\lambda_{max}$``.

    Raises
    ------
    ValueError
        If what stands between dollars cannot be read.
    """
    if words:
        if math and not rcParams["text.usetex"]:
            _require_math(words)
        lines = wrapped(words, drawn.get_figwidth(), page)
        drawn.suptitle(lines, fontsize="medium", linespacing=1.0, parse_math=math)


def _require_math(words: str) -> None:
    from matplotlib.mathtext import MathTextParser

    try:
        MathTextParser("path").parse(words)
    except ValueError as error:
        raise ValueError(
            f"Expected a title whose mathematics can be set, got {words!r}: write it as in $\\lambda_{{max}}$, or pass "
            "--latex with LaTeX at hand."
        ) from error


def broken(drawn: Figure) -> None:
    """Break titles and labels of axes that are longer than these, between words."""
    flat = [ax for ax in drawn.axes if ax.name != "3d"]
    if not any(_long(text, room) for ax in flat for text, room in _labels(ax)):
        return  # most figures: they need not be drawn to know
    drawn.draw_without_rendering()
    for ax in flat:
        for text, room in _labels(ax):
            extent = text.get_window_extent()
            upright = text is ax.yaxis.label
            long = extent.height if upright else extent.width
            cut = extent.x0 < drawn.bbox.x0 or extent.x1 > drawn.bbox.x1
            if text.get_text() and long > (1.0 if upright or cut else LONGER) * room:
                text.set_text(_folded(text.get_text(), room / long))


def _labels(ax: Axes) -> list[tuple[Text, float]]:
    """Return title and labels of axes, each with its room in pixels."""
    box = ax.get_window_extent()
    return [(ax.title, box.width), (ax.xaxis.label, box.width), (ax.yaxis.label, box.height)]


def _long(text: Text, room: float) -> bool:
    """Say whether a text may be longer than its room, by the number of its letters."""
    letters = max(map(len, text.get_text().splitlines()), default=0)
    return LETTER * letters * text.get_fontsize() / 72 * text.figure.dpi > MARGIN * room  # pyright: ignore


def legible(drawn: Figure, page: Venue) -> None:
    """Draw no line thinner, and no mark smaller, than the type of a page asks for."""
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D

    parts = [*drawn.axes, *drawn.legends, *(ax.get_legend() for ax in drawn.axes if ax.get_legend())]
    for part in parts:
        lines = part.lines if part in drawn.axes else part.findobj(Line2D)
        for line in lines:
            line.set_linewidth(max(line.get_linewidth(), THIN * page.size))
            line.set_markersize(max(line.get_markersize(), SMALL * page.size))
        for line in part.findobj(LineCollection):
            line.set_linewidths([max(width, THIN * page.size) for width in line.get_linewidths()])


def _folded(words: str, share: float) -> str:
    """Break lines that are longer than a share of the longest one; mathematics stays whole."""
    longest = max(len(line) for line in words.splitlines())
    whole = re.sub(r"\$[^$\n]*\$", lambda found: found[0].replace(" ", KEPT), words)
    room = max(int(share * longest), 4)
    lines = (textwrap.fill(line, room, break_long_words=False) for line in whole.splitlines())
    return "\n".join(lines).replace(KEPT, " ")


def fitted(drawn: Figure) -> None:
    """Take from the height of a figure what its square panels leave empty.

    The figure comes in tall, so that its panels are as wide as the page allows. What they and the texts around
    them measure then is the height it needs.
    """
    panels = [ax for ax in drawn.axes if ax.name != "3d" and ax.get_box_aspect() == 1]
    engine = drawn.get_layout_engine()
    if not panels or engine is None or not hasattr(engine, "get") or "h_pad" not in engine.get():
        return
    drawn.draw_without_rendering()
    texts = [*drawn.texts, *drawn.legends]
    places = [ax.get_subplotspec() for ax in panels]
    solid = [ax for ax in drawn.axes if ax.name == "3d"]
    places += [ax.get_subplotspec() for ax in solid]
    rows = len({place.rowspan.start if place else 0 for place in places})
    around = sum(text.get_window_extent().height for text in texts)
    across = max(place.get_gridspec().ncols if place else 1 for place in places)
    heights = [ax.get_tightbbox().height for ax in panels] + [SOLID * drawn.bbox.width / across] * bool(solid)
    tall = rows * max(heights) + around
    pad = 2 * engine.get()["h_pad"] * (1 + rows + len(texts))
    drawn.set_figheight(tall / drawn.dpi + pad + 0.5 * rcParams["font.size"] / 72)
    drawn.draw_without_rendering()  # names that stand aslant have their room from the second pass on


def explained(drawn: Figure, axes: Any) -> None:
    """Explain the marks of all panels once, below them."""
    handles = {}
    for ax in axes:
        for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault("minimum, where it is not the center" if name.startswith("minimum") else name, handle)
    if len(handles) > 1:
        drawn.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3 if len(handles) > 4 else 4)
