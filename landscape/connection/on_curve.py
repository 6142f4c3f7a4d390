"""A network whose weights are a point of a curve: what is trained are the inner control points."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from landscape.curves import Curve, slopes, weights
from landscape.engine import batchnorm
from landscape.engine.network import Network, arguments

NODES = 16  # of the quadrature of a length, for a curve of one piece


class OnCurve(nn.Module):
    """A network at a point t of a curve, as a function of the curve's inner control points.

    Any network becomes one: its forward pass is called with the weights of the point, and no layer is written again.

    Parameters
    ----------
    network : Network
        Whose parameters the curve is about; copied, with its batch norm in the hands of training mode.
    curve : Curve
        Where training begins. Its ends stay.

    Attributes
    ----------
    bends : Parameter of shape (K - 2, D)
    ends : Tensor of shape (2, D)
    t : Tensor, scalar, float64
        Position on the curve of the next forward pass.
    """

    def __init__(self, network: Network, curve: Curve) -> None:
        super().__init__()
        self.model = copy.deepcopy(network.model)
        batchnorm.released(self.model)
        self.blocks = network.blocks
        self.shape, self.count = curve.shape, len(curve.points)
        self.bends = nn.Parameter(curve.points[1:-1].clone().to(network.theta))
        self.register_buffer("ends", curve.points[[0, -1]].clone().to(network.theta))
        self.t = torch.tensor(0.5, dtype=torch.float64)

    def forward(self, inputs: Any) -> Any:
        """Apply the network at the weights of the point t."""
        positional, named = arguments(inputs)
        return functional_call(self.model, self.named(self.point()), positional, named)

    def penalty(self) -> Tensor:
        """Return half the squared length of the weights at the point t, as a function of the bends."""
        return 0.5 * self.point().square().sum()

    def point(self) -> Tensor:
        """Return the weights at the point t, (D,), as a function of the bends."""
        first, *inner, last = weights(self.shape, self.count, self.t).tolist()
        found = first * self.ends[0] + last * self.ends[1]
        for k, weight in enumerate(inner):
            if (
                weight or k == 0
            ):  # of a chain, two points count at a time; at an end none does, and the gradient is zero
                found = found + weight * self.bends[k]
        return found

    def named(self, theta: Tensor) -> dict[str, Tensor]:
        """Split a vector (D,) into named parameters, in one cut: its gradient is put together in one piece."""
        sizes = [block.slice.stop - block.slice.start for block in self.blocks]
        pairs = zip(self.blocks, theta.split(sizes), strict=True)
        return {block.name: part.view(block.shape) for block, part in pairs}

    def pace(self) -> Tensor:
        """Return the speed at t over the mean speed, as a function of the bends: 1 where arc length grows evenly.

        The mean is exact for chains; for Bezier curves it is that of a quadrature with 16 nodes. Autocast leaves it
        alone.
        """
        pieces = 1 if self.shape == "bezier" else self.count - 1
        nodes, shares = torch.from_numpy(_quadrature(pieces)).unbind(-1)
        mixes = slopes(self.shape, self.count, torch.cat([nodes, self.t[None]])).to(self.bends, non_blocking=True)
        with torch.autocast(self.bends.device.type, enabled=False):
            points = torch.cat([self.ends[:1], self.bends, self.ends[1:]]) - self.ends[:1]
            gram = points @ points.T
            speeds = ((mixes @ gram) * mixes).sum(-1).clamp(min=torch.finfo(gram.dtype).tiny).sqrt()
            return speeds[-1] / (speeds[:-1] * shares.to(speeds, non_blocking=True)).sum()

    def curve(self) -> Curve:
        """Return the curve as it is now."""
        return Curve(self.shape, torch.cat([self.ends[:1], self.bends.detach(), self.ends[1:]]).clone())


@cache
def _quadrature(pieces: int) -> np.ndarray:
    """Return nodes and shares (n, 2) of a Gauss-Legendre rule on [0, 1], each of the pieces on its own."""
    each = NODES if pieces == 1 else 1  # on a piece of a chain the speed is constant
    nodes, shares = np.polynomial.legendre.leggauss(each)
    starts = np.arange(pieces)[:, None] / pieces
    inside = (nodes + 1) / (2 * pieces)
    return np.stack([(starts + inside).ravel(), np.tile(shares / (2 * pieces), pieces)], -1)
