"""Checks of an objective itself: does it answer the same twice, and are its derivatives those of its values?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from landscape.objective import Objective


@dataclass(frozen=True)
class Check:
    """One comparison of two ways to the same number.

    Attributes
    ----------
    name : str
    words : str
        What was compared with what; or why it was not.
    found : float or None
        The disagreement, relative to the size of what is compared; None if it was not compared.
    allowed : float or None
        The largest disagreement that arithmetic alone explains.
    """

    name: str
    words: str
    found: float | None = None
    allowed: float | None = None

    @property
    def verdict(self) -> str:
        """Say agrees, disagrees, or skipped; NaN disagrees."""
        if self.found is None or self.allowed is None:
            return "skipped"
        return "agrees" if self.found <= self.allowed else "disagrees"


def verification(objective: Objective, exact: Objective, *, seed: int = 0) -> list[Check]:
    """Check an objective against itself, against finite differences, and against PyHessian.

    Parameters
    ----------
    objective : Objective
        In the arithmetic that it is used in.
    exact : Objective
        The same in float64, on the same examples of its first split.
    seed : int, default=0
        Of random directions.

    Returns
    -------
    list of Check

    Raises
    ------
    ValueError
        If a value or a product is not finite.

    Notes
    -----
    Cost: about 160 evaluations, 80 gradients, 30 products and the largest eigenvalue, and a power iteration of at most
    300 products by PyHessian.
    """
    from landscape.verification import consistency, differences, peer  # these import torch

    return [
        *consistency.repeated(objective, seed),
        *consistency.rounding(objective, exact, seed),
        consistency.symmetry(exact, seed),
        differences.gradient(exact, seed),
        differences.product(exact, seed),
        *peer.pyhessian(exact, seed),
    ]
