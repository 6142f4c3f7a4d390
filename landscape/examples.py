"""One example at a time: losses and answers at a point, curvature along vectors, gradients pulled back from outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd import grad

from landscape.engine.derivatives import LENIENT, at, flat, one_tensor, parts, wide
from landscape.engine.device import arithmetic
from landscape.engine.evaluate import exact_attention
from landscape.engine.network import Network, lay_out
from landscape.engine.plan import Plan
from landscape.engine.resident import Resident
from landscape.losses import answers as answered
from landscape.losses import cross_entropy, scores

if TYPE_CHECKING:
    from landscape.objective import Objective

Cotangents = Callable[[Tensor], Tensor]  # outputs (B, C) -> rows to pull back (M, B, C)


class ByExample(NamedTuple):
    """What every example of a split costs at one point, in the order of the data: float64 arrays (N,)."""

    loss: np.ndarray
    weight: np.ndarray
    correct: np.ndarray


def by_example(objective: Objective, theta: Tensor, split: int = 0) -> ByExample:
    """Evaluate every example of a split at one point: (D,) -> arrays (N,); `correct` is NaN without classes.

    Parameters
    ----------
    objective : Objective
    theta : Tensor of shape (D,)
    split : int, default=0
        Its number among the splits of the objective.
    """
    return ByExample(*_derived(objective, _scores, theta, split).numpy())


class Answers(NamedTuple):
    """What every example of a split costs at one point, and what the network answers there, in the order of the data.

    ``loss``, ``weight`` and ``correct`` are as in `ByExample`; ``answer`` has an array (B, A) of classes for every
    chunk of the split, -1 where there is nothing to answer and -2 where outputs are NaN, and is empty where outputs are
    not over classes.
    """

    loss: np.ndarray
    weight: np.ndarray
    correct: np.ndarray
    answer: tuple[np.ndarray, ...]

    def disagreement(self, other: Answers) -> np.ndarray:
        """Return the share of answers of each example that differ from another network's, times its weight: (N,)."""
        pairs = zip(self.answer, other.answer, strict=True)
        share = [(one != two).sum(1) / np.maximum((one != -1).sum(1), 1) for one, two in pairs]
        return np.concatenate(share) * self.weight


def answers(objective: Objective, theta: Tensor) -> list[Answers]:
    """Ask a network about every example: (D,) -> one `Answers` for each split.

    Notes
    -----
    One forward pass over all splits, and one over the first where batch-norm statistics are refitted.
    """
    return _refitted(objective, _answers, theta, range(len(objective.splits)))


def log_probabilities(objective: Objective, theta: Tensor) -> list[np.ndarray]:
    """Return how probable a classifier holds every class of every example: (D,) -> an array (N, C) for each split.

    Natural logarithms in float64, the log-softmax of the outputs, in the order of the data. NaN and infinity stay.

    Raises
    ------
    ValueError
        If the loss is not the cross entropy of one class an example.

    Notes
    -----
    One forward pass over all splits, and one over the first where batch-norm statistics are refitted. Memory: twice
    N x C numbers of a split.
    """
    require_classifier(objective)
    return _refitted(objective, _log_probabilities, theta, range(len(objective.splits)))


def require_classifier(objective: Objective) -> None:
    """Refuse an objective whose outputs are not the logits of one class an example.

    Raises
    ------
    ValueError
        If its loss is another one, or its targets are not one class index an example.
    """
    if objective.loss is not cross_entropy:
        raise ValueError(
            f"Expected the loss cross_entropy, got {objective.loss_name}: only classifiers have probabilities."
        )
    if any(part.labels is None for part in objective.examples.values()):
        raise ValueError("Expected one class an example, got other targets: use a classifier of whole examples.")


def curvature(objective: Objective, theta: Tensor, vectors: Tensor) -> Tensor:
    r"""Tell how the loss of every example bends along vectors: (D,), (K, D) -> (K, N), float64, on the CPU.

    .. math:: k_{jn} = v_j^\top \nabla^2 \ell_n(\theta)\, v_j

    Notes
    -----
    The sum over examples divided by the sum of their weights is :math:`v^\top H v`. Where v is a unit eigenvector of H,
    :math:`k_n - \lambda` is the influence of an example on the eigenvalue, so that the spread of k gives the standard
    error of the eigenvalue over examples, to first order (the infinitesimal jackknife).

    Reverse mode only: with weights w on the examples, :math:`v^\top H(w) v` is linear in w, and its gradient is k.
    Cost: about six gradients for each vector.

    References
    ----------
    Jaeckel (1972), The infinitesimal jackknife, Bell Laboratories; Efron (1982), The jackknife, the bootstrap and other
    resampling plans, SIAM.
    """
    objective.require_derivatives()
    return _derived(objective, partial(_curvature, vectors), theta)


