"""What probes of curvature share: the matrix by its name, and products that are counted and told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from landscape.discovery import did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.objective import Objective
    from landscape.operators import Operator

MATRICES = ("hessian", "gauss_newton", "fisher", "gradient_covariance")
Progress = Callable[[int, int], None]


def curvature(objective: Objective, theta: Tensor | None, matrix: str) -> Operator:
    """Return a curvature matrix at a point by name, as an operator.

    Raises
    ------
    ValueError
        If there is no such matrix.
    """
    from landscape import operators

    if matrix not in MATRICES:
        raise ValueError(
            f"Expected a matrix, one of {', '.join(MATRICES)}, got {matrix!r}{did_you_mean(matrix, list(MATRICES))}."
        )
    return getattr(operators, matrix)(objective, theta)


class Counted:
    """An operator that tells how many of its products are done, of how many at most."""

    def __init__(self, operator: Operator, most: int, progress: Progress | None) -> None:
        self.operator, self.most, self._progress = operator, most, progress
        self.done = 0
        self.tell(0)

    def __call__(self, rows: Tensor) -> Tensor:
        """Multiply every row: (K, D) -> (K, D)."""
        found = self.operator(rows)
        self.tell(len(rows))
        return found

    def tell(self, more: int) -> None:
        """Count products, also those that were done before an interruption."""
        self.done += more
        if self._progress:
            self._progress(self.done, max(self.done, self.most))
