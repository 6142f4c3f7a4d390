"""Widths under a budget: the integer program of HAWQ-V3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KINDS = ("size", "bops")
SCALE = 1e3  # of the largest sensitivity: the solver's absolute gap of 1e-6 is then negligible
SLACK = 1e-6  # of the budget: what a solver in floating point may exceed it by


@dataclass(frozen=True)
class Budget:
    """What an allocation may cost.

    Attributes
    ----------
    kind : {"size", "bops"}
        The mean number of bits of a quantized weight; or the bit operations, multiply-accumulate operations times the
        bits of weights times those of activations.
    amount : float
        At most so many bits; or this share of the bit operations of the network whose layers all have the widest width.
    """

    kind: str
    amount: float

    def __str__(self) -> str:
        return f"{self.kind}:{self.amount:g}"

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read ``size:4`` or ``bops:0.25``.

        Raises
        ------
        ValueError
            If it is neither, or out of range.
        """
        kind, _, number = text.partition(":")
        try:
            amount = float(number)
        except ValueError:
            amount = float("nan")
        if kind not in KINDS or not amount > 0 or not amount < float("inf") or (kind == "bops" and amount > 1):
            raise ValueError(
                f"Expected a budget such as size:4 (bits of a weight on average) or bops:0.25 (share of the bit "
                f"operations at the widest width, at most 1), got {text!r}: give one of them."
            )
        return cls(kind, amount)

    def costs(self, count: np.ndarray, operations: np.ndarray, bits: np.ndarray) -> np.ndarray:
        """Return what every layer costs at every width, whole numbers: (L,), (L,), (B,) -> (L, B).

        Activations have the same width everywhere, which therefore drops out of shares.
        """
        return np.outer(count if self.kind == "size" else operations, bits).astype(np.int64)

    def limit(self, count: np.ndarray, operations: np.ndarray, bits: np.ndarray) -> float:
        """Return what all layers together may cost, in the unit of `costs`."""
        if self.kind == "size":
            return self.amount * float(count.sum())
        return self.amount * float(operations.sum()) * float(bits.max())


def allocation(sensitivity: np.ndarray, costs: np.ndarray, limit: float) -> np.ndarray:
    r"""Choose a width for every layer: the smallest sum of sensitivities that a budget allows.

    .. math:: \min_c \sum_i \Omega_{i c_i} \quad \text{with} \quad \sum_i \mathrm{cost}_{i c_i} \le \text{limit}

    Parameters
    ----------
    sensitivity : array (L, B)
        Of every layer at every width; negative numbers count as 0.
    costs : array (L, B), whole numbers
    limit : float

    Returns
    -------
    array (L,), int
        Index of the chosen width.

    Raises
    ------
    ValueError
        If the cheapest choice costs more.

    References
    ----------
    Yao et al. (2021), HAWQ-V3: dyadic neural network quantization, arXiv:2011.10680.

    Examples
    --------
    Two layers of 10 weights, at 8 or 4 bits, with 6 bits a weight to spend:

    >>> costs = np.array([[80, 40], [80, 40]])
    >>> allocation(np.array([[0.1, 0.9], [0.1, 0.3]]), costs, 120).tolist()
    [0, 1]
    """
    cheapest = int(costs.min(1).sum())
    if cheapest > limit:
        raise ValueError(
            f"Expected a budget that the narrowest widths meet, got {limit:g} where they cost {cheapest}: raise the "
            "budget, or offer fewer bits."
        )
    for bound in (limit, limit * (1 - SLACK)):
        chosen = _solved(sensitivity.clip(min=0), costs, bound)
        if costs[np.arange(len(costs)), chosen].sum() <= limit:
            return chosen
    return costs.argmin(1)  # the budget is met by the cheapest choice alone, to rounding


def _solved(sensitivity: np.ndarray, costs: np.ndarray, limit: float) -> np.ndarray:
    from scipy.optimize import Bounds, LinearConstraint, milp

    layers, widths = sensitivity.shape
    one_each = np.kron(np.eye(layers), np.ones(widths))
    rules = [LinearConstraint(one_each, 1, 1), LinearConstraint(costs.ravel()[None] / limit, ub=1)]
    largest = sensitivity.max() or 1.0
    found = milp(
        SCALE / largest * sensitivity.ravel(), integrality=np.ones(layers * widths), bounds=Bounds(0, 1),
        constraints=rules, options={"mip_rel_gap": 0},
    )  # fmt: skip
    if found.x is None:
        return costs.argmin(1)
    return found.x.reshape(layers, widths).argmax(1)
