"""Exact diagonals: of the Gauss-Newton matrix, and of the Hessian where a network is piecewise linear."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.func import functional_call, vjp, vmap
from torch.utils import _pytree as pytree

from landscape.engine.derivatives import LENIENT, one_tensor
from landscape.engine.device import SHARE, arithmetic, differentiable, free_memory
from landscape.engine.evaluate import exact_attention
from landscape.engine.network import arguments
from landscape.engine.resident import Resident
from landscape.losses import scores

if TYPE_CHECKING:
    from landscape.objective import Objective

MOST = 128  # examples of a chunk
LEAST = 4  # examples that a network's second derivatives are looked at on
LINEAR = 1e-12  # share of a second derivative that is rounding, in float64


@differentiable()
def gauss_newton_diagonal(
    objective: Objective, theta: Tensor | None = None, *, progress: Callable[[int, int], None] | None = None
) -> Tensor:
    r"""Return the diagonal of the generalized Gauss-Newton matrix, exact to rounding, for any network.

    .. math:: G_{ii} = \frac{1}{N} \sum_n \sum_c \lambda_{nc} \, (J_n^\top u_{nc})_i^2

    with the Jacobian J_n of the outputs of example n, and the eigenpairs of its loss's Hessian in the outputs.

    Parameters
    ----------
    objective : Objective
        Of a loss whose outputs are one tensor. Batch norm must be frozen.
    theta : Tensor of shape (D,), optional
        The point; the objective's own parameters by default.
    progress : callable, optional
        Told (examples done, examples in all).

    Returns
    -------
    Tensor of shape (D,), float64

    Raises
    ------
    ValueError
        If the loss depends on how examples are cut into batches, or the outputs are not one tensor.

    Notes
    -----
    Cost: of every example, a forward pass and as many backward passes, with weight gradients kept apart by example, as
    the loss's Hessian has eigenvalues that are not zero: C - 1 for cross entropy over C classes, 1 for the squared
    error of one output. Memory: two vectors (D,) and the activations of each example of a chunk.

    References
    ----------
    Schraudolph (2002), Fast curvature matrix-vector products for second-order gradient descent,
    Neural Computation 14(7).
    """
    require_fixed(objective)
    values = objective.unpack(_point(objective, theta))
    total = torch.zeros(objective.dim, dtype=torch.float64, device=objective.device)
    weight, done = 0.0, 0
    with arithmetic(objective.precision, objective.device), exact_attention():
        for inputs, targets in chunks(objective):
            with torch.no_grad():
                outputs = apply(objective, values, inputs)
            curved, lengths, share = _loss_eigenpairs(objective.loss, outputs, targets)
            squares = vmap(lambda x, u, k: _squares(objective, values, x, u, k))(inputs, curved, lengths)  # noqa: B023
            total += squares.double().sum(0)
            weight += float(share)
            done += len(targets)
            if progress is not None:
                progress(done, objective.size)
    return total / weight


def hessian_diagonal(
    objective: Objective, theta: Tensor | None = None, *, progress: Callable[[int, int], None] | None = None
) -> Tensor:
    r"""Return the diagonal of the Hessian, exact to rounding, of a piecewise linear network.

    The Hessian is the Gauss-Newton matrix and a residual, :math:`\sum_n \sum_c \partial \ell_n / \partial f_c
    \nabla^2 f_{nc} / N`. Where the outputs are linear in each parameter alone, as between the kinks of ReLU networks,
    the diagonal of the residual is zero.

    Parameters
    ----------
    objective, theta, progress
        As `gauss_newton_diagonal`.

    Returns
    -------
    Tensor of shape (D,), float64
        Its sum is the trace; sums over `Objective.blocks` are the traces of layers.

    Raises
    ------
    ValueError
        If the network is not piecewise linear (`require_piecewise_linear`), and as `gauss_newton_diagonal`.

    Notes
    -----
    Cost: that of `gauss_newton_diagonal`, and one product with the Hessian of four examples for each layer.

    References
    ----------
    Dangel, Kunstner & Hennig (2020), BackPACK: packing more into backprop, arXiv:1912.10985.
    """
    require_fixed(objective)
    require_piecewise_linear(objective, theta)
    return gauss_newton_diagonal(objective, theta, progress=progress)


@differentiable()
def require_piecewise_linear(objective: Objective, theta: Tensor | None = None, *, seed: int = 0) -> None:
    r"""Refuse networks whose outputs are not linear, but for kinks, in each layer's parameters.

    With random weights r, the second derivative of :math:`\sum_n r_n \cdot f_n(\theta)` is applied to a random vector
    in the span of each layer; what of it stays in that span must be zero. That holds for linear and convolutional
    layers, frozen batch norm, ReLU, leaky ReLU and pooling, not for smooth activations, for layer norm and attention
    above a layer, for recurrent layers, or for weights that are used twice.

    Raises
    ------
    ValueError
        If it is not zero, by more than rounding in float64; the error names the layers.

    Notes
    -----
    Four examples, in float64: one gradient, and a product for each layer. A network that is curved where none of these
    examples leads would pass.
    """
    generator = torch.Generator().manual_seed(seed)
    few = Resident(
        objective.examples[objective.splits[0]].draw(min(LEAST, objective.size), seed), torch.float64, _wide(objective)
    )
    model = _float64(objective)
    point = _point(objective, theta).to(_wide(objective), torch.float64)
    values = {name: value.clone().requires_grad_(True) for name, value in objective.unpack(point).items()}
    combined = torch.zeros((), dtype=torch.float64, device=_wide(objective))
    with exact_attention(), torch.enable_grad():
        for inputs, _, _ in few.chunks(LEAST):
            positional, named = arguments(inputs)
            outputs = one_tensor(functional_call(model, values, positional, named))
            combined = combined + (outputs * _normal(outputs, generator)).sum()
        parameters = list(values.values())
        if not combined.requires_grad:  # no parameter takes part
            return
        slopes = torch.autograd.grad(combined, parameters, create_graph=True, **LENIENT)
        curved = [name for i, name in enumerate(values) if _is_curved(slopes, parameters, i, generator)]
    if curved:
        names = ", ".join(curved[:3]) + (" ..." if len(curved) > 3 else "")
        raise ValueError(
            f"Expected a piecewise linear network (ReLU, pooling, frozen batch norm), got outputs that are curved in "
            f"{names}: the diagonal of its Hessian is not that of its Gauss-Newton matrix; estimate it, or ask for "
            "that of the Gauss-Newton matrix."
        )


def require_fixed(objective: Objective) -> None:
    """Refuse an objective whose outputs for one example depend on the others.

    Raises
    ------
    ValueError
        If batch norm is not frozen, or a quantizer is in the way of derivatives.
    """
    objective.require_derivatives()
    if objective.network.norms and objective.batchnorm != "frozen":
        raise ValueError(
            f"Expected frozen batch norm, so that examples can be taken one by one, got {objective.batchnorm!r}: "
            "make the objective with batchnorm='frozen'."
        )


def chunks(objective: Objective) -> Iterator[tuple[Any, Tensor]]:
    """Yield (inputs, targets) of the first split, as many examples as vectors (D,) of each fit into memory."""
    resident = Resident(objective.examples[objective.splits[0]], objective.theta.dtype, objective.device)
    each = 4 * objective.dim * objective.theta.element_size() + 3 * objective.footprint
    size = int(free_memory(objective.device) * SHARE / max(1, each))
    for inputs, targets, _ in resident.chunks(max(1, min(MOST, size))):
        yield inputs, targets


def apply(objective: Objective, values: dict[str, Tensor], inputs: Any) -> Tensor:
    """Apply the network of an objective with parameters (*shape): inputs of B examples -> outputs (B, ...)."""
    positional, named = arguments(inputs)
    return one_tensor(functional_call(objective.network.model, values, positional, named))


def _squares(objective: Objective, values: dict[str, Tensor], inputs: Any, vectors: Tensor, factors: Tensor) -> Tensor:
    """Sum squared pullbacks of one example: vectors (R, C), factors (R,) -> (D,)."""
    single = pytree.tree_map(lambda leaf: leaf[None], inputs)
    _, pull = vjp(lambda v: apply(objective, v, single).flatten(), values)
    total = torch.zeros(objective.dim, dtype=objective.theta.dtype, device=objective.device)
    for vector, factor in zip(vectors, factors, strict=True):
        (pulled,) = pull(vector)
        total = total + factor * torch.cat([pulled[block.name].flatten() for block in objective.blocks]) ** 2
    return total


def _loss_eigenpairs(loss: Callable, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Decompose the Hessian of each example's loss in its outputs, leaving out what is zero for all.

    Returns
    -------
    vectors : Tensor of shape (B, R, C)
    values : Tensor of shape (B, R)
    weight : Tensor of shape ()
        Sum of the examples' weights.
    """
    leaf = outputs.detach().double().requires_grad_(True)
    with torch.enable_grad():
        found = scores(loss, leaf, targets.double() if targets.is_floating_point() else targets)
        (slope,) = torch.autograd.grad(found.loss.sum(), [leaf], create_graph=True)
        flat = slope.flatten(1)
        rows = [_row(flat[:, c], leaf) for c in range(flat.shape[1])]
    values, vectors = torch.linalg.eigh(torch.stack(rows, 1))
    sizes = values.abs().amax(0)
    kept = sizes > len(sizes) * torch.finfo(torch.float64).eps * sizes.max()
    return vectors.mT[:, kept].to(outputs.dtype), values[:, kept].to(outputs.dtype), found.weight.detach().sum()


