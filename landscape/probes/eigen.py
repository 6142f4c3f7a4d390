"""The largest and the smallest eigenpairs of the Hessian."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.probes._cost import Cost
from landscape.result import Result, quantity

if TYPE_CHECKING:
    import torch

    from landscape.objective import Objective


@dataclass(frozen=True, eq=False, repr=False)
class Eigen(Result):
    """Eigenvalues at both ends, descending: the largest ones, then the smallest ones, the last the smallest of all."""

    end: np.ndarray = quantity("end of the spectrum: largest or smallest", "k")
    value: np.ndarray = quantity("eigenvalue", "k", unit="nat")
    residual: np.ndarray = quantity("residual: an eigenvalue lies within that distance", "k", unit="nat")
    converged: np.ndarray = quantity("whether the residual meets the tolerance", "k")
    participation: np.ndarray = quantity("number of parameters that take part in the eigenvector", "k")
    gradient_share: np.ndarray = quantity("squared gradient in the span of the eigenvectors so far", "k")
    gradient_norm: np.ndarray = quantity("length of the gradient, exactly", unit="nat")
    dimension: np.ndarray = quantity("number of eigenvalues, exactly")
    vector: np.ndarray | None = quantity("eigenvector", "k", "parameter", optional=True)

    def figures(self) -> dict[str, tuple[float, float]]:
        """Tell both ends with their residuals, their ratio ``|smallest| / largest``, and the length of the gradient."""
        found = {"gradient_norm": (float(self.gradient_norm), 0.0)}
        ends = {"lambda_max": self.end == "largest", "lambda_min": self.end == "smallest"}
        for k, (name, there) in zip((0, -1), ends.items(), strict=True):
            if there.any():
                found[name] = float(self.value[there][k]), float(self.residual[there][k])
        if {"lambda_max", "lambda_min"} <= found.keys():
            found["ratio"] = ratio(found["lambda_min"], found["lambda_max"])
        return found


def eigen(
    objective: Objective,
    *,
    theta: torch.Tensor | None = None,
    matrix: str = "hessian",
    largest: int = 10,
    smallest: int = 3,
    tolerance: float = 1e-3,
    block: int = 1,
    limit: int = 1000,
    vectors: bool = False,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Eigen:
    r"""Find the largest and the smallest eigenvalues of the Hessian, with residuals, and the gradient seen from them.

    Parameters
    ----------
    objective : Objective
        Its first split is what the Hessian is of.
    theta : Tensor of shape (D,), optional
        Where; the objective's own parameters by default.
    matrix : str, default="hessian"
        hessian, gauss_newton, fisher (of per-example gradients), or gradient_covariance.
    largest : int, default=10
        How many of the largest eigenvalues.
    smallest : int, default=3
        How many of the smallest, that is most negative, eigenvalues.
    tolerance : float, default=1e-3
        Largest residual, relative to the eigenvalue's modulus (or to 1e-4 of the largest modulus, if that is more).
        The error of a separated eigenvalue is about the square of it.
    block : int, default=1
        Vectors of a block: as many copies of a repeated eigenvalue can be found.
    limit : int, default=1000
        Largest number of products; what has not converged by then is marked, and warned of.
    vectors : bool, default=False
        Store the eigenvectors too: such a file gives the directions of a line or plane.
    seed : int, default=0
        Of the random start.
    progress : callable, optional
        Told (products done, products at most).

    Returns
    -------
    Eigen
        The participation of a vector v of length 1 is :math:`1 / \sum_i v_i^4`, from 1 to D. Vectors point downhill.

    Raises
    ------
    ValueError
        If there are more eigenvalues than parameters, a number is out of range, or a product is not finite.

    Notes
    -----
    Cost: up to `limit` products and one gradient. Memory: 3 (largest + smallest) + 20 parameter vectors, with blocks
    2 (largest + smallest) + 8 block instead of 20.

    References
    ----------
    Wu & Simon (2000), Thick-restart Lanczos method for large symmetric eigenvalue problems, SIAM J. Matrix Anal. Appl.
    22(2); gradient: Gur-Ari, Roberts & Dyer (2018), Gradient descent happens in a tiny subspace, arXiv:1812.04754.
    """
    from landscape.eigenpairs import eigenpairs  # these import torch, which reading a result does not need
    from landscape.frame import exact
    from landscape.probes._curvature import Counted, curvature

    _expect(objective.dim, largest, smallest, limit)
    operator = curvature(objective, theta, matrix)
    product = Counted(operator, limit, progress)
    found = eigenpairs(
        product, operator.dim, count=(largest, smallest),
        tolerance=tolerance, block=block, limit=limit, seed=seed, like=operator.like,
    )  # fmt: skip
    if not found.converged.all():
        warnings.warn(
            f"Expected residuals of at most {tolerance:g} within {limit} products, got {int((~found.converged).sum())} "
            f"of {len(found.values)} eigenpairs above: they are marked; raise the limit.", stacklevel=2,
        )  # fmt: skip
    slope = exact(objective.gradient(operator.like))
    rows = exact(found.vectors)
    along = rows @ slope
    downhill = (1 - 2 * (along > 0).double())[:, None]
    origin = {
        "matrix": matrix, "split": objective.splits[0], "seed": seed, "tolerance": tolerance,
        "products": found.products, "gradients": 1, "strategy": operator.strategy,
    }  # fmt: skip
    return Eigen(
        end=np.array(["largest"] * largest + ["smallest"] * smallest),
        value=found.values.numpy(), residual=found.residuals.numpy(), converged=found.converged.numpy(),
        participation=(1 / (rows**4).sum(1)).numpy(),
        gradient_share=(along**2).cumsum(0).numpy() / (float(slope.norm()) ** 2 or 1.0),
        gradient_norm=slope.norm().numpy(), dimension=np.array(operator.dim),
        vector=(found.vectors.cpu() * downhill.to(found.vectors.dtype)).numpy() if vectors else None,
        origin=objective.record() | origin,
    )  # fmt: skip


def ratio(below: tuple[float, float], above: tuple[float, float]) -> tuple[float, float]:
    """Divide |smallest| by |largest| eigenvalue, each with an error; errors are added in squares, to first order.

    Examples
    --------
    >>> ratio((-1.0, 0.3), (2.0, 0.8))
    (0.5, 0.25)
    """
    if above[0] == 0:
        return math.nan, math.nan
    found = abs(below[0] / above[0])
    return found, math.hypot(below[1], found * above[1]) / abs(above[0])


def cost(
    objective: Objective, *, largest: int = 10, smallest: int = 3, block: int = 1, limit: int = 1000, **_: Any
) -> Cost:
    """Tell what eigenpairs cost, at most, and one gradient."""
    _expect(objective.dim, largest, smallest, limit)
    total = largest + smallest
    return Cost(products=limit, vectors=min(objective.dim, 2 * total + max(20, 8 * block)) + total)


def _expect(dim: int, largest: int, smallest: int, limit: int) -> None:
    if min(largest, smallest) < 0 or not 1 <= largest + smallest <= dim:
        raise ValueError(
            f"Expected largest and smallest, at least one and at most D={dim} eigenvalues in all, got {largest} and "
            f"{smallest}: there are no more than parameters."
        )
    if limit < 1:
        raise ValueError(f"Expected limit >= 1, got {limit}: it is the largest number of products.")
