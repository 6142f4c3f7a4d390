"""How many bytes a quantized network needs, and how far its weights are from what they were."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from landscape.quantize.grid import Grid
from landscape.quantize.quantization import Quantization


def size(state: Mapping[str, Tensor], grids: Mapping[str, Grid]) -> int:
    """Count the bytes of a state dict whose quantized tensors are stored as packed codes with their grids.

    A code takes its bits, a scale and a learned level the bytes of their format, a zero point those of a code; whatever
    has no grid is stored as it is.
    """
    total = 0
    for name, tensor in state.items():
        one = grids.get(name)
        total += tensor.numel() * tensor.element_size() if one is None else _packed(tensor, one)
    return total


def _packed(tensor: Tensor, grid: Grid) -> int:
    bits = tensor.numel() * grid.bits + (grid.zero.numel() * grid.bits if bool(grid.zero.any()) else 0)
    held = grid.scale if grid.levels is None else grid.levels
    return -(-bits // 8) + held.numel() * held.element_size()


@torch.no_grad()
def relative_error(state: Mapping[str, Tensor], quantization: Quantization) -> float:
    """Return |Q(w) - w| / |w| over all quantized weights together; NaN where those before rounding are not known."""
    pairs = [(state[name].double().cpu(), latent.double().cpu()) for name, latent in quantization.latent.items()]
    if not pairs:
        return float("nan")
    error = sum(float((value - latent).square().sum()) for value, latent in pairs)
    return (error / sum(float(latent.square().sum()) for _, latent in pairs)) ** 0.5
