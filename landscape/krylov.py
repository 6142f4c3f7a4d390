"""Krylov spaces of symmetric operators that are known by their products alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.rows import BREAKDOWN, dot, norm, orthogonal, orthonormal, unit, wide, widened

Product = Callable[[Tensor], Tensor]  # rows (K, D) -> their products (K, D)

CHECK = 8  # steps between two questions to the device whether anything is left to do
COLUMNS = 1 << 20  # of a basis, rotated at a time


@dataclass(frozen=True)
class Tridiagonal:
    r"""An operator seen from the Krylov space of one vector: :math:`A Q^\top = Q^\top T + \beta q e_k^\top`.

    Attributes
    ----------
    diagonal : Tensor of shape (k,), float64, on the CPU
    offdiagonal : Tensor of shape (k - 1,), float64, on the CPU
    basis : Tensor of shape (k, D)
        Orthonormal rows Q, the first being the start vector, in the products' format.
    residual : float
        The norm of the next vector, beta; at rounding level if the space is invariant.
    """

    diagonal: Tensor
    offdiagonal: Tensor
    basis: Tensor
    residual: float

    @property
    def matrix(self) -> Tensor:
        """The tridiagonal matrix T = Q A Q', (k, k), float64."""
        return self.diagonal.diag() + self.offdiagonal.diag(1) + self.offdiagonal.diag(-1)

    @property
    def link(self) -> Tensor:
        """What the operator sends out of the space from each row of the basis, (k, 1)."""
        return torch.cat([self.diagonal.new_zeros(len(self.diagonal) - 1), self.diagonal.new_tensor([self.residual])])[
            :, None
        ]


@dataclass(frozen=True)
class Projection:
    r"""An operator seen from the Krylov space of a block: :math:`A Q^\top = Q^\top T + R^\top L^\top`.

    Attributes
    ----------
    matrix : Tensor of shape (m, m), float64, on the CPU
        Block tridiagonal, T = Q A Q'.
    basis : Tensor of shape (m, D)
        Orthonormal rows Q, in the products' format.
    link : Tensor of shape (m, r), float64, on the CPU
        L: how the basis is coupled to the r orthonormal rows R that would come next; (m, 0) if the space is invariant.
    """

    matrix: Tensor
    basis: Tensor
    link: Tensor


def lanczos(product: Product, start: Tensor, steps: int) -> Tridiagonal:
    r"""Tridiagonalize a symmetric operator: :math:`Q A Q^\top = T`, rows of Q orthonormal.

    Parameters
    ----------
    product : callable (K, D) -> (K, D)
        Multiplies every row with the operator; it is called with one row.
    start : Tensor of shape (D,)
        Starting vector, not zero; its length is ignored.
    steps : int
        Size of the Krylov space, 1 <= steps <= D.

    Returns
    -------
    Tridiagonal
        Of k <= steps rows; fewer if an invariant space is found early.

    Raises
    ------
    ValueError
        If `steps` is out of range, the start is zero, or products are not finite.

    Notes
    -----
    Full reorthogonalization, twice. An invariant space is one whose next vector is at rounding level compared with the
    largest product so far, so that small operators are treated like large ones. Cost: k products (up to 7 more where
    the space ends early: the device is not asked at every step), O(k² D) work, O(steps D) memory.

    References
    ----------
    Lanczos (1950), An iteration method for the solution of the eigenvalue problem, J. Res. Natl. Bur. Stand. 45(4);
    Giraud, Langou, Rozloznik & van den Eshof (2005), Rounding error analysis of the classical Gram-Schmidt
    orthogonalization process, Numer. Math. 101.

    Examples
    --------
    >>> A = torch.diag(torch.tensor([1.0, 2.0, 4.0]).double())
    >>> found = lanczos(lambda rows: rows @ A, torch.ones(3).double(), steps=3)
    >>> torch.linalg.eigvalsh(found.matrix).round(decimals=6)
    tensor([1., 2., 4.], dtype=torch.float64)
    """
    if start.ndim != 1:
        raise ValueError(f"Expected one start vector (D,), got {tuple(start.shape)}: lanczos_many takes several.")
    return lanczos_many(product, start[None], steps)[0]


