"""Weights that are quantized while they are trained: torch parametrizations, put on layers and taken off again."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from landscape.quantize import activations
from landscape.quantize.calibration import calibrate
from landscape.quantize.estimators.clipped import clipped
from landscape.quantize.grid import Grid
from landscape.quantize.layers import chosen
from landscape.quantize.quantization import Quantization
from landscape.quantize.scheme import Scheme

Estimator = Callable[[Tensor, Grid], Tensor]


class Quantizer(nn.Module):
    """A parametrization: from what is trained in the place of a weight to the weight that the layer has.

    In evaluation mode that is the weight that is deployed, which lies on a grid.
    """

    def grid_at(self, weight: Tensor) -> Grid:
        """Return the grid on which the weight is deployed, without a gradient."""
        raise NotImplementedError

    def calibrate(self, weight: Tensor) -> None:
        """Fit what stands still between two calls, where there is such, to the latent weight as it is now."""

    def latent(self, weight: Tensor) -> Tensor:
        """Return the weight before rounding, in the units of the grid: the trained one itself."""
        return weight

    def hard(self, weight: Tensor) -> Tensor:
        """Return the deployed weight, which lies on the grid."""
        return self.grid_at(weight).hard(self.latent(weight))


class Quantized(Quantizer):
    """A quantizer whose grid is calibrated now and then.

    In training mode the weight is what the estimator makes of the latent one, which is trained. The grid lies in
    buffers, so that a run that is resumed goes on with it, and moves only when `calibrate` is called.

    Parameters
    ----------
    weight : Tensor
        The latent weight to begin with.
    scheme : Scheme
    axis : int
        Where the output units lie.
    estimator : callable (weight, grid) -> weight
    """

    def __init__(self, weight: Tensor, scheme: Scheme, axis: int, estimator: Estimator = clipped) -> None:
        super().__init__()
        self.scheme, self.axis, self.estimator = scheme, axis, estimator
        found = calibrate(weight, scheme, axis=axis)
        self.kind, self.low, self.high = found.kind, found.low, found.high
        self.register_buffer("scale", found.scale)
        self.register_buffer("zero", found.zero)
        self.register_buffer("levels", found.levels)

    @property
    def grid(self) -> Grid:
        """The grid as it is now, without a gradient."""
        levels = None if self.levels is None else self.levels.detach()
        scale, zero = self.scale.detach(), self.zero.detach()
        return Grid(self.kind, self.scheme.bits, self.low, self.high, scale, zero, levels)

    @torch.no_grad()
    def calibrate(self, weight: Tensor) -> None:
        """Fit the grid to the latent weight as it is now."""
        found = calibrate(weight, self.scheme, axis=self.axis)
        self.scale.copy_(found.scale)
        self.zero.copy_(found.zero)
        if found.levels is not None:
            self.levels.copy_(found.levels)

    def grid_at(self, weight: Tensor) -> Grid:
        """Return the grid as it is now, wherever the weight has gone since it was calibrated."""
        return self.grid

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight that the layer has."""
        return self.estimator(weight, self.grid) if self.training else self.hard(weight)


Make = Callable[[Tensor, int], Quantizer]


def put_on(model: nn.Module, make: Make, skip: Iterable[str] = ()) -> nn.Module:
    """Parametrize the weights of a network's layers, in place, and return it.

    Parameters
    ----------
    model : nn.Module
    make : callable (weight, axis of the output units) -> Quantizer
    skip : iterable of str
        Layers to leave out: see `landscape.quantize.layers.chosen`.

    Raises
    ------
    ValueError
        If there is nothing to quantize, or a layer has a parametrization already.
    """
    for name, axis in chosen(model, skip).items():
        layer = model.get_submodule(name.rpartition(".")[0])
        if parametrize.is_parametrized(layer):
            raise ValueError(
                f"Expected a plain layer to quantize, got one with a parametrization at {name!r}: take it off, or skip "
                "the layer."
            )
        made = make(layer.weight, axis).train(model.training)
        parametrize.register_parametrization(layer, "weight", made, unsafe=True)
    return model


def quantizers(model: nn.Module) -> dict[str, tuple[Quantizer, Tensor]]:
    """Map the names of quantized weights to their parametrizations and what is trained in their place."""
    found = {}
    for name, module in model.named_modules():
        if parametrize.is_parametrized(module, "weight"):
            (first, *_), original = module.parametrizations["weight"], module.parametrizations["weight"].original
            if isinstance(first, Quantizer):
                found[f"{name}.weight" if name else "weight"] = (first, original)
    return found


@torch.no_grad()
def taken_off(model: nn.Module, record: dict[str, Any] | None = None) -> tuple[nn.Module, Quantization | None]:
    """Return a copy of a network with plain weights, those that are deployed, and its quantization.

    A network without quantizers comes back as it is, with None.
    """
    known = quantizers(model)
    if not known:
        return model, None
    plain = copy.deepcopy(model)
    grids, latent = {}, {}
    for name, (quantizer, weight) in quantizers(plain).items():
        layer = plain.get_submodule(name.rpartition(".")[0])
        grids[name], latent[name] = quantizer.grid_at(weight), quantizer.latent(weight).detach().clone()
        _plain(layer, quantizer.hard(weight))
    inputs = {name: one.grid for name, one in activations.attached(plain).items()}
    activations.attach(plain, inputs)  # frozen, in the place of what trains them
    return plain, Quantization(grids, latent, inputs, record or {})


def _plain(layer: nn.Module, weight: Tensor) -> None:
    """Give a parametrized layer its own class back, and a weight.

    `torch.nn.utils.parametrize.remove_parametrizations` takes the attribute off the class, which copies of a layer
    share.
    """
    trained = layer.parametrizations["weight"].original.requires_grad
    del layer.parametrizations
    layer.__class__ = type(layer).__bases__[0]
    layer._parameters = {"weight": nn.Parameter(weight, requires_grad=trained), **layer._parameters}
