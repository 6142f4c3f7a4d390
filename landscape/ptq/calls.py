"""What goes through the layers of a network while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from landscape.engine.network import call
from landscape.ptq.unfolding import multiplications
from landscape.quantize.layers import layers


@torch.no_grad()
def order(model: nn.Module, inputs: Any) -> dict[str, int]:
    """Map the linear and convolutional layers of a network to the times that they are called, in the order of calls."""
    model = deepcopy(model).eval()
    found: dict[str, int] = {}

    def count(name: str) -> None:
        found[name] = found.get(name, 0) + 1

    with _hooked(model, lambda name: lambda *_: count(name)):
        call(model, inputs)
    return found


@torch.no_grad()
def operations(model: nn.Module, inputs: Any) -> dict[str, int]:
    """Count the multiply-accumulate operations of each layer; of one example, if the inputs are those of one."""
    model = deepcopy(model).eval()  # in training mode a pass would move the statistics of batch norm
    found: dict[str, int] = {name: 0 for name, _ in layers(model)}

    def count(name: str, layer: nn.Module, given: tuple, output: Tensor) -> None:
        found[name] += multiplications(layer, given[0], output)

    with _hooked(model, lambda name: lambda layer, given, output: count(name, layer, given, output)):
        call(model, inputs)
    return found


class _Reached(Exception):
    """Nothing after a layer is of interest."""


@torch.no_grad()
def entering(model: nn.Module, name: str, batches: Iterable[Any], times: int) -> Iterator[list[Tensor]]:
    """Yield what goes into a layer, for each batch a tensor a call; what comes after the last call is not run."""
    seen: list[Tensor] = []

    def keep(_: nn.Module, given: tuple) -> None:
        seen.append(given[0])
        if len(seen) == times:
            raise _Reached

    handle = model.get_submodule(name).register_forward_pre_hook(keep)
    try:
        for inputs in batches:
            seen.clear()
            with suppress(_Reached):
                call(model, inputs)
            yield list(seen)
    finally:
        handle.remove()


@contextmanager
def _hooked(model: nn.Module, hook: Any) -> Iterator[None]:
    handles = [layer.register_forward_hook(hook(name)) for name, layer in layers(model)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
