"""Eigenvalues as bars, with their residuals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from landscape.plots.spectrum import MATRICES
from landscape.plots.style import BLUE, GRAY, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.eigen import Eigen

RATIO = 30  # of moduli, from which on they are told apart on a logarithmic axis alone
GAP = 1.0  # between the largest and the smallest ones, in bars
MANY = 15  # bars that are numbered one by one


def eigen(result: Eigen, ax: Axes, *, log: bool | str = "auto") -> Axes:
    """Draw the eigenvalues of an `Eigen` as bars, the largest on the left and the smallest on the right.

    Parameters
    ----------
    result : Eigen
    ax : matplotlib.axes.Axes
    log : bool or "auto"
        Logarithmic in the modulus, for both signs; "auto" where moduli span more than a factor of 30.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    Positive values are blue, negative ones orange; what has not converged is hatched. The thin bars are residuals: an
    eigenvalue lies within.
    """
    smallest = result.end == "smallest"
    place = np.arange(len(result.value)) + GAP * (smallest & ~smallest.all())
    colors = np.where(result.value < 0, ORANGE, BLUE)
    bars = ax.bar(
        place, result.value, width=0.75, color=colors, yerr=result.residual, capsize=2,
        error_kw={"elinewidth": 0.8, "capthick": 0.8, "ecolor": "black"},
    )  # fmt: skip
    for bar, good in zip(bars, result.converged, strict=True):
        if not good:
            bar.set(facecolor="white", edgecolor=bar.get_facecolor(), hatch="//////")
    ax.axhline(0, color="black", linewidth=0.6)
    _vertical(ax, result, log)
    _ranks(ax, result, place, smallest)
    return ax


def _vertical(ax: Axes, result: Eigen, log: bool | str) -> None:
    ax.set_ylabel(f"eigenvalue of the {MATRICES[result.origin.get('matrix', 'hessian')]} [nat]")
    modulus = np.abs(result.value[result.value != 0])
    wanted = modulus.size and (modulus.max() > RATIO * modulus.min() if log == "auto" else log)
    low, high = (result.value - result.residual).min(), (result.value + result.residual).max()
    if not wanted:
        room = 0.06 * ((max(high, 0) - min(low, 0)) or 1.0)
        ax.set_ylim(min(low - room, 0) if low < 0 else 0, max(high + room, 0) if high > 0 else 0)
        return
    threshold = 10.0 ** math.floor(math.log10(modulus.min()))
    ax.set_yscale("symlog", linthresh=threshold, linscale=0.4)
    ax.set_ylim(min(1.8 * low, 0), max(1.8 * high, 0))


def _ranks(ax: Axes, result: Eigen, place: np.ndarray, smallest: np.ndarray) -> None:
    """Number the bars: from 1 at the largest eigenvalue, to D at the smallest one."""
    count = int(smallest.sum())
    above = [str(i + 1) for i in range(len(place) - count)]
    below = ["D" if i == count - 1 else f"D\N{MINUS SIGN}{count - 1 - i}" for i in range(count)]
    every = math.ceil(len(place) / MANY)
    shown = [i for i in range(len(place)) if (i if not smallest[i] else len(place) - 1 - i) % every == 0]
    ax.set_xticks(place[shown], [(above + below)[i] for i in shown])
    ax.tick_params(axis="x", length=0, labelsize="small")
    ax.set_xlabel(f"rank of the eigenvalue, D = {int(result.dimension):,}")
    ax.margins(x=0.02)
    if count and len(above):
        ax.axvline((place[smallest][0] + place[~smallest][-1]) / 2, color=GRAY, linewidth=0.6, linestyle=(0, (2, 2)))
