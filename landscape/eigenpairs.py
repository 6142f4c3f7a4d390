"""Eigenpairs at both ends of the spectrum of a symmetric operator, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.krylov import Product, Space
from landscape.rows import dot, norm, random_vectors, unit

SMALL = 1e-4  # of the largest modulus: eigenvalues below are resolved relative to it, not to themselves
NOISE = 64  # in eps of the largest modulus: residuals that products do not resolve
FRESH = 0.1  # share of a random vector in a given start, which may lack what is sought
PATIENCE = 2  # growths of the space between two looks at it


@dataclass(frozen=True)
class Eigenpairs:
    r"""Eigenvalues with their vectors, and how good they are.

    Attributes
    ----------
    values : Tensor of shape (k,), float64, on the CPU
        Descending: the largest ones, then the smallest ones, the last being the smallest of all.
    vectors : Tensor of shape (k, D)
        Orthonormal rows.
    residuals : Tensor of shape (k,), float64, on the CPU
        \|A v - value v\|, from a product of each vector: an eigenvalue lies within that distance of the value.
    converged : Tensor of shape (k,), bool
        Whether the residual meets the tolerance.
    products : int
        Products used, those for the residuals included.
    seed : int
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor
    converged: Tensor
    products: int
    seed: int


def eigenpairs(
    product: Product,
    dim: int,
    *,
    count: int | tuple[int, int] = (1, 1),
    tolerance: float = 1e-4,
    block: int = 1,
    space: int | None = None,
    limit: int = 1000,
    start: Tensor | None = None,
    seed: int = 0,
    like: Tensor | None = None,
) -> Eigenpairs:
    r"""Find the largest and the smallest eigenvalues of a symmetric operator, with vectors and residuals.

    Parameters
    ----------
    product : callable (K, D) -> (K, D)
        Multiplies every row with the operator.
    dim : int
        D.
    count : pair (largest, smallest) or int, default=(1, 1)
        How many at each end; one number stands for that many largest.
    tolerance : float, default=1e-4
        Largest residual \|A v - value v\|, relative to the eigenvalue's modulus (or to 1e-4 of the largest modulus,
        if it is smaller than that). The error of a separated eigenvalue is about the square of it.
    block : int, default=1
        Vectors of a block: as many copies of a repeated eigenvalue can be found, and close ones are told apart sooner.
    space : int, optional
        Largest dimension of the space, by default 2 k + max(20, 8 block) for k eigenpairs; at most D.
    limit : int, default=1000
        Largest number of products; what has not converged by then is marked.
    start : Tensor of shape (D,) or (r, D), optional
        Approximate eigenvectors to begin with, from a neighbouring problem for example. A tenth of random vector is
        added, because a space grown from exact eigenvectors would never see another one.
    seed : int, default=0
    like : Tensor, optional
        Whose format and device vectors take; by default those of `start`, or float32 on the CPU.

    Returns
    -------
    Eigenpairs

    Raises
    ------
    ValueError
        If the counts, the tolerance, the block or the space are out of range, or products are not finite.

    Notes
    -----
    Thick-restart Lanczos with full reorthogonalization: when the space is full, it is compressed to the best vectors of
    both ends and grows on. It stops on residuals. Where D is no larger than the space, the dense matrix is made from D
    products and decomposed. Memory: (space + 2 block) D numbers and the k vectors; cost: the products, and
    O(space D) work for each of them.

    Like every Krylov method it can miss copies of a repeated eigenvalue beyond `block`.

    References
    ----------
    Wu & Simon (2000), Thick-restart Lanczos method for large symmetric eigenvalue problems, SIAM J. Matrix Anal. Appl.
    22(2).

    Examples
    --------
    >>> A = torch.linspace(-1, 5, 100, dtype=torch.float64).diag()
    >>> found = eigenpairs(lambda rows: rows @ A, 100, count=(2, 1), like=A)
    >>> found.values.round(decimals=4)
    tensor([ 5.0000,  4.9394, -1.0000], dtype=torch.float64)
    """
    wanted = _counts(count, dim)
    total = sum(wanted)
    space = min(dim, 2 * total + max(20, 8 * block) if space is None else space)
    if not tolerance > 0:
        raise ValueError(f"Expected tolerance > 0, got {tolerance}: it is a relative residual.")
    if block < 1 or (space < total + 2 * block and space < dim):
        raise ValueError(
            f"Expected block >= 1 and space >= {total} + 2 block for {total} eigenpairs, "
            f"got block={block} and space={space}: leave room to grow."
        )
    generator = torch.Generator().manual_seed(seed)
    if like is None:
        like = start
    if dim <= space:
        return _dense(product, dim, wanted, tolerance, block, seed, like)
    krylov = Space(_start(start, dim, block, generator, like), space)
    values, vectors, used = _iterate(krylov, product, wanted, tolerance, limit, generator, like)
    rows = vectors.mT.to(krylov.rows) @ krylov.rows
    images = product(rows)
    return _checked(rows, images, float(values.abs().max()), tolerance, used + len(rows), seed)


