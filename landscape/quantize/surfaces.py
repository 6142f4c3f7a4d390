"""The surfaces of a quantized network by name: which weights are moved, and through what they are seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from landscape.quantize.calibration import calibrate
from landscape.quantize.grid import Grid
from landscape.quantize.quantization import Quantization
from landscape.quantize.scheme import Scheme
from landscape.quantize.views import Latent, Requant, Smooth, Soft, View

LATENT = ("latent", "requant", "smooth", "soft")  # move the weights before rounding, and round what comes out
FULL = ("fp", "bitplane")  # move the weights before rounding, and leave them
SURFACES = ("dequant", *LATENT, "lattice", *FULL)


def view(
    name: str,
    quantization: Quantization,
    axes: Mapping[str, int] | None = None,
    *,
    samples: int = 16,
    temperature: float = 0.1,
    seed: int = 0,
) -> View | None:
    """Return what a surface shows the weights through; None where it shows them as they are.

    Parameters
    ----------
    name : {"dequant", "latent", "requant", "smooth", "soft", "lattice", "fp", "bitplane"}
        dequant: L(Q(w) + ...), the loss around the quantized weights, in all directions. latent: L(Q(w + ...)), the
        grids frozen. requant: the same, calibrated anew at each point. smooth: the mean over randomized rounding. soft:
        steps rounded off. lattice: L(Q(Q(w) + ...)), around the quantized weights by whole codes. fp and bitplane:
        L(w + ...), without quantization. What is moved is the caller's: the quantized weights for dequant and lattice,
        the latent ones for all others.
    quantization : Quantization
        Of a checkpoint.
    axes : mapping of str to int, optional
        Where the output units of each weight lie, for requant: see `landscape.quantize.layers.chosen`. By default where
        the scales of its grid do.
    samples : int, default=16
        Of smooth.
    temperature : float, default=0.1
        Of soft: the lower, the closer to rounding.
    seed : int, default=0
        Of smooth.

    Raises
    ------
    ValueError
        If the name is unknown, or a knob out of range.
    """
    if name not in SURFACES:
        raise ValueError(f"Expected a surface among {', '.join(SURFACES)}, got {name!r}: choose one of them.")
    grids = quantization.grids
    if name in ("latent", "lattice"):
        return Latent(grids)
    if name == "requant":
        return Requant(grids, schemes(quantization), {n: _axis(one) for n, one in grids.items()} | dict(axes or {}))
    if name == "smooth":
        return Smooth(grids, {n: tuple(tensor.shape) for n, tensor in quantization.latent.items()}, samples, seed)
    if name == "soft":
        return Soft(grids, temperature)
    return None


def schemes(quantization: Quantization) -> dict[str, Scheme]:
    """Return the scheme of every quantized tensor: as the record says, or else as its grid looks.

    A grid does not tell how it was calibrated: then it is taken to be as usual for its width.
    """
    record = quantization.record
    shared, each = record.get("scheme"), record.get("schemes") or {}
    found = {}
    for name, one in quantization.grids.items():
        told = each.get(name, shared)
        scheme = Scheme(**told) if isinstance(told, Mapping) else None
        found[name] = _looking(one) if scheme is None else scheme if scheme.bits == one.bits else at(scheme, one.bits)
    return found


def at(scheme: Scheme, bits: int) -> Scheme:
    """Return a scheme at another width: what is usual at its own width becomes what is usual at the other."""
    usual = Scheme(scheme.bits, symmetric=scheme.symmetric)
    family = "auto" if scheme.family == usual.family else scheme.family
    calibration = "auto" if scheme.calibration in (usual.calibration, "own") else scheme.calibration
    return replace(scheme, bits=bits, family=family, calibration=calibration)


@torch.no_grad()
def rounded(
    values: Mapping[str, Tensor], axes: Mapping[str, int], known: Mapping[str, Scheme], bits: int
) -> dict[str, Tensor]:
    """Round named weights at a width, each to a grid calibrated to it; those without an axis stay as they are.

    Parameters
    ----------
    values : mapping of str to Tensor
    axes : mapping of str to int
        The weights to round, and where their output units lie.
    known : mapping of str to Scheme
        Schemes at any width, brought to this one; those that are missing are the usual ones.
    bits : int
        From 1 to 8.
    """
    found = dict(values)
    for name in axes.keys() & values.keys():
        scheme = at(known[name], bits) if name in known else Scheme(bits)
        found[name] = calibrate(values[name], scheme, axis=axes[name]).hard(values[name])
    return found


def _looking(one: Grid) -> Scheme:
    """Return the scheme that makes grids like one."""
    channels = one.scale.numel() > 1
    if one.kind != "uniform":
        return Scheme(one.bits, one.kind, channels=channels)
    if bool(one.zero.any()) or one.low == 0:
        return Scheme(one.bits, "full", symmetric=False, channels=channels)
    return Scheme(one.bits, "narrow" if one.low == -one.high else "full", channels=channels)


def _axis(one: Grid) -> int:
    """Return the axis along which scales differ; the first, of a single scale."""
    return next((axis for axis, size in enumerate(one.scale.shape) if size > 1), 0)
