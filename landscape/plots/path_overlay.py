"""Curves of several results over one pair of axes: a colour and a mark for each, a dash for each split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D

from landscape.plots import field
from landscape.plots.along import across, color, dash, finite, mark, plain
from landscape.plots.path_barriers import between, height
from landscape.plots.style import GRAY

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

SHARED = ("loss", "accuracy")  # quantities of which those of several results can be laid over each other
VIEWS = ("t", "arc")
MOST = 7  # curves that colours and marks tell apart


def several(
    results: Mapping[str, Any], ax: Axes, *, quantity: str = "loss", view: str = "t", split: str | None = None,
    log: bool | str = "auto", band: bool = True, barrier: bool = True, legend: bool = True,
) -> Axes:  # fmt: skip
    """Draw the curves of several results along curves, each at its own points.

    Parameters
    ----------
    results : mapping of str to Path
    ax : matplotlib.axes.Axes
    quantity : {"loss", "accuracy"}
    view : {"t", "arc"}
        Position along the curve, or length of the curve so far.
    split : str, optional
        One part of the data; by default all that every result has.
    log : bool or "auto"
        Logarithmic loss; "auto" where it is positive and spans more than a factor of 30.
    band : bool, default=True
        Shade one standard error over examples to both sides.
    barrier : bool, default=True
        Dot the interpolation of the ends. How high curves rise above it is told in the legend.
    legend : bool, default=True

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If a knob has no such value, results share no split, or there are more curves than can be told apart.
    """
    for knob, value, known in (("quantity", quantity, SHARED), ("view", view, VIEWS)):
        if value not in known:
            raise ValueError(f"Expected a {knob} of several paths, one of {', '.join(known)}, got {value!r}.")
    parts, shown = _parts(results, split), []
    for k, (name, result, c) in enumerate(_curves(results)):
        if getattr(result, quantity) is None:
            raise ValueError(f"Expected results with {quantity}, got {name} without: choose the loss.")
        x, unit = across(result, c, view), field.percent(quantity)
        for s, part in enumerate(parts):
            where = field.position(result, part)
            values, error = (unit * getattr(result, f"{quantity}{end}")[c, where] for end in ("", "_error"))
            look = {"color": color(k), "linestyle": dash(s)} | mark(k, len(x), True)
            ax.plot(x, finite(values), label=f"{name}, {part}", **look)
            if band:
                with np.errstate(invalid="ignore"):
                    low = np.where((values - error <= 0) & (values > 0), 1e-3 * values, values - error)
                    ax.fill_between(x, low, values + error, color=color(k), alpha=0.15, linewidth=0)
            if barrier:
                straight = between(result, quantity, c, where)
                ax.plot(x, straight, color=color(k), linestyle=":", linewidth=0.9, zorder=1.5)
            shown.append(values[np.isfinite(values)])
    known = np.concatenate(shown)
    if quantity == "loss" and known.size and field.logarithmic(known, log):
        ratio = max(known.max() / known.min(), 1.1) ** 0.06
        ax.set(yscale="log", ylim=(known.min() / ratio, known.max() * ratio))
    first = next(iter(results.values()))
    ax.set_ylabel(f"{quantity} {field.unit(first, quantity)}".strip())
    ax.set_xlabel("position along the curve, t" if view == "t" else "length of the curve so far")
    ax.margins(x=0.01)
    if legend:
        ax.legend(handles=told(results, split, barrier), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return ax


def told(results: Mapping[str, Any], split: str | None = None, barrier: bool = True) -> list[Artist]:
    """Return what a legend explains: every curve with its barrier on the first split, the splits by dash."""
    parts = _parts(results, split)
    found = [
        Line2D([], [], color=color(k), label=name + _barrier(result, c, parts[0]) * barrier, **mark(k, 1, True))
        for k, (name, result, c) in enumerate(_curves(results))
    ]
    if len(parts) > 1:
        found += [Line2D([], [], color="black", linestyle=dash(s), label=part) for s, part in enumerate(parts)]
    if barrier:
        found.append(Line2D([], [], color=GRAY, linestyle=":", linewidth=0.9, label="interpolation of the ends"))
    return found


def _barrier(result: Any, curve: int, part: str) -> str:
    high = height(result, "loss", curve, field.position(result, part))
    return f" (barrier {high})" if high else ""


def _curves(results: Mapping[str, Any]) -> list[tuple[str, Any, int]]:
    """List all curves: the name of the result where it has one, that of the curve too where it has several."""
    found = []
    for name, result in results.items():
        own = result.curve.tolist()
        alone = len(own) == 1 and name
        found += [(plain(name if alone else f"{name}: {curve}".lstrip(": ")), result, c) for c, curve in enumerate(own)]
    if len(found) > MOST:
        raise ValueError(f"Expected at most {MOST} curves over each other, got {len(found)}: draw fewer results.")
    return found


def _parts(results: Mapping[str, Any], split: str | None) -> list[str]:
    if split is not None:
        return [split]
    first, *others = ([str(name) for name in result.split] for result in results.values())
    common = [name for name in first if all(name in other for other in others)]
    if not common:
        raise ValueError("Expected paths over the same splits, got none in common: measure them on the same data.")
    return common
