"""The work of the bits probe, in pieces that survive a kill: the network itself, then one width after another."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from landscape import examples
from landscape.eigenpairs import eigenpairs
from landscape.examples import ByExample
from landscape.operators import hessian
from landscape.paired import mean
from landscape.parts import Parts
from landscape.probes import _bits_near as near
from landscape.probes._bits_width import Width, axes, staircase, width
from landscape.quantize.scheme import Scheme
from landscape.rows import dot, norm
from landscape.sensitivity import BlockTraces, predictions
from landscape.traces import hutchinson

if TYPE_CHECKING:
    from landscape.objective import Objective

TOGETHER = 8  # vectors of one call
FEWEST = 3  # tensors that have ranks worth comparing
VALID = 0.5  # of the change, that an expansion may leave over
CALLS = ("points", "evaluations", "gradients", "products")
LAYERED = ("vector", "tensor_trace", "tensor_trace_error")  # measured at w alone


@dataclass(frozen=True)
class Settings:
    """The knobs of the probe: see `landscape.probes.bits.bits`."""

    schemes: tuple[Scheme, ...]
    skip: tuple[str, ...]
    curvature: bool
    layers: bool
    ascent: int
    flips: float
    draws: int
    rho: float
    spacing: float
    points: int
    probes: int
    tolerance: float
    limit: int
    seed: int

    def most(self, tensors: int) -> tuple[Counter[str], Counter[str]]:
        """Count the calls at most, of the network itself and of one width, when so many tensors are rounded.

        Points are evaluations of all splits, evaluations those of the first one.
        """
        curved = self.limit + 2 + self.probes if self.curvature else 0
        whole = Counter(points=1, gradients=1, products=curved or (self.probes if self.layers else 0))
        each = Counter(points=self.points - 1, gradients=self.ascent, products=1 + curved)
        each["evaluations"] = self.ascent + self.draws + 2 + 2 * near.DIRECTIONS
        if self.layers:
            each += Counter(evaluations=tensors, gradients=1, products=tensors)
        return whole, each


class Work:
    """The bits probe at a point.

    Parameters
    ----------
    objective : Objective
    theta : Tensor of shape (D,)
        The network of full precision.
    settings : Settings
    parts : Parts or None
        Where finished pieces are kept.
    progress : callable or None
        Told (calls done, calls in all), about.
    """

    def __init__(
        self, objective: Objective, theta: Tensor, settings: Settings, parts: Parts | None,
        progress: Callable[[int, int], None] | None,
    ) -> None:  # fmt: skip
        self.objective, self.theta, self.settings, self.parts = objective, theta, settings, parts
        self.rounding = axes(objective, settings.skip)
        self.calls: Counter[str] = Counter()
        self._pieces: dict[int, dict[str, np.ndarray]] = {}
        self._meter = _Meter(progress, *settings.most(len(self.rounding)), len(settings.schemes))
        self.base = self._evaluated(theta)
        self.slope = objective.gradient(theta)
        self._last: tuple[int, Width, list[ByExample]] | None = None

    def at(self, point: Tensor) -> ByExample:
        """Evaluate the examples of the first split at a point."""
        self._count("evaluations")
        return examples.by_example(self.objective, point)

    def everywhere(self, point: Tensor) -> list[ByExample]:
        """Evaluate the examples of all splits at a point."""
        self._count("points")
        return self._evaluated(point)

    def _evaluated(self, point: Tensor) -> list[ByExample]:
        return [examples.by_example(self.objective, point, split) for split in range(len(self.objective.splits))]

    def gradient(self, point: Tensor) -> Tensor:
        """Differentiate the loss of the first split."""
        self._count("gradients")
        return self.objective.gradient(point)

    def whole(self) -> dict[str, np.ndarray]:
        """Measure the network of full precision."""
        return self._kept(0, self._whole)

    def rounded(self, index: int) -> dict[str, np.ndarray]:
        """Measure one of the widths, and the segment from the wider one before it."""
        return self._kept(1 + index, lambda: self._rounded(index))

    def _kept(self, index: int, make: Callable[[], dict[str, Any]]) -> dict[str, np.ndarray]:
        """Return a piece: from memory, from its part, or made now."""
        if index in self._pieces:
            return self._pieces[index]
        if self.parts and index in self.parts.done():
            found = self.parts.read(index)
        else:
            before = Counter(self.calls)
            found = {name: np.asarray(value) for name, value in make().items()}
            found |= {name: np.asarray(self.calls[name] - before[name]) for name in CALLS}
            if self.parts:
                self.parts.write(index, found)
        self._pieces[index] = found
        self._meter.finished(index)
        return found

    def _count(self, kind: str, count: int = 1) -> None:
        self.calls[kind] += count
        self._meter(count)

    def _whole(self) -> dict[str, Any]:
        self._count("points")
        self._count("gradients")
        found: dict[str, Any] = _scored(self.base) | {"gradient_norm": norm(self.slope)}
        if self.settings.curvature or self.settings.layers:
            slices = [block.slice for block in self.objective.blocks if block.name in self.rounding]
            found |= self._curved(self.theta, None, slices)
        return {name if name in LAYERED else _of_full(name): value for name, value in found.items()}

    def _curved(self, point: Tensor, start: Tensor | None, slices: Sequence[slice] = ()) -> dict[str, Any]:
        """Find the largest eigenvalue at a point, and the trace, whole and of slices."""
        settings, operator = self.settings, hessian(self.objective, point)

        def product(rows: Tensor) -> Tensor:
            self._count("products", len(rows))
            return operator(rows)

        given: dict[str, Any] = {"seed": settings.seed, "like": operator.like}
        found: dict[str, Any] = {}
        if settings.curvature:
            top = eigenpairs(
                product, operator.dim, count=1, tolerance=settings.tolerance, limit=settings.limit, start=start,
                **given,
            )  # fmt: skip
            found = {
                "lambda_max": top.values[0], "lambda_max_residual": top.residuals[0],
                "lambda_max_converged": top.converged[0], "vector": top.vectors[0].cpu(),
            }  # fmt: skip
        trace = hutchinson(product, operator.dim, probes=settings.probes, together=TOGETHER, slices=slices, **given)
        found |= {"trace": trace.value, "trace_error": trace.standard_error}
        if trace.parts is not None:
            found |= {"tensor_trace": trace.parts.value, "tensor_trace_error": trace.parts.standard_error}
        return found

    def _point(self, index: int) -> tuple[Width, list[ByExample]]:
        """Round the network to a width, and evaluate it; the last one is remembered."""
        if self._last is None or self._last[0] != index:
            made = width(self.objective, self.theta, self.settings.schemes[index], self.rounding)
            self._last = index, made, self._evaluated(made.vector)
        return self._last[1:]

    def _rounded(self, index: int) -> dict[str, Any]:
        settings = self.settings
        wider = (self.theta, self.base) if index == 0 else self._ends(index - 1)
        made, here = self._point(index)
        self._count("points")
        slope = self.gradient(made.vector)
        found: dict[str, Any] = {"sha256": made.sha256(), "gradient_norm": norm(slope)}
        found |= _scored(here) | _changed(here, self.base) | staircase(self.objective, self.theta, made)
        found |= self._expanded(made, float(found["loss_change"][0]))
        if settings.curvature:
            start = torch.from_numpy(self.whole()["vector"]).to(self.theta)
            curved = self._curved(made.vector, start)
            del curved["vector"]
            found |= curved
        climb = (self.theta, made, self.base[0], self.slope, settings.ascent, self.at, self.gradient)
        found |= near.ascended(*climb)
        found |= near.flipped(made, here[0], slope, settings.flips, settings.draws, settings.seed, self.at)
        found |= near.stepped(made, here[0], slope, settings.rho, self.at)
        found |= near.flat(self.objective, self.theta, made, here[0], settings.spacing, settings.seed, self.at)
        if settings.layers:
            found |= self._sensitive(made)
        return found | self._segment(wider, (made.vector, here))

    def _ends(self, index: int) -> tuple[Tensor, list[ByExample]]:
        made, here = self._point(index)
        return made.vector, here

    def _expanded(self, made: Width, change: float) -> dict[str, Any]:
        """Split the change of the loss into the terms of its expansion at w, and what these leave over."""
        delta = (made.vector - self.theta)[None]
        operator = hessian(self.objective, self.theta)
        first = float(dot(self.slope[None], delta)[0])
        second = float(dot(delta, operator(delta))[0]) / 2
        self._count("products")
        rest = change - first - second
        return {
            "gradient_term": first, "curvature_term": second, "remainder": rest,
            "taylor_valid": abs(rest) < VALID * abs(change),
        }  # fmt: skip

    def _sensitive(self, made: Width) -> dict[str, Any]:
        """Round one tensor at a time, and compare the change of the loss with what was to be expected."""
        names = tuple(made.slices)
        deltas = {name: (made.vector - self.theta)[part] for name, part in made.slices.items()}
        predicted = predictions(self.objective, self.theta, deltas, traces=self._traces(names))
        self._count("products", len(names))
        self._count("gradients")
        pairs = [near.rise(self.at(made.only(self.theta, name)), self.base[0]) for name in names]
        change, error = np.array(pairs).T
        expected = (predicted.gradient + predicted.curvature).numpy()
        rank, chance = spearman(expected, change)
        omega = predicted.omega.numpy()
        return {
            "tensor_change": change, "tensor_change_error": error, "tensor_gradient": predicted.gradient.numpy(),
            "tensor_curvature": predicted.curvature.numpy(), "tensor_predicted": expected,
            "tensor_square": predicted.square.numpy(), "tensor_omega": omega,
            "tensor_omega_error": predicted.omega_error.numpy(), "spearman": rank, "spearman_p": chance,
            "spearman_omega": spearman(omega, change)[0],
        }  # fmt: skip

    def _traces(self, names: tuple[str, ...]) -> BlockTraces:
        known, settings = self.whole(), self.settings
        sizes = torch.tensor([b.slice.stop - b.slice.start for b in self.objective.blocks if b.name in names])
        trace, error = (torch.from_numpy(known[name]) for name in ("tensor_trace", "tensor_trace_error"))
        return BlockTraces(names, trace, error, sizes, settings.probes, settings.seed)

    def _segment(
        self, first: tuple[Tensor, list[ByExample]], last: tuple[Tensor, list[ByExample]]
    ) -> dict[str, np.ndarray]:
        """Walk from one point to another, and tell the losses on the way and how far they rise above a straight line.

        Returns
        -------
        dict
            Arrays (split, t), and (split,) of barriers: their errors are paired, the place being held fixed.
        """
        t = np.linspace(0, 1, self.settings.points)
        inner = [self.everywhere(torch.lerp(first[0], last[0], float(step))) for step in t[1:-1]]
        found = []
        for split in range(len(self.objective.splits)):
            ends = first[1][split], last[1][split]
            losses = np.stack([ends[0].loss, *(one[split].loss for one in inner), ends[1].loss])
            weight = ends[0].weight
            loss, error = mean(losses, weight)
            straight = np.outer(1 - t, losses[0]) + np.outer(t, losses[-1])
            with np.errstate(invalid="ignore"):
                above, paired = mean(losses - straight, weight)
            above[[0, -1]] = paired[[0, -1]] = 0  # the ends lie on the line
            top = int(np.nanargmax(above)) if not np.isnan(above).all() else 0
            found.append((loss, error, above[top], paired[top], t[top]))
        names = ("segment_loss", "segment_loss_error", "barrier", "barrier_error", "barrier_t")
        return {name: np.stack(values) for name, values in zip(names, zip(*found, strict=True), strict=True)}


class _Meter:
    """Tells how many calls are done, of how many at most; a finished piece counts as all that it might have taken."""

    def __init__(
        self, progress: Callable[[int, int], None] | None, whole: Counter[str], each: Counter[str], count: int
    ) -> None:
        self.progress = progress
        self.ends = whole.total() + each.total() * np.arange(count + 1)
        self.done, self.begun = 0, 0
        self(0)

    def __call__(self, count: int) -> None:
        self.done = min(self.done + count, int(self.ends[self.begun]))
        if self.progress:
            self.progress(self.done, int(self.ends[-1]))

    def finished(self, index: int) -> None:
        self.begun, self.done = min(index + 1, len(self.ends) - 1), int(self.ends[index])
        self(0)


def spearman(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Correlate ranks: the coefficient, and the p-value of no dependence; NaN where there are no ranks to compare."""
    from scipy.stats import spearmanr

    usable = len(first) >= FEWEST and np.isfinite(first).all() and np.isfinite(second).all()
    if not usable or np.ptp(first) == 0 or np.ptp(second) == 0:
        return np.nan, np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a perfect correlation: its t statistic is infinite
        found: Any = spearmanr(first, second)
    return float(found.statistic), float(found.pvalue)


