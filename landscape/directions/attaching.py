"""What directions of every kind share: where they are attached, names, right angles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from landscape.frame import exact

if TYPE_CHECKING:
    from landscape.objective import Objective



def attached(objective: Objective, center: Tensor | None) -> Tensor:
    """Return the point where a frame is attached: the one given, or the objective's own parameters.

    Raises
    ------
    ValueError
        If it has another length, or is not finite.
    """
    found = objective.theta if center is None else torch.as_tensor(center).detach().to(objective.theta)
    if found.shape != (objective.dim,):
        raise ValueError(f"Expected a center of shape ({objective.dim},), got {tuple(found.shape)}.")
    if not bool(torch.isfinite(found).all()):
        raise ValueError("Expected finite weights, got NaN or infinite ones: the checkpoint is damaged, or diverged.")
    return found


def numbered(label: str, count: int) -> tuple[str, ...]:
    """Name directions: label 1, label 2, ..."""
    return tuple(f"{label} {i + 1}" for i in range(count))


def orthogonal(vector: Tensor, unit: Tensor) -> Tensor:
    """Remove from a vector (D,) what lies along a unit vector (D,)."""
    for _ in range(2):  # once is not enough in floating point
        vector = vector - (vector @ unit) * unit
    return vector


def rounding(theta: Tensor) -> float:
    """Return about how far from where it should be a vector lies for the rounding of its numbers."""
    return torch.finfo(theta.dtype).eps * float(exact(theta).norm())
