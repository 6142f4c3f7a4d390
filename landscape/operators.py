"""Curvature at one point, as symmetric operators on parameter space that are known by their products."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

    from landscape.objective import Objective


class Operator:
    """A symmetric matrix over the parameters of an objective, at one point: call it with rows (K, D) -> (K, D).

    Parameters
    ----------
    times : callable (D,), (K, D) -> (K, D)
        Multiplies rows with the matrix at a point, as `Objective.hvp` does.
    theta : Tensor of shape (D,)

    Attributes
    ----------
    like : Tensor of shape (D,)
        The point; vectors have its format and device.
    products : int
        Products so far.
    """

    def __init__(self, times: Callable[[Tensor, Tensor], Tensor], theta: Tensor) -> None:
        self._times, self.like = times, theta
        self.products = 0

    @property
    def dim(self) -> int:
        """Number of parameters, D."""
        return len(self.like)

    def __call__(self, rows: Tensor) -> Tensor:
        """Multiply every row: (K, D) -> (K, D)."""
        self.products += len(rows)
        return self._times(self.like, rows)

    def linear_operator(self) -> LinearOperator:
        """Return the view of a scipy solver, such as `scipy.sparse.linalg.eigsh`: float64 arrays (D,) or (D, K)."""
        from scipy.sparse.linalg import LinearOperator

        def columns(block: np.ndarray) -> np.ndarray:
            rows = torch.as_tensor(np.ascontiguousarray(block.T), dtype=self.like.dtype, device=self.like.device)
            return self(rows).T.cpu().double().numpy()

        def column(vector: np.ndarray) -> np.ndarray:
            return columns(np.reshape(vector, (-1, 1)))[:, 0]

        return LinearOperator((self.dim, self.dim), matvec=column, matmat=columns, rmatvec=column, dtype=np.float64)


def hessian(objective: Objective, theta: Tensor | None = None) -> Operator:
    """Return the Hessian of an objective at a point, its own by default."""
    return Operator(objective.hvp, _point(objective, theta))


def gauss_newton(objective: Objective, theta: Tensor | None = None) -> Operator:
    """Return the generalized Gauss-Newton matrix of an objective at a point, its own by default."""
    return Operator(objective.ggnvp, _point(objective, theta))


class ByClass:
    """The same operator of every class, in lockstep: rows (C P, D) -> (C P, D), P rows for each class in turn.

    Attributes
    ----------
    classes : tuple of str
        Names of the classes that have examples, C of them.
    counts : tuple of int
        Examples of each.
    operators : tuple of Operator
        One for each class.
    like : Tensor of shape (D,)
    """

    def __init__(self, classes: tuple[str, ...], counts: tuple[int, ...], operators: tuple[Operator, ...]) -> None:
        self.classes, self.counts, self.operators = classes, counts, operators
        self.like = operators[0].like

    @property
    def dim(self) -> int:
        """Number of parameters, D."""
        return len(self.like)

    def __call__(self, rows: Tensor) -> Tensor:
        """Multiply: (C P, D) -> (C P, D)."""
        blocks = rows.reshape(len(self.operators), -1, self.dim)
        found = [operator(block) for operator, block in zip(self.operators, blocks, strict=True)]
        return torch.cat(found)


def by_class(objective: Objective, theta: Tensor | None = None, *, kind: Callable[..., Operator] = hessian) -> ByClass:
    """Return an operator of every class of an objective, at a point: those of the class's own mean loss.

    Raises
    ------
    ValueError
        If there are no classes.
    """
    parts = objective.split_by_class()
    operators = tuple(kind(part, theta) for part in parts.values())
    return ByClass(tuple(parts), tuple(part.size for part in parts.values()), operators)


def _point(objective: Objective, theta: Tensor | None) -> Tensor:
    return objective.theta if theta is None else torch.as_tensor(theta).to(objective.theta).detach()
