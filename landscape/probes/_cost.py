"""What a probe costs, known before it is run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """The work of a probe, as its own `cost(objective, **knobs)` tells it.

    Attributes
    ----------
    points : int
        Evaluations of every split; where batch-norm statistics are refitted, that is a part of each.
    products : int
        Hessian-vector products over the first split, at most; one over a part of it counts as its share.
    vectors : int
        Parameter vectors that are kept in memory.
    alone : bool
        Whether points are evaluated one after another, never several at once.
    gradients : float
        Gradients of training over the first split, in batches of `batch` examples; a forward pass is a third of one.
    batch : int
    """

    points: int = 0
    products: int = 0
    vectors: int = 0
    alone: bool = False
    gradients: float = 0.0
    batch: int = 0
