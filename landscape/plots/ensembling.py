"""Networks along a curve asked together: a score against the distance from the first one, a line for each way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rcParams

from landscape.plots import field
from landscape.plots.style import BLUE, GRAY, GREEN, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.ensembling import Ensembling

MANY = 25  # networks, from which on lines are drawn without a mark for each
PURPLE = "#CC79A7"  # Okabe & Ito
VIEWS = {
    "loss": "loss [nat]", "accuracy": "accuracy [%]", "calibration": "calibration error [%]", "brier": "Brier score",
    "entropy": "entropy [nat]", "disagreement": "answers unlike the first's [%]",
    "difference": "loss less that of the same alone [nat]",
}  # fmt: skip
WORDS = {
    "alone": "alone", "pair": "with the first", "all": "all so far",
    "pair_average": "weights averaged with the first's", "all_average": "weights of all so far averaged",
}  # fmt: skip
LOOKS: dict[str, dict[str, Any]] = {
    "alone": {"color": GRAY, "marker": "x", "markeredgewidth": 1.0},
    "pair": {"color": ORANGE, "marker": "o"},
    "all": {"color": BLUE, "marker": "s"},
    "pair_average": {"color": PURPLE, "marker": "o", "linestyle": "--", "markerfacecolor": "white"},
    "all_average": {"color": GREEN, "marker": "s", "linestyle": ":"},
}
GROWN = {"pair_average": 1.3, "all_average": 0.65}  # on a segment they coincide: a dot within a ring
HORIZONTAL = {"distance": "distance from the first network", "arc": "length of the curve", "t": "t"}


def ensembling(
    result: Ensembling,
    ax: Axes,
    *,
    view: str = "accuracy",
    curve: str | None = None,
    split: str | None = None,
    along: str = "auto",
    log: bool | str = "auto",
    band: bool = True,
    legend: bool = True,
) -> Axes:
    """Draw an `Ensembling`: a score of networks alone, together, and with their weights averaged.

    Solid lines are means of probabilities, dashed lines single networks at averages of weights.

    Parameters
    ----------
    result : Ensembling
    ax : matplotlib.axes.Axes
    view : {"accuracy", "loss", "calibration", "brier", "entropy", "disagreement", "difference"}
        "disagreement" is the share of answers that differ from the first network's; "difference" the loss less the mean
        of the same networks' alone, with errors paired over examples: where lines of the loss lie within each other's
        bands, these may still be sure.
    curve : str, optional
        By default the first one.
    split : str, optional
        By default the last one: the test split, where there is one.
    along : {"auto", "distance", "arc", "t"}
        What is horizontal; "auto" is the distance from the first network where it grows along the whole curve, else the
        length of the curve.
    log : bool or "auto"
        Logarithmic loss; "auto" where it spans more than a factor of 30.
    band : bool, default=True
        Shade one standard error over examples to both sides.
    legend : bool, default=True

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If a knob has no such value.
    """
    for name, value, known in (("view", view, VIEWS), ("along", along, ("auto", *HORIZONTAL))):
        if value not in known:
            raise ValueError(f"Expected a {name}, one of {', '.join(known)}, got {value!r}: choose one of these.")
    c, s = position(result, curve), field.position(result, split or field.splits(result)[-1])
    name, x = horizontal(result, c, along)
    for way, values, errors in lines(result, view, c, s):
        look = {"color": BLUE, "marker": "o"} if way == "disagreement" else LOOKS[way]
        marker = look["marker"] if len(x) <= MANY else None
        size = rcParams["lines.markersize"] * GROWN.get(way, 1.0)
        ax.plot(x, values, label=WORDS.get(way, way), markersize=size, **look | {"marker": marker})
        if band:
            ax.fill_between(x, values - errors, values + errors, color=look["color"], alpha=0.12, linewidth=0)
    _vertical(ax, result, view, log, c, s)
    ax.set_xlabel(HORIZONTAL[name])
    ax.set_ylabel(VIEWS[view])
    if len(result.curve) > 1 or len(result.split) > 1:
        ax.set_title(", ".join([*[str(result.curve[c])] * (len(result.curve) > 1), str(result.split[s])]))
    if legend and view != "disagreement":
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.1), ncols=2, fontsize="small", handlelength=2.2)
    return ax


def usual(result: Ensembling) -> list[list[dict[str, str]]]:
    """Return the panels of a whole figure: three views, in a row for every curve."""
    shown = [{"view": view} for view in ("accuracy", "loss", "calibration")]
    return [[{"curve": str(curve)} | view for view in shown] for curve in result.curve]


def position(result: Ensembling, curve: str | None) -> int:
    """Index of a curve; the first one when none is named.

    Raises
    ------
    ValueError
        If the result has no such curve.
    """
    known = result.curve.tolist()
    if curve is not None and curve not in known:
        raise ValueError(f"Expected a curve, one of {', '.join(known)}, got {curve!r}: choose one that was measured.")
    return 0 if curve is None else known.index(curve)


def horizontal(result: Ensembling, c: int, along: str = "auto") -> tuple[str, np.ndarray]:
    """Return what is horizontal, and its values at the networks of a curve (t,)."""
    if along == "auto":
        along = "distance" if (np.diff(result.distance[c]) > 0).all() else "arc"
    return along, result.t if along == "t" else getattr(result, along)[c]


def lines(result: Ensembling, view: str, c: int, s: int) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return the lines of a view: ways, values and errors (t,), fractions in percent."""
    if view == "difference":
        found = {way: result.compared(f"{way} - alone", "loss") for way in result.way.tolist() if way != "alone"}
        return [(way, values[c, s], errors[c, s]) for way, (values, errors) in found.items()]
    unit = 100 if "%" in VIEWS[view] else 1
    values, errors = (unit * getattr(result, name)[c, s] for name in (view, f"{view}_error"))
    if view == "disagreement":
        return [("disagreement", values, errors)]
    return list(zip(result.way.tolist(), values, errors, strict=True))


def _vertical(ax: Axes, result: Ensembling, view: str, log: bool | str, c: int, s: int) -> None:
    if view == "difference":
        ax.axhline(0, color="black", linewidth=0.6, zorder=1)
    values = result.loss[c, s]
    finite = values[np.isfinite(values)]
    if view == "loss" and finite.size and field.logarithmic(finite, log):
        ax.set_yscale("log")
        room = (finite.max() / finite.min()) ** 0.05
        ax.set_ylim(finite.min() / room, finite.max() * room)
    elif view in ("calibration", "disagreement"):
        ax.set_ylim(bottom=0)
