"""What lines and planes share: from directions to named arrays over a grid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from landscape.directions import Frame
from landscape.probes import _grid
from landscape.sweep import sweep

if TYPE_CHECKING:
    from landscape.objective import Objective

PER_DRAW = ("loss", "accuracy")


def evaluated(
    objective: Objective, directions: Any, count: int, *, center: Any, span: Any, points: Any, normalization: str,
    include: tuple[str, ...], seed: int, draws: int, multiple: float, stop_above: float | None, store: Any, progress: Any,
) -> tuple[dict[str, Any], dict]:
    """Evaluate an objective over a grid of one or two axes; return the arrays of a Line or Surface, and their origin."""
    if draws < 1 or (draws > 1 and directions is not None):
        raise ValueError(f"Expected draws=1, or several draws of random directions, got draws={draws}.")
    frames = [
        _grid.frame(objective, directions, count, center, normalization, include, seed, draw) for draw in range(draws)
    ]
    grid = _grid.axes(objective, frames[0], span, points, multiple)
    shape = tuple(len(axis) for axis in grid)
    steps = torch.from_numpy(np.stack(np.meshgrid(*grid, indexing="ij"), -1).reshape(-1, count))

    def point(index: torch.Tensor) -> torch.Tensor:
        drawn, where = index // len(steps), index % len(steps)
        return torch.cat([frames[int(d)].point(steps[w][None]) for d, w in zip(drawn, where, strict=True)])

    arrays, plan = sweep(
        objective, draws * math.prod(shape), point, stop_above=stop_above, store=store, progress=progress
    )
    found = _named(objective, arrays, draws, shape, stop_above) | _coordinates(frames[0], grid)
    origin = objective.record() | {
        "directions": frames[0].record,
        "plan": plan,
        "evaluations": draws * math.prod(shape),
    }
    return found, origin


def _named(objective: Objective, arrays: dict, draws: int, shape: tuple[int, ...], stop_above: float | None) -> dict:
    """Give the sweep's arrays (..., draws * P) their axes, and names to the splits, classes and terms."""
    spread = {name: a.reshape(*a.shape[:-1], draws, *shape) for name, a in arrays.items()}
    axis = -1 - len(shape)
    found: dict[str, Any] = {name: a.take(0, axis=axis) for name, a in spread.items()}
    if stop_above is None:
        del found["stopped"]
    if "terms" in found:
        found |= {"term": list(objective.terms), "term_loss": found.pop("terms")}
    if "class_loss" in found:
        found["class_"] = list(objective.classes)
    if draws > 1:
        found["draw"] = np.arange(draws)
        found |= {f"draw_{name}": np.moveaxis(spread[name], axis, 0) for name in PER_DRAW if name in spread}
    return found | {"split": list(objective.splits)}


def _coordinates(frame: Frame, grid: list[np.ndarray]) -> dict[str, Any]:
    found: dict[str, Any] = dict(zip("ab", grid, strict=False))
    found |= {"axis": list(frame.labels), "norm": frame.norm, "explained": frame.explained}
    if len(grid) == 2:
        found["cosine"] = frame.cosine[0, 1]
    if frame.marks is not None:
        found |= {"checkpoint": list(frame.marks.names), "checkpoint_residual": frame.marks.residual}
        found |= {f"checkpoint_{x}": frame.marks.coordinates[:, i] for i, x in enumerate("ab"[: len(grid)])}
    return found
