"""The whole figure of a path: loss and accuracy side by side, then what else was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from landscape.plots import draw, field
from landscape.plots.panel import abreast
from landscape.plots.path import handles, panels
from landscape.plots.path_overlay import SHARED, several, told
from landscape.plots.style import Venue
from landscape.plots.style import style as look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = {"loss": "loss", "accuracy": "accuracy", "training": "training of the curve"}
LETTERS = 90  # of a legend, that a row has room for
ABREAST = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3}  # panels in a row, of so many


def path_grid(result: Any, *, venue: str | Venue | None = None, title: str | None = None, **style: Any) -> Figure:
    """Draw every quantity of a result along curves that was measured, with one legend for all panels.

    Parameters
    ----------
    result : Path, Connect, or several by name
        Of several, loss and accuracy are laid over each other.
    venue : str, optional
        Width of the page and size of type: see `landscape.plots.style.style`.
    title : str, optional
    **style
        Knobs of `landscape.plots.path.path`, but for the quantity.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    many = isinstance(result, Mapping)
    shown = [name for name in SHARED if all(name in panels(one) for one in result.values())] if many else panels(result)
    legend = style.pop("legend", True)
    with look(venue) as page:
        columns = min(ABREAST[len(shown)], abreast(page))
        rows = -(-len(shown) // columns)
        width = page.whole if columns > 1 else page.single
        tall = rows * ((0.62 if columns == 2 else 0.8) * width / columns + 0.04 * page.size) + 0.09 * page.size
        figure = Figure(figsize=(width, tall), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax, quantity in zip(axes, shown, strict=False):
            own = quantity not in TITLES  # dashes mean something else there
            if many:
                several(result, ax, **style, quantity=quantity, legend=False)
            else:
                alone = len(result.curve) == 1  # else numbers lie on other curves: the legend tells them
                draw(result, ax, **{"numbers": alone} | style, quantity=quantity, legend=legend and own)
            if not own:
                ax.set_title(TITLES[quantity], fontsize="medium")
        for ax in axes[len(shown) :]:
            ax.remove()
        if legend:
            if many:
                marks = told(result, style.get("split"), style.get("barrier", True))
            else:
                split = style.get("split")
                parts = range(len(result.split)) if split is None else [field.position(result, split)]
                barrier = style.get("barrier", True)
                heights = [name for name in SHARED if name in shown] if barrier and len(result.curve) > 1 else []
                marks = handles(result, parts, barrier, heights=tuple(heights))
            letters = sum(len(str(mark.get_label())) + 6 for mark in marks)
            side = max(2, int(len(marks) * min(1.0, LETTERS * width / page.text / letters)))
            figure.legend(handles=marks, loc="outside lower center", ncols=side)
        if title:
            figure.suptitle(title, fontsize="medium", linespacing=1.0, parse_math=False)
    return figure
