"""What drawings along curves share: colours, dashes, where points and checkpoints stand."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import rcParams

DASHES = ("-", "--", "-.", (0, (1, 1)))  # one per split, so that a figure printed in gray can be read
MARKS = ("", "o", "s", "^", "D", "v", "P")  # and one per curve, for the same reason
MARKED = 8  # of its points that carry the mark, about
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe & Ito, a curve each


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


def plain(name: str) -> str:
    """Keep a name from being read as mathematics."""
    return name.replace("$", r"\$")


def color(curve: int) -> str:
    """Return the colour of a curve by its number; they begin anew after seven."""
    return COLORS[curve % len(COLORS)]


def dash(split: int) -> Any:
    """Return the dash of a split by its number."""
    return DASHES[split % len(DASHES)]


def mark(curve: int, count: int, several: bool) -> dict[str, Any]:
    """Return how a line of so many points is marked, where a figure has several curves: sparsely, each elsewhere."""
    sign = MARKS[curve % len(MARKS)] if several else ""
    stride = max(1, round(count / MARKED))
    size = 0.9 * rcParams["lines.markersize"]
    return {"marker": sign, "markevery": (curve % stride, stride), "markersize": size} if sign else {}


def finite(values: np.ndarray) -> np.ndarray:
    """Make infinities NaN, which leave a gap."""
    return np.where(np.isfinite(values), values, np.nan)
