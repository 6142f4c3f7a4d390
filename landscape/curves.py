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
    Lengths need the distances of neighbours alone, or for Bezier curves the K x K inner products of the points.

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
                f"Expected control points (K, D), at least the two ends, got shape {tuple(self.points.shape)}: "
                "stack vectors of one length."
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
        if self._straight:
            return ((slope > 0) * slope)[..., 1:] @ self._pieces()
        return ((slope @ self._gram()) * slope).sum(-1).clamp(min=0).sqrt()

    def arc(self, t: Tensor | float) -> Tensor:
        """Return how long the curve is from its beginning to t: (...) -> (...), float64; negative before it.

        Exact for chains; for Bezier curves by adaptive quadrature of the speed, to a relative 1e-10 (1e-7 near cusps).
        """
        wanted = _exact(t)
        if self._straight:
            pieces, passed = self._pieces(), wanted * (len(self.points) - 1)
            stretch = passed.floor().clamp(0, len(pieces) - 1)
            before = torch.cat([torch.zeros(1, dtype=torch.float64), pieces.cumsum(0)])
            return before[stretch.long()] + (passed - stretch) * pieces[stretch.long()]
        both = torch.cat([torch.zeros(1, dtype=torch.float64), wanted.flatten()])
        ends, where = both.unique(return_inverse=True)
        total = torch.tensor([0.0, *np.cumsum(self._steps(ends.tolist()))], dtype=torch.float64)
        return (total[where[1:]] - total[where[0]]).reshape(wanted.shape)

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
        rows = mix.to(self.points.dtype).reshape(-1, len(self.points))
        return torch.stack([self._point(row) for row in rows.tolist()]).reshape(*mix.shape[:-1], -1)

    def _point(self, mix: list[float]) -> Tensor:
        """Mix the points; what has no weight is left out, so that ends keep their bits whatever lies between them."""
        terms = [weight * point for weight, point in zip(mix, self.points, strict=True) if weight]
        found = terms[0]
        for term in terms[1:]:  # one after another: a matrix product would round by its size
            found = found + term
        return found

    @property
    def _straight(self) -> bool:
        return self.shape == "chain" or len(self.points) == 2

    def _pieces(self) -> Tensor:
        """Lengths of the pieces of a chain, (K - 1,)."""
        pairs = zip(self.points[:-1], self.points[1:], strict=True)
        return torch.stack([(b.double() - a.double()).norm().cpu() for a, b in pairs])

    def _gram(self) -> Tensor:
        away = self.points.to("cpu", torch.float64) - self.points[0].to("cpu", torch.float64)
        return away @ away.T  # slopes add up to zero, so that any origin serves; a near one rounds least

    def _steps(self, ends: list[float]) -> list[float]:
        """Lengths of a Bezier curve from each of several positions to the next."""
        gram, count = self._gram().numpy(), len(self.points)
        if not np.isfinite(gram).all():
            return [float("nan")] * (len(ends) - 1)

        def speed(t: float) -> float:
            slope = slopes("bezier", count, torch.tensor(t, dtype=torch.float64)).numpy()
            return float(np.sqrt(max(slope @ gram @ slope, 0.0)))

        pairs = zip(ends[:-1], ends[1:], strict=True)
        # the full output is silent about cusps, where rounding is the limit
        return [float(quad(speed, a, b, epsrel=TOLERANCE, epsabs=0.0, limit=200, full_output=1)[0]) for a, b in pairs]


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
    return torch.stack(mixture(shape, count, t), -1)


def mixture(shape: str, count: int, t: Any) -> list[Any]:
    """Return the weight of each of `count` control points: of one t as a number in numbers, else in tensors."""
    n = count - 1
    if shape == "bezier":
        return [comb(n, j) * t**j * (1 - t) ** (n - j) for j in range(count)]
    hats = (1 - abs(t * n - j) for j in range(count))
    return [(hat + abs(hat)) / 2 for hat in hats]  # its positive part


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
    return torch.as_tensor(t, dtype=torch.float64, device="cpu").detach()  # a number is not to be rounded on the way