def _iterate(
    krylov: Space,
    product: Product,
    wanted: tuple[int, int],
    tolerance: float,
    limit: int,
    generator: torch.Generator,
    like: Tensor | None,
) -> tuple[Tensor, Tensor, int]:
    """Grow and compress until residuals are small: wanted Ritz values (k,), coefficients (m, k), products used."""
    used, grown, width, room, broken = 0, 0, len(krylov.next), krylov.capacity, False
    total = sum(wanted)
    while True:
        before = krylov.size
        krylov.grow(product)
        used, grown = used + krylov.size - before, grown + 1
        if len(krylov.next) < width and krylov.size < room:
            # An invariant part: its eigenvalues are exact, but copies of them, and others, lie outside of it.
            broken = True
            missing = width - len(krylov.next)
            krylov.refill(random_vectors(missing, krylov.rows.shape[1], generator, like=like))
        full = krylov.size + width > room
        last = used + width + total > limit
        if krylov.size < total or not (full or last or (grown % PATIENCE == 0 and not broken)):
            continue
        values, vectors = torch.linalg.eigh(krylov.matrix)
        ends = _ends(len(values), wanted)
        bounds = torch.linalg.vector_norm(vectors[:, ends].mT @ krylov.link, dim=1)
        scale = float(values.abs().max())
        if last or bool((bounds <= _allowed(values[ends], scale, tolerance, krylov.rows.dtype)).all()):
            return values[ends], vectors[:, ends], used
        if full:
            kept = _ends(len(values), _widened(wanted, room - width))
            krylov.compress(values[kept], vectors[:, kept])
            broken = False


def _counts(count: int | tuple[int, int], dim: int) -> tuple[int, int]:
    largest, smallest = (count, 0) if isinstance(count, int) else count
    if min(largest, smallest) < 0 or largest + smallest < 1:
        raise ValueError(f"Expected count=(largest, smallest), not negative and at least one, got {count}.")
    if largest + smallest > dim:
        raise ValueError(f"Expected at most D={dim} eigenpairs, got count={count}: ask for fewer.")
    return largest, smallest


def _ends(size: int, wanted: tuple[int, int]) -> list[int]:
    """Indices of the largest, descending, then of the smallest, among ascending values."""
    largest, smallest = wanted
    return [*range(size - 1, size - 1 - largest, -1), *range(smallest - 1, -1, -1)]


def _widened(wanted: tuple[int, int], room: int) -> tuple[int, int]:
    """Keep more than what is wanted: half of the room that is left, from both ends.

    An end that nobody asks for is kept too, because its eigenvalues would soon come back and take room again.
    """
    more = (room - sum(wanted)) // 2
    return wanted[0] + more // 2, wanted[1] + more - more // 2


def _allowed(values: Tensor, scale: float, tolerance: float, dtype: torch.dtype) -> Tensor:
    """Residuals that count as converged, (k,)."""
    relative = tolerance * values.abs().clamp(min=SMALL * scale)
    return relative.clamp(min=NOISE * torch.finfo(dtype).eps * scale)


def _start(
    start: Tensor | None, dim: int, block: int, generator: torch.Generator, like: Tensor | None
) -> Tensor:
    fresh = unit(random_vectors(block, dim, generator, like=like))
    if start is None:
        return fresh
    given = start[None] if start.ndim == 1 else start
    if given.ndim != 2 or given.shape[1] != dim:
        raise ValueError(f"Expected start vectors (r, {dim}), got shape {tuple(start.shape)}.")
    rows = FRESH * fresh
    for i, row in enumerate(unit(given.to(fresh))):
        rows[i % block] += row
    return rows


def _dense(
    product: Product, dim: int, wanted: tuple[int, int], tolerance: float, block: int, seed: int, like: Tensor | None
) -> Eigenpairs:
    identity = torch.eye(dim) if like is None else torch.eye(dim, dtype=like.dtype, device=like.device)
    matrix = torch.cat([product(rows) for rows in identity.split(max(block, 8))])
    if not torch.isfinite(matrix).all():
        raise ValueError("Expected finite products, got NaN or infinity: look at the operator.")
    full = matrix.cpu().double()
    values, vectors = torch.linalg.eigh((full + full.mT) / 2)
    rows = vectors[:, _ends(dim, wanted)].mT.to(matrix)
    return _checked(rows, rows @ matrix, float(values.abs().max()), tolerance, dim, seed)


def _checked(rows: Tensor, images: Tensor, scale: float, tolerance: float, products: int, seed: int) -> Eigenpairs:
    """Take values and residuals from the products themselves."""
    values = dot(rows, images) / dot(rows, rows)
    residuals = norm(images - values[:, None].to(images) * rows).cpu().double()
    values = values.cpu().double()
    order = values.argsort(descending=True, stable=True)
    converged = residuals <= _allowed(values, scale, tolerance, images.dtype)
    return Eigenpairs(values[order], rows[order.to(rows.device)], residuals[order], converged[order], products, seed)
