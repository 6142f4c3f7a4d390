"""The largest Hessian eigenvalue of batches against 1/B - 1/N, with the line that it follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from landscape.plots import overlay
from landscape.plots.style import BLUE, GRAY, GREEN, ORANGE, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.batchsize import Batchsize

APART = 0.055  # of the axis: batch sizes that are closer are not written beside each other
SCALES = ("linear", "log")


def batchsize(
    result: Batchsize,
    ax: Axes,
    *,
    scale: str = "linear",
    batches: bool = False,
    theory: bool = True,
    legend: bool = True,
) -> Axes:
    """Draw a `Batchsize`: means with two standard errors, the lines, and what theory predicts without fitting.

    Parameters
    ----------
    result : Batchsize
    ax : matplotlib.axes.Axes
    scale : {"linear", "log"}
        Of both axes; lines are straight on linear ones, small batches far apart on logarithmic ones.
    batches : bool, default=False
        Draw every batch as a dot too.
    theory : bool, default=True
        Draw second-order perturbation and the random-matrix formula.
    legend : bool, default=True

    Returns
    -------
    matplotlib.axes.Axes
        Batch sizes stand along the upper side.

    Raises
    ------
    ValueError
        If the scale is unknown.
    """
    if scale not in SCALES:
        raise ValueError(f"Expected a scale, one of {', '.join(SCALES)}, got {scale!r}: choose one of these.")
    if batches:
        ax.plot(result.noise, result.batch_lambda_max.T, ".", color=BLUE, alpha=0.25, markersize=2.5, zorder=1)
    reach = result.noise.max()
    x = np.geomspace(result.noise.min() / 2, reach, 200) if scale == "log" else np.linspace(0, reach, 200)
    if theory:
        _theory(ax, result, x)
    ax.plot(x, result.whole + result.slope[0] * x, color=ORANGE, label=_described(result), zorder=2)
    ax.errorbar(
        result.noise, result.lambda_max, 2 * result.lambda_max_error, fmt="o", color=BLUE, capsize=2, elinewidth=0.8,
        label=f"mean of {len(result.batch)} batches, ± 2 s.e.", zorder=3,
    )  # fmt: skip
    if scale == "linear":
        ax.plot(0, result.whole, "D", color=BLUE, markerfacecolor="white", zorder=4, label="all examples")
    else:
        look = {"color": BLUE, "linewidth": 0.6, "linestyle": (0, (1, 2)), "zorder": 1}
        ax.axhline(float(result.whole), label="all examples", **look)
    ax.set(xscale=scale, yscale=scale, xlabel=_horizontal(result), ylabel=r"$\lambda_{\max}$ of the Hessian [nat]")
    if scale == "linear":
        ax.set_xlim(-0.02 * reach, 1.04 * reach)
        ax.set_ylim(bottom=min(0.0, float(result.lambda_max.min())))
    else:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(lambda value, _: number(value))
        ax.yaxis.set_minor_formatter(NullFormatter())
    _sizes(ax, result)
    if legend:
        overlay.legend(ax)
    return ax


def _theory(ax: Axes, result: Batchsize, x: np.ndarray) -> None:
    perturbed = result.whole + result.perturbed * x
    power = result.isotropic * result.whole  # P sigma^2
    spike = result.whole**2 > power * x
    formula = np.where(spike, result.whole + result.isotropic * x, 2 * np.sqrt(np.maximum(power * x, 0)))
    ax.plot(x, perturbed, color=GREEN, linestyle="--", linewidth=0.9, label="second-order perturbation", zorder=1.5)
    ax.plot(x, formula, color=GRAY, linestyle=":", label="random matrix", zorder=1.5)


def _described(result: Batchsize) -> str:
    slope, error = float(result.slope[0]), float(result.slope_error[0])
    share = float(result.r_squared[0])
    told = f", $R^2$ = {share:.2f}" if np.isfinite(share) else ""
    return f"line, slope {number(slope)} ± {number(error, 2)}{told}"


def _horizontal(result: Batchsize) -> str:
    dropped = result.origin.get("dropped") or []
    note = f"\nleft out, as there are {int(result.whole_size)} examples: B = {', '.join(map(str, dropped))}"
    return rf"$1/B - 1/N$,  $N$ = {int(result.whole_size)}" + (note if dropped else "")


def _sizes(ax: Axes, result: Batchsize) -> None:
    """Write batch sizes over the upper side, those that have room, small batches first."""
    upper = ax.secondary_xaxis("top")
    shown, places = [], []
    for size, noise in sorted(zip(result.size.tolist(), result.noise.tolist(), strict=True)):
        place = float(ax.transAxes.inverted().transform(ax.transData.transform((noise, ax.get_ylim()[1])))[0])
        if all(abs(place - other) > APART for other in places):
            shown.append((noise, size))
            places.append(place)
    upper.set_xticks([noise for noise, _ in shown], labels=[str(size) for _, size in shown])
    upper.minorticks_off()
    upper.set_xlabel("examples of a batch, $B$")
