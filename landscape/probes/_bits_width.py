"""One width of a network: its grids, the point that they give, and the neighbours of every code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from landscape.quantize.calibration import calibrate
from landscape.quantize.grid import Grid
from landscape.quantize.layers import chosen
from landscape.quantize.quantization import Quantization
from landscape.quantize.rounding import neighbours
from landscape.quantize.scheme import Scheme
from landscape.rows import norm, widened

if TYPE_CHECKING:
    from landscape.objective import Objective

NEAR = 0.05  # of a step: weights that are so close to a threshold are counted


@dataclass(frozen=True, eq=False)
class Width:
    """A network rounded to a width, as vectors over all parameters (D,).

    Attributes
    ----------
    scheme : Scheme
    grids : dict of str to Grid
        By name of the parameter.
    slices : dict of str to slice
        Where these parameters lie.
    vector : Tensor
        Q(w); equal to w where nothing is rounded.
    up, down : Tensor
        The same with every code one higher, or one lower; the code itself at the end of its range.
    step : Tensor
        Distance between the values of each weight's grid; 0 where nothing is rounded.
    """

    scheme: Scheme
    grids: dict[str, Grid]
    slices: dict[str, slice]
    vector: Tensor
    up: Tensor
    down: Tensor
    step: Tensor

    @property
    def rounded(self) -> Tensor:
        """Which parameters are rounded, (D,)."""
        return self.step > 0

    def only(self, theta: Tensor, name: str) -> Tensor:
        """Return a point (D,) with one of its tensors rounded."""
        point, part = theta.clone(), self.slices[name]
        point[part] = self.vector[part]
        return point

    def again(self, objective: Objective, theta: Tensor) -> Tensor:
        """Round another point (D,) by the same grids."""
        values, found = objective.unpack(theta), theta.clone()
        for name, grid in self.grids.items():
            found[self.slices[name]] = grid.hard(values[name]).flatten()
        return found

    def sha256(self) -> str:
        """Hash the grids."""
        return Quantization(self.grids).sha256()


def axes(objective: Objective, skip: tuple[str, ...]) -> dict[str, int]:
    """Map the weights to round, those that the objective moves, to the axis of their output units.

    Raises
    ------
    ValueError
        If there are none.
    """
    moved = {block.name for block in objective.blocks}
    found = {name: axis for name, axis in chosen(objective.network.model, skip).items() if name in moved}
    if not found:
        raise ValueError(
            f"Expected weights to round among the parameters that move ({', '.join(sorted(moved)[:4])} ...), got none "
            "of a linear or convolutional layer: move others with --parameters."
        )
    return found


@torch.no_grad()
def width(objective: Objective, theta: Tensor, scheme: Scheme, rounding: Mapping[str, int]) -> Width:
    """Calibrate a scheme on the weights at a point (D,), and round them."""
    values = objective.unpack(theta)
    slices = {block.name: block.slice for block in objective.blocks if block.name in rounding}
    vector, up, down, step = theta.clone(), theta.clone(), theta.clone(), torch.zeros_like(theta)
    grids = {}
    for name, part in slices.items():
        grid = grids[name] = calibrate(values[name], scheme, axis=rounding[name])
        codes = grid.codes(values[name])
        vector[part] = grid.dequantize(codes).flatten()
        up[part] = grid.dequantize((codes + 1).clamp(max=grid.high)).flatten()
        down[part] = grid.dequantize((codes - 1).clamp(min=grid.low)).flatten()
        step[part] = grid.step.to(theta).expand_as(codes).flatten()
    return Width(scheme, grids, slices, vector, up, down, step)


@torch.no_grad()
def staircase(objective: Objective, theta: Tensor, made: Width) -> dict[str, np.ndarray]:
    """Tell how the weights at a point (D,) lie on their grids: all of it exact."""
    values, clipped, near = objective.unpack(theta), 0, 0
    for name, grid in made.grids.items():
        weight = values[name]
        lowest, highest = (grid.dequantize(torch.full_like(grid.scale, code)) for code in (grid.low, grid.high))
        half = grid.step / 2
        clipped += int(((weight < lowest - half) | (weight > highest + half)).sum())
        below, above = neighbours(weight, grid)
        near += int(((weight - (below + above) / 2).abs() < NEAR * (above - below)).sum())
    rounded, delta = made.rounded, made.vector - theta
    count = int(rounded.sum())
    found = {
        "clipped": clipped / count, "near": near / count, "relative_error": norm(delta) / norm(theta[rounded]),
        "step": widened(made.step[rounded]).square().mean().sqrt(),
    }  # fmt: skip
    return {name: np.asarray(float(value)) for name, value in found.items()}
