"""What lines and planes share: from a grid of steps to named arrays over it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from landscape.directions import Frame
from landscape.probes._staircase import staircase
from landscape.sweep import sweep

if TYPE_CHECKING:
    from landscape.objective import Objective

PER_DRAW = ("loss", "accuracy")


def evaluated(
    objective: Objective, frames: Callable[[int], Frame], grid: list[np.ndarray], draws: int, **sweeping: Any
) -> dict[str, Any]:
    """Evaluate an objective over a grid of one or two axes, and return the arrays of a Line or Surface, and its origin.

    `frames` gives the directions of each draw; what is `sweeping` goes to `landscape.sweep.sweep`.
    """
    shape = tuple(len(axis) for axis in grid)
    size, first = math.prod(shape), frames(0)
    steps = torch.from_numpy(np.stack(np.meshgrid(*grid, indexing="ij"), -1).reshape(size, len(grid)))

    def point(index: torch.Tensor) -> torch.Tensor:
        drawn, where = index // size, index % size
        found = [frames(draw).point(steps[where[drawn == draw]]) for draw in drawn.unique().tolist()]
        return found[0] if len(found) == 1 else torch.cat(found)

    arrays, plan = sweep(objective, draws * size, point, **sweeping)
    if sweeping.get("stop_above") is None:
        del arrays["stopped"]
    origin = objective.record() | {"directions": first.record, "plan": plan, "evaluations": draws * size}
    found = _named(objective, arrays, draws, shape)
    origin |= staircase(objective, first, grid, found["loss"][0])
    return found | coordinates(first, grid) | {"origin": origin}


def _named(objective: Objective, arrays: dict[str, np.ndarray], draws: int, shape: tuple[int, ...]) -> dict[str, Any]:
    """Give the sweep's arrays (..., draws * P) their axes, and names to the splits, classes and terms."""
    spread = {name: array.reshape(*array.shape[:-1], draws, *shape) for name, array in arrays.items()}
    axis = -1 - len(shape)
    found: dict[str, Any] = {name: array.take(0, axis=axis) for name, array in spread.items()}
    if "terms" in found:
        found |= {"term": list(objective.terms), "term_loss": found.pop("terms")}
    if "class_loss" in found:
        found["class_"] = list(objective.classes)
    if draws > 1:
        found["draw"] = np.arange(draws)
        found |= {f"draw_{name}": np.moveaxis(spread[name], axis, 0) for name in PER_DRAW if name in spread}
    return found | {"split": list(objective.splits)}


def coordinates(frame: Frame, grid: list[np.ndarray]) -> dict[str, Any]:
    """Name the steps along the axes of a grid, the directions, and where checkpoints and curves lie."""
    found: dict[str, Any] = dict(zip("ab", grid, strict=False))
    found |= {"axis": list(frame.labels), "norm": frame.norm, "explained": frame.explained}
    if len(grid) == 2:
        found["cosine"] = frame.cosine[0, 1]
    if frame.marks is not None:
        marks = frame.marks
        found |= {"checkpoint": list(marks.names), "checkpoint_residual": marks.residual}
        found |= {"checkpoint_run": list(marks.runs)} | _steps("checkpoint", marks.coordinates)
    if frame.traces is not None and len(grid) == 2:
        traces = frame.traces
        found |= {"curve": list(traces.names), "curve_t": traces.t, "curve_residual": traces.residual}
        found |= _steps("curve", traces.coordinates)
    return found


def _steps(name: str, coordinates: np.ndarray) -> dict[str, np.ndarray]:
    """Name the last axis of coordinates: checkpoint_a and checkpoint_b."""
    return {f"{name}_{x}": coordinates[..., i] for i, x in enumerate("ab"[: coordinates.shape[-1]])}
