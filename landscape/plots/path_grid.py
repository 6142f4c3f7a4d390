"""The whole figure of a path: loss and accuracy side by side, then what else was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from landscape.plots import draw
from landscape.plots.path import handles, panels
from landscape.plots.style import style as look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = {"loss": "loss", "accuracy": "accuracy", "training": "training of the curve"}
LETTERS = 90  # of a legend, that a row has room for
ABREAST = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3}  # panels in a row, of so many


def path_grid(result: Any, *, venue: str | None = None, title: str | None = None, **style: Any) -> Figure:
    """Draw every quantity of a result along curves that was measured, with one legend for all panels.

    Parameters
    ----------
    result : Path, Connect
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

    shown = panels(result)
    columns = ABREAST[len(shown)]
    rows = -(-len(shown) // columns)
    legend = style.pop("legend", True)
    with look(venue) as page:
        width = page.text if columns > 1 else min(page.column, 0.45 * page.size)
        tall = rows * ((0.62 if columns == 2 else 0.8) * width / columns + 0.04 * page.size) + 0.09 * page.size
        figure = Figure(figsize=(width, tall), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax, quantity in zip(axes, shown, strict=False):
            own = quantity not in TITLES  # dashes mean something else there
            draw(result, ax, **style, quantity=quantity, legend=legend and own)
            if not own:
                ax.set_title(TITLES[quantity], fontsize="medium")
        for ax in axes[len(shown) :]:
            ax.set_axis_off()
        if legend:
            parts = range(len(result.split)) if style.get("split") is None else [0]
            marks = handles(result, parts, style.get("barrier", True))
            letters = sum(len(str(mark.get_label())) + 6 for mark in marks)
            abreast = max(2, int(len(marks) * min(1.0, LETTERS * width / page.text / letters)))
            figure.legend(handles=marks, loc="outside lower center", ncols=abreast)
        if title:
            figure.suptitle(title, fontsize="medium", linespacing=1.0, parse_math=False)
    return figure
