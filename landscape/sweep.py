"""Sweeps: an objective measured at many points, in chunks that survive a kill."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from landscape.engine.plan import Plan
from landscape.parts import Parts

if TYPE_CHECKING:
    from landscape.objective import Objective

Progress = Callable[[int, int], None]
KEEP = 2.0  # seconds of work that are put into one part file
FEWEST = 30  # examples that may decide
CERTAIN = 5.0  # standard errors above the limit at which a point is given up


def sweep(
    objective: Objective,
    count: int,
    point: Callable[[Tensor], Tensor],
    *,
    stop_above: float | None = None,
    store: Callable[[Callable[[], dict]], Parts] | None = None,
    progress: Progress | None = None,
) -> tuple[dict[str, np.ndarray], dict]:
    """Measure an objective at many points.

    Parameters
    ----------
    objective : Objective
        What is measured; all its splits are.
    count : int
        Number of points, P.
    point : callable
        Indices (K,) -> parameter vectors (K, D), each computed afresh.
    stop_above : float, optional
        Give a point up when a random tenth of the examples (30 at least) puts its loss above this limit by five
        standard errors; its values are then those of the tenth.
    store : callable, optional
        Opens the part files, given what makes the plan; without it nothing is kept on disk.
    progress : callable (done, total), optional
        Told before the first point and after each chunk.

    Returns
    -------
    arrays : dict of str to ndarray
        ``loss`` (S, P), ``class_loss`` (S, C, P), ... as `Objective.measure` returns them; ``stopped`` (P,).
    plan : dict
        How the points were evaluated.
    """

    def planned() -> dict:
        return objective.plan(count).record()

    parts = store(planned) if store else None
    record = parts.plan if parts else planned()
    plan = Plan(**record)
    found = Finished(parts)
    scout = objective.subset(min(objective.size, max(FEWEST, objective.size // 10))) if stop_above is not None else None
    if progress:
        progress(found.number, count)
    try:
        for start in range(0, count, plan.points):
            if found.has(start):
                continue
            index = torch.arange(start, min(start + plan.points, count))
            found.add(start, _measure(objective, point(index), plan, scout, stop_above))
            if progress:
                progress(found.number, count)
    finally:
        found.keep()
    return found.arrays(), record


class Finished:
    """What is measured so far; kept in part files, if there are any, every few seconds."""

    def __init__(self, parts: Parts | None) -> None:
        self.parts = parts
        self.chunks: dict[int, dict[str, np.ndarray]] = {}
        self.number = 0
        self.waiting: list[int] = []
        if parts:
            for part in sorted(parts.done()):
                self._take(parts.read(part))
        self.since = time.monotonic()

    def has(self, start: int) -> bool:
        """Say whether the chunk that begins at a point is done."""
        return start in self.chunks

    def add(self, start: int, arrays: dict[str, np.ndarray]) -> None:
        """Take a finished chunk: arrays whose last axis runs over its points."""
        self.chunks[start] = arrays
        self.number += _length(arrays)
        self.waiting.append(start)
        if time.monotonic() - self.since > KEEP:
            self.keep()

    def keep(self) -> None:
        """Write what is not yet on disk, also when the work is interrupted."""
        if not (self.parts and self.waiting):
            return
        chunks = [self.chunks[start] for start in self.waiting]
        arrays = {name: np.concatenate([c[name] for c in chunks], axis=-1) for name in chunks[0]}
        starts = np.array(self.waiting)
        stops = starts + [_length(chunk) for chunk in chunks]
        self.parts.write(int(starts[0]), arrays | {"start": starts, "stop": stops})
        self.waiting, self.since = [], time.monotonic()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all chunks, joined in the order of their points."""
        chunks = [self.chunks[start] for start in sorted(self.chunks)]
        return {name: np.concatenate([c[name] for c in chunks], axis=-1) for name in chunks[0]}

    def _take(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the chunks of a part file apart again."""
        offset = 0
        for start, stop in zip(arrays.pop("start"), arrays.pop("stop"), strict=True):
            self.chunks[int(start)] = {k: v[..., offset : offset + stop - start] for k, v in arrays.items()}
            offset += stop - start
        self.number += int(offset)


def _measure(
    objective: Objective, points: Tensor, plan: Plan, scout: Objective | None, limit: float | None
) -> dict[str, np.ndarray]:
    stopped = np.zeros(len(points), bool)
    if scout is None:
        return _arrays(objective.measure(points, plan=plan)) | {"stopped": stopped}
    early = scout.measure(points, plan=plan)
    stopped = early.loss[0] - CERTAIN * early.loss_error[0] > limit
    arrays = _arrays(early)
    if not stopped.all():
        whole = _arrays(objective.measure(points[torch.from_numpy(~stopped).to(points.device)], plan=plan))
        for name, array in whole.items():
            arrays[name][..., ~stopped] = array
    return arrays | {"stopped": stopped}


def _length(chunk: dict[str, np.ndarray]) -> int:
    return chunk["loss"].shape[-1]


def _arrays(measured: object) -> dict[str, np.ndarray]:
    return {name: np.array(array) for name, array in vars(measured).items() if array is not None}
