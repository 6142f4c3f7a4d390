"""Derivatives at one point: gradients, and products of curvature matrices with many vectors, summed over chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd import grad

from landscape.engine.evaluate import exact_attention
from landscape.engine.network import Network, lay_out
from landscape.engine.plan import Plan
from landscape.engine.resident import Resident
from landscape.losses import scores

Times = Callable[[Tensor], Tensor]  # a vector (D,) -> its product (D,)


def gradient(network: Network, loss: Callable, plan: Plan, point: Tensor, split: Resident) -> Tensor:
    """Differentiate the mean loss at one point: (D,) -> (D,), float64 sums over chunks (float32 on MPS)."""
    total, weight = _wide(torch.zeros_like(point)), 0.0
    with _at(network, plan, point) as parameters:
        for inputs, targets, _ in split.chunks(plan.examples, plan.channels_last):
            found = scores(loss, network(inputs), targets)
            weight = weight + _wide(found.weight.detach()).sum()
            if found.loss.requires_grad:
                total = total + _wide(_flat(grad(found.loss.sum(), parameters, **LENIENT)))
    return total / weight


def products(
    curvature: Callable, network: Network, loss: Callable, plan: Plan, point: Tensor, vectors: Tensor, split: Resident
) -> Tensor:
    """Multiply a curvature matrix of the mean loss at one point with vectors: (D,), (K, D) -> (K, D).

    The graph of each chunk is built once and serves every vector. Sums over chunks are in float64 (float32 on MPS).

    Parameters
    ----------
    curvature : {hessian, gauss_newton}
        Makes, from a chunk, the function that multiplies one vector.

    Raises
    ------
    ValueError
        If a product is not finite; the error names the examples.
    """
    total, weight, finite = _wide(torch.zeros_like(vectors)), 0.0, []
    with _at(network, plan, point) as parameters, exact_attention():
        for inputs, targets, _ in split.chunks(plan.examples, plan.channels_last):
            times, share = curvature(network, loss, inputs, targets, parameters)
            weight = weight + _wide(share).sum()
            for row, vector in zip(total, vectors, strict=True):
                row += _wide(times(vector))
            finite.append(torch.isfinite(total).all())
    _require_finite(finite, plan.examples)
    return total / weight


def hessian(
    network: Network, loss: Callable, inputs: Any, targets: Tensor, parameters: list[Tensor]
) -> tuple[Times, Tensor]:
    """Prepare products with the Hessian of a chunk's summed loss: reverse over reverse, one graph for all vectors."""
    found = scores(loss, network(inputs), targets)
    slopes = grad(found.loss.sum(), parameters, create_graph=True, **LENIENT)

    def times(vector: Tensor) -> Tensor:
        return _flat(_pulled(slopes, parameters, _parts(vector, parameters)))

    return times, found.weight.detach()


def gauss_newton(
    network: Network, loss: Callable, inputs: Any, targets: Tensor, parameters: list[Tensor]
) -> tuple[Times, Tensor]:
    """Prepare products with a chunk's generalized Gauss-Newton matrix, the sum of J' H J over examples.

    J is the Jacobian of the outputs, H the Hessian of the loss in the outputs. J v is the derivative of J' u in u,
    which is linear, so that reverse mode serves where forward mode is missing.

    References
    ----------
    Schraudolph (2002), Fast curvature matrix-vector products for second-order gradient descent,
    Neural Computation 14(7).
    """
    outputs = network(inputs)
    outputs = getattr(outputs, "logits", outputs)
    leaf = outputs.detach().requires_grad_(True)
    found = scores(loss, leaf, targets)
    (slope,) = grad(found.loss.sum(), [leaf], create_graph=True)
    dual = torch.zeros_like(outputs, requires_grad=True)
    pulled = grad(outputs, parameters, dual, create_graph=True, **LENIENT)

    def times(vector: Tensor) -> Tensor:
        (pushed,) = _pulled(pulled, [dual], _parts(vector, parameters))
        (curved,) = _pulled([slope], [leaf], [pushed])
        return _flat(grad(outputs, parameters, curved, retain_graph=True, **LENIENT))

    return times, found.weight.detach()


LENIENT = {"allow_unused": True, "materialize_grads": True}  # a parameter that takes no part has derivative zero


def _pulled(outputs: Any, inputs: list[Tensor], vectors: list[Tensor]) -> tuple[Tensor, ...]:
    """Pull vectors back through a graph that is kept; what does not depend on the inputs contributes zero."""
    pairs = [(o, v) for o, v in zip(outputs, vectors, strict=True) if o.requires_grad]
    if not pairs:
        return tuple(torch.zeros_like(i) for i in inputs)
    return grad([o for o, _ in pairs], inputs, [v for _, v in pairs], retain_graph=True, **LENIENT)


def _parts(vector: Tensor, parameters: list[Tensor]) -> list[Tensor]:
    pieces = vector.split([p.numel() for p in parameters])
    return [piece.view(p.shape) for piece, p in zip(pieces, parameters, strict=True)]


def _flat(parts: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([part.detach().flatten() for part in parts])


@contextmanager
def _at(network: Network, plan: Plan, point: Tensor) -> Iterator[list[Tensor]]:
    """Place a point, and let its parameters be differentiated for a while."""
    lay_out(network.model, plan.channels_last)
    network.place(point)
    chosen = [network.tensors[block.name] for block in network.blocks]
    for tensor in chosen:
        tensor.requires_grad_(True)
    try:
        with torch.enable_grad():
            yield chosen
    finally:
        for tensor in chosen:
            tensor.requires_grad_(False)


def _require_finite(finite: list[Tensor], size: int) -> None:
    wrong = (~torch.stack(finite)).nonzero()
    if len(wrong):
        first = int(wrong[0]) * size
        raise ValueError(
            f"Expected finite products, got NaN or infinity from examples {first} to {first + size - 1}: "
            "look at those examples, or at weights far from trained ones; precision float64 may help."
        )


def _wide(tensor: Tensor) -> Tensor:
    return tensor if tensor.device.type == "mps" else tensor.double()
