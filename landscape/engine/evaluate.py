"""Evaluating many parameter vectors on the same data: one after another, or several at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from landscape.engine import batchnorm
from landscape.engine.folding import Folded
from landscape.engine.moments import sums
from landscape.engine.network import Network, arguments, call, lay_out
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

    Notes
    -----
    Memory: the network, one chunk of points and what `Plan.examples` examples need of activations; points are
    brought to the network's device and number format one chunk at a time.
    """

    def __init__(self, network: Network, loss: Callable, plan: Plan, reference: Resident | None = None) -> None:
        self.network, self.loss, self.plan, self.reference = network, loss, plan, reference
        folded = Folded(network) if plan.folded else None
        known = folded if folded is not None and folded.pairs else network
        self.model, self.place = known.model, known.place
        self.fast = torch.compile(self.model, dynamic=False) if plan.compiled else self.model

    @torch.no_grad()
    def sums(self, points: Tensor, splits: list[Resident]) -> list[Tensor]:
        """Evaluate: points (P, D) -> for every split (P, R, G), as `moments.sums` makes them."""
        lay_out(self.model, self.plan.channels_last)
        run, size = (self._one, 1) if self.plan.kind == "loop" else (self._stack, self.plan.points)
        stacks = (stack.to(self.network.device, self.network.dtype) for stack in points.split(size))
        return [torch.cat(parts) for parts in zip(*(run(stack, splits) for stack in stacks), strict=True)]

    @torch.no_grad()
    def refit(self, point: Tensor) -> None:
        """Place a point (D,), and write the batch-norm statistics of the reference there into the model."""
        self.place(point)
        if self.reference is None:
            return

        def forward(inputs: Any, take: Callable) -> dict[str, Tensor]:
            call(self.model, inputs)
            return take()

        buffers = dict(self.model.named_buffers())
        for name, value in batchnorm.statistics(self.network, forward, self._reference_inputs()).items():
            buffers[name].copy_(value)

    def _one(self, points: Tensor, splits: list[Resident]) -> list[Tensor]:
        self.refit(points[0])
        return [self._split(split, self._scores) for split in splits]

    def _scores(self, inputs: Any, targets: Tensor) -> Scores:
        whole = len(targets) == self.plan.examples
        outputs = call(self.fast if whole else self.model, inputs)  # a short last chunk is not worth compiling for
        return Scores(*(t[None] for t in scores(self.loss, outputs, targets)))

    def _stack(self, points: Tensor, splits: list[Resident]) -> list[Tensor]:
        values = self.network.weights(points)

        def one(values: dict[str, Tensor], inputs: Any, targets: Tensor) -> Scores:
            return scores(self.loss, _functional(self.model, inputs, values), targets)

        with exact_attention(), _quiet_vmap():
            values = values | self._refitted(values)
            mapped = vmap(one, (0, None, None))
            return [self._split(split, lambda x, y: mapped(values, x, y)) for split in splits]

    def _refitted(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the batch-norm statistics of the reference at stacked points."""
        if self.reference is None:
            return {}

        def forward(inputs: Any, take: Callable) -> dict[str, Tensor]:
            def one(values: dict[str, Tensor], inputs: Any) -> dict[str, Tensor]:
                _functional(self.model, inputs, values)
                return take()

            return vmap(one, (0, None))(values, inputs)

        return batchnorm.statistics(self.network, forward, self._reference_inputs())

    def _reference_inputs(self) -> Iterator[Any]:
        if self.reference is not None:
            yield from (x for x, _, _ in self.reference.chunks(self.plan.examples, self.plan.channels_last))

    def _split(self, split: Resident, score: Callable) -> Tensor:
        total = None
        for inputs, targets, groups in split.chunks(self.plan.examples, self.plan.channels_last):
            found = score(inputs, targets)
            if split.device.type == "mps":  # has no float64
                found, groups = Scores(*(t.cpu() for t in found)), groups.cpu()
            now = sums(found, groups)
            total = now if total is None else total + now
        return total


def _functional(model: nn.Module, inputs: Any, values: dict[str, Tensor]) -> Any:
    positional, named = arguments(inputs)
    return functional_call(model, values, positional, named)


@contextmanager
def _quiet_vmap() -> Iterator[None]:
    """Silence torch's advice about operators that vmap runs one by one: plans are measured, so it is accounted for."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="There is a performance drop")
        yield


def exact_attention():
    """Use the attention kernel that vmap and second derivatives go through."""
    return sdpa_kernel(SDPBackend.MATH)
