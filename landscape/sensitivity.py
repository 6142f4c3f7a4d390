"""What a change of one tensor at a time does to the loss: the terms of its expansion, and HAWQ's estimate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from landscape.operators import Operator, hessian
from landscape.rows import dot, norm
from landscape.traces import hutchinson

if TYPE_CHECKING:
    from landscape.objective import Objective

TOGETHER = 8  # vectors of one call


@dataclass(frozen=True, eq=False)
class BlockTraces:
    """Traces of the diagonal blocks of the Hessian that belong to named tensors, with standard errors.

    Attributes
    ----------
    names : tuple of str
        Names of parameters, L of them.
    trace, error : Tensor of shape (L,), float64, on the CPU
        In nats.
    count : Tensor of shape (L,), int64
        Parameters of each.
    samples, seed : int
        Random vectors behind the errors.
    strategy : str
        How the products were computed.
    """

    names: tuple[str, ...]
    trace: Tensor
    error: Tensor
    count: Tensor
    samples: int
    seed: int
    strategy: str = ""

    @property
    def mean(self) -> Tensor:
        """Mean eigenvalue of each block, (L,): Tr(H_ii) / n_i."""
        return self.trace / self.count

    @property
    def mean_error(self) -> Tensor:
        """Standard error of `mean`, (L,)."""
        return self.error / self.count

    def omega(self, squares: Tensor) -> tuple[Tensor, Tensor]:
        r"""Return HAWQ's sensitivity of squared errors (..., L), with its standard error.

        .. math:: \Omega_i = \frac{\operatorname{Tr} H_{ii}}{n_i} \|\delta_i\|^2

        References
        ----------
        Dong et al. (2020), HAWQ-V2: Hessian aware trace-weighted quantization of neural networks, arXiv:1911.03852.
        """
        return self.mean * squares, self.mean_error * squares


@dataclass(frozen=True, eq=False)
class Predictions:
    """What the expansion of the loss at a point says of changes of one tensor at a time; (L,) each, in nats.

    Attributes
    ----------
    names : tuple of str
    gradient : Tensor
        g_i . delta_i; exact to rounding.
    curvature : Tensor
        delta_i' H_ii delta_i / 2; exact to rounding.
    square : Tensor
        The squared length of delta_i, which the units of the weights decide.
    omega, omega_error : Tensor
        HAWQ's estimate from the mean eigenvalue, and its standard error. It has no factor 1/2: for a change in a random
        direction ``curvature`` is half of it on average.
    """

    names: tuple[str, ...]
    gradient: Tensor
    curvature: Tensor
    square: Tensor
    omega: Tensor
    omega_error: Tensor


def block_traces(
    objective: Objective,
    theta: Tensor | None,
    names: Iterable[str],
    *,
    samples: int = 64,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> BlockTraces:
    r"""Estimate the traces of the diagonal blocks of the Hessian that belong to named tensors.

    .. math:: \operatorname{Tr} H_{ii} = E\, v_i^\top (H v)_i

    over vectors v of random signs: one product with the whole Hessian serves all blocks.

    Parameters
    ----------
    objective : Objective
    theta : Tensor of shape (D,) or None
        The point; None for the objective's own.
    names : iterable of str
        Parameters of the objective.
    samples : int, default=64
        Random vectors, at least 2.
    seed : int, default=0
    progress : callable, optional
        Told (products done, products in all).

    Raises
    ------
    ValueError
        If a name is unknown, there are fewer than 2 samples, a product is not finite, or the objective has no
        derivatives.

    Notes
    -----
    Cost: `samples` products, about two gradients each. What other tensors add averages out; the variance of a sample is
    twice the sum of squares off the diagonal within the block, and once the sum of squares beside the block.

    References
    ----------
    Hutchinson (1990), A stochastic estimator of the trace of the influence matrix, Commun. Stat. Simul. Comput. 19(2);
    Dong et al. (2020), HAWQ-V2: Hessian aware trace-weighted quantization of neural networks, arXiv:1911.03852.
    """
    if samples < 2:
        raise ValueError(f"Expected at least 2 samples, got {samples}: one has no standard error.")
    names = tuple(names)
    slices = _slices(objective, names)
    operator = hessian(objective, theta)

    def product(rows: Tensor) -> Tensor:
        image = operator(rows)
        if progress is not None:
            progress(operator.products, samples)
        return image

    found = hutchinson(
        product, operator.dim, probes=samples, together=TOGETHER, slices=slices, seed=seed, like=operator.like
    ).parts
    assert found is not None
    assert isinstance(found.value, Tensor)
    assert isinstance(found.standard_error, Tensor)
    count = torch.tensor([part.stop - part.start for part in slices])
    return BlockTraces(names, found.value, found.standard_error, count, samples, seed, operator.strategy)


def predictions(
    objective: Objective,
    theta: Tensor | None,
    deltas: Mapping[str, Tensor],
    *,
    traces: BlockTraces | None = None,
    samples: int = 64,
    seed: int = 0,
) -> Predictions:
    """Predict what changes of one tensor at a time do to the loss.

    Parameters
    ----------
    objective : Objective
    theta : Tensor of shape (D,) or None
        The point; None for the objective's own.
    deltas : mapping of str to Tensor
        By name of the parameter, of its shape: such as Q(w_i) - w_i.
    traces : BlockTraces, optional
        Of the same tensors at the same point, where they are known already; estimated here by default.
    samples, seed : int
        Of the traces: see `block_traces`.

    Raises
    ------
    ValueError
        If a name or a shape does not fit the objective, the traces are those of other tensors, or the objective has no
        derivatives.

    Notes
    -----
    Cost: one gradient, one product a tensor, and those of the traces. What changes of two tensors do together, the
    off-diagonal blocks, is in none of these numbers.

    References
    ----------
    Dong et al. (2020), HAWQ-V2: Hessian aware trace-weighted quantization of neural networks, arXiv:1911.03852.
    """
    names = tuple(deltas)
    slices = _slices(objective, names)
    flat = [_flat(name, deltas[name], part) for name, part in zip(names, slices, strict=True)]
    if traces is None:
        traces = block_traces(objective, theta, names, samples=samples, seed=seed)
    if traces.names != names:
        raise ValueError(
            f"Expected traces of {', '.join(names)}, got those of {', '.join(traces.names)}: name the same."
        )
    operator = hessian(objective, theta)
    gradient = objective.gradient(operator.like)
    slopes = [dot(gradient[None, part], one.to(gradient)[None]) for part, one in zip(slices, flat, strict=True)]
    square = torch.stack([norm(one[None])[0].cpu().double() ** 2 for one in flat])
    curvature = _curvatures(operator, slices, flat)
    return Predictions(names, torch.cat(slopes).cpu().double(), curvature, square, *traces.omega(square))


def _curvatures(operator: Operator, slices: list[slice], flat: list[Tensor]) -> Tensor:
    """Return delta_i' H_ii delta_i / 2 of every block, a few products at a time."""
    found = []
    for start in range(0, len(slices), TOGETHER):
        parts, some = slices[start : start + TOGETHER], flat[start : start + TOGETHER]
        rows = operator.like.new_zeros(len(parts), operator.dim)
        for row, part, one in zip(rows, parts, some, strict=True):
            row[part] = one.to(row)
        found.append(dot(rows, operator(rows)) / 2)
    return torch.cat(found).cpu().double()


def _flat(name: str, delta: Tensor, part: slice) -> Tensor:
    if delta.numel() != part.stop - part.start:
        raise ValueError(f"Expected a change of {part.stop - part.start} numbers for {name!r}, got {delta.numel()}.")
    return delta.detach().reshape(-1)


def _slices(objective: Objective, names: tuple[str, ...]) -> list[slice]:
    """Find where named tensors lie in the vector."""
    places = {block.name: block.slice for block in objective.blocks}
    if not names:
        raise ValueError("Expected at least one tensor, got none: name parameters of the objective.")
    return list(_found(places, names))


def _found(places: Mapping[str, slice], names: tuple[str, ...]) -> Iterator[slice]:
    for name in names:
        if name not in places:
            raise ValueError(
                f"Expected parameters among {', '.join(list(places)[:6])} ..., got {name!r}: name those that the "
                "objective moves."
            )
        yield places[name]
