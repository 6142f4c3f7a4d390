"""Grids: the axes a probe is asked for, and the steps along them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from landscape.directions import Frame, given, random

if TYPE_CHECKING:
    from landscape.objective import Objective

FIRST = 2.0**-6  # step where the search for a span begins, in units of the direction
LAST = 2.0**10  # and where it is given up
BISECTIONS = 4  # of the interval in which the loss passes the goal
RISE = 1.0  # nats above the center that a searched span reaches at least
FEW = 4  # points, up to which half a step is more than the margin around what is marked


def frames(
    objective: Objective, count: int, directions: Any, *, center: torch.Tensor | None, draws: int, **drawing: Any
) -> Callable[[int], Frame]:
    """Bring directions to a frame for each draw: given ones are used as they are, None means random ones.

    Only the latest random frame is kept, so that many draws need no more memory than one.

    Raises
    ------
    ValueError
        If given directions are of another number or length, are to be drawn several times, or bring their own center.
    """
    if draws < 1 or (draws > 1 and directions is not None):
        raise ValueError(f"Expected draws=1, or several draws of random directions, got draws={draws}.")
    if directions is None:
        return lru_cache(maxsize=1)(lambda draw: random(objective, count, center=center, draw=draw, **drawing))
    if isinstance(directions, Frame) and center is not None:
        raise ValueError("Expected the center of the frame, got another one too: leave center out.")
    frame = directions if isinstance(directions, Frame) else given(objective, directions, center=center)
    if frame.vectors.shape != (count, objective.dim):
        raise ValueError(
            f"Expected directions of shape ({count}, {objective.dim}), got {tuple(frame.vectors.shape)}."
        )
    return lambda draw: frame


def axes(objective: Objective, chosen: Frame, span: Any, points: Any, multiple: float) -> list[np.ndarray]:
    """Lay out the steps along every axis.

    A number `span` covers [-span, span] with an odd number of points, so that the center is one of them; None
    covers the checkpoints that span the frame, or [-1, 1]; "auto" searches until the loss has risen. Around
    checkpoints the grid is moved by less than a step, so that the origin is on it.

    Raises
    ------
    ValueError
        If a span is not positive, or a number of points is even, or less than three.
    """
    count = len(chosen.vectors)
    spans, numbers = _each(span, count, "spans"), counts(points, count)
    if "auto" in spans:
        searched = automatic(objective, chosen, multiple)
        spans = [searched if one == "auto" else one for one in spans]
    reach = chosen.extent() or [None] * count
    return [
        _around(*suggested, number) if one is None and suggested else _symmetric(1.0 if one is None else one, number)
        for one, number, suggested in zip(spans, numbers, reach, strict=True)
    ]


def counts(points: Any, axes: int) -> list[int]:
    """Tell the number of points along every axis.

    Raises
    ------
    ValueError
        If it is not one number, or one for each axis, or less than three.
    """
    numbers = _each(points, axes, "numbers of points")
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 3:
            raise ValueError(f"Expected a whole number of at least 3 points on an axis, got {number}: use 21 or 51.")
    return numbers


def automatic(objective: Objective, chosen: Frame, multiple: float) -> float:
    """Search the span at which the loss has risen to a multiple of the center's, averaged over both ends of every axis.

    The goal is the larger of ``multiple * center`` and ``center + 1`` nat. Doubles from 1/64, then bisects four times.

    Raises
    ------
    ValueError
        If `multiple` is not above 1, the loss at the center is not finite, or it never rises so far.
    """
    if not multiple > 1:
        raise ValueError(f"Expected a multiple above 1, got {multiple}.")
    center = float(objective.value(chosen.center))
    if not np.isfinite(center):
        raise ValueError(f"Expected a finite loss at the center to find a span from, got {center}: pass a span.")
    goal = max(multiple * center, center + RISE)
    ends = torch.cat([torch.eye(len(chosen.vectors)), -torch.eye(len(chosen.vectors))])

    def reached(span: float) -> bool:
        losses = torch.stack([objective.value(chosen.point(span * end)) for end in ends])
        return not bool(losses.mean() < goal)  # NaN and infinity are far enough

    high = FIRST
    while not reached(high):
        high *= 2
        if high > LAST:
            raise ValueError(f"Expected the loss to rise to {goal:.3g} within {LAST:g} steps, got less: pass a span.")
    low = high / 2
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return float(f"{high:.3g}")


def _each(value: Any, count: int, what: str) -> list:
    """Spread one value over the axes, or check that there is one for each."""
    values = list(value) if isinstance(value, (tuple, list)) else [value] * count
    if len(values) != count:
        raise ValueError(f"Expected {what} for {count} {'axes' if count > 1 else 'axis'}, got {len(values)} of them.")
    return values


def _around(low: float, high: float, number: int) -> np.ndarray:
    """Cover a range around zero by a grid with zero on it: few points reach further, for zero is not on the edge."""
    step = (high - low) / (number - 1)
    before = round(-low / step)
    if number <= FEW:
        before = min(max(before, 1), number - 2)
        step = max(-low / before, high / (number - 1 - before))
    return step * (np.arange(number) - before)


def _symmetric(span: Any, number: int) -> np.ndarray:
    if isinstance(span, str) or not np.isfinite(span) or span <= 0:
        raise ValueError(f"Expected a positive span, got {span}: use 1.0 or 'auto'.")
    if number % 2 == 0:
        raise ValueError(
            f"Expected an odd number of points, so that the center is one of them, got {number}: use {number + 1}."
        )
    half = number // 2
    return span * (np.arange(number) - half) / half
