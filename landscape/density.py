"""Spectral densities of symmetric operators, by random vectors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from landscape.krylov import Product, Tridiagonal, lanczos_many, quadrature
from landscape.rows import dot, norm, orthogonal, random_vectors
from landscape.traces import Estimate, average

TOGETHER = 8  # vectors of one call
OUTSIDE = 1e-3  # by which a Chebyshev moment may exceed its bound before the bounds of the spectrum are doubted


@dataclass(frozen=True)
class Quadrature:
    r"""A spectral density as points with weights, one set for each random vector.

    .. math:: \tfrac1D \operatorname{tr} f(A) \approx \tfrac1D \sum_j f(\lambda_j)
        + \tfrac1P \sum_p \sum_i w_{pi} f(t_{pi})

    Attributes
    ----------
    nodes : Tensor of shape (P, k), float64, on the CPU
        Shorter spaces repeat their last node with weight zero.
    weights : Tensor of shape (P, k), float64, on the CPU
        Not negative; the sum of a row is 1 - len(exact) / D.
    bounds : Tensor of shape (P, k), float64, on the CPU
        Residuals of the nodes as Ritz values: an eigenvalue lies within that distance of each.
    exact : Tensor of shape (r,), float64, on the CPU
        Eigenvalues that were given and taken out, each of weight 1 / D.
    dim : int
        D.
    products : int
    seed : int
    """

    nodes: Tensor
    weights: Tensor
    bounds: Tensor
    exact: Tensor
    dim: int
    products: int
    seed: int

    def trace(self, function: Callable[[Tensor], Tensor]) -> Estimate:
        """Estimate the trace of a function of the operator, the sum of f over all eigenvalues."""
        samples = self.dim * (self.weights * function(self.nodes)).sum(1) + function(self.exact).sum()
        return replace(average(samples, self.products, self.seed), products=self.products)

    def cumulative(self, grid: Tensor) -> Tensor:
        """Tell the fraction of eigenvalues that are at most each of some values: (G,) -> (P, G), one row a vector."""
        grid = grid.to(self.nodes)
        below = ((self.nodes[:, :, None] <= grid) * self.weights[:, :, None]).sum(1)
        return below + (self.exact[:, None] <= grid).sum(0) / self.dim


def stochastic_quadrature(
    product: Product,
    dim: int,
    *,
    steps: int = 80,
    probes: int = 8,
    together: int = TOGETHER,
    deflate: tuple[Tensor, Tensor] | None = None,
    distribution: str = "gaussian",
    seed: int = 0,
    skip: int = 0,
    like: Tensor | None = None,
) -> Quadrature:
    """Find the spectral density of a symmetric operator by stochastic Lanczos quadrature.

    Parameters
    ----------
    product : callable (K, D) -> (K, D)
        Multiplies every row with the operator.
    dim : int
        D.
    steps : int, default=80
        Size of each Krylov space, at most D (less the number of eigenpairs taken out).
    probes : int, default=8
        Random vectors P; their spread is the standard error.
    together : int, default=8
        Vectors that advance in lockstep, one call a step for all: time against memory.
    deflate : pair (values (r,), vectors (r, D)), optional
        Eigenpairs to take out: they become points of the density, and the rest varies less. Vectors are orthonormal.
    distribution : {"gaussian", "rademacher"}
        Of the random vectors.
    seed : int, default=0
    skip : int, default=0
        Vectors of the seed to leave out: long work can be done in parts, each of other vectors.
    like : Tensor, optional
        Whose format and device vectors take; by default float32 on the CPU.

    Returns
    -------
    Quadrature

    Raises
    ------
    ValueError
        If steps or probes are out of range, eigenpairs do not fit, or products are not finite.

    Notes
    -----
    Unbiased for polynomials of degree up to 2 steps - 1 (with Rademacher vectors and deflation up to a ratio of means).
    Cost: steps probes products; memory: together (steps + 4) D numbers.

    References
    ----------
    Bai, Fahey & Golub (1996), Some large-scale matrix computation problems, J. Comput. Appl. Math. 74; Ubaru, Chen &
    Saad (2017), Fast estimation of tr(f(A)) via stochastic Lanczos quadrature, SIAM J. Matrix Anal. Appl. 38(4);
    Ghorbani, Krishnan & Xiao (2019), An investigation into neural net optimization via Hessian eigenvalue density,
    arXiv:1901.10159; deflation: Papyan (2020), Traces of class/cross-class structure pervade deep learning spectra,
    arXiv:2008.11865.

    Examples
    --------
    >>> A = torch.linspace(0, 1, 100, dtype=torch.float64).diag()
    >>> found = stochastic_quadrature(lambda rows: rows @ A, 100, steps=10, probes=4, like=A)
    >>> found.nodes.shape
    torch.Size([4, 10])
    """
    values, vectors = _deflated(deflate, dim, like)
    rest = dim - len(values)
    if not 1 <= steps <= rest:
        raise ValueError(f"Expected 1 <= steps <= {rest}, got steps={steps}: a Krylov space is no larger than that.")
    _expect_positive(probes=probes, together=together)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(skip):
        random_vectors(1, dim, generator, distribution=distribution, like=like)
    rules = []

    def deflated(rows: Tensor) -> Tensor:
        return orthogonal(product(rows), vectors.to(rows)) if len(vectors) else product(rows)

    for first in range(0, probes, together):
        starts = random_vectors(min(together, probes - first), dim, generator, distribution=distribution, like=like)
        if len(vectors):
            starts = orthogonal(starts, vectors.to(starts))
        rules += [_rule(found, steps) for found in lanczos_many(deflated, starts, steps)]
    nodes, weights, bounds = (torch.stack(column) for column in zip(*rules, strict=True))
    return Quadrature(nodes, weights * rest / dim, bounds, values, dim, steps * probes, seed)


def _rule(found: Tridiagonal, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes, weights and residual bounds of one start vector, each (steps,)."""
    nodes, weights = quadrature(found)
    bounds = found.residual * torch.linalg.eigh(found.matrix).eigenvectors[-1].abs()
    short = steps - len(nodes)
    return (
        torch.cat([nodes, nodes[-1:].expand(short)]),
        torch.cat([weights, weights.new_zeros(short)]),
        torch.cat([bounds, bounds[-1:].expand(short)]),
    )


