"""Of what a loss of rounding consists: terms of its expansion, single weights, the ways from width to width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rcParams

from landscape.plots.bits_curves import DASHES, ERRORS, MARKS, SERIES, WIDE, chosen, every_width, ticks
from landscape.plots.style import BLUE, GRAY, GREEN, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.bits import Bits

TERMS = (("gradient_term", r"gradient, $g^\top\delta$", BLUE), ("curvature_term", r"curvature, "
         r"$\delta^\top H \delta / 2$", GREEN), ("remainder", "remainder", "#BBBBBB"))  # fmt: skip
BAR = 0.26  # of the distance of two widths
CLEAR = 2.0  # errors, by which a barrier must stand out to be written


def parts(result: Bits, ax: Axes) -> None:
    """Draw the terms of the change of the loss side by side, and the change itself; hatched where they fail."""
    places = np.arange(len(result.bits))
    for index, (name, label, color) in enumerate(TERMS):
        heights = getattr(result, name)
        made = ax.bar(places + (index - 1) * BAR, heights, 0.92 * BAR, color=color, label=label, zorder=1)
        for bar, valid in zip(made, result.taylor_valid, strict=True):
            if not valid:
                bar.set(hatch="/////", edgecolor="white", linewidth=0)
    change, error = result.loss_change[0], result.loss_change_error[0]
    ax.errorbar(
        places, change, ERRORS * error, fmt="D", color="black", markersize=0.7 * rcParams["lines.markersize"],
        elinewidth=0.7, label="change of the loss", zorder=3,
    )  # fmt: skip
    if not result.taylor_valid.all():
        ax.bar([0], [0], 0, facecolor="white", edgecolor=GRAY, hatch="/////", linewidth=0.4, label="expansion fails")
    found = np.abs(np.concatenate([change, *(getattr(result, name) for name, _, _ in TERMS)]))
    found = found[(found > 0) & np.isfinite(found)]
    if found.size and found.max() > WIDE * found.min():
        least = np.abs(change[np.isfinite(change) & (change != 0)])
        ax.set_yscale("symlog", linthresh=10.0 ** np.floor(np.log10(max(least.min(), 1e-5 * found.max()))))
    ax.axhline(0, color="black", linewidth=0.5, zorder=0.9)
    ticks(ax, every_width([result]))
    ax.set_ylabel(f"change of the {result.split[0]} loss [nat]")


def layers(result: Bits, ax: Axes) -> None:
    """Draw the measured against the predicted change of every weight that is rounded alone, a colour a width."""
    if result.tensor_change is None or result.tensor_predicted is None or result.tensor_change_error is None:
        raise ValueError("Expected sensitivities of the weights, got none: measure without --no-layers.")
    reach, hollow = [], False
    for index, count in enumerate(result.bits.tolist()):
        x, y, error = (getattr(result, f"tensor_{n}")[index] for n in ("predicted", "change", "change_error"))
        known = np.isfinite(x) & np.isfinite(y) & (x != 0) & (y != 0)
        wrong = (x < 0) | (y < 0)
        rank = np.nan if result.spearman is None else result.spearman[index]
        color = SERIES[index % len(SERIES)]
        told = rf", $\rho_S$ = {rank:.2f}".replace("-", "\N{MINUS SIGN}") if np.isfinite(rank) else ""
        words = f"{count} bit{'s' * (count > 1)}{told}"
        size = 2.6 * rcParams["font.size"]
        for inside, face in ((known & ~wrong, color), (known & wrong, "white")):
            ax.scatter(
                np.abs(x[inside]), np.abs(y[inside]), s=size, marker=MARKS[index % len(MARKS)], facecolors=face,
                edgecolors=color, linewidths=0.6, label=words if face == color else None, zorder=2,
            )  # fmt: skip
        hollow |= bool((known & wrong).any())
        bars = np.stack([np.minimum(ERRORS * error, 0.9 * np.abs(y)), ERRORS * error])[:, known]
        ax.errorbar(np.abs(x[known]), np.abs(y[known]), bars, fmt="none", ecolor=color, elinewidth=0.4, zorder=1.5)
        reach += [np.abs(x[known]), np.abs(y[known])]
    if hollow:
        ax.scatter([], [], s=2.6 * rcParams["font.size"], facecolors="white", edgecolors=GRAY, label="one is negative")
    ends = np.concatenate(reach)
    if ends.size:
        sides = np.array([ends.min() / 2, ends.max() * 2])
        ax.plot(sides, sides, color="black", linewidth=0.6, zorder=1)
        ax.set(xscale="log", yscale="log", xlim=sides, ylim=sides)
    ax.set_xlabel(r"predicted, $g_i^\top\delta_i + \delta_i^\top H_{ii} \delta_i / 2$ [nat]")
    ax.set_ylabel("measured [nat]")


def segments(result: Bits, ax: Axes, split: str | None = None) -> None:
    """Draw the loss on the straight ways from full precision to the widest, and on from width to width."""
    lines = []
    for row, k in enumerate(chosen(result, split)):
        for index in range(len(result.segment)):
            loss, error = result.segment_loss[k, index], ERRORS * result.segment_loss_error[k, index]
            label = str(result.split[k]) if index == 0 else None
            ax.plot(index + result.t, loss, color=SERIES[row], linestyle=DASHES[row % len(DASHES)], label=label)
            lines.append((index + result.t, loss, error, SERIES[row]))
            _barrier(ax, result, k, index)
    values = np.concatenate([loss for _, loss, _, _ in lines])
    values = values[np.isfinite(values)]
    if values.size and values.min() > 0 and values.max() > WIDE * values.min():
        ax.set_yscale("log")
    for t, loss, error, color in lines:
        low = np.maximum(loss - error, 0.02 * loss) if ax.get_yscale() == "log" else loss - error
        ax.fill_between(t, low, loss + error, color=color, alpha=0.18, linewidth=0)
    names = ["full", *map(str, result.bits.tolist())]
    for place in range(len(names)):
        ax.axvline(place, color=GRAY, linewidth=0.3, zorder=0.5)
    ax.set_xticks(range(len(names)), names)
    ax.set(xlim=(0, len(names) - 1), xlabel="bits, straight lines between them", ylabel="loss [nat]")


def _barrier(ax: Axes, result: Any, k: int, index: int) -> None:
    """Mark a barrier that stands out of its error, with its height, at its place on the way."""
    height, error, t = (getattr(result, n)[k, index] for n in ("barrier", "barrier_error", "barrier_t"))
    if not height > CLEAR * error or not height > 0:
        return
    loss = float(np.interp(t, result.t, result.segment_loss[k, index]))
    ax.plot(index + t, loss, "^", color="black", markersize=0.8 * rcParams["lines.markersize"], zorder=3)
    ax.annotate(
        f"+{number(height, 2)}", (index + t, loss), xytext=(0, 3), textcoords="offset points", ha="center",
        va="bottom", fontsize="x-small",
    )  # fmt: skip


