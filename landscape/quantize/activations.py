"""Activations on grids: what goes into a layer is rounded before it gets there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from landscape.quantize.estimators.clipped import clipped
from landscape.quantize.grid import Grid

MODES = ("hard", "ste", "dither", "fp")
CHILD = "activation_quantizer"
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
SEED = 0  # of the noise that dithers


class Activation(nn.Module):
    """Round a tensor to a frozen grid.

    Its buffers are no part of the state dict: a checkpoint keeps its grids apart.

    Parameters
    ----------
    grid : Grid
        With one scale.
    mode : {"hard", "ste", "dither", "fp"}
        hard and ste round; derivatives through hard ones are refused, those of ste are the clipped straight-through
        estimator's: symmetric, reproducible, and not those of the loss. dither clips to the range and adds uniform
        noise of one step's width, the same for every example; fp lets everything pass. Both are differentiable.
    stream : int, default=0
        Which noise it is: a number for each layer.
    """

    def __init__(self, grid: Grid, mode: str = "hard", stream: int = 0) -> None:
        super().__init__()
        self.stream = stream
        self.kind, self.bits, self.low, self.high = grid.kind, grid.bits, grid.low, grid.high
        for name in ("scale", "zero", "levels"):
            self.register_buffer(name, getattr(grid, name), persistent=False)
        self.mode = mode

    @property
    def grid(self) -> Grid:
        """The grid, where the network is now."""
        return Grid(self.kind, self.bits, self.low, self.high, self.scale, self.zero, self.levels)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)."""
        if self.mode == "fp":
            return inputs
        if self.mode == "dither":
            return self._dithered(inputs)
        return clipped(inputs, self.grid)

    def _dithered(self, inputs: Tensor) -> Tensor:
        low, high = (self.grid.dequantize(torch.full_like(self.scale, code)) for code in (self.low, self.high))
        drawn = np.random.default_rng((SEED, self.stream)).random(inputs.shape[1:])  # torch draws nothing under vmap
        noise = torch.as_tensor(drawn - 0.5, dtype=inputs.dtype, device=inputs.device)
        return torch.clamp(inputs, low.to(inputs), high.to(inputs)) + noise * self.grid.step.to(inputs)

    def extra_repr(self) -> str:
        """Tell the width where a network is printed."""
        return f"bits={self.bits}, kind={self.kind}, mode={self.mode}"


def attach(model: nn.Module, grids: Mapping[str, Grid], mode: str = "hard") -> nn.Module:
    """Round what goes into the named layers of a network, in place, and return it; replaces what was attached before.

    Raises
    ------
    ValueError
        If a layer is unknown, or calls whatever it holds in turn; if a grid has several scales; if the mode is unknown.
    """
    require_mode(mode)
    modules = dict(model.named_modules())
    for stream, (name, grid) in enumerate(grids.items()):
        if name not in modules:
            raise ValueError(f"Expected a layer {name!r} whose activations are quantized, got a network without it.")
        if isinstance(modules[name], CONTAINERS):
            raise ValueError(
                f"Expected a layer whose activations are quantized, got {name!r}, which holds others: name the first."
            )
        if grid.scale.numel() != 1:
            raise ValueError(f"Expected one scale for the activations of {name!r}, got {grid.scale.numel()}: give one.")
        put_before(modules[name], Activation(grid, mode, stream))
    return model


def put_before(layer: nn.Module, quantizer: Activation) -> None:
    """Round what goes into a layer by a quantizer, in place; replaces the one that was there."""
    if not hasattr(layer, CHILD):
        layer.register_forward_pre_hook(_quantized, with_kwargs=True)
    setattr(layer, CHILD, quantizer)


def attached(model: nn.Module) -> dict[str, Activation]:
    """Map the names of layers to the quantizers of their activations."""
    found = {name: getattr(layer, CHILD, None) for name, layer in model.named_modules()}
    return {name: child for name, child in found.items() if isinstance(child, Activation)}


def switch(model: nn.Module, mode: str) -> None:
    """Set the mode of all quantizers of activations of a network.

    Raises
    ------
    ValueError
        If it is unknown.
    """
    require_mode(mode)
    for module in attached(model).values():
        module.mode = mode


def require_mode(mode: str) -> None:
    """Refuse an unknown mode."""
    if mode not in MODES:
        raise ValueError(f"Expected quantized activations among {', '.join(MODES)}, got {mode!r}: choose one.")


def _quantized(layer: nn.Module, given: tuple, named: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    quantizer = getattr(layer, CHILD)
    if given:
        return (quantizer(given[0]), *given[1:]), named
    first, *_ = named
    return given, named | {first: quantizer(named[first])}
