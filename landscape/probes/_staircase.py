"""How coarse the picture of a quantized network is: whether it shows the loss, or single steps of a staircase."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from landscape.quantize.views import Latent, Requant

if TYPE_CHECKING:
    from landscape.directions import Frame
    from landscape.objective import Objective

COARSE = math.exp(-1)  # share of equal neighbours where points lie as far apart as steps, if steps come at random


def staircase(objective: Objective, frame: Frame, grid: list[np.ndarray], loss: np.ndarray) -> dict[str, Any]:
    """Tell how a grid of points resolves the steps of a loss of rounded weights; nothing for other losses.

    ``flat`` is the share of neighbouring points with the same loss. If steps come at random, on average one in a cell's
    width, two points that far apart lie on one step with probability 1/e: where ``flat`` is more, points lie closer
    than the steps are wide. ``moved`` is the share of the quantized weights that reach another value from a point to
    its neighbour along each axis through the center; it is None where grids move too.

    Parameters
    ----------
    objective : Objective
    frame : Frame
    grid : list of ndarray
        Steps along each axis.
    loss : ndarray of shape (a,) or (a, b)

    Warns
    -----
    UserWarning
        If the picture shows steps.
    """
    view = objective.network.view
    if not isinstance(view, (Latent, Requant)):
        return {}
    share = flat(loss)
    if share > COARSE:
        warnings.warn(
            f"{100 * share:.0f} % of neighbouring points have the same loss: the points lie closer than the steps of "
            "the quantized weights are wide, and the picture shows steps; take a wider --span or fewer --points.",
            stacklevel=2,
        )
    known = moved(objective, frame, grid, view) if isinstance(view, Latent) else None
    return {"staircase": {"flat": share, "moved": known}}


def flat(loss: np.ndarray) -> float:
    """Return the share of pairs of neighbours with the same loss, up to rounding, among those that are finite."""
    equal = pairs = 0
    for axis in range(loss.ndim):
        first, second = (loss.take(range(*ends), axis) for ends in ((0, loss.shape[axis] - 1), (1, loss.shape[axis])))
        finite = np.isfinite(first) & np.isfinite(second)
        near = np.abs(first[finite] - second[finite]) <= np.finfo(np.float32).eps * np.abs(first[finite])
        equal, pairs = equal + int(near.sum()), pairs + int(finite.sum())
    return equal / pairs if pairs else 0.0


def moved(objective: Objective, frame: Frame, grid: list[np.ndarray], view: Latent) -> list[float]:
    """Return the share of the quantized weights whose value changes from a point to the next, along each axis."""
    found = []
    for axis, steps in enumerate(grid):
        where = torch.zeros(len(steps), len(grid), dtype=torch.float64)
        where[:, axis] = torch.from_numpy(steps)
        before, changed, count = None, 0, 0
        for point in where:
            seen = view(objective.unpack(frame.point(point)))
            values = {name: value for name, value in seen.items() if name in view.grids}
            if before is not None:
                changed += sum(int((value != before[name]).sum()) for name, value in values.items())
                count += sum(value.numel() for value in values.values())
            before = values
        found.append(changed / count if count else 0.0)
    return found
