"""Hessians of random batches: their largest eigenvalues, and how far they are from the Hessian of all examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from landscape import operators
from landscape.eigenpairs import eigenpairs
from landscape.rows import dot, norm, random_vectors, unit

if TYPE_CHECKING:
    from landscape.objective import Objective


def measured(
    objective: Objective,
    theta: Tensor | None,
    sizes: list[int],
    draws: list[int],
    *,
    progress: Callable[[int, int], None] | None,
    most: int,
    seed: int,
    **solving: Any,
) -> dict[str, Any]:
    """Solve for the largest eigenvalue of all examples and of random batches, of every size for every seed of a draw.

    Batches of one draw lie within each other: `Objective.subset` takes the first of one random order.

    Returns
    -------
    dict
        ``arrays`` of a `Batchsize`; ``noises``, two arrays (draws,): the squared length of what a batch does to the
        top eigenvector and to a random vector, per 1/B - 1/N and averaged over sizes; ``products``, as shares of all;
        ``strategy`` of those of all.
    """
    _tell(progress, 0, most)
    product = operators.hessian(objective, theta)
    whole = eigenpairs(product, product.dim, count=1, like=product.like, seed=seed, **solving)
    top, image = whole.vectors[0], product(whole.vectors)
    generator = torch.Generator().manual_seed(seed)
    shares = 0.0
    values, noises = np.zeros((3, len(draws), len(sizes))), np.zeros((2, len(draws), len(sizes)))
    for draw, drawn in enumerate(draws):
        probe = unit(random_vectors(1, len(top), generator, like=top))  # another one each time: their spread counts
        rows, images = torch.cat([top[None], probe]), torch.cat([image, product(probe)])
        for where, size in enumerate(sizes):
            _tell(progress, product.products + shares, most)
            operator = operators.hessian(objective.subset(size, seed=drawn), theta)
            found = eigenpairs(operator, operator.dim, count=1, start=top, like=operator.like, seed=seed, **solving)
            values[:, draw, where] = [float(x[0]) for x in (found.values, found.residuals, found.converged)]
            noises[:, draw, where] = _noise(operator(rows) - images, top) / (1 / size - 1 / objective.size)
            shares += operator.products * size / objective.size
    _tell(progress, product.products + shares, most)
    arrays = {
        "batch_lambda_max": values[0], "batch_lambda_max_residual": values[1],
        "batch_lambda_max_converged": values[2].astype(bool),
        "whole": float(whole.values[0]), "whole_residual": float(whole.residuals[0]),
    }  # fmt: skip
    top_noise, mean_noise = noises.mean(-1)
    return {
        "arrays": arrays, "noises": {"top": top_noise, "mean": mean_noise},
        "products": round(product.products + shares, 2), "strategy": product.strategy,
    }  # fmt: skip


def _noise(images: Tensor, top: Tensor) -> np.ndarray:
    """Squared lengths: of the first image across the top eigenvector, and of the second one."""
    across = images[0] - (dot(images[0], top) * top).to(images)
    return np.array([float(norm(across) ** 2), float(norm(images[1]) ** 2)])


def _tell(progress: Callable[[int, int], None] | None, done: float, most: int) -> None:
    if progress:
        progress(round(done), max(most, round(done)))
