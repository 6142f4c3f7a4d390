"""Directions that the objective itself tells at a point: its gradient, the eigenvectors of its Hessian."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from landscape import operators
from landscape.directions.attaching import attached, orthogonal
from landscape.directions.gaussian import random
from landscape.eigenpairs import eigenpairs
from landscape.frame import Frame, exact

if TYPE_CHECKING:
    from landscape.objective import Objective


ENDS = ("largest", "both")  # of the spectrum, from which eigenvectors are taken


def gradient(objective: Objective, count: int = 2, *, center: Tensor | None = None, seed: int = 0) -> Frame:
    """Point along the gradient, scaled to length 1; a second axis is random, filter-normalized and made orthogonal.

    Parameters
    ----------
    objective : Objective
        Its gradient is taken on the first split.
    count : {1, 2}
        A line or a plane.
    center : Tensor of shape (D,), optional
        Where the gradient is taken; the objective's own parameters by default.
    seed : int
        Of the random axis.

    Raises
    ------
    ValueError
        If the gradient is zero or not finite.
    """
    if count not in (1, 2):
        raise ValueError(f"Expected 1 or 2 directions with the gradient, got {count}.")
    center = attached(objective, center)
    slope = exact(objective.gradient(center))
    if not bool(torch.isfinite(slope).all()) or not bool(slope.any()):
        raise ValueError("Expected a gradient to point along, got one that is zero or not finite.")
    unit = slope / slope.norm()
    vectors, labels = [unit], ["gradient"]
    if count == 2:
        vectors.append(orthogonal(exact(random(objective, 1, center=center, seed=seed).vectors[0]), unit))
        labels.append("random, orthogonalized")
    return Frame(center, torch.stack(vectors).to(center), tuple(labels), {"kind": "gradient", "seed": seed}).told()


def eigen(
    objective: Objective,
    count: int = 2,
    *,
    center: Tensor | None = None,
    which: str = "largest",
    tolerance: float = 1e-3,
    limit: int = 1000,
    seed: int = 0,
) -> Frame:
    """Point along eigenvectors of the Hessian, of length 1.

    Parameters
    ----------
    objective : Objective
        Its Hessian is taken on the first split.
    count : int, default=2
        Number of directions, k.
    center : Tensor of shape (D,), optional
        Where the Hessian is taken; the objective's own parameters by default.
    which : {"largest", "both"}
        Of the k largest eigenvalues, or of the largest ones and then the smallest ones, half of k each.
    tolerance : float, default=1e-3
        Residual of an eigenvector, relative to its eigenvalue.
    limit : int, default=1000
        Hessian-vector products, at most.
    seed : int
        Of the random start.

    Returns
    -------
    Frame
        ``record`` has the eigenvalues as ``value`` and their residuals as ``residual``, in nats.

    Raises
    ------
    ValueError
        If the end is unknown, there are fewer parameters than directions, or an eigenvector has not converged.

    References
    ----------
    Ghorbani, Krishnan & Xiao (2019), arXiv:1901.10159; Alain, Le Roux & Manzagol (2019), Negative eigenvalues of the
    Hessian in deep neural networks, arXiv:1902.02366.
    """
    if which not in ENDS:
        raise ValueError(f"Expected which among {', '.join(ENDS)}, got {which!r}: they are the ends of the spectrum.")
    center = attached(objective, center)
    smallest = count // 2 if which == "both" else 0
    found = eigenpairs(
        operators.hessian(objective, center), objective.dim, count=(count - smallest, smallest),
        tolerance=tolerance, limit=limit, seed=seed, like=center,
    )  # fmt: skip
    if not found.converged.all():
        raise ValueError(
            f"Expected residuals of at most {tolerance:g} within {limit} products, got {found.residuals.tolist()} of "
            f"eigenvalues {found.values.tolist()}: raise the limit or the tolerance."
        )
    labels = tuple(f"eigenvector of {value:.3g} nat" for value in found.values.tolist())
    record = {
        "kind": "eigen", "which": which, "seed": seed,
        "value": found.values.tolist(), "residual": found.residuals.tolist(),
    }  # fmt: skip
    return Frame(center, found.vectors.to(center), labels, record).told()
