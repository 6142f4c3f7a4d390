"""The whole figure of a network across bit widths, or of several networks side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from matplotlib import font_manager

from landscape.plots.bits import ONE, panels, several
from landscape.plots.fitting import wrapped
from landscape.plots.panel import abreast
from landscape.plots.style import Venue, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from landscape.probes.bits import Bits

BANDS = "bands and bars: two standard errors to both sides"
ABREAST = 3  # panels in a row
NAME = 1.6  # height of a name in a legend over its type, and of axes before titles take their share of it
TITLES = {
    "loss": "loss", "accuracy": "accuracy", "loss_change": "loss of rounding", "parts": "parts of the change",
    "sharpness": "sharpness", "layers": "one weight at a time", "segments": "from width to width",
    "bin_sharpness": "within the bins", "flip_mean": "random code flips", "scaled": "scale-free curvature",
}  # fmt: skip


def bits_grid(
    results: Bits | Mapping[str, Bits], *, venue: str | Venue | None = None, title: str | None = None,
    split: str | None = None, legend: bool = True,
) -> Figure:  # fmt: skip
    """Draw all views of one network, or the curves of several, that have been measured.

    Parameters
    ----------
    results : Bits, or several by name
    venue : str, optional
        Width of the page and size of type: see `landscape.plots.style.style`.
    title : str, optional
    split : str, optional
        One part of the data, where a panel shows several.
    legend : bool, default=True

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    results = results if isinstance(results, Mapping) else {"": results}
    shown = panels(results)
    with style(venue) as page:
        columns = min(ABREAST, abreast(page))
        rows = -(-len(shown) // columns)
        tall = rows * (0.86 * page.whole / columns + 0.035 * page.size) + 0.1 * page.size
        figure = Figure(figsize=(page.whole, tall), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        for ax, panel in zip(axes.flat, shown, strict=False):
            _panel(ax, results, panel, split)
            if legend and (len(results) == 1 or panel == shown[0]):
                _legend(ax, panel)
        for ax in axes.flat[len(shown) :]:
            ax.remove()
        if title:
            figure.suptitle(wrapped(title, page.whole, page), fontsize="medium", linespacing=1.0)
    return figure


def _panel(ax: Axes, results: Mapping[str, Any], panel: str, split: str | None) -> None:
    knobs = {"view": panel} if panel in ONE else {"view": "measure", "quantity": panel}
    several(results, ax, split=split, legend=False, **knobs)
    ax.set_title(TITLES[panel], fontsize="small")


def _legend(ax: Axes, panel: str) -> None:
    """Explain the marks of a panel, where there are several kinds; those of the loss serve the accuracy too."""
    handles, names = ax.get_legend_handles_labels()
    if panel == "sharpness":
        _made_room(ax, len(handles))
    if len(handles) > 1 and panel != "accuracy":
        ax.legend(
            handles, names, fontsize="x-small", handlelength=1.4, labelspacing=0.25, handletextpad=0.4,
            loc="lower right" if panel == "sharpness" else "best",
            frameon=True, framealpha=0.85, edgecolor="none",  # levels of full precision may run below it
        )  # fmt: skip


def _made_room(ax: Axes, names: int) -> None:
    """Lengthen a logarithmic axis downwards, so that a legend of so many names fits below the curves."""
    low, high = ax.get_ylim()
    size = font_manager.FontProperties(size="x-small").get_size_in_points()
    share = min(NAME * names * size / 72 / (ax.bbox.height / ax.figure.dpi), 0.5)
    ax.set_ylim(bottom=low / (high / low) ** (share / (1 - share)))
