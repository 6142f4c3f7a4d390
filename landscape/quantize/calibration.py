"""Calibration: the grid that a scheme gives a tensor."""

from __future__ import annotations

from dataclasses import replace

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

    Returns
    -------
    Grid
        In the format of the tensor, or in float32 if that is shorter. Of weights that are not finite the scales are
        NaN, which `Grid.require_positive` refuses.

    Raises
    ------
    ValueError
        If the tensor is empty.

    Notes
    -----
    Minmax and percentile take one pass over the tensor, mse 80, and learned levels a few for each of theirs. A unit
    whose weights are all zero gets a scale that is negligible beside the others. Safe under `torch.vmap`.

    References
    ----------
    Rastegari et al. (2016), XNOR-Net, arXiv:1603.05279 (binary: the mean absolute weight);
    Li & Liu (2016), Ternary weight networks, arXiv:1605.04711; Zhang et al. (2018), LQ-Nets, arXiv:1807.10029 (levels).
    """
    if not weight.numel():
        raise ValueError(f"Expected weights to quantize, got none in shape {tuple(weight.shape)}: leave the layer out.")
    wide = weight.detach().to(torch.promote_types(weight.dtype, torch.float32))
    rows = wide.movedim(axis, 0).flatten(1) if scheme.channels else wide.reshape(1, -1)
    shape = [1] * weight.ndim
    if scheme.channels:
        shape[axis] = weight.shape[axis]
    found = _calibrated(rows, scheme)
    bad = ~torch.isfinite(rows).all(1, keepdim=True)
    scale = torch.where(bad, torch.nan, _positive(found.scale)).reshape(shape)
    levels = None if found.levels is None else found.levels.to(weight.dtype).to(rows.dtype).reshape(*shape, -1)
    return replace(found, scale=scale, zero=found.zero.reshape(shape), levels=levels)


def _calibrated(rows: Tensor, scheme: Scheme) -> Grid:
    """Return the grid of every row: scales (units, 1)."""
    if scheme.family == "levels":
        usual = _least_error(rows, Scheme(scheme.bits, "midrise", "mse"))
        levels = learned(rows, scheme.bits, scale=usual.scale)
        span = (levels[:, -1:] - levels[:, :1]) / (2**scheme.bits - 1)
        return _grid("levels", scheme.bits, 0, 2**scheme.bits - 1, span, levels=levels[:, None])
    if scheme.family == "binary":
        return _grid("binary", 1, 0, 1, rows.abs().mean(1, keepdim=True))
    if scheme.family == "ternary":
        large = rows.abs() > TERNARY * rows.abs().mean(1, keepdim=True)
        scale = (rows.abs() * large).sum(1, keepdim=True) / large.sum(1, keepdim=True).clamp(min=1)
        return _grid("uniform", 2, -1, 1, scale)
    if scheme.calibration == "mse":
        return _least_error(rows, scheme)
    return _fitted(*_range(rows, scheme), scheme)


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


def _fitted(low: Tensor, high: Tensor, scheme: Scheme) -> Grid:
    """Return the grid that reaches from `low` to `high`."""
    count, reach = 2**scheme.bits - 1, torch.maximum(low.abs(), high.abs())
    if scheme.family == "midrise":
        return _grid("midrise", scheme.bits, -(count // 2) - 1, count // 2, reach / (count / 2))
    if scheme.symmetric:
        top = count // 2
        return _grid("uniform", scheme.bits, -top - (scheme.family == "full"), top, reach / top)
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = _positive(high / count - low / count)
    return _grid("uniform", scheme.bits, 0, count, scale, zero=(-low / scale).round() + 0.0)


def _least_error(rows: Tensor, scheme: Scheme) -> Grid:
    """Try shares of the range, and keep for every row the one with the smallest mean squared error.

    Of equal ones the widest is kept. Errors are taken in units of the largest weight, so that their squares neither
    overflow nor vanish.
    """
    low, high = _range(rows, scheme)
    unit = torch.maximum(low.abs(), high.abs())
    best = _fitted(low, high, scheme)
    scale, zero, least = best.scale, best.zero, _error(best, rows, unit)
    for index in range(1, CANDIDATES):
        share = 1 - (1 - LEAST) * index / CANDIDATES
        tried = _fitted(share * low, share * high, scheme)
        error = _error(tried, rows, unit)
        better = error < least
        least = torch.where(better, error, least)
        scale, zero = torch.where(better, tried.scale, scale), torch.where(better, tried.zero, zero)
    return replace(best, scale=scale, zero=zero)


def _error(grid: Grid, rows: Tensor, unit: Tensor) -> Tensor:
    return ((grid.hard(rows) - rows) / unit).square().mean(1, keepdim=True)


def _grid(
    kind: str, bits: int, low: int, high: int, scale: Tensor, *,
    zero: Tensor | None = None, levels: Tensor | None = None,
) -> Grid:  # fmt: skip
    return Grid(kind, bits, low, high, scale, torch.zeros_like(scale) if zero is None else zero, levels)


def _positive(scale: Tensor) -> Tensor:
    """Replace scales of 0 by what is negligible beside the largest, and no scale by one that has no reciprocal."""
    info = torch.finfo(scale.dtype)
    return torch.where(scale > 0, scale, info.eps * scale.amax().clamp(min=info.eps)).clamp(min=info.tiny)
