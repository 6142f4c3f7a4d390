"""Batch-norm statistics along a surface: frozen, of each batch, or refitted at every point."""

from __future__ import annotations

import types
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

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


class Refit:
    """Pool the statistics of every layer over batches, each batch normalized by itself on its way.

    The mean and the unbiased variance of the pooled inputs of a layer, every batch weighted by its size
    (torch's ``update_bn`` averages batches as if they were equal, and leaves out the spread between them).
    """

    def __init__(self, network: Network) -> None:
        self.layers = dict(network.norms)
        self.totals: dict[str, Tensor] = {}
        self.count: dict[str, int] = {}

    def __enter__(self) -> Refit:
        for layer in self.layers.values():
            layer.collected = []
        return self

    def __exit__(self, *_: Any) -> None:
        for layer in self.layers.values():
            layer.collected = None

    def take(self) -> tuple[dict[str, Tensor], dict[str, int]]:
        """Return the sums (2, features) of the inputs and their squares, and their number, since the last call."""
        found = {name: sum(s for s, _ in layer.collected) for name, layer in self.layers.items() if layer.collected}
        counts = {name: sum(n for _, n in layer.collected) for name, layer in self.layers.items()}
        for layer in self.layers.values():
            layer.collected = []
        return found, counts

    def add(self, found: dict[str, Tensor], counts: dict[str, int]) -> None:
        """Add the sums of one batch: (..., 2, features)."""
        for name, total in found.items():
            self.totals[name] = self.totals.get(name, 0) + total
            self.count[name] = self.count.get(name, 0) + counts[name]

    def statistics(self, like: torch.dtype) -> dict[str, Tensor]:
        """Return the buffers by name: ``layer.running_mean`` and ``layer.running_var``, each (..., features)."""
        found = {}
        for name, total in self.totals.items():
            n = self.count[name]
            mean = total[..., 0, :] / n
            variance = (total[..., 1, :] / n - mean**2).clamp(min=0) * (n / max(n - 1, 1))
            found[f"{name}.running_mean"], found[f"{name}.running_var"] = mean.to(like), variance.to(like)
        return found


def _collecting(layer: nn.Module, inputs: Tensor) -> Tensor:
    """Stand in for a batch-norm layer's forward: normalize by the batch while statistics are collected."""
    collect = layer.collected is not None
    if collect:
        axes = [0, *range(2, inputs.ndim)]
        wide = inputs.double() if inputs.device.type != "mps" else inputs
        sums = torch.stack([wide.sum(axes), (wide**2).sum(axes)])
        layer.collected.append((sums, inputs.numel() // inputs.shape[1]))
    mean, variance = (None, None) if collect else (layer.running_mean, layer.running_var)
    return functional.batch_norm(inputs, mean, variance, layer.weight, layer.bias, collect, 0.0, layer.eps)
