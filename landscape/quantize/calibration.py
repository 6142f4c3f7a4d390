"""Calibration: the grid that a scheme gives a tensor."""

from __future__ import annotations

import torch
from torch import Tensor

from landscape.quantize.grid import Grid
from landscape.quantize.levels import learned
from landscape.quantize.scheme import Scheme

CANDIDATES, LEAST = 80, 0.2  # ranges that are tried for the smallest error, down to this share of the whole
TERNARY = 0.7  # threshold of ternary weights, in mean absolute weights (Li & Liu 2016)


@torch.no_grad()
def calibrate(weight: Tensor, scheme: Scheme, *, axis: int = 0) -> Grid:
    """Fit the grid of a scheme to a tensor; no gradient goes through it.

    Parameters
    ----------
    weight : Tensor
    scheme : Scheme
    axis : int, default=0
        Where the output units lie, where each has a grid of its own.

    Notes
    -----
    Minmax and percentile take one pass over the tensor, mse 80. A unit whose weights are all zero gets a scale that is
    negligible beside the others. Safe under `torch.vmap`.

    References
    ----------
    Rastegari et al. (2016), XNOR-Net, arXiv:1603.05279 (binary: the mean absolute weight);
    Li & Liu (2016), Ternary weight networks, arXiv:1605.04711; Zhang et al. (2018), LQ-Nets, arXiv:1807.10029 (levels).
    """
    rows = weight.detach().movedim(axis, 0).flatten(1) if scheme.channels else weight.detach().reshape(1, -1)
    shape = [1] * weight.ndim
    if scheme.channels:
        shape[axis] = weight.shape[axis]
    if scheme.family == "levels":
        levels = learned(rows, scheme.bits)
        span = (levels[:, -1:] - levels[:, :1]) / (2**scheme.bits - 1)
        return _grid("levels", scheme.bits, 0, 2**scheme.bits - 1, span, shape, levels=levels)
    if scheme.family == "binary":
        return _grid("binary", 1, 0, 1, rows.abs().mean(1, keepdim=True), shape)
    if scheme.family == "ternary":
        large = rows.abs() > TERNARY * rows.abs().mean(1, keepdim=True)
        scale = (rows.abs() * large).sum(1, keepdim=True) / large.sum(1, keepdim=True).clamp(min=1)
        return _grid("uniform", 2, -1, 1, scale, shape)
    low, high = _range(rows, scheme)
    if scheme.calibration != "mse":
        return _fitted(low, high, scheme, shape)
    return _smallest_error(rows, low, high, scheme, shape)


def _range(rows: Tensor, scheme: Scheme) -> tuple[Tensor, Tensor]:
    """Return the smallest and the largest number that the grid is to hold: (units, 1) each."""
    if scheme.calibration == "percentile":
        ordered, share = rows.sort(dim=1).values, scheme.percentile / 100
        return _quantile(ordered, 1 - share), _quantile(ordered, share)
    return rows.amin(1, keepdim=True), rows.amax(1, keepdim=True)


def _quantile(ordered: Tensor, share: float) -> Tensor:
    """Interpolate in sorted rows; `torch.quantile` refuses more than 2^24 numbers."""
    place = share * (ordered.shape[1] - 1)
    below, above = int(place), min(int(place) + 1, ordered.shape[1] - 1)
    return torch.lerp(ordered[:, below : below + 1], ordered[:, above : above + 1], place - below)


def _fitted(low: Tensor, high: Tensor, scheme: Scheme, shape: list[int]) -> Grid:
    """Return the grid that reaches from `low` to `high`."""
    count, reach = 2**scheme.bits - 1, torch.maximum(low.abs(), high.abs())
    if scheme.family == "midrise":
        return _grid("midrise", scheme.bits, -(count // 2) - 1, count // 2, 2 * reach / count, shape)
    if scheme.symmetric:
        top = count // 2
        return _grid("uniform", scheme.bits, -top - (scheme.family == "full"), top, reach / top, shape)
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = _positive((high - low) / count)
    return _grid("uniform", scheme.bits, 0, count, scale, shape, zero=(-low / scale).round())


def _smallest_error(rows: Tensor, low: Tensor, high: Tensor, scheme: Scheme, shape: list[int]) -> Grid:
    """Try shares of the range, and keep for every unit the one with the smallest mean squared error."""
    flat, best = [len(rows), 1], None
    least = rows.new_full((len(rows), 1), float("inf"))
    scale, zero = torch.zeros_like(least), torch.zeros_like(least)
    for index in range(CANDIDATES):
        share = 1 - (1 - LEAST) * index / CANDIDATES
        best = _fitted(share * low, share * high, scheme, flat)
        error = (best.hard(rows) - rows).square().mean(1, keepdim=True)
        better = error < least
        least = torch.where(better, error, least)
        scale, zero = torch.where(better, best.scale, scale), torch.where(better, best.zero, zero)
    assert best is not None
    return _grid(best.kind, best.bits, best.low, best.high, scale, shape, zero=zero)


def _grid(
    kind: str, bits: int, low: int, high: int, scale: Tensor, shape: list[int], *,
    zero: Tensor | None = None, levels: Tensor | None = None,
) -> Grid:  # fmt: skip
    scale = _positive(scale).reshape(shape)
    zero = torch.zeros_like(scale) if zero is None else zero.reshape(shape)
    return Grid(kind, bits, low, high, scale, zero, None if levels is None else levels.reshape(*shape, -1))


def _positive(scale: Tensor) -> Tensor:
    """Replace scales of 0 by what is negligible beside the largest."""
    info = torch.finfo(scale.dtype)
    return torch.where(scale > 0, scale, (info.eps * scale.amax()).clamp(min=info.eps**2))
