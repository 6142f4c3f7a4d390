"""What goes into the layers of a network, observed, and the grids that fit it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from landscape.engine.network import call
from landscape.quantize import activations
from landscape.quantize.calibration import calibrate
from landscape.quantize.grid import Grid
from landscape.quantize.layers import layers
from landscape.quantize.scheme import Scheme

SAMPLE = 2**17  # numbers that are kept of what goes into a layer: at the 99.9th percentile, 131 of them lie above
SEED = 0


@torch.no_grad()
def observed(
    model: nn.Module,
    batches: Iterable[Any],
    bits: int | Mapping[str, int],
    *,
    names: Iterable[str] | None = None,
    calibration: str = "mse",
    percentile: float = 99.9,
) -> dict[str, Grid]:
    """Fit a grid, one for the whole tensor, to what goes into each of the named layers: name of the layer -> Grid.

    Inputs that are never negative, such as those after a ReLU, get the codes 0 to 2^bits - 1 with the value 0 at code
    0; others the same codes with a zero point. At 1 bit, inputs of both signs get their sign times the mean of |x|, and
    those that are never negative 0 and one positive value, since their sign says nothing.

    Parameters
    ----------
    model : nn.Module
        Copied, put in evaluation mode, and run without quantized activations; the original is not touched.
    batches : iterable of batches
        Inputs alone, without targets: each a tensor, a tuple of positional or a dict of keyword arguments, in the
        format and on the device of the network. Read once.
    bits : int or mapping of str to int
        From 1 to 8; one width, or one for each layer by name.
    names : iterable of str, optional
        Names of layers, as `landscape.quantize.activations.attach` takes them; by default those of `bits`, if it is a
        mapping, else all linear and convolutional layers.
    calibration : {"mse", "minmax", "percentile", "auto"}
        As in `landscape.quantize.scheme.Scheme`.
    percentile : float, default=99.9
        Of calibration "percentile"; of inputs of both signs, as much is cut off below.

    Raises
    ------
    ValueError
        If a layer is unknown, is never called, or its inputs are not floating-point, not finite, or all zero.

    Notes
    -----
    One pass over the batches. Kept of each layer: the range and the mean of |x| of all its inputs, and at most 131072
    of them, all if they are no more, else as many independent draws from all, by a fixed seed. Minmax is thus exact,
    and so is the range that mse tries shares of.

    References
    ----------
    Nagel et al. (2021), A white paper on neural network quantization, arXiv:2106.08295; Rastegari et al. (2016),
    XNOR-Net, arXiv:1603.05279 (the mean of |x|); Vitter (1985), Random sampling with a reservoir, ACM Transactions on
    Mathematical Software 11(1).
    """
    wanted = list(names) if names is not None else list(bits) if isinstance(bits, Mapping) else None
    seen = {name: _Seen() for name in (wanted if wanted is not None else [name for name, _ in layers(model)])}
    if not seen:
        raise ValueError(f"Expected layers to observe, got none in {type(model).__name__}: name some.")
    schemes = {name: _scheme(bits, name, calibration, percentile) for name in seen}
    _run(model, batches, seen)
    return {name: one.grid(name, schemes[name]) for name, one in seen.items()}


class _Seen:
    """What is kept of the inputs of one layer."""

    def __init__(self) -> None:
        self.count = 0
        self.sample = torch.empty(0)
        self.low = self.high = self.total = torch.tensor(0.0)
        self.generator = torch.Generator().manual_seed(SEED)

    def add(self, name: str, inputs: Any) -> None:
        """Take in one batch."""
        if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
            raise ValueError(
                f"Expected floating-point inputs of the layer {name!r}, got "
                f"{inputs.dtype if isinstance(inputs, Tensor) else type(inputs).__name__}: leave the layer out."
            )
        flat = inputs.detach().flatten()
        flat = flat if flat.dtype == torch.float64 else flat.float()
        if not len(flat):
            return
        low, high, total = flat.amin(), flat.amax(), flat.abs().sum(dtype=torch.float64)
        if self.count:
            low, high, total = torch.minimum(low, self.low), torch.maximum(high, self.high), total + self.total
        self.low, self.high, self.total = low, high, total
        self.sample = self._drawn(flat)
        self.count += len(flat)

    def _drawn(self, flat: Tensor) -> Tensor:
        """Join a batch to the sample; beyond its size, replace each of it with the probability of the batch."""
        if self.count + len(flat) <= SAMPLE:
            return torch.cat([self.sample.to(flat), flat])
        new = flat[self._places(len(flat)).to(flat.device)]
        if not self.count:
            return new
        old = self.sample if self.count > SAMPLE else self.sample[self._places(self.count).to(flat.device)]
        replaced = torch.rand(SAMPLE, generator=self.generator, dtype=torch.float64) < len(flat) / (
            self.count + len(flat)
        )
        return torch.where(replaced.to(flat.device), new, old)

    def _places(self, count: int) -> Tensor:
        return torch.randint(count, (SAMPLE,), generator=self.generator)

    def grid(self, name: str, scheme: Scheme) -> Grid:
        """Fit the grid of what was seen."""
        if not self.count:
            raise ValueError(
                f"Expected the layer {name!r} to be called when the network runs, got no inputs of it: give batches, "
                "or leave the layer out (attention may take its weights without calling it)."
            )
        if not bool(torch.isfinite(self.low) & torch.isfinite(self.high)):
            raise ValueError(
                f"Expected finite inputs of the layer {name!r}, got NaN or infinite ones: the data or the weights are "
                "damaged."
            )
        if bool((self.low == 0) & (self.high == 0)):
            raise ValueError(
                f"Expected inputs of the layer {name!r} that are not all zero, got zeros alone: no range can be "
                "fitted; give other data, or leave the layer out."
            )
        if scheme.bits == 1 and bool(self.low < 0):
            scale = (self.total / self.count).to(self.sample.dtype).reshape(1)
            return Grid("binary", 1, 0, 1, scale, torch.zeros_like(scale))
        ends = torch.stack([self.low, self.high])
        return calibrate(self.sample if self.count <= SAMPLE else torch.cat([self.sample, ends]), scheme)


def _scheme(bits: int | Mapping[str, int], name: str, calibration: str, percentile: float) -> Scheme:
    if isinstance(bits, Mapping):
        if name not in bits:
            raise ValueError(f"Expected a width for the inputs of the layer {name!r}, got none: give its bits.")
        bits = bits[name]
    return Scheme(bits, "full", calibration, symmetric=False, channels=False, percentile=percentile)


def _run(model: nn.Module, batches: Iterable[Any], seen: Mapping[str, _Seen]) -> None:
    """Run a copy of a network over batches, and show what goes into its layers to those who wait for it."""
    copied = deepcopy(model).eval()
    activations.switch(copied, "fp")
    modules = dict(copied.named_modules())
    for name, one in seen.items():
        if name not in modules:
            raise ValueError(f"Expected a layer {name!r} whose inputs are observed, got a network without it.")
        modules[name].register_forward_pre_hook(partial(_show, name, one), with_kwargs=True)
    for inputs in batches:
        call(copied, inputs)


def _show(name: str, seen: _Seen, layer: nn.Module, given: tuple, named: dict[str, Any]) -> None:
    first = given[0] if given else next(iter(named.values()), None)
    seen.add(name, first)