def pulled(objective: Objective, theta: Tensor, cotangents: Cotangents) -> Tensor:
    """Average J' u over the examples of the first split, J being the Jacobian of an example's outputs.

    Parameters
    ----------
    objective : Objective
    theta : Tensor of shape (D,)
    cotangents : callable (B, C) -> (M, B, C)
        Makes rows u of every example from its outputs.

    Returns
    -------
    Tensor of shape (M, D), float64 (float32 on MPS)

    Notes
    -----
    Cost: one forward pass, and M backward passes.
    """
    objective.require_derivatives()
    return _derived(objective, partial(_pulled, cotangents), theta)


def _derived(objective: Objective, derivative: Callable, theta: Tensor, split: int = 0) -> Tensor:
    """Do work at a point as the objective would: in its precision, by less at a time where memory runs out."""
    return _refitted(objective, derivative, theta, [split])[0]


def _refitted(objective: Objective, derivative: Callable, theta: Tensor, splits: Iterable[int]) -> list[Any]:
    """Do work at a point on several splits, with batch-norm statistics refitted once."""
    runner = objective._runner
    point = theta.to(runner.network.device, runner.network.dtype)

    def work(by: Plan) -> list[Any]:
        runner.refit(point, by)
        return [derivative(runner.network, runner.loss, by, point, runner.splits[split]) for split in splits]

    with arithmetic(runner.precision, point.device):
        return runner.backed_off(work, runner.plan(1))


@torch.no_grad()
def _scores(network: Network, loss: Callable, plan: Plan, point: Tensor, split: Resident) -> Tensor:
    lay_out(network.model, plan.channels_last)
    network.place(point)
    parts = []
    for inputs, targets, _ in split.chunks(plan.examples, plan.channels_last):
        found = scores(loss, network(inputs), targets)
        parts.append(torch.stack([found.loss, found.weight, found.correct]).cpu().double())
    return torch.cat(parts, 1)


@torch.no_grad()
def _answers(network: Network, loss: Callable, plan: Plan, point: Tensor, split: Resident) -> Answers:
    lay_out(network.model, plan.channels_last)
    network.place(point)
    parts, chosen = [], []
    for inputs, targets, _ in split.chunks(plan.examples, plan.channels_last):
        outputs = network(inputs)
        found, given = scores(loss, outputs, targets), answered(loss, outputs, targets)
        parts.append(torch.stack([found.loss, found.weight, found.correct]).cpu().double())
        if given is not None:
            chosen.append(given.cpu().numpy())
    numbers = torch.cat(parts, 1).numpy()
    return Answers(numbers[0], numbers[1], numbers[2], tuple(chosen))


@torch.no_grad()
def _log_probabilities(network: Network, loss: Callable, plan: Plan, point: Tensor, split: Resident) -> np.ndarray:
    lay_out(network.model, plan.channels_last)
    network.place(point)
    parts = []
    for inputs, _, _ in split.chunks(plan.examples, plan.channels_last):
        logits = one_tensor(network(inputs))
        if logits.ndim != 2:
            raise ValueError(
                f"Expected outputs of shape (examples, classes), got {tuple(logits.shape)}: use a classifier of whole "
                "examples."
            )
        parts.append(logits.cpu().double().log_softmax(1).numpy())
    return np.concatenate(parts)


def _curvature(
    vectors: Tensor, network: Network, loss: Callable, plan: Plan, point: Tensor, split: Resident
) -> Tensor:
    rows, found = vectors.to(point), []
    with at(network, plan, point) as parameters, exact_attention():
        for inputs, targets, _ in split.chunks(plan.examples, plan.channels_last):
            losses = scores(loss, network(inputs), targets).loss
            share = torch.ones_like(losses, requires_grad=True)
            slopes = grad((share * losses).sum(), parameters, create_graph=True, **LENIENT)
            bends = [_bend(slopes, parameters, share, parts(row, parameters)) for row in rows]
            found.append(torch.stack(bends).cpu().double())
    return torch.cat(found, 1)


def _bend(slopes: Any, parameters: list[Tensor], share: Tensor, pieces: list[Tensor]) -> Tensor:
    """Differentiate twice along a vector, then in the weights of the examples: -> (B,)."""
    once = _along(slopes, pieces)
    if not once.requires_grad:
        return torch.zeros_like(share)
    twice = _along(grad(once, parameters, create_graph=True, **LENIENT), pieces)
    return grad(twice, [share], retain_graph=True, **LENIENT)[0] if twice.requires_grad else torch.zeros_like(share)


def _along(slopes: Any, pieces: list[Tensor]) -> Tensor:
    return torch.stack([(slope * piece).sum() for slope, piece in zip(slopes, pieces, strict=True)]).sum()


def _pulled(
    cotangents: Cotangents, network: Network, loss: Callable, plan: Plan, point: Tensor, split: Resident
) -> Tensor:
    total: Tensor | float = 0.0
    with at(network, plan, point) as parameters:
        for inputs, _, _ in split.chunks(plan.examples, plan.channels_last):
            outputs = one_tensor(network(inputs))
            rows = cotangents(outputs.detach())
            pulls = (grad(outputs, parameters, row, retain_graph=True, **LENIENT) for row in rows)
            total = total + wide(torch.stack([flat(pull) for pull in pulls]))
    return total / split.size
