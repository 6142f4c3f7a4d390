"""Quantized weights of other programs: integer codes and scales, from a file of arrays."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from landscape import weights
from landscape.quantize.grid import Grid
from landscape.quantize.quantization import Quantization
from landscape.quantize.scheme import HIGHEST, LOWEST

CODES, SCALE, ZERO, BITS = ".codes", ".scale", ".zero", ".bits"


def arrays(path: str | os.PathLike) -> dict[str, Tensor]:
    """Read named arrays from a ``.npz`` or ``.safetensors`` file.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If it is damaged, holds Python objects, or has another ending.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return dict(weights.read(path))
    if path.suffix != ".npz":
        raise ValueError(f"{path}: expected codes in a .npz or .safetensors file, got another ending: write one.")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a file of codes, got no such file.")
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {name: torch.tensor(archive[name]) for name in archive.files}
    except (ValueError, EOFError, KeyError, MemoryError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path}: expected a .npz of plain arrays, got {error}: write it again with numpy.savez."
        ) from error


def foreign(
    found: Mapping[str, Tensor], axes: Mapping[str, int], path: str | os.PathLike, *, bits: int | None = None
) -> tuple[dict[str, Tensor], Quantization]:
    """Make a state dict and its quantization of integer codes and scales: a weight is ``(code - zero) scale``.

    Parameters
    ----------
    found : mapping of str to Tensor
        ``NAME.codes``, integers of the shape of the parameter NAME; ``NAME.scale``, one number or one for each output
        unit; ``NAME.zero``, the code of the value 0, likewise, 0 if absent; ``NAME.bits``, the width, if absent `bits`.
        All other parameters and buffers under their own names.
    axes : mapping of str to int
        The weights that can be quantized, and where their output units lie: `landscape.quantize.layers.chosen`.
    path : path
        For errors.
    bits : int, optional
        Width of the codes; by default that of their format, 8 of int8 and uint8.

    Returns
    -------
    state : dict of str to Tensor
    quantization : Quantization
        Without the weights before rounding, which nobody knows.

    Raises
    ------
    ValueError
        If there are no codes, a scale is missing, not positive or of another shape, or codes lie out of the range of
        their width.

    Notes
    -----
    Codes of signed formats reach from -2^(bits-1) to 2^(bits-1)-1, those of unsigned ones from 0 to 2^bits-1.
    """
    names = [key.removesuffix(CODES) for key in found if key.endswith(CODES)]
    if not names:
        held = ", ".join(list(found)[:4]) or "nothing"
        raise ValueError(f"{path}: expected integer codes under NAME{CODES}, got {held}: name them so.")
    grids, state = {}, {}
    for name in names:
        if name not in axes:
            raise ValueError(
                f"{path}: expected codes of weights of linear and convolutional layers ({', '.join(list(axes)[:4])} "
                f"...), got {name!r}: store it as plain numbers."
            )
        grids[name] = _grid(found, name, axes[name], path, bits)
        state[name] = grids[name].dequantize(found[name + CODES].float())
    parts = {name + part for name in names for part in (CODES, SCALE, ZERO, BITS)}
    state |= {name: tensor for name, tensor in found.items() if name not in parts}
    return state, Quantization(grids, record={"rounding": "foreign"})


def _grid(found: Mapping[str, Tensor], name: str, axis: int, path: str | os.PathLike, bits: int | None) -> Grid:
    codes = found[name + CODES]
    if codes.is_floating_point() or codes.is_complex() or codes.dtype == torch.bool:
        raise ValueError(f"{path}: expected integers under {name + CODES!r}, got {codes.dtype}: store the codes.")
    if name + SCALE not in found:
        raise ValueError(f"{path}: expected the scale of {name!r} under {name + SCALE!r}, got none: store it too.")
    width = _width(found, name, codes, path, bits)
    signed = codes.dtype.is_signed
    low, high = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)
    outside = (codes.long() < low) | (codes.long() > high)
    if bool(outside.any()):
        raise ValueError(
            f"{path}: expected codes of {name!r} from {low} to {high}, {width} bits of {codes.dtype}, got "
            f"{int(codes[outside][0])} in {int(outside.sum())} of {codes.numel()}: give their width with --bits."
        )
    scale = _fitted(found[name + SCALE].float(), codes, axis, name + SCALE, path)
    zero = _fitted(found.get(name + ZERO, torch.zeros(1)).float(), codes, axis, name + ZERO, path)
    scale, zero = (one.expand(torch.broadcast_shapes(scale.shape, zero.shape)).contiguous() for one in (scale, zero))
    if not bool((zero == zero.round()).all()):
        raise ValueError(f"{path}: expected whole numbers under {name + ZERO!r}, got others: a zero is a code.")
    made = Grid("uniform", width, low, high, scale, zero)
    try:
        made.require_positive(name)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return made


def _width(
    found: Mapping[str, Tensor], name: str, codes: Tensor, path: str | os.PathLike, bits: int | None
) -> int:
    stored = found.get(name + BITS)
    if stored is not None and stored.numel() != 1:
        raise ValueError(f"{path}: expected one number under {name + BITS!r}, got {stored.numel()}.")
    width = int(stored) if stored is not None else HIGHEST if bits is None else bits
    if not LOWEST <= width <= HIGHEST:
        raise ValueError(f"{path}: expected {LOWEST} to {HIGHEST} bits for {name!r}, got {width}: give such a width.")
    return width


def _fitted(given: Tensor, codes: Tensor, axis: int, key: str, path: str | os.PathLike) -> Tensor:
    """Lay numbers out so that they broadcast with a weight: one in all, or one for each output unit."""
    units, shape = codes.shape[axis], [1] * codes.ndim
    if given.numel() == 1:
        return given.reshape(shape)
    shape[axis] = units
    if given.numel() != units or (given.ndim > 1 and list(given.shape) != shape):
        raise ValueError(
            f"{path}: expected one number or {units}, one for each output unit, under {key!r}, got shape "
            f"{tuple(given.shape)}: store them so."
        )
    return given.reshape(shape)
