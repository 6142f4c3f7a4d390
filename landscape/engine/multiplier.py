"""Multiplying: a curvature matrix at one point, by the strategy that suits it, in pieces that fit in memory."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from landscape.engine import device, strategy
from landscape.engine.folding import foldable
from landscape.engine.products import Products
from landscape.engine.resident import Resident
from landscape.engine.strategy import Demand, Strategy

if TYPE_CHECKING:
    from landscape.engine.runner import Runner

GRAPH = 8  # times the activations alive in a forward pass, that the graph of a gradient and its derivative take
CACHED = 96 * 2**20  # bytes of such a graph that a CPU likes: larger ones go back to the system each time
MOST = 2048  # examples that a GPU is given at once before anything is measured


class Multiplier:
    """Multiply a curvature matrix over the first split with vectors: (K, D) -> (K, D), in the parameters' format.

    Parameters
    ----------
    runner : Runner
    matrix : {"hessian", "gauss_newton", "fisher"}
    point : Tensor of shape (D,)
    chosen : Strategy, optional
        In place of a choice.
    expected : int
        Products that will be asked for. Of several, a strategy is chosen by measuring, at the first call.

    Raises
    ------
    ValueError
        If a product is not finite; the error names the examples.
    """

    def __init__(
        self, runner: Runner, matrix: str, point: Tensor, *, chosen: Strategy | None = None, expected: int = 1
    ) -> None:
        self.runner, self.matrix, self.expected = runner, matrix, expected
        self.network = runner.network
        self.point = point.to(self.network.device, self.network.dtype)
        self._chosen = replace(chosen, examples=runner.fixed) if chosen and runner.fixed else chosen
        self._products: Products | None = None

    def __call__(self, rows: Tensor) -> Tensor:
        """Multiply every row: (K, D) -> (K, D)."""
        rows = rows.to(self.network.device, self.network.dtype)
        with device.arithmetic(self.runner.precision, self.network.device):
            found = self.runner.backed_off(lambda by: self._by(by)(rows), self.strategy(len(rows)))
        return found.to(self.network.dtype)

    def strategy(self, width: int = 1) -> Strategy:
        """Choose how to multiply so many vectors at once, by measuring; the first choice is kept."""
        if self._chosen is None:
            known = self.runner.strategies
            key = (self.matrix, min(width, strategy.stacks(self.network.device.type)[-1]))
            if self.expected > 1 and key not in known:
                known[key] = self._measured(width)
            found = known.get(key) or self._start
            once = self.expected == 1  # nothing is prepared for products that will not come
            self._chosen = replace(found, kept=False, compiled=False, captured=False) if once else found
        return self._chosen

    @property
    def used(self) -> Strategy | None:
        """The strategy of the last products, smaller than the chosen one where memory ran out; None before any."""
        return self._products.strategy if self._products else None

    def _by(self, by: Strategy) -> Products:
        if self._products is None or self._products.strategy != by:
            self._products = None  # its graphs go before others come
            self.runner.refit(self.point)
            split = self.runner.splits[0]
            self._products = Products(self.network, self.runner.loss, self.matrix, by, self.point, split)
        return self._products

    @cached_property
    def _foldable(self) -> bool:
        return bool(self.network.norms) and self.runner.reference is None and bool(foldable(self.network.model))

    @cached_property
    def _start(self) -> Strategy:
        each = GRAPH * self.runner.each
        room = int(device.free_memory(self.network.device) * device.SHARE)
        on_cpu = self.network.device.type == "cpu"
        most = MOST if self.runner.strategy is None else self.runner.strategy.examples
        examples = max(1, min((min(CACHED, room) if on_cpu else room) // each, most))
        return Strategy(
            examples=self.runner.fixed or 2 ** (examples.bit_length() - 1),
            folded=self._foldable,
            kept=self.expected > 1,
        )

    def _measured(self, width: int) -> Strategy:
        start, split = self._start, self.runner.splits[0]
        sample, width = split.head(start.examples), min(width, strategy.stacks(self.network.device.type)[-1])
        demand = Demand(
            products=self.expected,
            width=width,
            share=sample.size / split.size,
            device=self.network.device.type,
            fixed=self.runner.fixed is not None,
            factored=self.matrix != "hessian",
            images=any(leaf.ndim == 4 for leaf in pytree.tree_leaves(sample.segments[0][0])),
        )
        with device.arithmetic(self.runner.precision, self.network.device):
            self.runner.refit(self.point)
            return strategy.choose(start, Stopwatch(self, sample, width).seconds, demand)


class Stopwatch:
    """Seconds that a strategy takes for some products on a sample.

    A strategy counts only if it gives the numbers of the first one that was measured.
    """

    def __init__(self, multiplier: Multiplier, sample: Resident, width: int) -> None:
        self.multiplier, self.sample = multiplier, sample
        generator = torch.Generator().manual_seed(0)
        like = multiplier.point
        self.rows = torch.randn(width, len(like), generator=generator, dtype=torch.float64).to(like)
        self.expected: Tensor | None = None

    def seconds(self, candidate: Strategy) -> float:
        """Measure; infinity if the strategy does not run, or answers otherwise."""
        one = self.multiplier
        try:
            made = Products(one.network, one.runner.loss, one.matrix, candidate, one.point, self.sample)
            found = [self._timed(made) for _ in range(strategy.RUNS)]
        except Exception:  # noqa: BLE001 (a strategy that fails in any way is simply not taken)
            return float("inf")
        return found[-1][0] if self._agrees(found[-1][1]) else float("inf")

    def _timed(self, made: Products) -> tuple[float, Tensor]:
        begun = time.perf_counter()
        found = made(self.rows).cpu()  # waits for the device
        return time.perf_counter() - begun, found

    def _agrees(self, found: Tensor) -> bool:
        """Compare with the first products, to the square root of the format's precision."""
        self.expected = expected = found if self.expected is None else self.expected
        half = torch.is_autocast_enabled(self.multiplier.network.device.type)
        tolerance = torch.finfo(torch.bfloat16 if half else self.multiplier.network.dtype).eps ** 0.5
        return bool((found - expected).norm() <= tolerance * expected.norm())
