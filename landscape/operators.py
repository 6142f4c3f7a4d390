"""Curvature at one point, as symmetric operators on parameter space that are known by their products."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from landscape.engine.strategy import EXPECTED

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

    from landscape.engine.multiplier import Multiplier
    from landscape.objective import Objective


class Operator:
    """A symmetric matrix over the parameters of an objective, at one point: call it with rows (K, D) -> (K, D).

    Parameters
    ----------
    multiply : callable (K, D) -> (K, D)
        Multiplies rows with the matrix.
    theta : Tensor of shape (D,)
        The point.
    engine : Multiplier, optional
        What knows the strategy of the products, if it is not `multiply` itself.

    Attributes
    ----------
    like : Tensor of shape (D,)
        The point; vectors have its format and device.
    products : int
        Products so far.
    """

    def __init__(
        self, multiply: Callable[[Tensor], Tensor], theta: Tensor, engine: Multiplier | None = None
    ) -> None:
        self._multiply, self.like, self._engine = multiply, theta, engine
        self.products = 0

    @property
    def strategy(self) -> str:
        """How the last products were computed; empty before any."""
        return str(self._engine.used or "") if self._engine else ""

    def choose(self, width: int = 1) -> str:
        """Choose how to multiply so many rows at once, by measuring, and tell it.

        An objective that is `using` it makes the same products bit for bit.
        """
        return str(self._engine.strategy(width)) if self._engine else ""

    @property
    def dim(self) -> int:
        """Number of parameters, D."""
        return len(self.like)

    def __call__(self, rows: Tensor) -> Tensor:
        """Multiply every row: (K, D) -> (K, D)."""
        if rows.ndim != 2 or not len(rows) or rows.shape[1] != self.dim:
            raise ValueError(
                f"Expected vectors as rows (K, {self.dim}), at least one, got shape {tuple(rows.shape)}: "
                "one vector v is v[None]."
            )
        self.products += len(rows)
        return self._multiply(rows)

    def linear_operator(self) -> LinearOperator:
        """Return the view of a scipy solver, such as `scipy.sparse.linalg.eigsh`: float64 arrays (D,) or (D, K)."""
        from scipy.sparse.linalg import LinearOperator

        def columns(block: np.ndarray) -> np.ndarray:
            rows = torch.as_tensor(np.ascontiguousarray(block.T), dtype=self.like.dtype, device=self.like.device)
            return self(rows).T.cpu().double().numpy()

        def column(vector: np.ndarray) -> np.ndarray:
            return columns(np.reshape(vector, (-1, 1)))[:, 0]

        shape = (self.dim, self.dim)
        return LinearOperator(shape, column, column, columns, np.float64, columns)  # pyright: ignore


def hessian(objective: Objective, theta: Tensor | None = None) -> Operator:
    """Return the Hessian of an objective at a point, its own by default.

    Notes
    -----
    The first product finds the fastest way, by a short measurement (a twentieth of 50 products); an objective with a
    strategy of its own spares it. Cost of a product: two gradients where graphs are kept, three where memory does not
    allow it. Memory: a quarter of what is free at most; see `landscape.engine.products.Products`.

    References
    ----------
    Pearlmutter (1994), Fast exact multiplication by the Hessian, Neural Computation 6(1).
    """
    return _operator("hessian", objective, theta)


def gauss_newton(objective: Objective, theta: Tensor | None = None) -> Operator:
    """Return the generalized Gauss-Newton matrix of an objective at a point, its own by default: never negative.

    References
    ----------
    Schraudolph (2002), Fast curvature matrix-vector products for second-order gradient descent,
    Neural Computation 14(7); Martens (2020), New insights on the natural gradient method, arXiv:1412.1193.
    """
    return _operator("gauss_newton", objective, theta)


def fisher(objective: Objective, theta: Tensor | None = None) -> Operator:
    r"""Return the empirical Fisher matrix of an objective at a point: the second moment of per-example gradients.

    .. math:: F = \sum_n w_n\, g_n g_n^\top \Big/ \sum_n w_n

    with g_n the gradient of the mean loss of example n, and w_n its weight: 1, or its number of tokens.

    References
    ----------
    Kunstner, Balles & Hennig (2019), Limitations of the empirical Fisher approximation for natural gradient descent,
    arXiv:1905.12558.
    """
    return _operator("fisher", objective, theta)


def gradient_covariance(objective: Objective, theta: Tensor | None = None) -> Operator:
    r"""Return the covariance of per-example gradients at a point: :math:`F - g g^\top`, see `fisher`.

    Its trace over N is the expected squared distance of the gradient of a random example set of size N from the mean.
    """
    second = _operator("fisher", objective, theta)
    mean = objective.gradient(second.like)

    def multiply(rows: Tensor) -> Tensor:
        return second(rows) - (rows.to(mean) @ mean)[:, None] * mean

    return Operator(multiply, second.like, second._engine)


def _operator(matrix: str, objective: Objective, theta: Tensor | None) -> Operator:
    point = objective.theta if theta is None else torch.as_tensor(theta).to(objective.theta).detach()
    engine = objective.multiplier(matrix, point, expected=EXPECTED)
    return Operator(engine, point, engine)


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
