"""Both ends and the density of the Hessian of every class, by Krylov spaces that grow in lockstep."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.eigenpairs import NOISE, SMALL, eigenpairs
from landscape.engine.device import SHARE, free_memory
from landscape.krylov import Tridiagonal, certificate, lanczos_many, quadrature
from landscape.operators import ByClass, Operator
from landscape.rows import dot, norm, random_vectors

LARGEST, SMALLEST = 0, 1  # rows of both ends


@dataclass(frozen=True)
class Search:
    """How hard both ends are looked for: the knobs of the probe."""

    steps: int
    probes: int
    tau: float
    tolerance: float
    limit: int
    seed: int


@dataclass
class Spectrum:
    """What the Krylov spaces of one class tell, gathered one after another."""

    node: list[Tensor] = field(default_factory=list)
    weight: list[Tensor] = field(default_factory=list)
    size: list[int] = field(default_factory=list)
    upper: float = -math.inf
    value: dict[int, float] = field(default_factory=dict)
    vector: dict[int, Tensor] = field(default_factory=dict)

    def take(self, space: Tridiagonal, steps: int) -> None:
        """Gather a Krylov space: its quadrature, and its Ritz vectors if they lie further out than those before."""
        node, weight = quadrature(space)
        short = steps - len(node)
        self.node.append(torch.cat([node, node[-1:].expand(short)]))
        self.weight.append(torch.cat([weight, weight.new_zeros(short)]))
        self.size.append(len(node))
        values, coefficients = torch.linalg.eigh(space.matrix)
        self.upper = max(self.upper, float(values[-1] + space.residual * coefficients[-1, -1].abs()))
        for end, index, sign in ((LARGEST, -1, 1), (SMALLEST, 0, -1)):
            value = float(values[index])
            if end not in self.value or sign * value > sign * self.value[end]:
                self.value[end] = value
                self.vector[end] = coefficients[:, index].to(space.basis) @ space.basis

    def missed(self, dim: int, steps: int, tau: float, smallest: float) -> float:
        """Bound the probability that all start vectors missed an eigenvalue below -tau; they are independent.

        A space that ended early is invariant: a Gaussian vector has a part along every eigenvector, so it misses none.
        """
        sizes = (dim if size < steps else size for size in self.size)
        upper = max(self.upper, smallest)
        return math.prod(certificate(dim, size, tau=tau, smallest=smallest, largest=upper) for size in sizes)


@dataclass(frozen=True)
class Ends:
    """The largest and the smallest eigenpair, in this order: arrays (2,), vectors (2, D)."""

    values: np.ndarray
    vectors: Tensor
    residuals: np.ndarray
    converged: np.ndarray


def lockstep(by: ByClass, search: Search, together: int, tell: Callable[[int], None]) -> list[Spectrum]:
    """Grow Krylov spaces of all classes of a group from the same Gaussian vectors: one `Spectrum` for each class.

    The same vectors serve every class, so that differences between classes are not differences between draws.
    """
    generator = torch.Generator().manual_seed(search.seed)
    found = [Spectrum() for _ in by.operators]

    def product(rows: Tensor) -> Tensor:
        tell(len(rows))
        return by(rows)

    for first in range(0, search.probes, together):
        count = min(together, search.probes - first)
        starts = random_vectors(count, by.dim, generator, like=by.like)
        spaces = lanczos_many(product, starts.repeat(len(found), 1), search.steps)
        for index, space in enumerate(spaces):
            found[index // count].take(space, search.steps)
    return found


def ends(operator: Operator, spectrum: Spectrum, search: Search) -> Ends:
    """Check the outermost Ritz vectors by a product, and go on from them where they have not converged."""
    rows = torch.stack([spectrum.vector[LARGEST], spectrum.vector[SMALLEST]])
    found = _checked(rows, operator(rows), search.tolerance)
    if found.converged.all() or search.limit < 1 or operator.dim < 2:
        return found
    more = eigenpairs(
        operator, operator.dim, count=(1, 1), tolerance=search.tolerance, limit=search.limit, start=rows,
        seed=search.seed, like=operator.like,
    )  # fmt: skip
    values = more.values.numpy()
    better = np.array([values[LARGEST] >= found.values[LARGEST], values[SMALLEST] <= found.values[SMALLEST]])
    return Ends(
        np.where(better, values, found.values),
        torch.where(torch.from_numpy(better).to(rows.device)[:, None], more.vectors.to(rows), found.vectors),
        np.where(better, more.residuals.numpy(), found.residuals),
        np.where(better, more.converged.numpy(), found.converged),
    )


def described(spectrum: Spectrum, found: Ends, search: Search, dim: int) -> dict[str, Any]:
    """Name what was found of one class: numbers, and `node` and `weight` (probe, step)."""
    largest, smallest = found.values
    node, weight = torch.stack(spectrum.node).numpy(), torch.stack(spectrum.weight).numpy()
    tau = search.tau * max(largest, 0.0)
    below = (weight * (node < -tau)).sum(1)
    negative, positive = (weight * node.clip(max=0)).sum(1), (weight * node.clip(min=0)).sum(1)
    with np.errstate(invalid="ignore"):
        share = -negative / (positive - negative)
    return {
        "node": node,
        "weight": weight,
        "negative_mass": below.mean(),
        "negative_mass_error": _error(below),
        "negative_trace": share.mean(),
        "negative_trace_error": _error(share),
        "lambda_max": largest,
        "lambda_max_residual": found.residuals[LARGEST],
        "lambda_max_converged": found.converged[LARGEST],
        "lambda_min": smallest,
        "lambda_min_residual": found.residuals[SMALLEST],
        "lambda_min_converged": found.converged[SMALLEST],
        "ratio": -smallest / largest if largest > 0 else math.nan,
        "missed": spectrum.missed(dim, search.steps, tau, min(smallest, spectrum.value[SMALLEST])),
    }


def fitting(by: ByClass, search: Search) -> tuple[int, int]:
    """Say how many classes, and how many of their probes, grow at once in a quarter of the free memory."""
    each = (search.steps + 4) * by.dim * by.like.itemsize
    spaces = max(1, int(free_memory(by.like.device) * SHARE) // each)
    return max(1, min(len(by.operators), spaces // search.probes)), min(search.probes, spaces)


def _error(samples: np.ndarray) -> float:
    """Standard error of a mean of independent samples; NaN for one."""
    return samples.std(ddof=1) / math.sqrt(len(samples)) if len(samples) > 1 else math.nan


def _checked(rows: Tensor, images: Tensor, tolerance: float) -> Ends:
    """Take values and residuals from the products themselves."""
    values = dot(rows, images) / dot(rows, rows)
    residuals = norm(images - values[:, None].to(images) * rows).cpu().double().numpy()
    values = values.cpu().double().numpy()
    scale = np.abs(values).max()
    allowed = tolerance * np.maximum(np.abs(values), SMALL * scale)
    allowed = np.maximum(allowed, NOISE * torch.finfo(images.dtype).eps * scale)
    return Ends(values, rows, residuals, residuals <= allowed)
