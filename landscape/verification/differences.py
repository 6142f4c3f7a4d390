r"""Derivatives against central differences in float64.

A step that is too long sees higher derivatives, or kinks of the network; one that is too short sees rounding. So a
ladder of steps is tried, and differences are believed where two neighbouring steps agree best: their disagreement is
the error that is allowed. Kinks hurt some directions more than others, so the median over directions is what counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from landscape.verification import Check
from landscape.verification.consistency import direction

if TYPE_CHECKING:
    from landscape.objective import Objective

DIRECTIONS = 8
STEPS = tuple(10.0 ** -(k / 2) for k in range(6, 16))  # 1e-3 to 3e-8, relative to the length of the parameters
LEAST = 1e-6  # relative disagreement that is always allowed
SLACK = 10.0  # times the disagreement of neighbouring steps
VAGUE = 0.01  # from which on differences say nothing


def gradient(exact: Objective, seed: int, count: int = DIRECTIONS) -> Check:
    """Compare slopes of the loss along random directions with the gradient's, relative to a typical slope."""
    slope = exact.gradient(exact.theta)
    typical = float(slope.norm()) / exact.dim**0.5
    found = []
    for k in range(count):
        way = direction(exact, seed + k)
        expected = (slope * way).sum()[None]
        found.append(_compared(lambda theta: exact.value(theta)[None].to(slope), exact.theta, way, expected, typical))
    return _check("gradient", "and central differences of the loss", found)


def product(exact: Objective, seed: int, count: int = DIRECTIONS // 2) -> Check:
    """Compare differences of the gradient along random directions with products, relative to their length."""
    ways = torch.stack([direction(exact, seed + k) for k in range(count)])
    products = exact.hvp(exact.theta, ways)
    found = [
        _compared(exact.gradient, exact.theta, way, expected, float(expected.norm()))
        for way, expected in zip(ways, products, strict=True)
    ]
    return _check("Hessian product", "and central differences of the gradient", found)


def _compared(
    function: Callable[[Tensor], Tensor], theta: Tensor, way: Tensor, expected: Tensor, typical: float
) -> tuple[float, float]:
    """Return how far the believed difference is from what is expected, and how sure it is, in typical sizes."""
    reach = float(theta.norm()) or 1.0
    slopes = [(function(theta + s * reach * way) - function(theta - s * reach * way)) / (2 * s * reach) for s in STEPS]
    apart = [float((a - b).norm()) for a, b in zip(slopes, slopes[1:], strict=False)]
    best = min(range(len(apart)), key=apart.__getitem__)
    size = max(typical, torch.finfo(torch.float64).tiny)
    return float((slopes[best] - expected).norm()) / size, apart[best] / size


def _check(name: str, words: str, found: list[tuple[float, float]]) -> Check:
    wrong, unsure = torch.tensor(found, dtype=torch.float64).median(0).values.tolist()
    words = f"{words}, in float64, median of {len(found)} directions"
    if unsure > VAGUE:
        return Check(name, f"{words}: neighbouring steps differ by {unsure:.1g}, which says nothing")
    return Check(name, words, wrong, max(LEAST, SLACK * unsure))
