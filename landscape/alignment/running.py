"""A network run once on a few examples, as exactly as it can."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from landscape.engine.network import call


@torch.no_grad()
def running(model: nn.Module, inputs: Any) -> tuple[nn.Module, Any, list[Tensor]]:
    """Return a copy of a model in evaluation mode, its inputs and copies of its outputs.

    In float64; or as they come, if the model refuses that or the device has none.
    """
    network = copy.deepcopy(model).eval().requires_grad_(False)
    double = pytree.tree_map_only(Tensor, lambda x: x.double() if x.is_floating_point() else x, inputs)
    try:
        wide = copy.deepcopy(network).double()
        return wide, double, _copied(call(wide, double))
    except (RuntimeError, TypeError):  # such as MPS, which has no float64
        return network, inputs, _copied(call(network, inputs))


def tensors(tree: Any) -> Iterator[Tensor]:
    """Iterate over the tensors in what a model returned: in lists, mappings and objects."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, Mapping | list | tuple) or hasattr(tree, "__dict__"):
        mapping = tree if isinstance(tree, Mapping | list | tuple) else vars(tree)
        for part in mapping.values() if isinstance(mapping, Mapping) else mapping:
            yield from tensors(part)


def _copied(outputs: Any) -> list[Tensor]:
    return [tensor.clone() for tensor in tensors(outputs)]