def _row(slope: Tensor, leaf: Tensor) -> Tensor:
    if not slope.requires_grad:  # a loss that is linear in the outputs
        return torch.zeros_like(leaf).flatten(1)
    (row,) = torch.autograd.grad(slope.sum(), [leaf], retain_graph=True, **LENIENT)
    return row.flatten(1)


def _is_curved(slopes: tuple[Tensor, ...], parameters: list[Tensor], index: int, generator: torch.Generator) -> bool:
    """Say whether a layer's own second derivative is more than a rounding of what reaches all layers."""
    if not slopes[index].requires_grad:
        return False
    vector = _normal(slopes[index], generator)
    images = torch.autograd.grad(slopes[index], parameters, vector, retain_graph=True, **LENIENT)
    whole = torch.cat([image.flatten() for image in images]).norm()
    return bool(images[index].norm() > LINEAR * whole)


def _float64(objective: Objective) -> torch.nn.Module:
    return deepcopy(objective.network.model).to(_wide(objective), torch.float64)


def _wide(objective: Objective) -> torch.device:
    """Name a device that has float64."""
    return torch.device("cpu") if objective.device.type == "mps" else objective.device


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, dtype=torch.float64, generator=generator).to(like)


def _point(objective: Objective, theta: Tensor | None) -> Tensor:
    return objective.theta if theta is None else torch.as_tensor(theta).to(objective.theta).detach()
