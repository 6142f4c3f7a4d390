"""The layers that give units: whose output channels are units of a group."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from landscape.alignment.structure import Place, Structure
from landscape.engine.device import arithmetic

if TYPE_CHECKING:
    from landscape.objective import Objective

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
LAYERS = (nn.Linear, *CONVOLUTIONS, *TRANSPOSED)


def axes(module: nn.Module) -> tuple[int, int] | None:
    """Return the axis of a layer's weight that its outputs lie on, and that of its output; None for other modules."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        return (0 if isinstance(module, nn.Linear) else 1), -1
    if isinstance(module, (*CONVOLUTIONS, _BatchNorm)):
        return 0, 1
    return (1, 1) if isinstance(module, TRANSPOSED) and module.groups == 1 else None


def producers(model: nn.Module, structure: Structure) -> dict[str, list[tuple[str, Place]]]:
    """Map the layers that produce units to the groups of these units, with their places on the layer's outputs.

    These are linear layers, convolutions and embeddings.
    """
    modules, found = dict(model.named_modules()), {}
    for group in structure.groups:
        for place in group.places:
            layer, _, what = place.tensor.rpartition(".")
            produces = what == "weight" and layer in modules and not isinstance(modules[layer], _BatchNorm)
            known = axes(modules[layer]) if produces else None
            if known is not None and place.axis == known[0]:
                found.setdefault(layer, []).append((group.name, place))
    return found


def answering(model: nn.Module, structure: Structure) -> dict[str, list[tuple[str, Place]]]:
    """Map the layers that say what units answer before their nonlinearity to the groups of these units.

    Those that produce them; of a group with batch norm its batch norms instead, whose scales may turn a channel around.
    """
    modules, normed = dict(model.named_modules()), {}
    for group in structure.groups:
        for place in group.places:
            layer, _, what = place.tensor.rpartition(".")
            if what in ("weight", "running_mean") and isinstance(modules.get(layer), _BatchNorm):
                normed.setdefault(layer, {})[group.name] = place
    behind = {name for placed in normed.values() for name in placed}
    found = {
        layer: [(name, place) for name, place in placed if name not in behind]
        for layer, placed in producers(model, structure).items()
    } | {layer: list(placed.items()) for layer, placed in normed.items()}
    return {layer: placed for layer, placed in found.items() if placed}


@contextmanager
def outputs(model: nn.Module, names: Iterable[str]) -> Iterator[dict[str, list[Tensor]]]:
    """Collect what layers give, channels last as rows (numbers, channels): a list, for they may be called again."""
    found: dict[str, list[Tensor]] = {name: [] for name in names}
    handles = [
        model.get_submodule(name).register_forward_hook(
            lambda module, given, made, name=name: found[name].append(_rows(module, made))
        )
        for name in names
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def at(objective: Objective, theta: Tensor) -> nn.Module:
    """Return a copy of an objective's network with the weights of a point (D,), and its statistics there."""
    runner, network = objective._runner, objective.network
    point = theta.to(network.device, network.dtype)
    with arithmetic(objective.precision, network.device), torch.no_grad():
        runner.refit(point)
        network.place(point)
    return copy.deepcopy(network.model)


def _rows(module: nn.Module, made: Tensor) -> Tensor:
    known = axes(module)
    assert known is not None
    return made.detach().movedim(known[1], -1).flatten(0, -2)
