"""How a figure meets its page: a title over it, one legend below it, no more height than it needs."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any

from matplotlib import rcParams

from landscape.plots.style import SANS, Venue

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOLID = 0.85  # height of a relief over its width
LONGER = 1.1  # a label may be that much longer than its axis: there is some room around axes
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
    """
    if words:
        lines = wrapped(words, drawn.get_figwidth(), page)
        drawn.suptitle(lines, fontsize="medium", linespacing=1.0, parse_math=math)


def broken(drawn: Figure) -> None:
    """Break titles and labels of axes that are longer than these, between words."""
    drawn.draw_without_rendering()
    for ax in drawn.axes:
        if ax.name == "3d":
            continue
        box = ax.get_window_extent()
        for text, upright in ((ax.title, False), (ax.xaxis.label, False), (ax.yaxis.label, True)):
            extent = text.get_window_extent()
            long, room = (extent.height, box.height) if upright else (extent.width, box.width)
            if text.get_text() and long > (1.0 if upright else LONGER) * room:
                text.set_text(_folded(text.get_text(), room / long))


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
