"""The way between two networks before and after their units are aligned, and repaired."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from landscape.plots.path import latex as latex
from landscape.plots.path import path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.align import Align


def align(
    result: Align,
    ax: Axes,
    *,
    quantity: str = "loss",
    view: str = "t",
    split: str | None = None,
    log: bool | str = "auto",
    band: bool = True,
    barrier: bool = True,
    legend: bool = True,
) -> Axes:
    """Draw one quantity of an `Align`, with the knobs of `landscape.plots.path.path`."""
    knobs: dict[str, Any] = {"view": view, "split": split, "log": log, "band": band, "barrier": barrier}
    return path(result, ax, quantity=quantity, legend=legend, **knobs)
