"""Plans: which way of evaluating many points is fastest here, found by a short measurement."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from landscape.engine.device import SHARE, free_memory
from landscape.engine.network import Network

BUDGET = 0.05  # of the expected work, spent on choosing
LEAST = 0.25  # seconds that a choice may always take
SAMPLE = 512  # examples that a way of evaluating is measured on
COMPILING = 60.0  # seconds that compiling is expected to take
SAVING = 0.12  # of the time, that compiling is expected to save
BATCHES = (64, 128, 256, 512, 1024)  # examples at a time
STACKS = (4, 16, 64, 256)  # points at a time under vmap


@dataclass(frozen=True)
class Plan:
    """How points are evaluated. Every plan gives the same numbers, to rounding.

    Attributes
    ----------
    kind : {"loop", "vmap"}
        One point after another with in-place parameters, or several at once.
    points, examples : int
        How many of each are in flight.
    channels_last, folded, compiled : bool
        Memory layout of images; batch norm folded into convolutions at each point; through torch.compile.
    """

    kind: str = "loop"
    points: int = 1
    examples: int = 256
    channels_last: bool = False
    folded: bool = False
    compiled: bool = False

    def __str__(self) -> str:
        flags = [name for name in ("channels_last", "folded", "compiled") if getattr(self, name)]
        many = f"{self.points} points x " if self.kind == "vmap" else ""
        return " ".join([self.kind, *flags, f"({many}{self.examples} examples)"])

    def record(self) -> dict:
        """Return the plan as plain JSON."""
        return asdict(self)

    def halved(self) -> Plan | None:
        """Return a plan that needs about half the memory; None when there is nothing left to halve."""
        if self.points > 1:
            return replace(self, points=self.points // 2)
        if self.examples > 1:
            return replace(self, examples=self.examples // 2)
        return None


def footprint(network: Network, inputs: object) -> int:
    """Measure the activations of one example, in bytes: the largest input and output of a module together."""
    largest = 1

    def watch(_: nn.Module, args: tuple, output: object) -> None:
        nonlocal largest
        leaves = [t for t in pytree.tree_leaves((args, output)) if isinstance(t, Tensor)]
        largest = max(largest, sum(t.nbytes for t in leaves))

    hooks = [module.register_forward_hook(watch) for module in network.model.modules()]
    try:
        with torch.no_grad():
            network(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return largest // max(len(pytree.tree_leaves(inputs)[0]), 1)


def first_plan(network: Network, each: int, fixed: int | None) -> Plan:
    """Return the plan for a single point: as many examples as fit, within what a cache likes on a CPU.

    `each` is the footprint of one example in bytes; `fixed` the batch size, where the loss depends on it.
    """
    room = int(free_memory(network.device) * SHARE) // (4 * each)
    liked = 256 if network.device.type == "cpu" else 4096
    return Plan(examples=fixed or max(1, min(liked, room)))


def choose(
    start: Plan, seconds: Callable[[Plan], float], count: int, scale: float, *, each: int, network: Network,
    fixed: bool, foldable: bool, images: bool,
) -> Plan:
    """Choose a plan for `count` points by measuring, one property after another.

    Parameters
    ----------
    start : Plan
        Where to begin; `fixed` forbids to change how examples are cut.
    seconds : callable Plan -> float
        Measured seconds per point on a sample of the data; infinity where a plan does not run.
    count, scale : int, float
        Points to evaluate, and size of the data relative to the sample.
    each : int
        Bytes of activations of one example.

    Notes
    -----
    At most a twentieth of the expected work is spent on measuring, compiling apart: that is tried only where the
    expected saving is twice the expected cost.
    """
    begun = time.perf_counter()
    best, time_best = start, seconds(start)
    budget = max(LEAST, BUDGET * time_best * scale * count)
    room = free_memory(network.device) * SHARE

    def better(candidates: Iterator[Plan]) -> None:
        nonlocal best, time_best
        for plan in candidates:
            if time.perf_counter() - begun > budget or plan.points > 2 * count:
                return
            if plan.points * (plan.examples * each + 4 * network.dim) > room:
                continue
            took = seconds(plan)
            if took > 2 * time_best:
                return  # a family that starts this badly does not recover
            if took < time_best:
                best, time_best = plan, took

    if images:
        better(iter([replace(best, channels_last=True)]))
    if foldable:
        better(iter([replace(best, folded=True)]))
    if not fixed:
        better(replace(best, examples=n) for n in BATCHES if n != best.examples and n <= 2 * SAMPLE)
    better(Plan("vmap", k, start.examples, best.channels_last) for k in STACKS)
    if _compiling_pays(best, time_best * scale * count):
        compiled = replace(best, compiled=True)
        if seconds(compiled) < time_best:
            best = compiled
    return best


def _compiling_pays(best: Plan, expected: float) -> bool:
    compiler = shutil.which("g++") or shutil.which("clang++")
    return best.kind == "loop" and compiler is not None and SAVING * expected > 2 * COMPILING
