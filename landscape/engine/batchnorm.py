"""Batch-norm statistics along a surface: frozen, of each batch, or refitted at every point."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from landscape.engine.network import Network

POLICIES = ("frozen", "refit", "batch")


def apply(network: Network, policy: str) -> bool:
    """Prepare the batch-norm layers of a private network for a policy.

    Returns whether the loss depends on how examples are cut into batches, in which case they are cut once
    and for all: under "batch" and "refit", and for layers that never kept running statistics.

    Raises
    ------
    ValueError
        If the policy is unknown, or frozen statistics are asked of a checkpoint that has none.
    """
    if policy not in POLICIES:
        raise ValueError(f"Expected a batch-norm policy among {', '.join(POLICIES)}, got {policy!r}.")
    untracked = any(layer.running_mean is None for _, layer in network.norms)
    for _, layer in network.norms:
        if policy == "batch":
            layer.running_mean = layer.running_var = layer.num_batches_tracked = None
            layer.track_running_stats = False
        elif policy == "refit":
            if layer.running_mean is None:
                layer.register_buffer("running_mean", torch.zeros(layer.num_features).to(network.device, network.dtype))
                layer.register_buffer("running_var", torch.ones(layer.num_features).to(network.device, network.dtype))
            layer.collected = None
            layer.forward = types.MethodType(_collecting, layer)
    return bool(network.norms) and (policy != "frozen" or untracked)


def released(model: nn.Module) -> None:
    """Give the batch-norm layers of a copy of a prepared network their own forward pass back, in place."""
    for layer in model.modules():
        if isinstance(layer, _BatchNorm) and "collected" in layer.__dict__:
            del layer.forward, layer.collected


def statistics(network: Network, forward: Callable, batches: Iterable) -> dict[str, Tensor]:
    """Pool the statistics of every layer over batches, each batch normalized by itself on its way.

    The mean and the unbiased variance of all inputs of a layer, so that every batch weighs what it should
    (torch's ``update_bn`` averages batches as if they were equal, and leaves out the spread between them).

    Parameters
    ----------
    network : Network
        Prepared by `apply` for "refit".
    forward : callable (inputs, take) -> dict of str to Tensor
        Runs the network on a batch and returns what ``take()`` then gives, with any axes of points in front.
    batches : iterable
        Inputs of one batch after another.

    Returns
    -------
    dict of str to Tensor
        ``layer.running_mean`` and ``layer.running_var``, each (..., features).
    """
    totals: dict[str, Tensor] = {}
    with _collection(network) as take:
        for inputs in batches:
            for name, total in forward(inputs, take).items():
                totals[name] = totals[name] + total if name in totals else total
    found = {}
    for name, total in totals.items():
        number, first, second = total.unbind(-2)
        mean = first / number
        variance = (second / number - mean**2).clamp(min=0) * number / (number - 1).clamp(min=1)
        found[f"{name}.running_mean"] = mean.to(network.dtype)
        found[f"{name}.running_var"] = variance.to(network.dtype)
    return found


@contextmanager
def _collection(network: Network):
    """Let the layers collect; gives ``take()``, which returns and forgets sums (3, features) by layer."""
    layers = dict(network.norms)

    def take() -> dict[str, Tensor]:
        found = {name: sum(layer.collected) for name, layer in layers.items() if layer.collected}
        for layer in layers.values():
            layer.collected = []
        return found

    try:
        take()
        yield take
    finally:
        for layer in layers.values():
            layer.collected = None


def _collecting(layer: nn.Module, inputs: Tensor) -> Tensor:
    """Stand in for a batch-norm layer's forward: normalize by the batch while statistics are collected.

    Kept are the number of inputs of a feature, their sum and the sum of their squares.
    """
    collect = layer.collected is not None
    if collect:
        axes = [0, *range(2, inputs.ndim)]
        wide = inputs.double() if inputs.device.type != "mps" else inputs
        first = wide.sum(axes)
        number = torch.full_like(first, inputs.numel() // inputs.shape[1])
        layer.collected.append(torch.stack([number, first, (wide**2).sum(axes)]))
    mean, variance = (None, None) if collect else (layer.running_mean, layer.running_var)
    return functional.batch_norm(inputs, mean, variance, layer.weight, layer.bias, collect, 0.0, layer.eps)
