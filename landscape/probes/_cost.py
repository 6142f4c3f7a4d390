"""What a probe costs, known before it is run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """The work of a probe, as its own `cost(objective, **knobs)` tells it.

    Attributes
    ----------
    points : int
        Evaluations of every split.
    products : int
        Hessian-vector products over the first split, at most; one over a part of it counts as its share.
    vectors : int
        Parameter vectors that are kept in memory.
    """

    points: int = 0
    products: int = 0
    vectors: int = 0
