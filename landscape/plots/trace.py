"""A trace as bars by layer, with their standard errors."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from landscape.plots.sharpness import value as written
from landscape.plots.style import BLUE, GRAY, GREEN, ORANGE, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.trace import Trace

QUANTITIES = {"trace": "trace", "mean": "mean eigenvalue"}
COLORS = {"weight": BLUE, "bias": ORANGE, "norm": GREEN}  # by role
NAMED = 24  # layers up to which every one bears its name
WIDE = 0.035  # share of the width that the name of a group needs at least
RANGE = 30  # factor between values from which the axis is logarithmic


def trace(
    result: Trace, ax: Axes, *, quantity: str = "trace", log: bool | str = "auto", legend: bool = True
) -> Axes:
    """Draw a `Trace`: a bar for every layer, with one standard error to both sides.

    Up to 24 layers are named one by one; of more, the groups that the first words of their names make.

    Parameters
    ----------
    result : Trace
        Without layers (of a method that does not tell them apart), one bar is drawn for the whole.
    ax : matplotlib.axes.Axes
    quantity : {"trace", "mean"}
        "mean" divides by the number of parameters of each layer.
    log : bool or "auto"
        Logarithmic, with a linear part around zero where a value is not positive; "auto" where values span more than a
        factor of 30.
    legend : bool, default=True
        Say which bars are weights, biases and parameters of norm layers.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the quantity is unknown.
    """
    if quantity not in QUANTITIES:
        raise ValueError(f"Expected a quantity, one of {', '.join(QUANTITIES)}, got {quantity!r}: choose one of these.")
    names, values, errors = _bars(result, quantity)
    roles = result.layer_role.tolist() if len(names) == len(result.layer_role) else [""]
    colors = [COLORS.get(role, GRAY) for role in roles]
    places = np.arange(len(names))
    ax.bar(places, values, width=0.8, color=colors, linewidth=0)
    drawn = np.isfinite(errors) & (errors > 0)
    ax.errorbar(
        places[drawn], values[drawn], errors[drawn], fmt="none", ecolor="black", elinewidth=0.6,
        capsize=1.5 if len(names) <= NAMED else 0,
    )  # fmt: skip
    _vertical(ax, values, errors, log)
    ax.set(xlim=(-0.6, len(names) - 0.4), ylabel=_label(result, quantity))
    _horizontal(ax, names)
    ax.set_title(_whole(result), fontsize="small")
    if legend:
        _legend(ax, roles)
    return ax


def _bars(result: Trace, quantity: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return names, heights and standard errors."""
    if result.layer_trace is None or result.layer_trace_error is None:
        size = float(result.layer_size.sum()) if quantity == "mean" else 1.0
        return ["whole"], np.array([float(result.trace) / size]), np.array([float(result.trace_error) / size])
    sizes = result.layer_size if quantity == "mean" else np.ones(len(result.layer))
    return result.layer.tolist(), result.layer_trace / sizes, result.layer_trace_error / sizes


def _label(result: Trace, quantity: str) -> str:
    kind = "Gauss-Newton" if result.origin.get("matrix") == "gauss_newton" else "Hessian"
    whose = f"the {kind} matrix" if result.layer_trace is None else f"a layer's {kind} block"
    return f"{QUANTITIES[quantity]} of {whose} [nat]"


def _whole(result: Trace) -> str:
    """Say what the bars add up to."""
    value, error = float(result.trace), float(result.trace_error)
    if error == 0 or not np.isfinite(error):
        return f"whole trace {number(value, 5)} nat" + (" (exact)" if error == 0 else "")
    return f"whole trace ({written(value, error, 'standard error', 'nat')}) nat"


def _vertical(ax: Axes, values: np.ndarray, errors: np.ndarray, log: bool | str) -> None:
    known = values[np.isfinite(values) & (values != 0)]
    if not len(known):
        return
    sizes = np.abs(known)
    spread = sizes.max() > RANGE * sizes.min()
    if not (spread if log == "auto" else log):
        ax.axhline(0, color=GRAY, linewidth=0.5)
        return
    if (values > 0).all():
        ax.set_yscale("log")
        ax.set_ylim(0.5 * known.min(), 2 * (known.max() + np.nan_to_num(errors).max()))
        return
    unclear = np.isfinite(errors) & (values - errors <= 0)  # cannot be told from zero, or are below it
    linear = float(np.median(np.maximum(np.abs(values), errors)[unclear])) if unclear.any() else 0.0
    ax.set_yscale("symlog", linthresh=max(linear, 1e-4 * sizes.max()), linscale=0.5)
    ax.axhline(0, color=GRAY, linewidth=0.5)


def _horizontal(ax: Axes, names: list[str]) -> None:
    if len(names) <= NAMED:
        ax.set_xticks(range(len(names)), names, rotation=90 if len(names) > 1 else 0)
        return
    start, ticks, edges = 0, [], []
    for group, members in groupby(names, key=lambda name: name.partition(".")[0]):
        count = len(list(members))
        edges.append(start - 0.5)
        if count >= WIDE * len(names):
            ticks.append((start + (count - 1) / 2, group))
        start += count
    ax.set_xticks([place for place, _ in ticks], [group for _, group in ticks])
    ax.tick_params(axis="x", length=0)
    ax.set_xticks([*edges, start - 0.5], minor=True)
    ax.tick_params(axis="x", which="minor", length=4)
    ax.set_xlabel("parameter, input to output")


def _legend(ax: Axes, roles: list[str]) -> None:
    from matplotlib.patches import Patch

    shown = {role: color for role, color in COLORS.items() if role in roles}
    if len(shown) > 1:
        handles = [Patch(color=color, label=role) for role, color in shown.items()]
        ax.margins(y=0.15)
        ax.legend(handles=handles, ncols=len(shown), handlelength=1.0)
