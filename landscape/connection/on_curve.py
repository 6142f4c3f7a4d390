"""A network whose weights are a point of a curve: what is trained are the inner control points."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from landscape.curves import Curve, mixture, slopes
from landscape.engine import batchnorm
from landscape.engine.network import Network, call

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
    nodes, shares : Tensor of shape (n, K) and (n,)
        Slopes at the nodes of a quadrature over t, and how much each node counts.
    t : Tensor, scalar, float64
        Position on the curve of the next forward pass.
    """

    def __init__(self, network: Network, curve: Curve) -> None:
        super().__init__()
        self.model = copy.deepcopy(network.model)
        batchnorm.released(self.model)
        self.blocks = network.blocks
        self._places = _places(self.model, {block.name for block in self.blocks})
        self.shape, self.count = curve.shape, len(curve.points)
        self.bends = nn.Parameter(curve.points[1:-1].clone().to(network.theta))
        self.register_buffer("ends", curve.points[[0, -1]].clone().to(network.theta))
        self.t = torch.tensor(0.5, dtype=torch.float64)
        nodes, shares = torch.from_numpy(_quadrature(1 if self.shape == "bezier" else self.count - 1)).unbind(-1)
        self.register_buffer("nodes", slopes(self.shape, self.count, nodes).to(network.theta), persistent=False)
        self.register_buffer("shares", shares.to(network.theta), persistent=False)

    def forward(self, inputs: Any) -> Any:
        """Apply the network at the weights of the point t."""
        return self.applied(self.point(), inputs)

    def applied(self, theta: Tensor, inputs: Any) -> Any:
        """Apply the network at a vector (D,), as a function of it.

        Its parameters make room for the call only, as in `torch.func.functional_call`, which looks for them every time.
        """
        values = self.named(theta)
        own = [(module, key, module._parameters[key]) for module, key, _ in self._places]
        try:
            for module, key, name in self._places:
                module._parameters[key] = values[name]  # pyright: ignore[reportArgumentType]
            return call(self.model, inputs)
        finally:
            for module, key, parameter in own:
                module._parameters[key] = parameter

    def point(self) -> Tensor:
        """Return the weights at the point t, (D,), as a function of the bends."""
        first, *inner, last = mixture(self.shape, self.count, self.t.item())
        found = torch.add(first * self.ends[0], self.ends[1], alpha=last)
        for weight, bend in zip(inner, self.bends.unbind(), strict=True):  # autocast would round a matrix product
            found = torch.add(found, bend, alpha=weight)
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
        here = slopes(self.shape, self.count, self.t[None]).to(self.ends, non_blocking=True)
        mixes = torch.cat([self.nodes, here])
        with torch.autocast(self.bends.device.type, enabled=False):
            points = torch.cat([self.ends[:1], self.bends, self.ends[1:]]) - self.ends[:1]
            gram = points @ points.T
            speeds = ((mixes @ gram) * mixes).sum(-1).clamp(min=torch.finfo(gram.dtype).tiny).sqrt()
            return speeds[-1] / (speeds[:-1] * self.shares).sum()

    def curve(self) -> Curve:
        """Return the curve as it is now."""
        return Curve(self.shape, torch.cat([self.ends[:1], self.bends.detach(), self.ends[1:]]).clone())


def _places(model: nn.Module, names: set[str]) -> list[tuple[nn.Module, str, str]]:
    """List where parameters stand, tied ones in several places: (module, its name for it, its name in the network)."""
    known = {id(parameter): name for name, parameter in model.named_parameters() if name in names}
    return [
        (module, key, known[id(parameter)])
        for module in model.modules()
        for key, parameter in module._parameters.items()
        if id(parameter) in known
    ]


@cache
def _quadrature(pieces: int) -> np.ndarray:
    """Return nodes and shares (n, 2) of a Gauss-Legendre rule on [0, 1], each of the pieces on its own."""
    each = NODES if pieces == 1 else 1  # on a piece of a chain the speed is constant
    nodes, shares = np.polynomial.legendre.leggauss(each)
    starts = np.arange(pieces)[:, None] / pieces
    inside = (nodes + 1) / (2 * pieces)
    return np.stack([(starts + inside).ravel(), np.tile(shares / (2 * pieces), pieces)], -1)
