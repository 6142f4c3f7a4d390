"""Curvature along curves: both ends of the Hessian's spectrum, and the curvature in the direction of the curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D

from landscape.plots import field
from landscape.plots.style import GRAY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = {"lambda_max": "^", "lambda_min": "v", "tangent_curvature": "o"}
WORDS = {
    "lambda_max": r"$\lambda_{\max}$", "lambda_min": r"$\lambda_{\min}$", "tangent_curvature": "along the curve",
}  # fmt: skip
LINES = {"lambda_max": "-", "lambda_min": "--", "tangent_curvature": ":"}


def curvature(
    result: Any, ax: Axes, colors: Sequence[str], *, view: str, log: bool | str = "auto", legend: bool = True
) -> None:
    """Draw eigenvalues with their residuals, and the curvature along the tangent, for every curve.

    Points whose eigenvalues have not converged are hollow. A scale that is logarithmic on both sides of zero is taken
    where values span more than a factor of 30, or `log` asks for it.
    """
    for c in range(len(result.curve)):
        x = result.s if view == "t" else result.bend_arc[c]
        for name, mark in SHOWN.items():
            values = getattr(result, name)[c]
            residual = getattr(result, f"{name}_residual", None)
            color = colors[c % len(colors)]
            ax.errorbar(
                x, values, None if residual is None else residual[c], color=color, linestyle=LINES[name],
                elinewidth=0.7, linewidth=0.9,
            )  # fmt: skip
            done = getattr(result, f"{name}_converged", np.ones_like(result.lambda_max, bool))[c]
            for which, face in ((done, color), (~done, "white")):
                ax.plot(x[which], values[which], mark, color=color, markerfacecolor=face, markersize=3.5)
    _vertical(result, ax, log)
    if legend:
        ax.legend(handles=[
            Line2D([], [], color="black", linestyle=LINES[name], marker=mark, markersize=3.5, label=WORDS[name])
            for name, mark in SHOWN.items()
        ], loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)  # fmt: skip


def _vertical(result: Any, ax: Axes, log: bool | str) -> None:
    values = np.abs(np.stack([getattr(result, name) for name in SHOWN]))
    sizes = values[np.isfinite(values) & (values > 0)]
    if sizes.size and field.logarithmic(sizes, log):
        smallest = max(float(np.abs(_ends(result)).min()), 1e-3 * sizes.max())
        ax.set_yscale("symlog", linthresh=10 ** np.floor(np.log10(smallest)), linscale=0.5)
    ax.axhline(0, color=GRAY, linewidth=0.5, zorder=0.5)
    ax.set_ylabel(f"curvature, {result.split[0]} {field.unit(result, 'lambda_max')}")


def _ends(result: Any) -> np.ndarray:
    """Eigenvalues other than zero, which decide where the scale becomes linear."""
    both = np.stack([result.lambda_max, result.lambda_min])
    kept = both[np.isfinite(both) & (both != 0)]
    return kept if kept.size else np.ones(1)
