"""AutoNEB: an elastic band between two networks, relaxed across its own direction, with pivots added where it sags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from landscape.connection.elastic import inserted, perpendicular, redistributed, tangents
from landscape.connection.on_curve import OnCurve
from landscape.connection.training import Found, expected, fitted, on_examples, settled
from landscape.curves import Curve, straight
from landscape.parts import Parts
from landscape.train.clock import Clock
from landscape.train.fit import Run
from landscape.train.method import Method
from landscape.train.schedules import SCHEDULES, Schedule
from landscape.train.settings import Settings
from landscape.train.step import Step
from landscape.train.streams import seed_of

if TYPE_CHECKING:
    from landscape.engine.network import Network
    from landscape.objective import Objective

THRESHOLD = 0.2  # of the range of the energies, by which a piece may rise above the interpolation of its pivots
BETWEEN = 3  # positions inside a piece at which that is looked at
TOLD = ("epoch", "lr", "objective", "gradient_evaluations")


@dataclass(frozen=True, eq=False)
class Band:
    """A chain of pivots (K, D), the shares (K - 1,) of its pieces in its length, and the record of its training."""

    points: Tensor
    shares: Tensor
    history: list[dict[str, Any]]


class OnBand(OnCurve):
    """A network at one point, which is set from outside, of a band whose inner pivots are trained."""

    def __init__(self, network: Network, points: Tensor, shares: Tensor) -> None:
        super().__init__(network, Curve("chain", points))
        self.here = self.bends.detach()[0]
        self.shares = shares

    def point(self) -> Tensor:
        """Return the point where the network is, (D,)."""
        return self.here

    def pivots(self) -> Tensor:
        """Return all pivots as they are now, the ends included, (K, D)."""
        return torch.cat([self.ends[:1], self.bends.detach(), self.ends[1:]])


def band(
    objective: Objective,
    first: Tensor,
    last: Tensor,
    settings: Settings,
    *,
    pivots: int = 5,
    cycles: int = 4,
    keep: Path | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Found:
    r"""Relax an elastic band from the segment between two networks to a path of low loss.

    Every step moves all inner pivots by the optimizer, each by the gradient of its own energy
    :math:`L(p) + \tfrac{\lambda}{2} \|p\|^2` on the batch, of which the part along the band is taken away; then puts
    them back to where they divide the length of the band as they did before. After every cycle but the last, a pivot is
    added to each piece inside which the energy over the whole split is higher than the interpolation of its ends by
    more than a fifth of the range of all energies.

    Parameters
    ----------
    objective : Objective
        Whose first split, network and loss are trained on, with batch norm and dropout in training mode.
    first, last : Tensor of shape (D,)
        The ends, which stay bit for bit. Coordinates are the parameters alone: statistics of batch norm are no part of
        distances, tangents or positions.
    settings : Settings
        As for training a network. Cycle c of C ends after epoch floor(c E / C) of E; the learning rate follows its
        schedule through all of them, so that later cycles have lower ones. The weight decay :math:`\lambda` is a part
        of the energy.
    pivots : int, default=5
        Inner pivots at the start, evenly spaced on the segment.
    cycles : int, default=4
    keep : path, optional
        Finished cycles, and the state of the one under way, are kept in the folder ``KEEP.parts``; the same call goes
        on from there, and ends at the same band.
    progress : callable, optional
        Told (steps done, steps in all, epoch and loss in words).

    Returns
    -------
    Found
        The curve is a chain. The objective in its history is the mean energy of the moving pivots; gradient evaluations
        are counted for every pivot.

    Raises
    ------
    ValueError
        If there are no pivots or cycles, fewer epochs than cycles, a setting does not fit the data, or training
        diverges.
    KeyboardInterrupt
        On Ctrl-C, after the step under way; what is done is kept.

    Notes
    -----
    A step costs a gradient evaluation for every moving pivot, and two forward passes for the ends, whose energies
    tangents need. Looking where pivots are missing costs four evaluations of the first split for every piece. Memory of
    about 6 K vectors. Momentum remembers earlier directions, and adamw stretches coordinates: both leave a part along
    the band, which the redistribution takes away.

    References
    ----------
    Draxler, Veschgini, Salmhofer & Hamprecht (2018), Essentially no barriers in neural network energy landscape,
    arXiv:1803.00885; Kolsbjerg, Groves & Hammer (2016), An automated nudged elastic band method, J. Chem. Phys. 145.
    The threshold of a fifth, and that added pivots keep the band denser where they are, are given from memory.
    """
    _require(pivots, cycles, settings.epochs)
    objective.require_derivatives()
    settings = settled(objective, settings)
    kept = Parts(keep, {}, dict) if keep else None  # the folder belongs to one work
    done = kept.done() if kept else set()
    shares = torch.full((pivots + 1,), 1 / (pivots + 1), dtype=torch.float64)
    found = Band(straight("chain", first, last, pivots).points, shares, [])
    for cycle in range(cycles if settings.epochs else 0):
        if kept and cycle in done:
            found = _read(kept.read(cycle), first)
            continue
        try:
            found = _cycle(objective, found, settings, (cycle, cycles), kept, progress)
        except ValueError:  # it would fail again at this very step
            if kept:
                kept.remove()
            raise
    return Found(Curve("chain", found.points), found.history)


def _cycle(
    objective: Objective, found: Band, settings: Settings, which: tuple[int, int], kept: Parts | None, progress: Any
) -> Band:
    """Train through one cycle, add pivots unless it is the last, and keep what is found."""
    cycle, cycles = which
    begin, end = (settings.epochs * c // cycles for c in (cycle, cycle + 1))
    resume = kept.folder / f"cycle-{cycle}.resume" if kept else None
    per_epoch = -(-objective.size // settings.batch_size)
    run = fitted(
        objective, lambda: prepared(objective, found.points, found.shares, settings, begin=begin, end=end),
        resume=resume,
        progress=progress
        and (lambda done, _, told: progress(begin * per_epoch + done, settings.epochs * per_epoch, told)),
    )  # fmt: skip
    assert isinstance(run.model, OnBand)
    points, shares = run.model.pivots(), found.shares
    if cycle + 1 < cycles:
        points, shares = inserted(points, shares, energies(objective, points, settings.weight_decay), THRESHOLD)
    found = Band(points, shares, [*found.history, *_continued(found.history, run.history)])
    if kept and resume:
        kept.write(cycle, _arrays(found))
        resume.unlink(missing_ok=True)
    return found


def prepared(
    objective: Objective, points: Tensor, shares: Tensor, settings: Settings, *, begin: int = 0, end: int | None = None
) -> Run:
    """Return a run that relaxes a band from epoch `begin` to `end` of the settings', ready to fit: of an `OnBand`.

    Raises
    ------
    ValueError
        If a setting does not fit the data or the network.
    """
    end = settings.epochs if end is None else end
    method = Method(
        gradient=_relaxed,
        rate=lambda value: _within(SCHEDULES[settings.schedule](value), begin, settings.epochs),
        objectives=(partial(expected, decay=settings.weight_decay),),
        corrections=(lambda: _redistribute,),
    )
    seed = seed_of(settings.seed, f"epoch {begin}") if begin else settings.seed
    here = replace(settings, epochs=end - begin, seed=seed)
    return on_examples(objective, OnBand(objective.network, points, shares), here, method)


@torch.no_grad()
def energies(objective: Objective, points: Tensor, decay: float) -> Tensor:
    """Return the energy over the first split at evenly spaced positions of every piece: (K, D) -> (K - 1, 5), float64.

    One position after another, for bands of large networks; pivots that pieces share are evaluated once.
    """
    curve, pieces, steps = Curve("chain", points), len(points) - 1, BETWEEN + 1
    along = torch.linspace(0, 1, pieces * steps + 1, dtype=torch.float64)
    values = []
    for t in along.tolist():
        theta = curve(t)
        values.append(float(objective.value(theta)) + 0.5 * decay * float(theta.double().square().sum()))
    return torch.tensor(values, dtype=torch.float64).unfold(0, steps + 1, steps)


def _relaxed(step: Step) -> Tensor:
    """Leave the gradients of the pivots, across the band, in ``.grad``; return the mean energy of those that move."""
    model = step.model
    assert isinstance(model, OnBand)
    points = model.pivots()
    found = [_pulled(step, model, point) for point in points[1:-1]]
    with torch.no_grad(), step.quiet():
        first, last = (_energy(step, model, end) for end in (points[0], points[-1]))
    heights = torch.stack([first, *(height for height, _ in found), last])
    across = perpendicular(torch.stack([gradient for _, gradient in found]), tangents(points, heights))
    step.zero()
    step.give([across])
    return heights[1:-1].mean()


def _pulled(step: Step, model: OnBand, point: Tensor) -> tuple[Tensor, Tensor]:
    """Return the energy of the batch at a pivot and its gradient there, counted by the clock."""
    model.here = point.clone().requires_grad_()
    part = Step(model, step.objective, step.batch, step.clock, batches=step.batches, parameters={"here": model.here})  # pyright: ignore
    (gradient,) = part.gradient()
    assert part.loss is not None
    return part.loss, gradient


def _energy(step: Step, model: OnBand, point: Tensor) -> Tensor:
    model.here = point
    return step.objective(model, step.batch, step.clock)


@torch.no_grad()
def _redistribute(run: Run) -> None:
    """Put the pivots back to where they have their shares of the length."""
    model = run.model
    assert isinstance(model, OnBand)
    model.bends.copy_(redistributed(model.pivots(), model.shares))


def _within(schedule: Schedule, begin: int, epochs: int) -> Schedule:
    """Follow a schedule of all epochs in a run that begins with one of them."""
    return lambda clock: schedule(Clock(epochs, clock.per_epoch, begin * clock.per_epoch + clock.step))


def _continued(before: list[dict[str, Any]], history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Count the epochs and evaluations of a cycle on from those before it."""
    last = before[-1] if before else dict.fromkeys(TOLD, 0)
    counted = ("epoch", "gradient_evaluations")
    return [record | {what: last[what] + record[what] for what in counted} for record in history]


def _arrays(found: Band) -> dict[str, np.ndarray]:
    told = {what: np.array([record[what] for record in found.history]) for what in TOLD}
    return told | {"points": found.points.cpu().numpy(), "shares": found.shares.numpy()}


def _read(arrays: dict[str, np.ndarray], like: Tensor) -> Band:
    rows = zip(*(arrays[what].tolist() for what in TOLD), strict=True)
    history: list[dict[str, Any]] = [dict(zip(TOLD, row, strict=True)) for row in rows]  # pyright: ignore
    return Band(torch.from_numpy(arrays["points"]).to(like), torch.from_numpy(arrays["shares"]), history)


def _require(pivots: int, cycles: int, epochs: int) -> None:
    if pivots < 1:
        raise ValueError(f"Expected at least 1 pivot to move, got {pivots}: give those inside at the start.")
    if cycles < 1:
        raise ValueError(f"Expected at least 1 cycle, got {cycles}: pivots are added between cycles.")
    if 0 < epochs < cycles:
        raise ValueError(f"Expected at least an epoch for each of {cycles} cycles, got {epochs}: give more epochs.")
