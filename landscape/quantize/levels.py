"""Learned levels: sums of a few numbers, each added or taken off, fitted to rows by least squares."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

ROUNDS = 20  # of coding and fitting in turn
SIGNS = (-1.0, 1.0)
RIDGE = 1e-4  # keeps the equations solvable where a basis number has no use (Zhang et al. 2018)


def learned(rows: Tensor, bits: int, *, scale: Tensor | None = None, rounds: int = ROUNDS) -> Tensor:
    """Fit the levels ``sum_i e_i v_i, e in {-1, 1}^bits`` to every row: (units, n) -> (units, 2^bits), ascending.

    Codes and basis v take turns: the nearest level for every number, then least squares for v. No turn makes the error
    larger.

    Parameters
    ----------
    rows : Tensor of shape (units, n)
    bits : int
    scale : Tensor of shape (units, 1), optional
        Distances of the evenly spaced levels to begin with, ``v_i = scale 2^(i - 1)``: the error is then never above
        that of these.
    rounds : int

    References
    ----------
    Zhang, Yang, Ye & Hua (2018), LQ-Nets: learned quantization for highly accurate and compact deep neural networks,
    arXiv:1807.10029 (quantization error minimization).
    """
    return spanned(fitted(rows, bits, scale=scale, rounds=rounds))


def fitted(
    rows: Tensor, bits: int, *, digits: tuple[float, float] = SIGNS, scale: Tensor | None = None, rounds: int = ROUNDS
) -> Tensor:
    """Fit the basis v of the levels ``sum_i e_i v_i`` to every row: (units, n) -> (units, bits).

    Each e_i is one of two digits: -1 and 1, or 0 and 1 for rows that are never negative.
    """
    powers = 2.0 ** torch.arange(bits, dtype=rows.dtype, device=rows.device)
    start = rows.abs().mean(1, keepdim=True) / 2 ** (bits - 1) if scale is None else scale / 2
    basis = start * powers
    for _ in range(rounds):
        basis = refitted(rows, basis, digits=digits)
    return basis


def refitted(rows: Tensor, basis: Tensor, *, digits: tuple[float, float] = SIGNS) -> Tensor:
    """Code rows (units, n) by the nearest levels of a basis (units, bits), and fit the basis to the codes."""
    signs = _codes(basis, digits)
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


def spanned(basis: Tensor, *, digits: tuple[float, float] = SIGNS) -> Tensor:
    """Return the levels of a basis: (units, bits) -> (units, 2^bits), ascending."""
    return (basis @ _codes(basis, digits).T).sort(dim=1).values


def _codes(basis: Tensor, digits: tuple[float, float]) -> Tensor:
    return torch.tensor(list(itertools.product(digits, repeat=basis.shape[1])), dtype=basis.dtype, device=basis.device)
