"""What work costs in seconds and bytes, by a short measurement."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from landscape.engine.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.objective import Objective
    from landscape.probes._cost import Cost

GRADIENT = 3  # forward passes that take about as long as a gradient
SAMPLE = 512  # examples that a gradient and a product are timed on


def price(probe: str, objective: Objective, cost: Cost) -> str:
    """Say what work costs, without doing it.

    Raises
    ------
    ValueError
        If a product is not finite.
    """
    work, lines, seconds = [], [], 0.0
    if cost.points:
        splits = " + ".join(f"{name} {examples.size}" for name, examples in objective.examples.items())
        work += [f"{cost.points} points, each {splits} examples"]
        plan = objective.plan(1 if cost.alone else cost.points)
        lines += [f"plan:    {plan}"]
        seconds += objective.seconds(plan) * cost.points
    if cost.gradients:
        work += [f"{cost.gradients:.4g} gradients of training with {objective.splits[0]} {objective.size} examples"]
        seconds += training(objective, cost.batch) * cost.gradients
    if cost.products:
        work += [f"at most {cost.products} products with {objective.splits[0]} {objective.size} examples"]
        gradient, product = derivatives(objective)
        lines += [f"product: about {_time(product)}, {product / gradient:.2g} gradients of {_time(gradient)}"]
        seconds += product * cost.products
    stored = cost.vectors * objective.dim * objective.theta.element_size()
    lines += [f"memory:  about {_size(stored)} for {cost.vectors} parameter vectors"] * bool(stored)
    return "\n".join([f"{probe}: {'; '.join([*work, repr(objective)])}", *lines, f"time:    about {_time(seconds)}"])


def training(objective: Objective, batch: int) -> float:
    """Measure how many seconds a gradient of training over the first split takes, from forward passes in batches."""
    passes = 2 if objective.batchnorm == "refit" and objective.network.norms else 1
    share = objective.size / sum(part.size for part in objective.examples.values())
    return GRADIENT * objective.seconds(Plan(examples=batch)) * share / passes


def derivatives(objective: Objective) -> tuple[float, float]:
    """Measure how many seconds a gradient takes, and a product with the Hessian, on a sample of the first split."""
    sample = objective.subset(min(SAMPLE, objective.size))
    share = objective.size / sample.size
    gradient = sample.gradient(sample.theta)
    return (
        share * _seconds(lambda: sample.gradient(sample.theta)),
        share * _seconds(lambda: sample.hvp(sample.theta, gradient)),
    )


def _seconds(work: Callable[[], Tensor]) -> float:
    """Time work that has been warmed up once; bringing its answer here waits for the device."""
    work().cpu()
    begun = time.perf_counter()
    work().cpu()
    return time.perf_counter() - begun


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 1 else f"{math.ceil(seconds * 1000)} ms"


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
