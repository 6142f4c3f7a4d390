"""Straight-through matching: a permutation trained by the loss of the network in the middle."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.func import functional_call

from landscape.alignment.structure import Permutation, Structure, permuted
from landscape.alignment.weights import Matching, among, weight_matching
from landscape.connection.given import Given
from landscape.engine import batchnorm
from landscape.engine.device import arithmetic
from landscape.engine.network import arguments
from landscape.losses import scores
from landscape.train.batches import Batch, Resident

if TYPE_CHECKING:
    from landscape.objective import Objective

CHECKS = 10  # times at most that the loss in the middle is asked for on the way, on all examples
MOMENTUM = 0.9


def straight_through_matching(
    objective: Objective,
    first: Tensor,
    second: Tensor,
    structure: Structure,
    *,
    steps: int = 200,
    lr: float = 0.1,
    batch_size: int = 128,
    tries: int = 1,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Matching:
    r"""Permute the units of a network such that the loss in the middle between both is small.

    .. math:: \min_{\tilde\theta} \; L\left(\tfrac12 (\theta_1 + \pi(\theta_2))\right), \qquad
        \pi = \arg\max_\pi \langle \tilde\theta, \pi(\theta_2) \rangle

    The weights :math:`\tilde\theta` begin at the permuted second network that weight matching finds. At every step they
    are projected on the permutations of the second network, by weight matching from the last one; the gradient of a
    batch passes to them as if there were no projection.

    Parameters
    ----------
    objective : Objective
        Its first split is trained on.
    first, second : Tensor of shape (D,)
    structure : Structure
    steps : int, default=200
        Steps of SGD with momentum 0.9.
    lr : float, default=0.1
        Its learning rate.
    batch_size : int, default=128
        Examples of a batch.
    tries : int, default=1
        Descents of the weight matching that it begins with.
    seed : int, default=0
        Of the batches and the weight matching.
    progress : callable, optional
        Told (steps done, steps in all).

    Returns
    -------
    Matching
        The permutation with the smallest loss of the midpoint on the whole first split, among that of the beginning and
        those at no more than ten evenly spaced steps and the last one. The record tells these losses.

    Raises
    ------
    ValueError
        If a knob has no such value, examples have several shapes, or the weights diverge.

    Notes
    -----
    Cost: a gradient and at least one pass of weight matching a step; up to eleven evaluations of the objective. Batch
    norm and dropout are in training mode in the steps.

    References
    ----------
    Ainsworth, Hayase & Srinivasa (2022), Git Re-Basin, arXiv:2209.04836, section 3.3; Bengio, Léonard & Courville
    (2013), Estimating or propagating gradients through stochastic neurons, arXiv:1308.3432 (straight through).
    """
    if steps < 1:
        raise ValueError(f"Expected at least 1 step of straight-through matching, got {steps}.")
    if not 0 < lr < float("inf"):
        raise ValueError(f"Expected a positive learning rate, got {lr}: such as 0.1.")
    objective.require_derivatives()
    data, middle = Given(objective), Middle(objective, first, second, structure)
    permutation = weight_matching(middle.first, middle.second, structure, tries=tries, seed=seed).permutation
    hat = middle.permuted(permutation).clone().requires_grad_()
    optimizer = torch.optim.SGD([hat], lr=lr, momentum=MOMENTUM)
    generator = torch.Generator().manual_seed(seed)
    every = -(-steps // CHECKS)
    best, told = permutation, [{"step": 0, "loss": middle.loss(permutation)}]
    with arithmetic(objective.precision, objective.device):
        torch.manual_seed(seed)  # of dropout; the caller's random state comes back
        for step in range(1, steps + 1):
            optimizer.zero_grad()
            middle.slope(hat, permutation, _batch(data, batch_size, generator)).backward()
            optimizer.step()
            near = objective.unpack(hat.detach())
            permutation = weight_matching(near, middle.second, structure, start=permutation).permutation
            if step % every == 0 or step == steps:
                loss = middle.loss(permutation)
                best = permutation if loss < min(one["loss"] for one in told) else best
                told.append({"step": step, "loss": loss})
            if progress:
                progress(step, steps)
    return Matching(best, {"steps": steps, "lr": lr, "batch_size": batch_size, "midpoint": told})


class Middle:
    """The network half way between one network and another one permuted."""

    def __init__(self, objective: Objective, first: Tensor, second: Tensor, structure: Structure) -> None:
        self.objective, self.theta = objective, first.to(objective.theta)
        self.first, self.second = objective.unpack(self.theta), objective.unpack(second.to(objective.theta))
        self.structure = among(structure, self.second)  # statistics of batch norm are no parameters
        self.model = copy.deepcopy(objective.network.model)
        batchnorm.released(self.model)
        self.model.train()
        self._losses: dict[bytes, float] = {}

    def permuted(self, permutation: Permutation) -> Tensor:
        """Return the second network, permuted, as a vector (D,)."""
        return self.objective.pack(permuted(self.second, self.structure, permutation))

    def loss(self, permutation: Permutation) -> float:
        """Return the objective in the middle; asked for once of each permutation."""
        point = self.permuted(permutation)
        key = point.cpu().numpy().tobytes()
        if key not in self._losses:
            self._losses[key] = float(self.objective.value((self.theta + point) / 2))
        return self._losses[key]

    def slope(self, hat: Tensor, permutation: Permutation, batch: Batch) -> Tensor:
        """Return the mean loss of a batch in the middle, whose gradient passes straight through to `hat`."""
        projected = hat + (self.permuted(permutation) - hat).detach()
        weights = self.objective.unpack((self.theta + projected) / 2)
        positional, named = arguments(batch.inputs)
        found = scores(self.objective.loss, functional_call(self.model, weights, positional, named), batch.targets)
        return found.loss.sum() / found.weight.sum()


def _batch(data: Resident, size: int, generator: torch.Generator) -> Batch:
    return data.batch(torch.randperm(len(data), generator=generator)[:size].to(data.device))