def lanczos_many(product: Product, starts: Tensor, steps: int) -> list[Tridiagonal]:
    """Tridiagonalize from several start vectors at once, each with a Krylov space of its own.

    Parameters
    ----------
    product : callable (K, D) -> (K, D)
        Called once a step for all. It may apply another operator to each row: the rows never mix.
    starts : Tensor of shape (K, D)
        Starting vectors, none zero.
    steps : int
        Size of the Krylov spaces, 1 <= steps <= D.

    Returns
    -------
    list of Tridiagonal
        One for each start vector. A row whose space is complete goes on as zeros until all are.

    Raises
    ------
    ValueError
        As `lanczos`.

    Notes
    -----
    Cost: `steps` calls, K steps products, O(K steps² D) work, K (steps + 4) D numbers of memory. No value is brought
    back from the device within a step.
    """
    count, dim = _expect_rows(starts)
    if not 1 <= steps <= dim:
        raise ValueError(f"Expected 1 <= steps <= D={dim}, got steps={steps}: a Krylov space is no larger than that.")
    row = unit(starts)
    scale = torch.zeros(count, device=starts.device, dtype=wide(starts))
    alive = torch.ones(count, device=starts.device, dtype=torch.bool)
    diagonal, residual, lives, basis = [], [], [], starts.new_empty(0)
    for step in range(steps):
        image = product(row)
        if not step:
            basis = image.new_zeros(count, steps, dim)
        basis[:, step] = row
        scale = torch.maximum(scale, norm(image))
        diagonal.append(dot(basis[:, step], image))
        rest = orthogonal(image[:, None], basis[:, : step + 1])[:, 0]
        residual.append(norm(rest))
        alive = alive & (residual[-1] > BREAKDOWN * torch.finfo(image.dtype).eps * scale)
        lives.append(alive)
        row = torch.where(alive[:, None], rest / residual[-1][:, None], 0).to(image.dtype)
        if step % CHECK == CHECK - 1 and not alive.any():
            break
    alphas, betas = _finite(diagonal), _finite(residual)
    sizes = 1 + torch.stack(lives)[: steps - 1].sum(0).cpu()
    return [
        Tridiagonal(alphas[:k, i], betas[: k - 1, i], basis[i, :k], float(betas[k - 1, i]))
        for i, k in enumerate(sizes.clamp(max=steps).tolist())
    ]


