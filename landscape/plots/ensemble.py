"""What several networks are worth together: loss and accuracy by their number, and how sure they may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from landscape.plots.style import BLUE, GRAY, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.ensembles.ensemble import Ensemble

MANY = 15  # networks, from which on a line is drawn without a mark for each
VIEWS = ("loss", "accuracy", "reliability")  # the panels of a whole figure, from left to right


def ensemble(result: Ensemble, ax: Axes, *, view: str = "loss", legend: bool = True) -> Axes:
    """Draw an `Ensemble`: a score by the number of members, or accuracy by confidence.

    Parameters
    ----------
    result : Ensemble
    ax : matplotlib.axes.Axes
    view : {"loss", "accuracy", "reliability"}
        The first two draw the mean of the probabilities of the first k members over k, with a band of one standard
        error over examples to both sides; a dot at k is member number k alone, and the dashed line is their mean.

        "reliability" draws the accuracy of the predictions in each bin of confidence, with Wilson's interval of one
        standard error, of all members together and of their own predictions pooled. On the diagonal confidence is
        earned. Areas of markers follow the share of predictions in a bin.
    legend : bool, default=True

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no such view.
    """
    if view not in VIEWS:
        raise ValueError(f"Expected a view, one of {', '.join(VIEWS)}, got {view!r}: choose one of these.")
    if view == "reliability":
        _reliability(ax, result)
    else:
        _sizes(ax, result, view)
    if legend:
        ax.legend(
            loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, handlelength=1.3, columnspacing=0.8,
            handletextpad=0.4, fontsize="small",
        )  # fmt: skip
    return ax


def _sizes(ax: Axes, result: Ensemble, name: str) -> None:
    unit = 100 if name == "accuracy" else 1
    values, errors = unit * getattr(result, name), unit * getattr(result, f"{name}_error")
    ax.fill_between(result.size, values - errors, values + errors, color=BLUE, alpha=0.2, linewidth=0)
    mark = "o" if len(result.size) <= MANY else None
    ax.plot(result.size, values, color=BLUE, marker=mark, label="first k together", zorder=3)
    alone = unit * getattr(result, f"member_{name}")
    ax.plot(result.size, alone, "x", color=ORANGE, markeredgewidth=1, label="number k alone", zorder=3.5)
    ax.axhline(alone.mean(), color=ORANGE, linewidth=0.8, linestyle=(0, (4, 2)), label="their mean", zorder=2)
    ax.set_xlabel("number of networks, k")
    ax.set_ylabel("accuracy [%]" if name == "accuracy" else "loss [nat]")
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))


def _reliability(ax: Axes, result: Ensemble) -> None:
    ax.plot([0, 100], [0, 100], color=GRAY, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
    for row, (color, mark) in enumerate(((BLUE, "o"), (ORANGE, "s"))):
        full = result.bin_count[row] > 0
        x, y, low, high = (
            100 * values[row, full]
            for values in (result.bin_confidence, result.bin_accuracy, result.bin_low, result.bin_high)
        )
        share = result.bin_count[row, full] / result.bin_count[row].sum()
        words = ("all together", "each alone")[row]
        reach = np.maximum([y - low, high - y], 0)  # rounding may leave a little less
        ax.errorbar(x, y, reach, fmt="none", ecolor=color, elinewidth=0.8, zorder=3 - row)
        ax.scatter(x, y, 6 + 60 * share, color=color, marker=mark, linewidth=0, label=words, zorder=3 - row)
    first = result.edge[np.flatnonzero(result.bin_count.sum(0))[0]]
    bottom = min(first, np.nanmin(result.bin_low))
    ax.set(xlim=(100 * first, 102), ylim=(100 * bottom - 2, 102))
    ax.set_xlabel("confidence [%]")
    ax.set_ylabel("accuracy [%]")


def usual(result: Ensemble) -> list[list[dict[str, str]]]:
    """Return the panels of a whole figure."""
    return [[{"view": view} for view in VIEWS]]
