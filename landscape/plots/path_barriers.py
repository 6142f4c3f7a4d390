"""How far curves depart from what lies straight between their ends: dotted lines, arrows, numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.transforms import ScaledTranslation

from landscape.plots import field
from landscape.plots.along import across, color, finite
from landscape.plots.style import GRAY, casing, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OVER = {"loss": "height", "accuracy": "drop"}  # what lies between a quantity and the interpolation of the ends
SEEN = 0.07  # of the height of the axes: a barrier that is lower is not marked
NEAR = 0.012  # of the width of the axes: arrows that are closer are moved apart,
ASIDE = 6.0  # by so many points
EDGE = 0.3  # of the width of the axes, near which numbers stand on the inner side


def straight(result: Any, ax: Axes, quantity: str, view: str, parts: Any) -> None:
    """Dot the interpolation of the ends: once, where curves share them."""
    lines = {}
    for c in range(len(result.curve)):
        for s in parts:
            x, values = across(result, c, view), between(result, quantity, c, s)
            if np.isfinite(values).any():
                lines.setdefault((x.tobytes(), np.round(values, 6).tobytes()), []).append((c, x, values))
    for same in lines.values():
        c, x, values = same[0]
        shade = color(c) if len(same) == 1 and len(result.curve) > 1 else GRAY
        ax.plot(x, values, color=shade, linestyle=":", linewidth=0.9, zorder=2.5)


def between(result: Any, quantity: str, curve: int, split: int) -> np.ndarray:
    """Return the linear interpolation of the ends, in the units drawn."""
    values = field.percent(quantity) * getattr(result, quantity)[curve, split]
    with np.errstate(invalid="ignore"):  # not the values less their heights, which rounding eats where they are large
        return finite((1 - result.t) * values[0] + result.t * values[-1])


def height(result: Any, quantity: str, curve: int, split: int) -> str:
    """Tell the largest departure of a curve from the interpolation of its ends with its error; empty if unknown."""
    over, error = (getattr(result, f"{OVER[quantity]}{end}") for end in ("", "_error"))
    if over is None or not np.isfinite(over[curve, split]).any():
        return ""
    k, factor = int(np.nanargmax(finite(over[curve, split]))), field.percent(quantity)
    high, off = (factor * float(values[curve, split, k]) for values in (over, error))
    sure = f" \N{PLUS-MINUS SIGN} {number(off, 2)}" if np.isfinite(off) else ""
    return f"{number(high)}{sure} {field.unit(result, quantity).strip('[]')}".rstrip()


def barriers(result: Any, ax: Axes, quantity: str, view: str, split: int, *, numbers: bool = True) -> None:
    """Mark the largest departure of every curve from the interpolation of its ends with an arrow, and its number."""
    unit = field.percent(quantity)
    over, error = (unit * getattr(result, f"{OVER[quantity]}{end}")[:, split] for end in ("", "_error"))
    reach = max(across(result, c, view)[-1] for c in range(len(over)))
    marked: dict[int, tuple[float, float, float]] = {}
    texts: dict[int, str] = {}
    for c in range(len(over)):
        if not np.isfinite(over[c]).any():
            continue
        k = int(np.nanargmax(finite(over[c])))
        x, end = across(result, c, view)[k], between(result, quantity, c, split)[k]
        top = unit * getattr(result, quantity)[c, split, k]
        low, high = (ax.transAxes.inverted().transform(ax.transData.transform((x, y)))[1] for y in (end, top))
        if not abs(high - low) >= SEEN:
            continue
        marked[c] = x / reach, end, top
        sure = f" \N{PLUS-MINUS SIGN} {number(error[c, k], 2)}" if np.isfinite(error[c, k]) else ""
        texts[c] = f"{number(over[c, k])}{sure}" if numbers else ""
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
    arrow = {"arrowstyle": "<->", "color": color(curve), "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (x, top), xytext=(x, end), xycoords=place, textcoords=place, arrowprops=arrow, zorder=4)
    if not text:
        return
    share = 0.75 if several else 0.3  # up the arrow: above lower curves, or within the only one
    right = where < EDGE or (curve % 2 == 0 and where < 1 - EDGE)
    ax.annotate(
        text, (x, _inside(ax, end, top, share)), xycoords=place, xytext=(3 if right else -3, 0),
        textcoords="offset points", ha="left" if right else "right", va="center", fontsize="small",
        color=color(curve), path_effects=casing(1.8), zorder=5,
    )  # fmt: skip


def _inside(ax: Axes, low: float, high: float, share: float) -> float:
    if ax.get_yscale() == "log":
        return float(low ** (1 - share) * high**share)
    return (1 - share) * low + share * high
