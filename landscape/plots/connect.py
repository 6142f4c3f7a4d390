"""A trained curve against the segment between its ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from landscape.plots.path import latex as latex
from landscape.plots.path import path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.connect import Connect


def connect(
    result: Connect,
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
    """Draw one quantity of a `Connect`, with the knobs of `landscape.plots.path.path`."""
    knobs: dict[str, Any] = {"view": view, "split": split, "log": log, "band": band, "barrier": barrier}
    return path(result, ax, quantity=quantity, legend=legend, **knobs)
