"""What goes into layers, quantized while a network is trained, by grids that move."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from landscape.quantize.activations import Activation, attached, put_before
from landscape.quantize.grid import KINDS, Grid
from landscape.quantize.layers import chosen, layers
from landscape.quantize.parametrization import Make, put_on
from landscape.quantize.scheme import HIGHEST, LOWEST


class Input(Activation):
    """Round a tensor to a grid that training moves.

    In training mode `rounded` says what comes out; in evaluation mode it is the nearest value of the grid, as in the
    network that is deployed. All that the grid is lies in the state dict, so that a run that is resumed goes on with
    it; the first grid is fitted by `fitting`.

    Parameters
    ----------
    bits : int
    levels : int
        Learned levels that there is room for; 0 for other grids.
    """

    again = False  # whether the grid is fitted anew at the beginning of every epoch

    def __init__(self, bits: int, *, levels: int = 0) -> None:
        ones = torch.ones(1)
        start = Grid("uniform", bits, 0, 2**bits - 1, ones, torch.zeros(1))
        super().__init__(start)
        self.register_buffer("scale", ones)
        self.register_buffer("zero", torch.zeros(1))
        self.register_buffer("levels", torch.zeros(1, levels) if levels else None)
        self.fits = self.fitted = False

    @property
    def grid(self) -> Grid:
        """The grid as it is now, without a gradient."""
        levels = self.levels if self.kind == "levels" else None
        return Grid(self.kind, self.bits, self.low, self.high, self.scale.detach(), self.zero, levels)

    @torch.no_grad()
    def adopt(self, grid: Grid) -> None:
        """Go on with another grid."""
        self.kind, self.low, self.high = grid.kind, grid.low, grid.high
        self.scale.copy_(grid.scale)
        self.zero.copy_(grid.zero)
        if grid.levels is not None:
            self.levels.copy_(grid.levels)

    def fit(self, inputs: Tensor) -> None:
        """Fit the grid to a tensor (B, ...)."""
        raise NotImplementedError

    def rounded(self, inputs: Tensor) -> Tensor:
        """Return what comes out in training mode, with derivatives."""
        raise NotImplementedError

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)."""
        if self.fits:
            self.fit(inputs.detach())
            self.fitted = True
        return self.rounded(inputs) if self.training else super().forward(inputs)

    def get_extra_state(self) -> Tensor:
        """Return what of the grid is no tensor, as one: plain numbers decide without a wait for the device."""
        return torch.tensor([KINDS.index(self.kind), self.low, self.high])

    def set_extra_state(self, state: Tensor) -> None:
        """Go on with what `get_extra_state` returned."""
        kind, self.low, self.high = state.tolist()
        self.kind = KINDS[kind]


def require_bits(bits: int | None, name: str, *, lowest: int = LOWEST, highest: int = HIGHEST) -> None:
    """Refuse a width of activations that the method of that name does not have; None is full precision."""
    if bits is not None and not lowest <= bits <= highest:
        wanted = "1 bit" if highest == lowest else f"{lowest} to {highest} bits"
        raise ValueError(f"Expected acts of {wanted}, or none, got {bits}: set it as in {name}:acts={highest}.")


def put_around(
    model: nn.Module,
    make: Make,
    inside: Callable[[], Input] | None = None,
    *,
    skip: Iterable[str] = (),
    raw: bool = False,
) -> nn.Module:
    """Quantize the weights of a network's layers and, on request, what goes into them, in place, and return it.

    Parameters
    ----------
    model : nn.Module
    make : callable (weight, axis of the output units) -> Quantizer
    inside : callable () -> Input, optional
        Makes the quantizer of what goes into one layer; they are left as they are unless given.
    skip : iterable of str
        Layers to leave out, with what goes into them: see `landscape.quantize.layers.chosen`.
    raw : bool, default=False
        Leave what goes into the first layer of the network as it is: the data.

    Raises
    ------
    ValueError
        If there is nothing to quantize, or a layer has a parametrization already.
    """
    first, skip = next((name for name, _ in layers(model)), ""), tuple(skip)
    names = [weight.rpartition(".")[0] for weight in chosen(model, skip)] if inside is not None else []
    put_on(model, make, skip)
    for name in names:
        if inside is not None and not (raw and name == first):
            layer = model.get_submodule(name)
            put_before(layer, inside().to(layer.weight).train(model.training))
    return model


def inputs(model: nn.Module) -> dict[str, Input]:
    """Map the names of layers to the quantizers of what goes into them that training moves."""
    return {name: one for name, one in attached(model).items() if isinstance(one, Input)}


@contextmanager
def fitting(model: nn.Module, *, again: bool = False) -> Iterator[None]:
    """Let quantizers fit themselves to what goes into their layers when the network runs inside, before they round it.

    So every one sees what those before it make of the data, as it will in training.

    Parameters
    ----------
    model : nn.Module
    again : bool, default=False
        Only those that are fitted anew every epoch.

    Raises
    ------
    ValueError
        At the end, if one was never reached.
    """
    known = {name: one for name, one in inputs(model).items() if one.again or not again}
    for one in known.values():
        one.fits, one.fitted = True, False
    try:
        yield
    finally:
        for one in known.values():
            one.fits = False
    if missed := [name for name, one in known.items() if not one.fitted]:
        raise ValueError(
            f"Expected the layer {missed[0]!r} to be called when the network runs, got no inputs of it to quantize: "
            "skip the layer (attention may take its weights without calling it), or leave acts out."
        )
