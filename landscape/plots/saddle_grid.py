"""Small multiples of the spectra of classes: one density each, on a logarithmic scale, both ends marked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots.style import BLUE, GRAY, ORANGE, Venue, number, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from landscape.probes.saddle import Saddle

ABREAST = 5  # panels in a row, for few classes
MANY = 20  # from here on panels are too small for ticks and words
POINTS = 400  # of a curve, and besides,
FINE = np.linspace(-4, 4, 13)  # around each node, in widths: a narrow peak is not to fall between two points
FAINT = 0.1  # of one eigenvalue's height: what is fainter is not drawn


def saddle_grid(
    result: Saddle, *, venue: str | Venue | None = None, shared: bool = False, width: float | None = None,
    title: str | None = None,
) -> Figure:  # fmt: skip
    """Draw the spectral density of every class's Hessian, with one standard error over probes and both ends marked.

    Parameters
    ----------
    result : Saddle
    venue : str, optional
        Width of the page and size of type: see `landscape.plots.style.style`.
    shared : bool, default=False
        One scale of eigenvalues for all classes; else each panel covers its own spectrum.
    width : float, optional
        Standard deviation of the smoothing, in nats; by default each class's own, that of `Saddle.spectrum`.
    title : str, optional

    Returns
    -------
    matplotlib.figure.Figure
        Heights are shared: a panel ends at a tenth of the height of one eigenvalue.
    """
    from matplotlib.figure import Figure

    names = [str(name) for name in result.class_]
    columns = min(len(names), ABREAST) if len(names) <= MANY else math.ceil(math.sqrt(len(names)))
    rows, many = math.ceil(len(names) / columns), len(names) > MANY
    with style(venue) as page:
        tall = rows * (0.72 * page.whole / columns + 0.01 * page.size) + 0.09 * page.size
        figure = Figure(figsize=(page.whole, tall), layout="none" if many else "constrained")
        axes = figure.subplots(rows, columns, sharex=shared, sharey=True, squeeze=False)
        for ax in axes.flat[len(names) :]:
            ax.set_axis_off()
        panels = list(axes.flat[: len(names)])
        smooth = _widths(result, width)
        for index, ax in enumerate(panels):
            ax.set_title(_heading(result, index, names[index], many), fontsize="small", pad=2, parse_math=False)
            if result.present[index]:
                _panel(ax, result, index, smooth[index], shared, many)
            else:
                ax.tick_params(bottom=False, labelbottom=False)
                ax.text(0.5, 0.5, "no examples", transform=ax.transAxes, ha="center", color=GRAY, fontsize="small")
        _scales(figure, panels, columns, result, smooth, many)
        _words(figure, title, page, many, rows, shared)
    return figure


def _widths(result: Saddle, width: float | None) -> np.ndarray:
    found = np.array([result.spectrum(i).width if here else np.nan for i, here in enumerate(result.present)])
    if width is not None:
        return np.full(len(found), float(width))
    return found


def _limits(result: Saddle, index: int | None, widths: np.ndarray) -> tuple[float, float]:
    """Return what a panel covers: the spectra, and some room for the smoothing."""
    chosen = slice(None) if index is None else slice(index, index + 1)
    low, high = np.nanmin(result.lambda_min[chosen]), np.nanmax(result.lambda_max[chosen])
    room = 0.04 * (high - low) + 3 * np.nanmax(widths[chosen])
    return float(low - room), float(high + room)


def _panel(ax: Axes, result: Saddle, index: int, width: float, shared: bool, many: bool) -> None:
    low, high = _limits(result, None if shared else index, np.full(len(result.count), width))
    near = result.node[index].ravel()[:, None] + width * FINE
    grid = np.unique(np.concatenate([np.linspace(low, high, POINTS), near[(near > low) & (near < high)]]))
    density, error = result.spectrum(index).density(grid, width)
    ax.fill_between(grid, density - error, density + error, color=BLUE, alpha=0.25, linewidth=0)
    ax.plot(grid, density, color=BLUE, linewidth=0.6 if many else 0.9)
    ax.axvline(0, color=GRAY, linewidth=0.4, zorder=0.5)
    ends = result.lambda_min[index], result.lambda_max[index]
    for value, mark, color in zip(ends, ("<", ">"), (ORANGE, "black"), strict=True):
        ax.plot(
            value, 0.04, mark, color=color, markersize=2 if many else 4, transform=ax.get_xaxis_transform(), zorder=4,
            clip_on=False,
        )  # fmt: skip
    if not many:
        words = rf"$\lambda_{{\min}}$ {_signed(ends[0])}" + "\n" + rf"$\lambda_{{\max}}$ {_signed(ends[1])}"
        ax.text(0.97, 0.96, words, transform=ax.transAxes, ha="right", va="top", fontsize="x-small")
    if not shared:
        ax.set_xlim(low, high)


def _signed(value: float) -> str:
    """Write a number with a minus as long as a plus; powers of ten have one already."""
    words = number(value, 2)
    return words if "$" in words else words.replace("-", "\u2212")


def _heading(result: Saddle, index: int, name: str, many: bool) -> str:
    group = result.group
    rank = f", {group[index]}" if group is not None and group[index] and not many else ""
    return name if many else f"{name} ({int(result.count[index])}{rank})"


def _scales(figure: Figure, panels: list[Axes], columns: int, result: Saddle, widths: np.ndarray, many: bool) -> None:
    """Give all panels one range of heights, and label the outer ones only."""
    one = 1 / (float(result.dimension) * math.sqrt(2 * math.pi) * np.nanmax(widths))
    highest = max(float(line.get_ydata().max()) for ax in panels for line in ax.lines[:1])
    shared = len({ax.get_xlim() for ax in panels}) == 1
    for index, ax in enumerate(panels):
        ax.set(yscale="log", ylim=(FAINT * one, 3 * highest))
        if shared:
            ax.set_xlim(_limits(result, None, widths))
        if many:
            ax.tick_params(labelleft=False, labelbottom=False, length=0, which="both")
        else:
            ax.locator_params(axis="x", nbins=3)
            outer = not shared or index + columns >= len(panels)
            ax.tick_params(labelbottom=outer and bool(result.present[index]))


def _span(limits: tuple[float, float]) -> str:
    return " to ".join(_signed(limit) for limit in limits)


def _words(figure: Figure, title: str | None, page: Any, many: bool, rows: int, shared: bool) -> None:
    if many:
        width, height = figure.get_size_inches()
        line = 1.5 * page.size / 72
        figure.subplots_adjust(
            left=2.2 * line / width, right=1 - 0.4 * line / width, bottom=1.7 * line / height,
            top=1 - 2.8 * line / height, wspace=0.08, hspace=1.1 * line / (height / rows - 1.1 * line),
        )  # fmt: skip
    across, up = "eigenvalue of the class Hessian [nat]", "spectral density [1/nat]"
    if many:  # panels without ticks: say what they span
        low, high = figure.axes[0].get_ylim()
        across += ", every panel over its own spectrum" if not shared else f", from {_span(figure.axes[0].get_xlim())}"
        up += f", logarithmic, from {_span((low, high))}"
    figure.supxlabel(across, fontsize="medium")
    figure.supylabel(up, fontsize="medium")
    if title != "":
        words = "spectrum of every class" + " (examples)" * (not many)
        figure.suptitle(title or words, fontsize="large", parse_math=title is not None)
