"""Vectors as rows: drawn, measured, made orthogonal, in formats that keep what they must."""

from __future__ import annotations

import torch
from torch import Tensor

BREAKDOWN = 32  # in eps of the largest product: what remains of a vector that lies in the space already


def random_vectors(
    count: int, dim: int, generator: torch.Generator, *, distribution: str = "gaussian", like: Tensor | None = None
) -> Tensor:
    """Draw independent vectors of mean 0 and covariance 1, on the CPU, one after another: -> (count, D).

    Parameters
    ----------
    count, dim : int
    generator : torch.Generator
        On the CPU. The same vectors come whether they are drawn at once or in parts.
    distribution : {"gaussian", "rademacher"}
    like : Tensor, optional
        Whose format and device the vectors take; by default float32 on the CPU.

    Raises
    ------
    ValueError
        If the distribution is unknown.
    """
    if distribution not in ("gaussian", "rademacher"):
        raise ValueError(f"Expected gaussian or rademacher as distribution, got {distribution!r}.")
    rows = torch.empty(count, dim) if like is None else like.new_empty(count, dim)
    for row in rows:
        if distribution == "gaussian":
            row.copy_(torch.randn(dim, generator=generator, dtype=torch.float64))
        else:
            row.copy_(torch.randint(0, 2, (dim,), generator=generator, dtype=torch.int8) * 2 - 1)
    return rows


def orthogonal(block: Tensor, basis: Tensor) -> Tensor:
    """Remove from rows (..., b, D) what lies in the span of an orthonormal basis (..., m, D)."""
    for _ in range(2):  # once is not enough in floating point
        block = block - (block @ basis.mT) @ basis
    return block


def orthonormal(block: Tensor, basis: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Write rows as block = (part in the basis) + coupling @ rows, with rows orthonormal and orthogonal to the basis.

    Parameters
    ----------
    block : Tensor of shape (b, D)
    basis : Tensor of shape (m, D)
    scale : float
        Directions in which less than rounding error of this length is left are dropped.

    Returns
    -------
    rows : Tensor of shape (r, D)
    coupling : Tensor of shape (b, r), float64, on the CPU
    """
    frame, corner = torch.linalg.qr(orthogonal(block, basis).mT)
    left, lengths, right = torch.linalg.svd(corner.cpu().double(), full_matrices=False)
    kept = lengths > BREAKDOWN * torch.finfo(block.dtype).eps * scale
    rows = left[:, kept].mT.to(frame) @ frame.mT
    frame, corner = torch.linalg.qr(orthogonal(rows, basis).mT)  # short directions were mostly rounding error
    return (frame * corner.diagonal().sign()).mT, right[kept].mT * lengths[kept]


def unit(rows: Tensor) -> Tensor:
    """Divide rows (K, D) by their lengths."""
    lengths = norm(rows)
    if not bool((lengths > 0).all() & torch.isfinite(lengths).all()):
        raise ValueError("Expected start vectors that are finite and not zero, got one that is zero or not finite.")
    return (rows / lengths[:, None]).to(rows.dtype)


def wide(tensor: Tensor) -> torch.dtype:
    """Name the format of scalars: float64, or float32 where the device has no other."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def norm(rows: Tensor) -> Tensor:
    """Measure rows (..., D) in the wide format: -> (...)."""
    return torch.linalg.vector_norm(rows, dim=-1, dtype=wide(rows))


def dot(first: Tensor, second: Tensor) -> Tensor:
    """Multiply rows (..., D) one by one in the wide format: -> (...)."""
    return (widened(first) * widened(second)).sum(-1)


def widened(tensor: Tensor) -> Tensor:
    """Bring numbers to the wide format."""
    return tensor.to(wide(tensor))
