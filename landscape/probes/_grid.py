"""Grids: the steps along each axis, with the center always among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from landscape.directions import Frame, random

if TYPE_CHECKING:
    from landscape.objective import Objective

FIRST = 2.0**-6  # step where the search for a span begins, in units of the direction
LAST = 2.0**10  # and where it is given up
RISE = 1.0  # nats above the center that a searched span reaches at least


def pair(value: object, count: int, what: str) -> list:
    """Spread one value over the axes, or check that there is one for each."""
    values = list(value) if isinstance(value, (tuple, list)) else [value] * count
    if len(values) != count:
        raise ValueError(f"Expected {what} for {count} {'axes' if count > 1 else 'axis'}, got {len(values)} of them.")
    return values


def frame(
    objective: Objective, directions: object, count: int, center: torch.Tensor | None, normalization: str,
    include: tuple[str, ...], seed: int, draw: int = 0,
) -> Frame:
    """Bring directions to a frame: given ones are used as they are, none means random ones."""
    if isinstance(directions, Frame):
        if len(directions.vectors) != count:
            raise ValueError(f"Expected {count} directions, got {len(directions.vectors)}.")
        return directions
    if directions is None:
        return random(objective, count, center=center, normalization=normalization, include=include, seed=seed, draw=draw)
    vectors = torch.as_tensor(directions).to(objective.theta)
    vectors = vectors[None] if vectors.ndim == 1 else vectors
    if vectors.shape != (count, objective.dim):
        raise ValueError(f"Expected directions of shape ({count}, {objective.dim}), got {tuple(vectors.shape)}.")
    center = objective.theta if center is None else center.to(objective.theta)
    given = Frame(center, vectors, tuple(f"given direction {i + 1}" for i in range(count)), {"kind": "given"})
    return Frame(center, vectors, given.labels, given.record | {"cosine": float(given.cosine[0, -1]) if count > 1 else 0.0})


def axes(objective: Objective, chosen: Frame, span: object, points: object, multiple: float) -> list[np.ndarray]:
    """Lay out the steps along every axis.

    A number `span` covers [-span, span] with an odd number of points, so that the center is one of them; None
    covers what the frame suggests; "auto" searches until the loss has risen. Around checkpoints the grid is moved by
    less than a step, so that the origin is on it.

    Raises
    ------
    ValueError
        If a span is not positive, or a number of points is even, or less than three.
    """
    count = len(chosen.vectors)
    spans, numbers = pair(span, count, "spans"), pair(points, count, "numbers of points")
    searched = automatic(objective, chosen, multiple) if "auto" in spans else None
    return [
        _axis(searched if one == "auto" else one, number, suggested)
        for one, number, suggested in zip(spans, numbers, chosen.extent(), strict=True)
    ]


def automatic(objective: Objective, chosen: Frame, multiple: float) -> float:
    """Search the span at which the loss, averaged over both ends of every axis, has risen to a multiple of the center's.

    The goal is the larger of ``multiple * center`` and ``center + 1`` nat. Doubles from 1/64, then bisects four times.

    Raises
    ------
    ValueError
        If `multiple` is not above 1, or the loss never rises so far.
    """
    if not multiple > 1:
        raise ValueError(f"Expected a multiple above 1, got {multiple}.")
    center = float(objective.value(chosen.center))
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
    for _ in range(4):
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return float(f"{high:.3g}")


def _axis(span: object, number: object, suggested: tuple[float, float]) -> np.ndarray:
    if not isinstance(number, (int, np.integer)) or number < 3:
        raise ValueError(f"Expected at least 3 points on an axis, got {number}: use 21 or 51.")
    if span is None and suggested != (-1.0, 1.0):
        low, high = suggested
        step = (high - low) / (number - 1)
        return step * (np.arange(number) - round(-low / step))
    span = 1.0 if span is None else span
    if isinstance(span, str) or not np.isfinite(span) or span <= 0:
        raise ValueError(f"Expected a positive span, got {span}: use 1.0 or 'auto'.")
    if number % 2 == 0:
        raise ValueError(f"Expected an odd number of points, so that the center is one of them, got {number}: use {number + 1}.")
    half = number // 2
    return span * (np.arange(number) - half) / half
