"""Evaluating many parameter vectors on the same data: one after another, or several at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree as pytree

from landscape.engine.batchnorm import Refit
from landscape.engine.folding import Folded
from landscape.engine.moments import sums
from landscape.engine.network import Network, arguments, call
from landscape.engine.plan import Plan
from landscape.engine.resident import Resident
from landscape.losses import Scores, scores


class Evaluator:
    """Sums of losses over whole splits, for many points, by one plan.

    Parameters
    ----------
    network : Network
    loss : callable (outputs, targets) -> per-example losses
    plan : Plan
    reference : Resident, optional
        The examples whose statistics batch norm is refitted to, at every point; None leaves it alone.
    """

    def __init__(self, network: Network, loss: Callable, plan: Plan, reference: Resident | None = None) -> None:
        self.network, self.loss, self.plan, self.reference = network, loss, plan, reference
        self.folded = Folded(network) if plan.folded else None
        self.model = self.folded.model if self.folded and self.folded.pairs else network.model
        self.place = self.folded.place if self.folded and self.folded.pairs else network.place
        if plan.channels_last:
            self.model.to(memory_format=torch.channels_last)
        self.fast = torch.compile(self.model, dynamic=False) if plan.compiled else self.model

    def sums(self, points: Tensor, splits: list[Resident]) -> list[Tensor]:
        """Evaluate: points (P, D) -> for every split (P, 10 + T, G), as `moments.sums` makes them."""
        if self.plan.kind == "loop":
            return [torch.cat(parts) for parts in zip(*(self._one(point, splits) for point in points), strict=True)]
        stacks = points.split(self.plan.points)
        return [torch.cat(parts) for parts in zip(*(self._stack(stack, splits) for stack in stacks), strict=True)]

    @torch.no_grad()
    def _one(self, point: Tensor, splits: list[Resident]) -> list[Tensor]:
        self.place(point)
        if self.reference is not None:
            self._refit(lambda model, x: call(model, x), ())
        return [self._split(split, self._scores) for split in splits]

    def _scores(self, inputs: Any, targets: Tensor) -> Scores:
        whole = len(targets) == self.plan.examples
        outputs = call(self.fast if whole else self.model, inputs)  # a short last chunk is not worth compiling for
        return Scores(*(t[None] for t in scores(self.loss, outputs, targets)))

    @torch.no_grad()
    def _stack(self, stack: Tensor, splits: list[Resident]) -> list[Tensor]:
        here = self.network.unpack(stack)
        if self.reference is not None:
            here = here | self._refit(_functional, (self.network.unpack(stack),))

        def one(values: dict[str, Tensor], inputs: Any, targets: Tensor) -> Scores:
            return scores(self.loss, _functional(self.model, inputs, values), targets)

        mapped = vmap(one, (0, None, None))
        with exact_attention():
            return [self._split(split, lambda x, y: mapped(here, x, y)) for split in splits]

    def _split(self, split: Resident, score: Callable) -> Tensor:
        chunks = split.chunks(self.plan.examples, self.plan.channels_last)
        total = None
        for inputs, targets, groups in chunks:
            found = score(inputs, targets)
            if split.device.type == "mps":  # has no float64
                found, groups = Scores(*(t.cpu() for t in found)), groups.cpu()
            now = sums(found, groups)
            total = now if total is None else total + now
        return total

    def _refit(self, run: Callable, values: tuple) -> dict[str, Tensor]:
        """Collect statistics over the reference; written into the model, or returned for stacked points."""
        with Refit(self.network) as refit:

            def collect(inputs: Any, *here: Any) -> tuple[Any, Any]:
                run(self.model, inputs, *here)
                found, counts = refit.take()
                self.counts = counts
                return found

            for inputs, _, _ in self.reference.chunks(self.plan.examples, self.plan.channels_last):
                if values:
                    with exact_attention():
                        found = vmap(collect, (None, 0))(inputs, *values)
                else:
                    found = collect(inputs)
                refit.add(found, self.counts)
            statistics = refit.statistics(self.network.dtype)
        if not values:
            buffers = dict(self.model.named_buffers())
            for name, value in statistics.items():
                buffers[name].copy_(value)
        return statistics


def _functional(model: nn.Module, inputs: Any, values: dict[str, Tensor]) -> Any:
    positional, named = arguments(inputs)
    return functional_call(model, values, positional, named)


def exact_attention():
    """Use the attention kernel that vmap and second derivatives go through."""
    return sdpa_kernel(SDPBackend.MATH)


def gradient(network: Network, loss: Callable, plan: Plan, point: Tensor, split: Resident) -> Tensor:
    """Differentiate the mean loss at one point: (D,) -> (D,), float64 sums over chunks (float32 on MPS)."""
    network.place(point)
    chosen = [network.tensors[block.name] for block in network.blocks]
    for tensor in chosen:
        tensor.requires_grad_(True)
    try:
        total, weight = 0.0, 0.0
        for inputs, targets, _ in split.chunks(plan.examples, plan.channels_last):
            with torch.enable_grad():
                found = scores(loss, network(inputs), targets)
                parts = torch.autograd.grad(found.loss.sum(), chosen, allow_unused=True)
            flat = [torch.zeros_like(t) if g is None else g for t, g in zip(chosen, parts, strict=True)]
            total = total + _wide(torch.cat([g.flatten() for g in flat]))
            weight = weight + _wide(found.weight.detach()).sum()
        return total / weight
    finally:
        for tensor in chosen:
            tensor.requires_grad_(False)


def _wide(tensor: Tensor) -> Tensor:
    return tensor if tensor.device.type == "mps" else tensor.double()