def _scored(found: list[ByExample]) -> dict[str, np.ndarray]:
    """Return loss and accuracy of every split, (S,), with standard errors; no accuracy where there are no answers."""
    loss, right = ([mean(getattr(one, part), one.weight) for one in found] for part in ("loss", "correct"))
    named = _pairs("loss", loss)
    return named if np.isnan([pair[0] for pair in right]).any() else named | _pairs("accuracy", right)


def _changed(after: list[ByExample], before: list[ByExample]) -> dict[str, np.ndarray]:
    """Return how loss and accuracy of every split change, (S,), with paired standard errors."""
    found = {}
    for name, part in (("loss_change", "loss"), ("accuracy_change", "correct")):
        with np.errstate(invalid="ignore"):
            pairs = [
                mean(getattr(a, part) - getattr(b, part), b.weight) for a, b in zip(after, before, strict=True)
            ]
        if name == "loss_change" or not np.isnan([pair[0] for pair in pairs]).any():
            found |= _pairs(name, pairs)
    return found


def _pairs(name: str, pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    values, errors = np.array(pairs).T
    return {name: values, f"{name}_error": errors}


def _of_full(name: str) -> str:
    """Say in a name that it was measured at full precision: ``loss_error`` becomes ``loss_full_error``."""
    end = next((end for end in ("_error", "_residual", "_converged") if name.endswith(end)), "")
    return f"{name.removesuffix(end)}_full{end}"
