"""Traces and diagonals of symmetric operators, estimated with their standard errors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from scipy.special import stdtrit
from torch import Tensor

from landscape.krylov import Product
from landscape.rows import dot, norm, random_vectors

TOGETHER = 8  # vectors of one call
FEWEST = 8  # samples before a standard error is believed
INDEPENDENT = 1e-6  # by which a probe must stand out of the span of the others to count as a direction of its own


@dataclass(frozen=True)
class Estimate:
    """A number that was estimated, and how well.

    Attributes
    ----------
    value : float, or Tensor of shape (D,)
    standard_error : float, or Tensor of shape (D,)
        NaN for a single sample.
    probes : int
        Independent samples behind the standard error.
    products : int
        Products used.
    seed : int
    converged : bool
        Whether the standard error meets the tolerance, where one was asked for.
    square : Estimate, optional
        Of the trace of the squared operator, where it comes for nothing.
    parts : Estimate, optional
        Of the traces of diagonal blocks, (L,), where they were asked for.
    samples : Tensor of shape (P,) or (P, L), float64, on the CPU, optional
        What the value is the mean of.
    """

    value: float | Tensor
    standard_error: float | Tensor
    probes: int
    products: int
    seed: int
    converged: bool = True
    square: Estimate | None = None
    parts: Estimate | None = None
    samples: Tensor | None = None

    def interval(self, level: float = 0.95) -> tuple[float | Tensor, float | Tensor]:
        """Tell Student's confidence interval.

        Examples
        --------
        >>> low, high = Estimate(value=2.0, standard_error=0.5, probes=10, products=10, seed=0).interval()
        >>> round(low, 3), round(high, 3)
        (0.869, 3.131)
        """
        width = float(stdtrit(self.probes - 1, (1 + level) / 2)) * self.standard_error
        return self.value - width, self.value + width


def average(samples: Tensor, products: int, seed: int, **more) -> Estimate:
    """Estimate a mean from independent samples (P,), or several from rows of them (P, L)."""
    samples = samples.cpu().double()
    count, mean = len(samples), samples.mean(0)
    error = samples.std(0) / math.sqrt(count) if count > 1 else torch.full_like(mean, math.nan)
    value, error = (float(mean), float(error)) if samples.ndim == 1 else (mean, error)
    return Estimate(value, error, count, products, seed, samples=samples, **more)


def hutchinson(
    product: Product,
    dim: int,
    *,
    probes: int = 100,
    tolerance: float | None = None,
    fewest: int = FEWEST,
    together: int = TOGETHER,
    distribution: str = "rademacher",
    slices: Sequence[slice] = (),
    seed: int = 0,
    like: Tensor | None = None,
) -> Estimate:
    r"""Estimate the trace of a symmetric operator, that of its square, and those of diagonal blocks.

    .. math:: \operatorname{tr} A = E\, v^\top A v, \qquad \operatorname{tr} A^2 = E\, \|A v\|^2,
        \qquad \operatorname{tr} A_{ll} = E\, v_l^\top (A v)_l

    Parameters
    ----------
    product : callable (K, D) -> (K, D)
        Multiplies every row with the operator.
    dim : int
        D.
    probes : int, default=100
        Random vectors, at most.
    tolerance : float, optional
        Stop as soon as the standard error is at most this fraction of the modulus of the mean. Never on the change
        from one vector to the next, which says little about the error.
    fewest : int, default=8
        Vectors before stopping is considered, at least 2.
    together : int, default=8
        Vectors of one call, after which stopping is considered.
    distribution : {"rademacher", "gaussian"}
        Rademacher vectors are exact for diagonal operators.
    slices : sequence of slice, default=()
        Stretches of the coordinates, L of them, whose diagonal blocks are traced as well, from the same products.
    seed : int, default=0
        The same vectors come whatever `together` is.
    like : Tensor, optional
        Whose format and device vectors take; by default float32 on the CPU.

    Returns
    -------
    Estimate
        With ``square``, the trace of the squared operator, which is its squared Frobenius norm, and with ``parts``, the
        traces of the blocks, where slices were given.

    Raises
    ------
    ValueError
        If the numbers are out of range, or products are not finite.

    Notes
    -----
    Cost: one product a vector; memory: 3 together D numbers. The variance is twice the sum of squares off the diagonal.

    References
    ----------
    Girard (1989), A fast Monte-Carlo cross-validation procedure, Numer. Math. 56; Hutchinson (1990), A stochastic
    estimator of the trace of the influence matrix, Commun. Stat. Simul. Comput. 19(2).

    Examples
    --------
    >>> A = torch.diag(torch.tensor([1.0, -2.0, -4.0]))
    >>> found = hutchinson(lambda rows: rows @ A, 3, probes=8)
    >>> found.value, found.standard_error, found.square.value
    (-5.0, 0.0, 21.0)
    """
    _expect(probes=probes, together=together)
    if tolerance is not None and (not tolerance > 0 or fewest < 2):
        raise ValueError(f"Expected tolerance > 0 and fewest >= 2, got {tolerance} and {fewest}.")
    samples, squares, blocks, met = [], [], [], tolerance is None
    for rows in _chunks(probes, together, dim, seed, distribution, like):
        image = product(rows)
        samples.append(dot(rows, image))
        squares.append(norm(image) ** 2)
        blocks.append([dot(rows[:, part], image[:, part]) for part in slices])
        if tolerance is not None and sum(map(len, samples)) >= fewest:
            so_far = average(torch.cat(samples), 0, seed)
            met = bool(so_far.standard_error <= tolerance * abs(so_far.value))
            if met:
                break
    found, square = _finite(torch.cat(samples)), average(torch.cat(squares), sum(map(len, squares)), seed)
    parts = average(torch.cat([torch.stack(one, 1) for one in blocks]), len(found), seed) if slices else None
    return average(found, len(found), seed, converged=met, square=square, parts=parts)


def diagonal(
    product: Product,
    dim: int,
    *,
    probes: int = 100,
    together: int = TOGETHER,
    seed: int = 0,
    like: Tensor | None = None,
) -> Estimate:
    r"""Estimate the diagonal of a symmetric operator: :math:`\operatorname{diag} A = E\, v \odot A v`.

    Parameters
    ----------
    product, dim, probes, together, seed, like
        As `hutchinson`; vectors are Rademacher ones.

    Returns
    -------
    Estimate
        Value and standard error of shape (D,), in the products' format.

    Raises
    ------
    ValueError
        If the numbers are out of range, or products are not finite.

    Notes
    -----
    Cost: one product a vector; memory: (3 together + 2) D numbers. The variance of an entry is the sum of squares of
    the rest of its row.

    References
    ----------
    Bekas, Kokiopoulou & Saad (2007), An estimator for the diagonal of a matrix, Appl. Numer. Math. 57.
    """
    _expect(probes=probes, together=together)
    mean = spread = torch.zeros(())
    seen = 0
    for rows in _chunks(probes, together, dim, seed, "rademacher", like):
        samples = _finite(rows * product(rows))
        here, count = samples.mean(0), len(samples)
        shift = here - mean
        spread = spread + ((samples - here) ** 2).sum(0) + shift**2 * (seen * count / (seen + count))
        mean = mean + shift * (count / (seen + count))
        seen += count
    error = (spread / (seen - 1) / seen).sqrt() if seen > 1 else torch.full_like(mean, math.nan)
    return Estimate(mean, error, seen, seen, seed)


def hutchpp(
    product: Product,
    dim: int,
    *,
    products: int = 30,
    seed: int = 0,
    like: Tensor | None = None,
) -> Estimate:
    r"""Estimate a trace where the spectrum decays: exactly in the span of a sketch, by random vectors in the rest.

    .. math:: \operatorname{tr} A = \operatorname{tr} Q A Q^\top + E\, v^\top (I - Q^\top Q) A (I - Q^\top Q) v

    Parameters
    ----------
    product : callable (K, D) -> (K, D)
        Multiplies every row with the operator.
    dim : int
        D.
    products : int, default=30
        Products to use, at least 6; a third each for the sketch, its part, and the rest.
    seed : int, default=0
    like : Tensor, optional
        Whose format and device vectors take; by default float32 on the CPU.

    Returns
    -------
    Estimate
        Its standard error is that of the rest, given the sketch.

    Raises
    ------
    ValueError
        If there are too few products, or one is not finite.

    Notes
    -----
    Exact for operators of rank up to a third of the products. Unbiased. Memory: products D numbers.

    References
    ----------
    Meyer, Musco, Musco & Woodruff (2021), Hutch++: optimal stochastic trace estimation, arXiv:2010.09649.
    """
    _expect_products(products, 6)
    generator = torch.Generator().manual_seed(seed)
    third = products // 3
    rank = min(third, dim)
    sketch = product(random_vectors(rank, dim, generator, distribution="rademacher", like=like))
    basis = torch.linalg.qr(_finite(sketch).mT).Q.mT
    within = dot(basis, product(basis)).sum()
    rows = random_vectors(third, dim, generator, distribution="rademacher", like=like).to(basis)
    for _ in range(2):  # the rest must be orthogonal to rounding, not to its square root
        rows = rows - (rows @ basis.mT) @ basis
    return average(_finite(within + dot(rows, product(rows))), 2 * rank + third, seed)


def xtrace(
    product: Product,
    dim: int,
    *,
    products: int = 30,
    seed: int = 0,
    like: Tensor | None = None,
) -> Estimate:
    r"""Estimate a trace where the spectrum decays, each random vector serving both as sketch and as sample.

    Each of m = products / 2 vectors in turn is left out of the sketch and used for the rest,

    .. math:: t_i = \operatorname{tr} Q_i A Q_i^\top + (D - m + 1)\, u_i^\top A u_i / \|u_i\|^2,
        \qquad u_i = (I - Q_i^\top Q_i)\, \omega_i,

    and the estimate is their mean.

    Parameters
    ----------
    product : callable (K, D) -> (K, D)
        Multiplies every row with the operator.
    dim : int
        D.
    products : int, default=30
        Products to use, at least 4; an even number.
    seed : int, default=0
    like : Tensor, optional
        Whose format and device vectors take; by default float32 on the CPU.

    Returns
    -------
    Estimate
        Its standard error counts that the terms share their sketch, which the spread of the terms alone does not.

    Raises
    ------
    ValueError
        If there are too few products, or one is not finite.

    Notes
    -----
    Exact for operators of rank below half of the products. Unbiased. Memory: 2 products D numbers; m**4 small work.

    The variance of the mean is estimated without bias by

    .. math:: \frac{s^2}{m} + \frac{1}{m (m - 1)} \sum_{i \ne j} d_{ij} d_{ji},

    with s² the sample variance of the terms and d_ij the change of the i-th when vector j leaves the sketch as well.
    For given others the error e_i of a term has mean zero over its own vector; the products of e_i with what does not
    depend on that vector therefore vanish on average, and E d_ij d_ji = E e_i e_j. The first part alone, as published,
    was a fifth to a third too small as a standard error in our tests.

    References
    ----------
    Epperly, Tropp & Webber (2024), XTrace: making the most of every sample in stochastic trace estimation,
    arXiv:2301.07825.
    """
    _expect_products(products, 4)
    count = min(products // 2, dim)
    omega = random_vectors(count, dim, torch.Generator().manual_seed(seed), like=like)
    sketch = _finite(product(omega))
    omega = omega.to(sketch)
    frame, corner = torch.linalg.qr(sketch.mT)
    basis = frame.mT
    image = _finite(product(basis))
    small = _Compressed(
        gram=_small(omega @ omega.mT),
        curvature=_small(omega @ sketch.mT),
        overlap=_small(basis @ omega.mT),
        mixed=_small(basis @ sketch.mT),
        inner=_small(basis @ image.mT),
        corner=_small(corner),
        dim=dim,
        eps=torch.finfo(sketch.dtype).eps,
    )
    everyone = torch.arange(count)
    samples = small.leave_one_out(everyone)
    change = torch.zeros(count, count, dtype=torch.float64)  # of the i-th, when the j-th leaves the sketch too
    for j in everyone.tolist():
        others = everyone[everyone != j]
        change[others, j] = samples[others] - small.leave_one_out(others) if count > 1 else 0.0
    shared = float((change * change.mT).sum()) / max(1, count * (count - 1))
    error = math.sqrt(float(samples.var()) / count + max(0.0, shared)) if count > 1 else math.nan
    value = float(samples.mean())
    return Estimate(value, error, count, 2 * count, seed)


@dataclass(frozen=True)
class _Compressed:
    """All that XTrace needs to know of m probes W, their images Y, the basis Q of those, and its image, in float64."""

    gram: Tensor  # W W', (m, m)
    curvature: Tensor  # W A W', (m, m)
    overlap: Tensor  # Q W', (m, m)
    mixed: Tensor  # Q A W', (m, m)
    inner: Tensor  # Q A Q', (m, m)
    corner: Tensor  # Q Y', (m, m)
    dim: int
    eps: float

    def leave_one_out(self, chosen: Tensor) -> Tensor:
        """Estimate the trace once for each of some probes (k,), the others being the sketch: -> (k,)."""
        basis, away = _shrinking(self.corner[:, chosen], self.eps)  # (r, m), (k, r)
        inner = basis @ self.inner @ basis.mT
        overlap = (basis @ self.overlap[:, chosen]).mT  # (k, r)
        inside = overlap - away * (overlap * away).sum(1, keepdim=True)
        mixed = (basis @ self.mixed[:, chosen]).mT
        length = self.gram.diagonal()[chosen]
        left = length - (inside * (2 * overlap - inside)).sum(1)
        curved = self.curvature.diagonal()[chosen] - (inside * (2 * mixed - inside @ inner)).sum(1)
        ranks = len(basis) - (away.norm(dim=1) > 0).double()
        rest = torch.where(left > len(chosen) * self.dim * self.eps * length, curved / left, 0)
        return inner.trace() - (away @ inner * away).sum(1) + (self.dim - ranks) * rest


def _shrinking(corner: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Find the span of columns (m, k), and by what it shrinks without each of them.

    Returns
    -------
    basis : Tensor of shape (r, m)
        Orthonormal rows.
    away : Tensor of shape (k, r)
        The unit vector by which the span shrinks without a column, in the basis; zero if it does not.
    """
    left, lengths, right = torch.linalg.svd(corner, full_matrices=False)
    kept = lengths > len(corner) * eps * lengths.max()
    left, lengths, right = left[:, kept], lengths[kept], right[kept]
    away = (right / lengths[:, None]).mT
    away = away / torch.linalg.vector_norm(away, dim=1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
    alone = (right**2).sum(0) > 1 - INDEPENDENT
    return left.mT, away * alone[:, None]


def _small(matrix: Tensor) -> Tensor:
    return matrix.cpu().double()


def _chunks(
    probes: int, together: int, dim: int, seed: int, distribution: str, like: Tensor | None
) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    for first in range(0, probes, together):
        yield random_vectors(min(together, probes - first), dim, generator, distribution=distribution, like=like)


def _finite(samples: Tensor) -> Tensor:
    if not torch.isfinite(samples).all():
        raise ValueError("Expected finite products, got NaN or infinity: look at the operator, or use a wider format.")
    return samples


def _expect(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"Expected {name} >= 1, got {count}.")


def _expect_products(products: int, least: int) -> None:
    if products < least:
        raise ValueError(f"Expected at least {least} products, got {products}: an error needs two samples.")
