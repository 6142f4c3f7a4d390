"""Does an objective answer the same when asked again, in other arithmetic, and from the other side?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from landscape.verification import Check

if TYPE_CHECKING:
    from landscape.objective import Objective

SUMS = 100  # in eps: what adding up in another order may change, as some devices do
FORMATS = {"float32": 2.0**-23, "float64": 2.0**-52, "bfloat16": 2.0**-7, "tf32": 2.0**-10}  # eps of the products


def repeated(objective: Objective, seed: int) -> list[Check]:
    """Ask for value, gradient and a product twice."""
    theta, allowed = objective.theta, SUMS * torch.finfo(objective.theta.dtype).eps
    vector = direction(objective, seed)
    twice = {
        "value": lambda: objective.value(theta),
        "gradient": lambda: objective.gradient(theta),
        "product": lambda: objective.hvp(theta, vector),
    }
    return [
        Check(f"{name} again", f"the {name} at one point, computed twice", apart(ask(), ask()), allowed)
        for name, ask in twice.items()
    ]


def rounding(objective: Objective, exact: Objective, seed: int) -> list[Check]:
    """Compare value and product with those in float64; half of the digits must be right."""
    if objective.precision == "float64":
        return [Check("arithmetic", "the objective is in float64 itself")]
    vector, allowed = direction(exact, seed), FORMATS[objective.precision] ** 0.5
    value = apart(objective.value(objective.theta), exact.value(exact.theta))
    product = apart(objective.hvp(objective.theta, vector.to(objective.theta)), exact.hvp(exact.theta, vector))
    return [
        Check("value", f"in {objective.precision} and in float64", value, allowed),
        Check("product", f"in {objective.precision} and in float64", product, allowed),
    ]


def symmetry(exact: Objective, seed: int, pairs: int = 4) -> Check:
    """Compare u'Hv with v'Hu for random vectors, relative to |u| |Hv|; half of the digits must be right.

    Where the loss is nearly zero, 1 - p has lost digits before any product.
    """
    u = torch.stack([direction(exact, seed + 2 * k) for k in range(pairs)])
    v = torch.stack([direction(exact, seed + 2 * k + 1) for k in range(pairs)])
    left, right = exact.hvp(exact.theta, v), exact.hvp(exact.theta, u)
    gap = ((u * left).sum(1) - (v * right).sum(1)).abs()
    size = torch.maximum(left.norm(dim=1), right.norm(dim=1)).clamp(min=torch.finfo(left.dtype).tiny)
    words = f"u'Hv and v'Hu of {pairs} pairs of random vectors, in float64"
    return Check("symmetry", words, float((gap / size).max()), torch.finfo(left.dtype).eps ** 0.5)


def direction(objective: Objective, seed: int) -> Tensor:
    """Draw a random vector of length 1, (D,), the same on every device."""
    found = torch.randn(objective.dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (found / found.norm()).to(objective.theta)


def apart(found: Tensor, expected: Tensor) -> float:
    """Return the length of the difference, relative to what is expected."""
    found, expected = found.detach().double().cpu(), expected.detach().double().cpu()
    size = expected.norm().clamp(min=torch.finfo(torch.float64).tiny)
    return float((found - expected).norm() / size)
