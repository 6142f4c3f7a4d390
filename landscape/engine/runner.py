"""Running: many points by the plan that suits their number, and by less at a time where memory runs out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from landscape.engine import derivatives, device, plan
from landscape.engine.evaluate import Evaluator
from landscape.engine.folding import foldable
from landscape.engine.network import Network
from landscape.engine.plan import Plan, Workload
from landscape.engine.resident import Resident
from landscape.engine.strategy import Strategy


class Runner:
    """Sums and gradients of a loss over resident data.

    Parameters
    ----------
    network : Network
    loss : callable (outputs, targets) -> per-example losses
    splits : list of Resident
        The first is the one that gradients are about.
    each : int
        Bytes of activations of one example.
    precision : str
    fixed : int, optional
        Size of the batches, where the loss depends on how examples are cut.
    reference : Resident, optional
        The examples that batch norm is refitted to at every point.
    strategy : Plan, optional
        The plan for any number of points, in place of a choice.
    """

    def __init__(
        self, network: Network, loss: Callable, splits: list[Resident], *,
        each: int, precision: str, fixed: int | None = None, reference: Resident | None = None,
        strategy: Plan | None = None,
    ) -> None:
        self.network, self.loss, self.splits, self.reference = network, loss, splits, reference
        self.each, self.precision, self.fixed = each, precision, fixed
        self.strategy = replace(strategy, examples=fixed) if strategy and fixed else strategy
        self._plans: dict[int, Plan] = {}
        self._smaller: dict[Any, Any] = {}
        self.strategies: dict[tuple[str, int], Strategy] = {}  # of products, as chosen
        self._evaluator: Evaluator | None = None

    def plan(self, count: int) -> Plan:
        """Choose a plan for `count` points, by measuring when they are several; the choice is kept."""
        if self.strategy is not None:
            return self._shrunk(self.strategy)
        if count not in self._plans:
            start = plan.first_plan(self.network, self.each, self.fixed)
            with device.arithmetic(self.precision, self.network.device):
                self._plans[count] = start if count <= 1 else self._chosen(start, count)
        return self._shrunk(self._plans[count])

    def sums(self, points: Tensor, splits: list[Resident], chosen: Plan | None = None) -> list[Tensor]:
        """Evaluate: points (P, D) -> for every split (P, R, G), as `moments.sums` makes them."""
        chosen = chosen or self.plan(len(points))
        with device.arithmetic(self.precision, self.network.device):
            return self.backed_off(lambda by: self._by(by).sums(points, splits), chosen)

    def gradient(self, point: Tensor) -> Tensor:
        """Differentiate the mean loss over the first split: (D,) -> (D,)."""
        point = point.to(self.network.device, self.network.dtype)

        def work(by: Plan) -> Tensor:
            self.refit(point, by)
            return derivatives.gradient(self.network, self.loss, by, point, self.splits[0])

        with device.arithmetic(self.precision, self.network.device):
            return self.backed_off(work, self.plan(1))

    def refit(self, point: Tensor, by: Plan | None = None) -> None:
        """Write the batch-norm statistics of the reference at a point into the network, where they are refitted."""
        if self.reference is not None:
            Evaluator(self.network, self.loss, by or self.plan(1), self.reference).refit(point)

    def seconds(self, chosen: Plan) -> float:
        """Measure seconds per point of a plan on a sample, scaled to every split."""
        sample = self._sample()
        with device.arithmetic(self.precision, self.network.device):
            took = Stopwatch(self.network, self.loss, sample, self.reference is not None).seconds(chosen)
        return took * sum(split.size for split in self.splits) / sample.size

    def _sample(self) -> Resident:
        return self.splits[0].head(max(plan.SAMPLE, self.fixed or 0))

    def _by(self, chosen: Plan) -> Evaluator:
        """Return the evaluator of a plan; the last one is kept, for what it compiled or folded."""
        if self._evaluator is None or self._evaluator.plan != chosen:
            self._evaluator = Evaluator(self.network, self.loss, chosen, self.reference)
        return self._evaluator

    def _shrunk(self, chosen: Any) -> Any:
        while chosen in self._smaller:
            chosen = self._smaller[chosen]
        return chosen

    def backed_off(self, work: Callable[[Any], Any], chosen: Any) -> Any:
        """Do work by a plan or strategy; when memory runs out, by half of it, and remember that."""
        while True:
            chosen = self._shrunk(chosen)
            try:
                return work(chosen)
            except (RuntimeError, MemoryError) as error:
                smaller = chosen.halved(keep_examples=self.fixed is not None)
                if smaller is None or not device.out_of_memory(error):
                    raise
            self._evaluator = None
            self._smaller[chosen] = smaller
            if self.network.device.type == "cuda":
                torch.cuda.empty_cache()

    def _chosen(self, start: Plan, count: int) -> Plan:
        sample = self._sample()
        inputs = pytree.tree_leaves(sample.segments[0][0])
        work = Workload(
            count,
            examples=sum(split.size for split in self.splits),
            sample=sample.size,
            each=self.each,
            dim=self.network.dim,
            room=int(device.free_memory(self.network.device) * device.SHARE),
            fixed=self.fixed is not None,
            foldable=self.reference is None and bool(foldable(self.network.model)),
            images=any(leaf.ndim == 4 for leaf in inputs) and any(p.ndim == 4 for p in self.network.model.parameters()),
        )
        stopwatch = Stopwatch(self.network, self.loss, sample, self.reference is not None)
        return plan.choose(start, stopwatch.seconds, work)


class Stopwatch:
    """Seconds per point of a plan on a sample, at the parameters that the network came with.

    A plan counts only if it gives the numbers of the first plan that was measured.
    """

    def __init__(self, network: Network, loss: Callable, sample: Resident, refit: bool) -> None:
        self.network, self.loss, self.sample, self.refit = network, loss, sample, refit
        self.expected: Tensor | None = None

    def seconds(self, candidate: Plan) -> float:
        """Measure; infinity if the plan does not run, or answers otherwise."""
        points = self.network.theta.expand(candidate.points, -1)
        reference = self.sample if self.refit else None
        try:
            evaluator = Evaluator(self.network, self.loss, candidate, reference)
            found = [self._timed(evaluator, points) for _ in range(plan.RUNS)]
        except Exception:  # noqa: BLE001 (a plan that fails in any way is simply not taken)
            return float("inf")
        best = min(seconds for seconds, _ in found[1:])
        return best / candidate.points if self._agrees(found[-1][1]) else float("inf")

    def _timed(self, evaluator: Evaluator, points: Tensor) -> tuple[float, Tensor]:
        begun = time.perf_counter()
        found = evaluator.sums(points, [self.sample])[0].cpu()  # waits for the device
        return time.perf_counter() - begun, found

    def _agrees(self, found: Tensor) -> bool:
        """Compare the means of the loss and the weights, to the square root of the format's precision."""
        whole = found.sum(-1)
        means = whole[:, 0] / whole[:, 3]
        self.expected = expected = means[:1] if self.expected is None else self.expected
        half = torch.is_autocast_enabled(self.network.device.type)
        tolerance = torch.finfo(torch.bfloat16 if half else self.network.dtype).eps ** 0.5
        return torch.allclose(means, expected.expand_as(means), rtol=tolerance, atol=tolerance, equal_nan=True)
