"""Paths between networks: loss and accuracy along curves, over what lies straight between the ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from landscape.plots import field
from landscape.plots.path_curvature import curvature
from landscape.plots.style import GRAY, casing, number

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from landscape.probes.path import Path

QUANTITIES = ("loss", "accuracy", "disagreement", "curvature", "training")
VIEWS = ("t", "arc")
SHORT = 6  # letters of the name of a split that fits into a line with more
DASHES = ("-", "--", "-.", (0, (1, 1)))  # one per split, so that a figure printed in gray can be read
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe & Ito, a curve each
OVER = {"loss": "height", "accuracy": "drop"}  # what lies between a quantity and the interpolation of the ends
SEEN = 0.07  # of the height of the axes: a barrier that is lower is not marked
NEAR = 0.012  # of the width of the axes: arrows that are closer are moved apart,
ASIDE = 6.0  # by so many points
EDGE = 0.3  # of the width of the axes, near which numbers stand on the inner side
ROOM = 0.1  # of the height of the axes, left free above the curves


def path(
    result: Path,
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
    """Draw one quantity of a `Path` along its curves: a colour for each curve, a dash for each split.

    Parameters
    ----------
    result : Path
        Or another result along curves, such as a `Connect`.
    ax : matplotlib.axes.Axes
    quantity : {"loss", "accuracy", "disagreement", "curvature", "training"}
        ``disagreement`` is that of one split with both ends; ``training`` is what a trained curve's training minimized.
    view : {"t", "arc"}
        Position along the curve, or length of the curve so far.
    split : str, optional
        One part of the data; all of them by default.
    log : bool or "auto"
        Logarithmic loss; "auto" where it is positive and spans more than a factor of 30.
    band : bool, default=True
        Shade one standard error over examples to both sides.
    barrier : bool, default=True
        Dot the interpolation of the ends, and mark how far the first split drawn departs from it.
    legend : bool, default=True

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If a knob has no such value or the quantity was not measured.
    """
    if quantity not in QUANTITIES:
        raise ValueError(f"Expected a quantity, one of {', '.join(QUANTITIES)}, got {quantity!r}: choose one of these.")
    if view not in VIEWS:
        raise ValueError(f"Expected a view, t or arc, got {view!r}: choose one of these.")
    if quantity not in panels(result):
        raise ValueError(f"Expected a result with {quantity}, got one without: choose {', '.join(panels(result))}.")
    parts = range(len(result.split)) if split is None else [field.position(result, split)]
    if quantity == "training":
        return _training(result, ax, log)
    if quantity == "curvature":
        curvature(result, ax, COLORS, view=view, log=log, legend=legend)
    elif quantity == "disagreement":
        _disagreement(result, ax, parts[-1] if split is None else parts[0], view, legend)
    else:
        _curves(result, ax, quantity, view, parts, band)
        _vertical(result, ax, quantity, parts, log)
        if barrier and getattr(result, OVER[quantity]) is not None:
            _straight(result, ax, quantity, view, parts)
            _barriers(result, ax, quantity, view, parts[0])
        if legend:
            ax.legend(handles=handles(result, parts, barrier), loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    _horizontal(result, ax, view)
    return ax


def panels(result: Any) -> list[str]:
    """Name the quantities that a result has."""
    there = {
        "accuracy": result.accuracy, "disagreement": result.disagreement_first, "curvature": result.lambda_max,
        "training": getattr(result, "objective", None),
    }  # fmt: skip
    return [name for name in QUANTITIES if there.get(name, result.loss) is not None]


def handles(result: Any, parts: Any, barrier: bool = True) -> list[Artist]:
    """Return what a legend explains: curves by colour, splits by dash, and the interpolation of the ends."""
    found = [Line2D([], [], color=_color(c), label=_plain(name)) for c, name in enumerate(result.curve.tolist())]
    if len(parts) > 1:
        found += [Line2D([], [], color="black", linestyle=_dash(s), label=str(result.split[s])) for s in parts]
    if barrier:
        found.append(Line2D([], [], color=GRAY, linestyle=":", linewidth=0.9, label="interpolation of the ends"))
    if any(knots(result, name) is not None for name in result.curve.tolist()):
        found.append(Line2D([], [], color=GRAY, linestyle="", marker="|", markersize=6, label="checkpoints"))
    return found


def across(result: Any, curve: int, view: str) -> np.ndarray:
    """Return where the points of a curve stand on the horizontal axis."""
    return result.t if view == "t" else result.arc[curve]


def knots(result: Any, name: str) -> np.ndarray | None:
    """Return the positions of the checkpoints that a chain goes through; None of a curve that has no such points."""
    known = result.origin.get("curves")
    entry = known.get(name) if isinstance(known, dict) else None
    if not isinstance(entry, dict) or entry.get("shape") != "chain" or "trained" in result.origin:
        return None
    count = entry.get("points")
    return np.linspace(0, 1, count) if isinstance(count, int) and count > 2 else None


def latex(result: Path) -> str:
    r"""Write the barriers of every curve as a table for the package booktabs."""
    barrier = [result.barrier(), result.error_barrier()] if result.drop is not None else [result.barrier()]
    names = ("loss [nat]", r"error [\%]")[: len(barrier)]
    split = [str(name) for name in result.split]
    heads = [f"{name}, {part}" for name in names for part in split]
    rows = []
    for c, curve in enumerate(result.curve.tolist()):
        cells = [
            f"${unit * height[c, s]:.3g} \\pm {unit * error[c, s]:.2g}$"
            for unit, (height, error, _) in zip((1, 100), barrier, strict=False)
            for s in range(len(split))
        ]
        rows.append(" & ".join([_escaped(curve), f"{result.length[c]:.4g}", *cells]) + r" \\")
    lines = [
        rf"\begin{{tabular}}{{lr{'r' * len(heads)}}}",
        r"\toprule",
        " & ".join(["curve", "length", *heads]) + r" \\",
    ]
    return "\n".join([*lines, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}"])


def _escaped(name: str) -> str:
    for letter in "_%&#$":
        name = name.replace(letter, f"\\{letter}")
    return name


def _plain(name: str) -> str:
    return name.replace("$", r"\$")


def _color(curve: int) -> str:
    return COLORS[curve % len(COLORS)]


def _dash(split: int) -> Any:
    return DASHES[split % len(DASHES)]


def _curves(result: Any, ax: Axes, quantity: str, view: str, parts: Any, band: bool) -> None:
    unit = field.percent(quantity)
    for c in range(len(result.curve)):
        x = across(result, c, view)
        for s in parts:
            values = _finite(unit * getattr(result, quantity)[c, s])
            label = f"{_plain(str(result.curve[c]))}, {result.split[s]}"
            ax.plot(x, values, color=_color(c), linestyle=_dash(s), label=label, zorder=3)
            error = unit * getattr(result, f"{quantity}_error")[c, s]
            if band and np.isfinite(error).any():
                with np.errstate(invalid="ignore"):
                    low, high = values - error, values + error
                    low = np.where((low <= 0) & (values > 0), 1e-3 * values, low)  # zero has no place on a log axis
                ax.fill_between(x, low, high, color=_color(c), alpha=0.2, linewidth=0)


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)


def _vertical(result: Any, ax: Axes, quantity: str, parts: Any, log: bool | str) -> None:
    values = field.percent(quantity) * getattr(result, quantity)[:, list(parts)]
    finite = values[np.isfinite(values)]
    if quantity == "loss" and finite.size and field.logarithmic(finite, log):
        ratio = max(finite.max() / finite.min(), 1.1)
        ax.set(yscale="log", ylim=(finite.min() / ratio**0.05, finite.max() * ratio**ROOM))
    elif finite.size:
        error = field.percent(quantity) * getattr(result, f"{quantity}_error")[:, list(parts)]
        error = np.where(np.isfinite(error), error, 0.0)
        low = np.min(values - error, where=np.isfinite(values), initial=np.inf)
        high = np.max(values + error, where=np.isfinite(values), initial=-np.inf)
        low = 0.0 if quantity == "loss" and finite.min() >= 0 else low
        reach = (high - low) or 1.0
        ax.set_ylim(low - (0.05 * reach if low else 0), high + ROOM * reach)
    ax.set_ylabel(f"{quantity} {field.unit(result, quantity)}".strip())


def _straight(result: Any, ax: Axes, quantity: str, view: str, parts: Any) -> None:
    """Dot the interpolation of the ends: once, where curves share them."""
    lines = {}
    for c in range(len(result.curve)):
        for s in parts:
            x, values = across(result, c, view), _between(result, quantity, c, s)
            if np.isfinite(values).any():
                lines.setdefault((x.tobytes(), np.round(values, 6).tobytes()), []).append((c, x, values))
    for same in lines.values():
        c, x, values = same[0]
        color = _color(c) if len(same) == 1 and len(result.curve) > 1 else GRAY
        ax.plot(x, values, color=color, linestyle=":", linewidth=0.9, zorder=2.5)


def _between(result: Any, quantity: str, curve: int, split: int) -> np.ndarray:
    """Return the linear interpolation of the ends, in the units drawn."""
    values = field.percent(quantity) * getattr(result, quantity)[curve, split]
    with np.errstate(invalid="ignore"):  # not the values less their heights, which rounding eats where they are large
        return _finite((1 - result.t) * values[0] + result.t * values[-1])


def _barriers(result: Any, ax: Axes, quantity: str, view: str, split: int) -> None:
    """Mark the largest departure of every curve from the interpolation of its ends with an arrow and its number."""
    unit = field.percent(quantity)
    over, error = (unit * getattr(result, f"{OVER[quantity]}{end}")[:, split] for end in ("", "_error"))
    reach = max(across(result, c, view)[-1] for c in range(len(over)))
    marked: dict[int, tuple[float, float, float]] = {}
    texts: dict[int, str] = {}
    for c in range(len(over)):
        if not np.isfinite(over[c]).any():
            continue
        k = int(np.nanargmax(_finite(over[c])))
        x, end = across(result, c, view)[k], _between(result, quantity, c, split)[k]
        top = unit * getattr(result, quantity)[c, split, k]
        low, high = (ax.transAxes.inverted().transform(ax.transData.transform((x, y)))[1] for y in (end, top))
        if not abs(high - low) >= SEEN:
            continue
        marked[c] = x / reach, end, top
        sure = f" \N{PLUS-MINUS SIGN} {number(error[c, k], 2)}" if np.isfinite(error[c, k]) else ""
        texts[c] = f"{number(over[c, k])}{sure}"
    aside = _aside({c: where for c, (where, _, _) in marked.items()})
    for c, (where, end, top) in marked.items():
        _arrow(ax, c, (where * reach, end, top), texts[c], aside[c], where, several=len(over) > 1)


def _aside(where: dict[int, float]) -> dict[int, float]:
    """Tell by how many points arrows at given shares of the width are moved, so that none lies upon another."""
    found = {}
    for c, x in where.items():
        near = [other for other, there in where.items() if abs(there - x) < NEAR]
        order = sorted(near, key=lambda other: (other % 2 == 0, other))  # last those with numbers to their right
        found[c] = ASIDE * (order.index(c) - (len(near) - 1) / 2)
    return found


def _arrow(
    ax: Axes, curve: int, ends: tuple[float, float, float], text: str, aside: float, where: float, *, several: bool
) -> None:
    """Draw an arrow (x, from, to), moved aside by points, with its number on the side that has room."""
    x, end, top = ends
    place: Any = ax.transData + ScaledTranslation(aside / 72, 0, ax.figure.dpi_scale_trans)  # pyright: ignore
    arrow = {"arrowstyle": "<->", "color": _color(curve), "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (x, top), xytext=(x, end), xycoords=place, textcoords=place, arrowprops=arrow, zorder=4)
    share = 0.75 if several else 0.3  # up the arrow: above lower curves, or within the only one
    right = where < EDGE or (curve % 2 == 0 and where < 1 - EDGE)
    ax.annotate(
        text, (x, _inside(ax, end, top, share)), xycoords=place, xytext=(3 if right else -3, 0),
        textcoords="offset points", ha="left" if right else "right", va="center", fontsize="small",
        color=_color(curve), path_effects=casing(1.8), zorder=5,
    )  # fmt: skip


def _inside(ax: Axes, low: float, high: float, share: float) -> float:
    if ax.get_yscale() == "log":
        return float(low ** (1 - share) * high**share)
    return (1 - share) * low + share * high


def _disagreement(result: Any, ax: Axes, split: int, view: str, legend: bool) -> None:
    for c in range(len(result.curve)):
        for end, dash in (("first", "-"), ("last", "--")):
            values, error = (100 * getattr(result, f"disagreement_{end}{e}")[c, split] for e in ("", "_error"))
            x = across(result, c, view)
            ax.plot(x, values, color=_color(c), linestyle=dash)
            ax.fill_between(x, values - error, values + error, color=_color(c), alpha=0.2, linewidth=0)
    ax.set_ylim(bottom=0)
    part = str(result.split[split])
    ax.set_ylabel(f"answers that differ,{chr(10) if len(part) > SHORT else ' '}{_plain(part)} [%]")
    if legend:
        ends = (("-", "from the first end's"), ("--", "from the last end's"))
        marks = [Line2D([], [], color="black", linestyle=dash, label=words) for dash, words in ends]
        ax.legend(handles=marks, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


def _training(result: Any, ax: Axes, log: bool | str) -> Axes:
    ax.plot(result.epoch, _finite(result.objective), color="black", marker="." if len(result.epoch) < 20 else None)
    if field.logarithmic(result.objective, log):
        ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="epoch of the curve's training", ylabel="mean objective of the epoch [nat]")
    return ax


def _horizontal(result: Any, ax: Axes, view: str) -> None:
    ax.set_xlabel("position along the curve, t" if view == "t" else "length of the curve so far")
    ax.margins(x=0)
    for c, name in enumerate(result.curve.tolist()):
        at = knots(result, name)
        if at is None:
            continue
        x = at if view == "t" else np.interp(at, result.t, result.arc[c])
        y, above = np.full(len(x), 0.02 + 0.035 * c), ax.get_xaxis_transform()
        ax.plot(x, y, "|", color=_color(c), markersize=6, transform=above, clip_on=False, zorder=4)