def block_lanczos(product: Product, start: Tensor, steps: int) -> Projection:
    """Project a symmetric operator on the Krylov space of a block of vectors: clustered eigenvalues, one by one.

    A space grown from one vector sees an eigenvalue once, however often it occurs; a block of b rows sees it b times,
    and separates b close ones as fast as one vector separates distant ones.

    Parameters
    ----------
    product : callable (K, D) -> (K, D)
    start : Tensor of shape (b, D)
        Independent or not: what depends on other rows is dropped.
    steps : int
        Number of block products, at most D / b, rounded up.

    Returns
    -------
    Projection
        Of m <= b steps rows. A direction that an invariant part of the space has used up is dropped, the others go on.

    Raises
    ------
    ValueError
        If `steps` is out of range, a start vector is zero, or products are not finite.

    Notes
    -----
    Full reorthogonalization, twice. Cost: `steps` calls of b products, O(m² D) work, (m + 3 b) D numbers of memory.

    References
    ----------
    Golub & Underwood (1977), The block Lanczos method for computing eigenvalues, Mathematical Software III;
    Musco & Musco (2015), Randomized block Krylov methods for stronger and faster approximate singular value
    decomposition, arXiv:1504.05477.
    """
    width, dim = _expect_rows(start)
    if not 1 <= steps <= -(-dim // width):
        raise ValueError(
            f"Expected 1 <= steps <= {-(-dim // width)} for {width} start vectors in D={dim} dimensions, "
            f"got steps={steps}: a Krylov space is no larger than D."
        )
    space = Space(start, min(dim, width * steps))
    for _ in range(steps):
        space.grow(product)
        if not len(space.next):
            break
    return Projection(space.matrix, space.rows, space.link)


class Space:
    r"""A space that grows by products and can be compressed: :math:`A Q^\top = Q^\top T + R^\top L^\top`.

    Parameters
    ----------
    start : Tensor of shape (b, D)
        Rows to begin with.
    capacity : int
        Largest number of rows of the basis.

    Attributes
    ----------
    rows : Tensor of shape (m, D)
        The basis Q.
    next : Tensor of shape (r, D)
        Orthonormal rows R, orthogonal to the basis, by which it grows.
    matrix, link : Tensor of shape (m, m) and (m, r), float64, on the CPU
        T and L.
    """

    def __init__(self, start: Tensor, capacity: int) -> None:
        self.capacity = capacity
        self._basis = start.new_empty(0, start.shape[-1])
        self.size = 0
        self.next, _ = orthonormal(unit(start), self._basis, 1.0)
        self.matrix = torch.zeros(0, 0, dtype=torch.float64)
        self.link = torch.zeros(0, len(self.next), dtype=torch.float64)
        self.scale = 0.0

    @property
    def rows(self) -> Tensor:
        """The basis, (m, D)."""
        return self._basis[: self.size]

    def grow(self, product: Product) -> None:
        """Take the next rows into the basis, by one product of each, and find the ones after."""
        new = self.next[: self.capacity - self.size]
        image = product(new)
        if not self.size:
            self._basis = image.new_empty(self.capacity, image.shape[-1])
        old, self.size = self.size, self.size + len(new)
        self._basis[old : self.size] = new
        inner = widened(self._basis[old : self.size]) @ widened(image).mT
        largest = float(norm(image).max())
        if not math.isfinite(largest):
            raise ValueError(NOT_FINITE)
        self.scale = max(self.scale, largest)
        link = self.link[:, : len(new)]
        corner = (inner + inner.mT).cpu().double() / 2
        self.matrix = torch.cat([torch.cat([self.matrix, link], 1), torch.cat([link.mT, corner], 1)])
        self.next, coupling = orthonormal(image, self.rows, self.scale)
        self.link = torch.cat([coupling.new_zeros(old, coupling.shape[1]), coupling])

    def refill(self, fresh: Tensor) -> None:
        """Let the space go on from other vectors (b, D) as well, uncoupled to the basis, where next rows ran out."""
        known = torch.cat([self.rows, self.next])
        rows, _ = orthonormal(unit(fresh), known, 1.0)
        self.next = torch.cat([self.next, rows])
        self.link = torch.cat([self.link, self.link.new_zeros(self.size, len(rows))], 1)

    def compress(self, values: Tensor, vectors: Tensor) -> None:
        """Keep only the span of some Ritz vectors: values (p,), coefficients (m, p)."""
        turn, kept = vectors.mT.to(self._basis), len(values)
        for columns in range(0, self._basis.shape[1], COLUMNS):
            part = slice(columns, columns + COLUMNS)
            self._basis[:kept, part] = turn @ self.rows[:, part]
        self.size, self.matrix, self.link = kept, values.diag(), vectors.mT @ self.link


def ritz(space: Tridiagonal | Projection) -> tuple[Tensor, Tensor, Tensor]:
    r"""Approximate eigenpairs from a Krylov space: of all vectors in it, the stationary ones of :math:`v^\top A v`.

    Parameters
    ----------
    space : Tridiagonal or Projection

    Returns
    -------
    values : Tensor of shape (k,), float64, on the CPU
        Ascending.
    vectors : Tensor of shape (k, D)
        Orthonormal rows.
    bounds : Tensor of shape (k,), float64, on the CPU
        The norms \|A v - value v\|: an eigenvalue lies within that distance of each value.

    Notes
    -----
    No product; O(k² D) work and k D numbers of memory.
    """
    values, vectors = torch.linalg.eigh(space.matrix)
    bounds = torch.linalg.vector_norm(vectors.mT @ space.link, dim=1)
    return values, vectors.mT.to(space.basis) @ space.basis, bounds


def quadrature(tridiagonal: Tridiagonal) -> tuple[Tensor, Tensor]:
    r"""Find the Gauss quadrature of the spectral measure of a start vector.

    .. math:: q^\top f(A)\, q \approx \sum_i w_i f(t_i),

    exact for polynomials of degree up to 2 k - 1.

    Parameters
    ----------
    tridiagonal : Tridiagonal

    Returns
    -------
    nodes : Tensor of shape (k,), float64, on the CPU
        Ascending: the Ritz values.
    weights : Tensor of shape (k,), float64, on the CPU
        Not negative, of sum 1.

    References
    ----------
    Golub & Welsch (1969), Calculation of Gauss quadrature rules, Math. Comp. 23; Golub & Meurant (2010),
    Matrices, moments and quadrature.
    """
    nodes, vectors = torch.linalg.eigh(tridiagonal.matrix)
    return nodes, vectors[0] ** 2


def certificate(dim: int, steps: int, *, tau: float, smallest: float, largest: float) -> float:
    r"""Bound the probability that an eigenvalue below -tau was missed by Lanczos from a random start.

    .. math:: \delta = 1.648 \sqrt{D}\, e^{-(2k - 1)\sqrt\varepsilon},
        \qquad \varepsilon = \frac{\theta_{\min} + \tau}{\lambda_{\max} + \tau}

    Parameters
    ----------
    dim : int
        D.
    steps : int
        Size k of the Krylov space of one Gaussian start vector, without restart.
    tau : float
        How negative an eigenvalue must be to matter, tau >= 0.
    smallest : float
        Smallest Ritz value found.
    largest : float
        Upper bound of the largest eigenvalue: the largest Ritz value plus its residual norm.

    Returns
    -------
    float
        At most this share of all start vectors would show so large a smallest Ritz value if an eigenvalue lay below
        -tau: a p-value. 1.0 where the bound says nothing.

    Raises
    ------
    ValueError
        If tau is negative, or the values are not ordered.

    Notes
    -----
    Exact arithmetic is assumed: tau should be well above the rounding error of products.

    References
    ----------
    Kuczynski & Wozniakowski (1992), Estimating the largest eigenvalue by the power and Lanczos algorithms with a random
    start, SIAM J. Matrix Anal. Appl. 13(4); Royer, O'Neill & Wright (2020), A Newton-CG algorithm with
    complexity guarantees for smooth unconstrained optimization, arXiv:1803.02924.

    Examples
    --------
    >>> f"{certificate(10**6, 100, tau=0.02, smallest=-0.001, largest=1.0):.1e}"
    '2.6e-09'
    """
    if not tau >= 0:
        raise ValueError(f"Expected tau >= 0, got {tau}: it is how far below zero an eigenvalue may lie.")
    if not smallest <= largest:
        raise ValueError(f"Expected smallest <= largest, got {smallest} and {largest}: exchange them.")
    if dim < 1 or steps < 1:
        raise ValueError(f"Expected dim >= 1 and steps >= 1, got dim={dim} and steps={steps}.")
    if smallest <= -tau:
        return 1.0
    if steps >= dim:
        return 0.0
    error = (smallest + tau) / (largest + tau) if largest + tau > 0 else 1.0
    return min(1.0, 1.648 * math.sqrt(dim) * math.exp(-(2 * steps - 1) * math.sqrt(min(1.0, error))))


NOT_FINITE = "Expected finite products, got NaN or infinity: look at the operator, or use a wider format."


def _finite(steps: list[Tensor]) -> Tensor:
    """Bring the coefficients of all steps to the CPU at once: -> (steps, K), float64."""
    found = torch.stack(steps).cpu().double()
    if not torch.isfinite(found).all():
        raise ValueError(NOT_FINITE)
    return found


def _expect_rows(rows: Tensor) -> tuple[int, int]:
    if rows.ndim != 2 or not len(rows):
        raise ValueError(f"Expected start vectors as rows (K, D), got shape {tuple(rows.shape)}.")
    return rows.shape[0], rows.shape[1]
