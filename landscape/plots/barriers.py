"""Barriers between all pairs of networks, as a matrix for every split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landscape.plots import scale
from landscape.plots.field import logarithmic
from landscape.plots.pairs import beside, tiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.barriers import Barriers

NAMES = {
    "barrier": "barrier [nat]", "rise": "rise above the higher end [nat]", "drop": "drop of accuracy [%]",
    "disagreement": "disagreement [%]", "distance": "distance",
}  # fmt: skip
QUANTITIES = tuple(NAMES)


def barriers(
    result: Barriers,
    ax: Axes,
    *,
    quantity: str = "barrier",
    split: str | None = None,
    log: bool = False,
    cmap: str = "viridis",
    colorbar: bool = True,
) -> Axes:
    """Draw `Barriers` as a matrix of tiles with numbers, their standard errors in small print.

    Parameters
    ----------
    result : Barriers
    ax : matplotlib.axes.Axes
        If it is alone in its figure, every split gets a panel; else one is drawn.
    quantity : {"barrier", "rise", "drop", "disagreement", "distance"}
    split : str, optional
        One part of the data; all of them, or the first, unless given.
    log : bool, default=False
        Space colours by ratio; numbers that are not positive then have the lowest colour.
    cmap : str, default="viridis"
    colorbar : bool, default=True

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the quantity is unknown or was not measured, or there is no such split.
    """
    values, errors = _values(result, quantity)
    splits = result.split.tolist()
    if split is not None and split not in splits:
        raise ValueError(f"Expected a split, one of {', '.join(splits)}, got {split!r}: choose one of them.")
    shown = [splits.index(split)] if split is not None else list(range(len(values)))
    axes = beside(ax, len(shown))
    apart = ~np.eye(len(result.first), dtype=bool)
    several = values[shown[: len(axes)]][:, apart]
    positive = several[several > 0]
    ratios = log and positive.size > 0
    steps = scale.levels(positive if ratios else np.append(several, 0.0), log=ratios)
    for place, part in zip(axes, shown, strict=False):
        drawn = tiles(
            place, values[part], result.first.tolist(), steps, errors=None if errors is None else errors[part],
            log=bool(ratios and logarithmic(steps, True)), cmap=cmap,
        )  # fmt: skip
        if quantity != "distance":
            place.set_title(splits[part], fontsize="small")
        if place is not axes[0]:
            place.tick_params(labelleft=False)
    if colorbar:
        scale.colorbar(drawn, axes[-1], steps, NAMES[quantity])
    return ax


def _values(result: Barriers, quantity: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the matrices (split, network, network) that are drawn, and their errors."""
    if quantity not in NAMES:
        raise ValueError(f"Expected a quantity, one of {', '.join(NAMES)}, got {quantity!r}: choose one of these.")
    if quantity == "distance":
        return result.distance[None], None
    values, errors = getattr(result, quantity), getattr(result, f"{quantity}_error")
    if values is None:
        raise ValueError(f"Expected {quantity} to be measured, got none: the loss has no accuracy.")
    factor = 100 if quantity in ("drop", "disagreement") else 1
    return factor * values, factor * errors
