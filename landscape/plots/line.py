"""A line as curves of loss and accuracy with their bands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import field
from landscape.plots.marking import NAMED
from landscape.plots.style import BLUE, GRAY, ORANGE, casing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.line import Line

QUANTITIES = ("both", "loss", "accuracy")
DASHES = ("-", "--", ":", "-.")  # one per split, so that a figure printed in gray can be read


def line(
    result: Line,
    ax: Axes,
    *,
    quantity: str = "both",
    split: str | None = None,
    log: bool | str = "auto",
    band: bool = True,
    legend: bool = True,
) -> Axes:
    """Draw a `Line`: loss on the left axis, accuracy on the right one, a curve for every split.

    Parameters
    ----------
    result : Line
        Where it holds several draws of the direction, curves are medians over the draws.
    ax : matplotlib.axes.Axes
    quantity : {"both", "loss", "accuracy"}
        "both" draws the loss alone where no accuracy was measured.
    split : str, optional
        One part of the data; all of them by default.
    log : bool or "auto"
        Logarithmic loss; "auto" where it is positive and spans more than a factor of 30.
    band : bool, default=True
        Shade one standard error over examples to both sides, or the 10-90 % range over draws.
    legend : bool, default=True

    Returns
    -------
    matplotlib.axes.Axes
        The axes of the loss (of the accuracy where only that is drawn).

    Raises
    ------
    ValueError
        If a knob has no such value or the quantity was not measured.
    """
    if quantity not in QUANTITIES:
        raise ValueError(f"Expected a quantity, one of {', '.join(QUANTITIES)}, got {quantity!r}: choose one of these.")
    parts = field.splits(result) if split is None else [field.splits(result)[field.position(result, split)]]
    both = quantity == "both" and result.accuracy is not None
    shown = ("loss", "accuracy") if both else ("loss" if quantity == "both" else quantity,)
    axes = {shown[0]: ax} | ({"accuracy": ax.twinx()} if both else {})
    named = result.checkpoint_a is not None and 0 < len(result.checkpoint_a) <= NAMED
    for name, where in axes.items():
        _curves(where, result, name, parts, band)
        _vertical(where, result, name, parts, log, colored=both, room=0.12 if named else 0.04)
    ax.set_xlabel(_horizontal(result))
    ax.margins(x=0)
    _missing(ax, result, parts)
    _checkpoints(ax, result)
    if legend and (both or len(parts) > 1):
        _legend(list(axes.values()))
    return ax


def _curves(ax: Axes, result: Line, quantity: str, parts: list[str], band: bool) -> None:
    color = {"loss": BLUE, "accuracy": ORANGE}[quantity]
    for index, part in enumerate(parts):
        values = field.field(result, quantity, part)
        ax.plot(
            result.a, np.where(np.isfinite(values), values, np.nan), color=color, label=f"{part} {quantity}",
            linestyle=DASHES[index % len(DASHES)], marker="." if len(result.a) <= 2 else None,
        )  # fmt: skip
        edges = _band(result, quantity, part, values) if band else None
        if edges is not None:
            ax.fill_between(result.a, *edges, color=color, alpha=0.2, linewidth=0)


def _band(result: Line, quantity: str, part: str, values: np.ndarray) -> Any:
    if getattr(result, f"draw_{quantity}", None) is not None:
        low, high = field.band(result, quantity, part)
    elif getattr(result, f"{quantity}_error", None) is not None:
        error = field.field(result, f"{quantity}_error", part)
        with np.errstate(invalid="ignore"):
            low, high = values - error, values + error
        low = np.where((low <= 0) & (values > 0), values * 1e-3, low)  # a band through zero has no place on a log axis
    else:
        return None
    finite = np.isfinite(low) & np.isfinite(high)
    return np.where(finite, low, np.nan), np.where(finite, high, np.nan)


def _vertical(
    ax: Axes, result: Line, quantity: str, parts: list[str], log: bool | str, *, colored: bool, room: float
) -> None:
    """Scale and label an axis; `room` is the share of its height kept free above the curves."""
    values = np.stack([field.field(result, quantity, part) for part in parts])
    finite = values[np.isfinite(values)]
    if quantity == "accuracy":
        ax.set_ylim(-2, 100 + 100 * room)
        ax.set_yticks(range(0, 101, 20))
    elif finite.size and field.logarithmic(finite, log):
        ax.set_yscale("log")
        ratio = finite.max() / finite.min()
        ax.set_ylim(finite.min() / max(ratio**0.04, 1.05), finite.max() * max(ratio ** (1.2 * room), 1.05))
    elif finite.size:
        ax.autoscale(axis="y")
        low, high = (0.0, finite.max()) if finite.min() >= 0 else ax.get_ylim()
        ax.set_ylim(low, high + 1.2 * room * ((high - low) or 1.0))
    color = {"loss": BLUE, "accuracy": ORANGE}[quantity] if colored else "black"
    ax.set_ylabel(f"{quantity} {field.unit(result, quantity)}".strip(), color=color)
    ax.tick_params(axis="y", which="both", colors=color)


def _horizontal(result: Line) -> str:
    share = field.explained(result, 0)
    lost = field.missing(result.loss)
    words = result.declared()["a"]["meaning"]
    return words + (f" ({share})" if share else "") + (f"\n{lost}" if lost else "")


def _missing(ax: Axes, result: Line, parts: list[str]) -> None:
    """Hatch the stretch of every grid point at which a drawn loss is not finite."""
    bad = ~np.isfinite(np.stack([field.field(result, "loss", part) for part in parts])).all(axis=0)
    middles = (result.a[1:] + result.a[:-1]) / 2
    edges = np.concatenate([result.a[:1], middles, result.a[-1:]])
    for index in np.flatnonzero(bad):
        ax.axvspan(edges[index], edges[index + 1], facecolor="none", edgecolor="#999999", hatch="/////", linewidth=0)


def _checkpoints(ax: Axes, result: Line) -> None:
    steps = [] if result.checkpoint_a is None else result.checkpoint_a
    names = range(len(steps)) if result.checkpoint is None else result.checkpoint
    for name, a in zip(names, steps, strict=True):
        ax.axvline(a, color=GRAY, linewidth=0.6, linestyle=(0, (4, 2)), zorder=0.5)
        if len(steps) <= NAMED:
            right = a < np.mean(result.a)
            ax.annotate(
                str(name), (a, 1), xycoords=("data", "axes fraction"), xytext=(3 if right else -3, -3),
                textcoords="offset points", ha="left" if right else "right", va="top", fontsize="small",
                path_effects=casing(1.8), parse_math=False,
            )  # fmt: skip


def _legend(axes: list[Axes]) -> None:
    handles = [handle for ax in axes for handle in ax.get_legend_handles_labels()[0]]
    axes[0].legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
