"""Mixed precision: a width for every layer, by its sensitivity, under a budget."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.objective import Objective
from landscape.ptq.allocation import Budget, allocation
from landscape.quantize.calibration import calibrate
from landscape.quantize.scheme import Scheme
from landscape.sensitivity import BlockTraces, block_traces


@dataclass(frozen=True, eq=False)
class Mixed:
    """An allocation of widths, and what it was decided by.

    Attributes
    ----------
    budget : Budget
    bits : tuple of int
        Widths to choose from, B of them, descending.
    traces : BlockTraces
        Of the L tensors, by name.
    operations : array (L,)
        Multiply-accumulate operations of one example.
    omega, omega_error : array (L, B)
        HAWQ's sensitivity at every width, in nats, and its standard error.
    counted : array (L, B)
        What is minimized: Omega of the trace, or of its standard error where that is larger.
    chosen : array (L,)
        Index of the width of each tensor.
    """

    budget: Budget
    bits: tuple[int, ...]
    traces: BlockTraces
    operations: np.ndarray
    omega: np.ndarray
    omega_error: np.ndarray
    counted: np.ndarray
    chosen: np.ndarray

    @property
    def width(self) -> dict[str, int]:
        """Bits of every tensor."""
        return {name: self.bits[index] for name, index in zip(self.traces.names, self.chosen, strict=True)}

    @property
    def mean_bits(self) -> float:
        """Bits of a quantized weight, on average."""
        count = self.traces.count.numpy()
        return float((count * np.array(self.bits)[self.chosen]).sum() / count.sum())

    @property
    def share(self) -> float:
        """Bit operations, as a share of those at the widest width."""
        widths = np.array(self.bits)
        return float((self.operations * widths[self.chosen]).sum() / max(1, self.operations.sum() * widths.max()))

    def record(self) -> dict[str, Any]:
        """Return what decided, as plain JSON."""
        rows = zip(
            self.traces.names, self.traces.trace.tolist(), self.traces.error.tolist(), self.operations.tolist(),
            strict=True,
        )  # fmt: skip
        tensors = {n: {"trace": t, "trace_error": e, "operations": m, "bits": self.width[n]} for n, t, e, m in rows}
        return {
            "budget": str(self.budget), "bits": list(self.bits), "samples": self.traces.samples,
            "seed": self.traces.seed, "strategy": self.traces.strategy, "tensors": tensors,
        }  # fmt: skip


def mixed(
    objective: Objective,
    schemes: Mapping[str, Sequence[Scheme]],
    axes: Mapping[str, int],
    operations: Mapping[str, int],
    budget: Budget,
    *,
    samples: int = 32,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Mixed:
    r"""Choose a width for every tensor: the least sum of HAWQ's sensitivities that a budget allows.

    .. math:: \Omega_i(b) = \frac{\operatorname{Tr} H_{ii}}{n_i} \|Q_b(w_i) - w_i\|^2

    Parameters
    ----------
    objective : Objective
        At the weights of full precision, which the traces are those of.
    schemes : mapping of str to sequence of Scheme
        Of every tensor, the widths to choose from: the same for all, in one order.
    axes : mapping of str to int
        Where output units lie.
    operations : mapping of str to int
        Multiply-accumulate operations with each tensor.
    budget : Budget
    samples : int, default=32
        Random vectors of the traces.
    seed : int, default=0
    progress : callable, optional
        Told (products done, products in all).

    Raises
    ------
    ValueError
        If the budget is less than the narrowest widths need, there is one width alone, or the objective has no
        derivatives.

    Notes
    -----
    Cost: `samples` products with the Hessian. A trace below its standard error counts with that error, with a warning:
    what is not known to be insensitive is not given the fewest bits. What two layers do together is not in Omega.

    References
    ----------
    Dong et al. (2020), HAWQ-V2: Hessian aware trace-weighted quantization of neural networks, arXiv:1911.03852;
    Yao et al. (2021), HAWQ-V3: dyadic neural network quantization, arXiv:2011.10680.
    """
    names = tuple(schemes)
    bits = tuple(one.bits for one in schemes[names[0]])
    if len(bits) < 2:
        raise ValueError(f"Expected several widths to choose from, got {len(bits)}: give --bits such as 8,4,2.")
    count = np.array([_size(objective, name) for name in names])
    work = np.array([operations[name] for name in names])
    given = np.array(bits)
    costs, limit = budget.costs(count, work, given), budget.limit(count, work, given)
    allocation(np.zeros(costs.shape), costs, limit)  # a budget that is too small is told before the work
    traces = block_traces(objective, None, names, samples=samples, seed=seed, progress=progress)
    squares = torch.stack([_squares(objective, name, schemes[name], axes[name]) for name in names], 1)  # (B, L)
    omega, error = traces.omega(squares)
    unknown = [name for name, below in zip(names, traces.trace < traces.error, strict=True) if below]
    if unknown:
        warnings.warn(
            f"the traces of {', '.join(unknown)} are below their standard errors, which they count with: give more "
            "--samples or --images.", stacklevel=2,
        )  # fmt: skip
    counted = torch.maximum(omega, error).T.numpy()
    chosen = allocation(counted, costs, limit)
    return Mixed(budget, bits, traces, work, omega.T.numpy(), error.T.numpy(), counted, chosen)


def _size(objective: Objective, name: str) -> int:
    return next(block.slice.stop - block.slice.start for block in objective.blocks if block.name == name)


def _squares(objective: Objective, name: str, schemes: Sequence[Scheme], axis: int) -> Tensor:
    """Return the squared error of nearest rounding at every width: (B,)."""
    weight = objective.unpack(objective.theta)[name]
    rounded = [calibrate(weight, scheme, axis=axis).hard(weight) for scheme in schemes]
    return torch.stack([(values - weight).double().square().sum() for values in rounded]).cpu()
