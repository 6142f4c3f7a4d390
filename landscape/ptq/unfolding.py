"""Linear layers as matrices: what a layer computes is a matrix of its weights times a matrix made of its inputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from landscape.quantize.layers import TRANSPOSED


def matrix(layer: nn.Module, weight: Tensor) -> Tensor:
    """Lay out a weight of a layer as rows, one for each output unit: -> (groups, units of a group, J)."""
    groups = _groups(layer)
    if _conv1d(layer):
        return weight.T[None]
    if isinstance(layer, TRANSPOSED):  # (inputs, units of a group, ...)
        parts = weight.reshape(groups, -1, *weight.shape[1:])
        return parts.transpose(1, 2).flatten(2)
    return weight.reshape(groups, weight.shape[0] // groups, -1)


def folded(layer: nn.Module, rows: Tensor) -> Tensor:
    """Undo `matrix`: (groups, units of a group, J) -> a weight of the layer."""
    if _conv1d(layer):
        return rows[0].T
    kernel = _weight(layer).shape[2:]
    if isinstance(layer, TRANSPOSED):
        parts = rows.unflatten(2, (-1, *kernel)).transpose(1, 2)
        return parts.flatten(0, 1)
    return rows.flatten(0, 1).unflatten(1, (-1, *kernel)) if kernel else rows[0]


def unfolded(layer: nn.Module, inputs: Tensor) -> Tensor:
    """Return what the rows of `matrix` are multiplied with: -> (groups, J, positions), whatever stride and padding.

    The layer's own forward is asked for the outputs of units that pass on a single number each.

    Notes
    -----
    Memory: J numbers an output position; a pass costs J units.
    """
    if isinstance(layer, nn.Linear) or _conv1d(layer):
        return inputs.reshape(1, -1, inputs.shape[-1]).mT
    rows = matrix(layer, _weight(layer))
    eye = torch.eye(rows.shape[2], dtype=inputs.dtype, device=inputs.device).expand(len(rows), -1, -1)
    given = {"weight": folded(layer, eye)}
    if layer.bias is not None:
        given["bias"] = inputs.new_zeros(len(rows) * rows.shape[2])
    return outputs(layer, functional_call(layer, given, (inputs,)))


def outputs(layer: nn.Module, found: Tensor) -> Tensor:
    """Lay out what a layer returns: -> (groups, units of a group, positions)."""
    if isinstance(layer, nn.Linear) or _conv1d(layer):
        return found.reshape(1, -1, found.shape[-1]).mT
    spatial = _weight(layer).ndim - 2
    units = found.movedim(-(spatial + 1), 0).flatten(1)
    return units.unflatten(0, (_groups(layer), -1))


def multiplications(layer: nn.Module, inputs: Tensor, found: Tensor) -> int:
    """Count the multiply-accumulate operations of one call of a layer."""
    weight = _weight(layer)
    if isinstance(layer, TRANSPOSED):  # every input meets the kernels of its group
        return inputs.numel() * weight[0].numel()
    return found.numel() * (weight.shape[0] if _conv1d(layer) else weight[0].numel())


def _weight(layer: nn.Module) -> Tensor:
    assert isinstance(layer.weight, Tensor)
    return layer.weight


def _groups(layer: nn.Module) -> int:
    return int(getattr(layer, "groups", 1))


def _conv1d(layer: nn.Module) -> bool:
    """Say whether it is GPT-2's linear layer, whose weight is (inputs, units)."""
    return type(layer).__name__ == "Conv1D"
