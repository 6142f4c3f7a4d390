"""Plans: which way of evaluating many points is fastest here, found by a short measurement."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
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
RUNS = 2  # evaluations that measuring a plan takes: one to warm up, one to time
NOISE = 0.97  # a plan must be faster than this, relative to a simpler one


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

    def spec(self) -> str:
        """Write the plan as text that `parse` reads."""
        flags = [name for name in ("channels_last", "folded", "compiled") if getattr(self, name)]
        return ",".join([self.kind, *flags, f"points={self.points}", f"examples={self.examples}"])

    @classmethod
    def parse(cls, text: str) -> Plan:
        """Read a plan such as ``loop,folded,examples=128``.

        Raises
        ------
        ValueError
            If a word is unknown or a number is not positive.
        """
        kind, *words = [word.strip() for word in text.split(",")]
        flags = {word: True for word in words if word in ("channels_last", "folded", "compiled")}
        pairs = [word.partition("=") for word in words if word not in flags]
        known = kind in ("loop", "vmap") and all(
            name in ("points", "examples") and number.isdecimal() and int(number) > 0 for name, _, number in pairs
        )
        numbers = {name: int(number) for name, _, number in pairs} if known else {}
        if not known or (kind == "loop") != (numbers.get("points", 1) == 1):
            raise ValueError(
                "Expected a strategy auto, or such as loop,channels_last,folded,compiled,examples=128 or "
                f"vmap,points=16,examples=512, got {text!r}."
            )
        return cls(kind=kind, **flags, **numbers)

    def record(self) -> dict:
        """Return the plan as plain JSON."""
        return asdict(self)

    def halved(self, *, keep_examples: bool = False) -> Plan | None:
        """Return a plan that needs about half the memory; None when there is nothing left to halve."""
        if self.points > 1:
            return replace(self, points=self.points // 2)
        if self.examples > 1 and not keep_examples:
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


@dataclass(frozen=True)
class Workload:
    """What a plan is chosen for.

    Attributes
    ----------
    count : int
        Points to evaluate.
    examples, sample : int
        Size of the data, and of the part that plans are measured on.
    each, dim : int
        Bytes of activations of one example, and number of parameters.
    room : int
        Bytes that may be used.
    fixed, foldable, images : bool
        Whether the loss depends on how examples are cut, batch norms can be folded, inputs are images.
    """

    count: int
    examples: int
    sample: int
    each: int
    dim: int
    room: int
    fixed: bool = False
    foldable: bool = False
    images: bool = False

    def fits(self, plan: Plan) -> bool:
        """Say whether a plan needs no more memory than there is, at a guess."""
        return plan.points * (plan.examples * self.each + 4 * self.dim) <= self.room


def choose(start: Plan, seconds: Callable[[Plan], float], work: Workload) -> Plan:
    """Choose a plan by measuring, one property after another.

    Parameters
    ----------
    start : Plan
        Where to begin.
    seconds : callable Plan -> float
        Measured seconds per point on the sample; infinity where a plan does not run or answers otherwise.
    work : Workload
        What the plan is for.

    Notes
    -----
    A twentieth of the expected work or a quarter of a second, whichever is more, is spent on measuring, compiling
    apart: that is tried only where the expected saving is twice the expected cost. A plan replaces a simpler one
    where it is faster by more than the noise.
    """
    begun = time.perf_counter()
    best, best_time = start, seconds(start)
    whole = best_time * work.examples / work.sample * work.count
    budget = max(LEAST, BUDGET * whole)

    def better(candidates: Iterable[Plan]) -> None:
        nonlocal best, best_time
        for plan in candidates:
            cost = RUNS * plan.points * best_time
            if plan.points > work.count or time.perf_counter() - begun + cost > budget:
                return
            took = seconds(plan) if work.fits(plan) else float("inf")
            if took > 2 * best_time:
                return  # a family that starts this badly, or does not run, does not recover
            if took < NOISE * best_time:
                best, best_time = plan, took

    if work.images:
        better([replace(best, channels_last=True)])
    if work.foldable:
        better([replace(best, folded=True)])
    if not work.fixed:
        better(replace(best, examples=n) for n in BATCHES if n != best.examples and n <= work.sample)
    better(Plan("vmap", k, start.examples) for k in STACKS)
    if best.kind == "loop" and _compiling_pays(best_time * work.examples / work.sample * work.count):
        compiled = replace(best, compiled=True)
        if seconds(compiled) < NOISE * best_time:
            best = compiled
    return best


def _compiling_pays(expected: float) -> bool:
    compiler = shutil.which("g++") or shutil.which("clang++")
    return compiler is not None and SAVING * expected > 2 * COMPILING
