"""Learned levels: sums of a few numbers, each added or taken off, fitted to rows by least squares."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

ROUNDS = 20  # of coding and fitting in turn
RIDGE = 1e-4  # keeps the equations solvable where a basis number has no use (Zhang et al. 2018)


def learned(rows: Tensor, bits: int, *, rounds: int = ROUNDS) -> Tensor:
    """Fit the levels ``sum_i e_i v_i, e in {-1, 1}^bits`` to every row: (units, n) -> (units, 2^bits), ascending.

    Codes and basis v take turns: the nearest level for every number, then least squares for v.

    References
    ----------
    Zhang, Yang, Ye & Hua (2018), LQ-Nets: learned quantization for highly accurate and compact deep neural networks,
    arXiv:1807.10029 (quantization error minimization).
    """
    powers = 2.0 ** torch.arange(bits, dtype=rows.dtype, device=rows.device)
    basis = rows.abs().mean(1, keepdim=True) / 2 ** (bits - 1) * powers
    for _ in range(rounds):
        basis = refitted(rows, basis)
    return spanned(basis)


def refitted(rows: Tensor, basis: Tensor) -> Tensor:
    """Code rows (units, n) by the nearest levels of a basis (units, bits), and fit the basis to the codes."""
    signs = _signs(basis)
    found = basis @ signs.T
    order = found.argsort(dim=1)
    ascending = found.gather(1, order)
    middle = (ascending[:, 1:] + ascending[:, :-1]) / 2
    place = sum((rows >= middle[:, i : i + 1]).long() for i in range(middle.shape[1]))
    codes = signs[order.gather(1, place)]  # (units, n, bits)
    ridge = RIDGE * torch.eye(basis.shape[1], dtype=rows.dtype, device=rows.device)
    normal = codes.mT @ codes + ridge
    target = codes.mT @ rows[:, :, None] + RIDGE * basis[:, :, None]
    return torch.linalg.solve(normal, target).squeeze(-1)


def spanned(basis: Tensor) -> Tensor:
    """Return the levels of a basis: (units, bits) -> (units, 2^bits), ascending."""
    return (basis @ _signs(basis).T).sort(dim=1).values


def _signs(basis: Tensor) -> Tensor:
    signs = list(itertools.product((-1.0, 1.0), repeat=basis.shape[1]))
    return torch.tensor(signs, dtype=basis.dtype, device=basis.device)
