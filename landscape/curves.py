"""Curves through parameter space: a few control points, and weights that mix them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
import torch
from scipy.integrate import quad
from torch import Tensor

SHAPES = ("bezier", "chain")
TOLERANCE = 1e-10  # of a length, relative


@dataclass(frozen=True, eq=False)
class Curve:
    r"""A curve with fixed ends, linear in its control points.

    .. math:: \phi(t) = \sum_j c_j(t)\, w_j, \qquad t \in [0, 1]

    For "bezier" the weights are Bernstein's, :math:`c_j = \binom{n}{j} t^j (1-t)^{n-j}`; for "chain" they are hats, so
    that the curve is a polygonal chain through its points, of which point j of n + 1 is reached at t = j / n.

    Parameters
    ----------
    shape : {"bezier", "chain"}
    points : Tensor of shape (K, D)
        Control points, the ends first and last. Of two points either shape is the segment.

    Raises
    ------
    ValueError
        If the shape is unknown, or there are fewer than two points.

    Notes
    -----
    Lengths and angles need the K x K inner products of the points alone, whatever D is.

    References
    ----------
    Garipov, Izmailov, Podoprikhin, Vetrov & Wilson (2018), Loss surfaces, mode connectivity, and fast ensembling of
    DNNs, arXiv:1802.10026.

    Examples
    --------
    >>> arch = Curve("bezier", torch.tensor([[0.0, 0.0], [1.0, 2.0], [2.0, 0.0]]))
    >>> arch(torch.tensor([0.0, 0.5, 1.0]))
    tensor([[0., 0.],
            [1., 1.],
            [2., 0.]])
    """

    shape: str
    points: Tensor

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise ValueError(f"Expected a shape among {', '.join(SHAPES)}, got {self.shape!r}: choose one of them.")
        if self.points.ndim != 2 or len(self.points) < 2:
            raise ValueError(
                f"Expected control points (K, D), at least the two ends, got shape {tuple(self.points.shape)}."
            )

    @property
    def name(self) -> str:
        """What it is called: segment, bezier or chain."""
        return "segment" if len(self.points) == 2 else self.shape

    @property
    def ends(self) -> Tensor:
        """The first and the last point, (2, D)."""
        return self.points[[0, -1]]

    def weights(self, t: Tensor) -> Tensor:
        """Return the weights of the control points: (...) -> (..., K), in the format of `t`."""
        return weights(self.shape, len(self.points), t)

    def __call__(self, t: Tensor | float) -> Tensor:
        """Return points of the curve: (...) -> (..., D).

        The same t gives the same bits, however many others come with it; ends are returned bit for bit.
        """
        return self._mixed(self.weights(_exact(t)))

    def derivative(self, t: Tensor | float) -> Tensor:
        """Return the derivative in t: (...) -> (..., D). At a corner of a chain it is that of what follows."""
        return self._mixed(slopes(self.shape, len(self.points), _exact(t)))

    def speed(self, t: Tensor | float) -> Tensor:
        """Return the length of the derivative: (...) -> (...), float64."""
        slope = slopes(self.shape, len(self.points), _exact(t))
        return ((slope @ self._gram()) * slope).sum(-1).clamp(min=0).sqrt()

    def arc(self, t: Tensor | float) -> Tensor:
        """Return how long the curve is from its beginning to t: (...) -> (...), float64.

        Exact for chains; for Bezier curves by adaptive quadrature of the speed, to a relative 1e-10.
        """
        wanted = _exact(t)
        knots = self._knots()
        both = torch.cat([torch.tensor(knots, dtype=torch.float64), wanted.flatten()])
        ends, where = both.unique(return_inverse=True)
        steps = [self._between(a, b) for a, b in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]
        total = torch.tensor([0.0, *np.cumsum(steps)], dtype=torch.float64)
        return total[where[len(knots) :]].reshape(wanted.shape)

    @property
    def length(self) -> float:
        """Length of the whole curve."""
        return float(self.arc(1.0))

    @property
    def distance(self) -> float:
        """Distance between the ends."""
        return float((self.points[-1].double() - self.points[0].double()).norm())

    def record(self) -> dict[str, Any]:
        """Say what it is, in plain JSON."""
        digest = hashlib.sha256(self.points.to("cpu", torch.float64).numpy().tobytes()).hexdigest()
        return {"shape": self.shape, "points": len(self.points), "sha256": digest}

    def reversed(self) -> Curve:
        """Return the same curve, from its other end."""
        return Curve(self.shape, self.points.flip(0))

    def _mixed(self, mix: Tensor) -> Tensor:
        mix = mix.to(self.points)
        found = torch.zeros(*mix.shape[:-1], self.points.shape[1]).to(self.points)
        for weight, point in zip(mix.unbind(-1), self.points, strict=True):  # a matrix product would round by its size
            found += weight[..., None] * point
        return found

    def _gram(self) -> Tensor:
        away = self.points.to("cpu", torch.float64) - self.points[0].to("cpu", torch.float64)
        return away @ away.T  # slopes add up to zero, so that any origin serves; a near one rounds least

    def _knots(self) -> list[float]:
        return [0.0, 1.0] if self.shape == "bezier" else np.linspace(0, 1, len(self.points)).tolist()

    def _between(self, a: float, b: float) -> float:
        if self.shape == "chain" or len(self.points) == 2:
            return float(self.speed((a + b) / 2)) * (b - a)
        gram = self._gram().numpy()

        def speed(t: float) -> float:
            slope = slopes(self.shape, len(self.points), torch.tensor(t, dtype=torch.float64)).numpy()
            return float(np.sqrt(max(slope @ gram @ slope, 0.0)))

        return float(quad(speed, a, b, epsrel=TOLERANCE, epsabs=0.0, limit=200)[0])


def segment(first: Tensor, last: Tensor) -> Curve:
    """Return the straight line between two points (D,)."""
    return Curve("bezier", torch.stack([first, last]))


def straight(shape: str, first: Tensor, last: Tensor, bends: int) -> Curve:
    """Return a curve of `bends` inner control points, evenly spaced on the segment between two points (D,).

    It is the segment, at constant speed.

    Raises
    ------
    ValueError
        If there are fewer than 0 bends.
    """
    if bends < 0:
        raise ValueError(f"Expected at least 0 bends, got {bends}: give the number of inner control points.")
    points = [torch.lerp(first, last, j / (bends + 1)) for j in range(1, bends + 1)]
    return Curve(shape, torch.stack([first, *points, last]))


def weights(shape: str, count: int, t: Tensor) -> Tensor:
    """Return the weights of `count` control points: (...) -> (..., count), in the format of `t`."""
    if shape == "bezier":
        n = count - 1
        return torch.stack([comb(n, j) * t**j * (1 - t) ** (n - j) for j in range(count)], -1)
    return (1 - (t[..., None] * (count - 1) - torch.arange(count).to(t)).abs()).clamp(min=0)


def slopes(shape: str, count: int, t: Tensor) -> Tensor:
    """Return the derivatives of the weights in t: (...) -> (..., count), in the format of `t`."""
    n = count - 1
    if shape == "bezier":
        lower = weights("bezier", n, t) * n  # those of the curve of one degree less
        nothing = torch.zeros_like(lower[..., :1])
        return torch.cat([nothing, lower], -1) - torch.cat([lower, nothing], -1)
    stretch = (t * n).floor().clamp(0, n - 1).long()
    found = torch.zeros(*t.shape, count).to(t)
    found.scatter_(-1, stretch[..., None], -float(n))
    return found.scatter_(-1, stretch[..., None] + 1, float(n))


def _exact(t: Tensor | float) -> Tensor:
    return torch.as_tensor(t).detach().to("cpu", torch.float64)