@dataclass(frozen=True)
class Moments:
    r"""Chebyshev moments of a spectral density, one row for each random vector.

    Attributes
    ----------
    values : Tensor of shape (P, M), float64, on the CPU
        Estimates of :math:`\operatorname{tr} T_m(\tilde A) / D`, where the bounds are mapped to -1 and 1; not damped.
    bounds : pair of float
    products : int
    seed : int
    """

    values: Tensor
    bounds: tuple[float, float]
    products: int
    seed: int

    @property
    def damped(self) -> Tensor:
        """The moments times Jackson's factors, which keep the density from oscillating and from becoming negative."""
        return self.values * jackson(self.values.shape[1])

    def density(self, grid: Tensor) -> tuple[Tensor, Tensor]:
        """Tell the density and its standard error over vectors: (G,) -> (G,), (G,); zero outside of the bounds.

        The kernel's standard deviation is about pi / M of half of the width between the bounds.
        """
        low, high = self.bounds
        x = (grid.to(self.values) - (high + low) / 2) / ((high - low) / 2)
        inside = x.abs() < 1
        angle = x.clamp(-1, 1).acos()
        orders = torch.arange(self.values.shape[1], dtype=x.dtype)
        waves = torch.cos(orders[:, None] * angle) * (2 - (orders == 0).double())[:, None]
        height = 1 / (math.pi * (1 - x[inside] ** 2).sqrt() * (high - low) / 2)
        rows = torch.zeros(len(self.values), len(x), dtype=x.dtype)
        rows[:, inside] = (self.damped @ waves)[:, inside] * height
        error = rows.std(0) / math.sqrt(len(rows)) if len(rows) > 1 else torch.full_like(x, math.nan)
        return rows.mean(0), error


def kernel_polynomial(
    product: Product,
    dim: int,
    bounds: tuple[float, float],
    *,
    moments: int = 160,
    probes: int = 8,
    together: int = TOGETHER,
    distribution: str = "gaussian",
    seed: int = 0,
    like: Tensor | None = None,
) -> Moments:
    """Find the spectral density of a symmetric operator by its Chebyshev moments: the least memory there is.

    Parameters
    ----------
    product : callable (K, D) -> (K, D)
        Multiplies every row with the operator.
    dim : int
        D.
    bounds : pair (low, high)
        An interval that contains the spectrum: eigenvalues at both ends, widened by their residuals.
    moments : int, default=160
        Number of moments M; the density is resolved to pi / M of half of the width.
    probes, together, distribution, seed, like
        As `stochastic_quadrature`.

    Returns
    -------
    Moments

    Raises
    ------
    ValueError
        If the bounds are not ordered, do not contain the spectrum, or products are not finite.

    Notes
    -----
    Each product yields two moments. Cost: (M // 2) probes products; memory: 4 together D numbers, whatever M is.

    References
    ----------
    Weisse, Wellein, Alvermann & Fehske (2006), The kernel polynomial method, arXiv:cond-mat/0504627; Lin, Saad & Yang
    (2016), Approximating spectral densities of large matrices, arXiv:1308.5467.
    """
    low, high = bounds
    if not low < high:
        raise ValueError(f"Expected bounds (low, high) with low < high, got {bounds}.")
    _expect_positive(moments=moments - 1, probes=probes, together=together)
    generator = torch.Generator().manual_seed(seed)
    center, half = (high + low) / 2, (high - low) / 2
    found = []
    for first in range(0, probes, together):
        starts = random_vectors(min(together, probes - first), dim, generator, distribution=distribution, like=like)
        length = norm(starts)
        found.append(_chebyshev(lambda rows: (product(rows) - center * rows) / half, starts, moments) / length**2)
    values = torch.cat([part.mT for part in found]).cpu().double()
    if not bool((values.abs() <= 1 + OUTSIDE).all()):  # NaN too
        raise ValueError(
            f"Expected bounds that contain the spectrum, and finite products, got bounds {bounds} and moments beyond "
            "one: find both ends with eigenpairs and widen them a little."
        )
    return Moments(values, (low, high), moments // 2 * probes, seed)


def jackson(count: int) -> Tensor:
    r"""Make Jackson's damping factors, (M,): the narrowest kernel of degree M - 1 that is never negative."""
    m, n = torch.arange(count, dtype=torch.float64), count + 1
    angle = math.pi / n
    return ((n - m) * torch.cos(m * angle) + torch.sin(m * angle) / math.tan(angle)) / n


def _chebyshev(scaled: Product, starts: Tensor, count: int) -> Tensor:
    """Moments z' T_m z of an operator within [-1, 1]: (K, D) -> (M, K), two for each product."""
    before, row = starts, scaled(starts)
    first, second = dot(starts, starts), dot(starts, row)
    found = [first, second]
    while len(found) < count:
        found.append(2 * dot(row, row) - first)
        if len(found) < count:
            before, row = row, 2 * scaled(row) - before
            found.append(2 * dot(row, before) - second)
    return torch.stack(found)


def _deflated(pairs: tuple[Tensor, Tensor] | None, dim: int, like: Tensor | None) -> tuple[Tensor, Tensor]:
    if pairs is None:
        return torch.empty(0, dtype=torch.float64), torch.empty(0, dim) if like is None else like.new_empty(0, dim)
    values, vectors = pairs
    if vectors.ndim != 2 or vectors.shape[1] != dim or len(values) != len(vectors):
        raise ValueError(
            f"Expected eigenpairs as values (r,) and vectors (r, {dim}), got shapes {tuple(values.shape)} and "
            f"{tuple(vectors.shape)}."
        )
    identity = torch.eye(len(vectors), dtype=vectors.dtype, device=vectors.device)
    if not torch.allclose(vectors @ vectors.mT, identity, atol=math.sqrt(torch.finfo(vectors.dtype).eps)):
        raise ValueError("Expected orthonormal eigenvectors, got others: give vectors as eigenpairs returns them.")
    return values.detach().cpu().double(), vectors


def _expect_positive(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"Expected at least one of {name}, got {count}.")
