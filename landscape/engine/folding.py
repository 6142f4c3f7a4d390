"""Folding batch norm into the layer before it: one multiplication of weights instead of one of activations."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from inspect import signature

import torch
from torch import Tensor, fx, nn

from landscape.engine.network import Network

# Not linear layers: whether their features lie on the axis that a norm acts on depends on the inputs.
FOLDABLE = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Folded:
    """A network whose frozen batch norms are folded into the layers before them, at every point anew.

    With scale s = gamma / sqrt(variance + eps), a layer W x + c followed by batch norm is the layer
    (s W) x + (c - mean) s + beta. gamma, beta, W and c may all move with theta.

    Attributes
    ----------
    pairs : list of (layer, norm)
        Names; empty where nothing can be folded (no such pair, or a model that torch.fx cannot trace).
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.pairs = foldable(network.model)
        if not self.pairs:
            return
        self.model = deepcopy(network.model)
        self.own = dict(self.model.named_parameters())
        for layer_name, norm_name in self.pairs:
            layer = self.model.get_submodule(layer_name)
            if layer.bias is None:
                layer.bias = nn.Parameter(layer.weight.new_zeros(len(layer.weight)), requires_grad=False)
            parent, _, child = norm_name.rpartition(".")
            setattr(self.model.get_submodule(parent), child, nn.Identity())
        inside = {f"{m}.{p}" for pair in self.pairs for m in pair for p in ("weight", "bias")}
        self.plain = [b for b in network.blocks if b.name not in inside]

    @torch.no_grad()
    def place(self, theta: Tensor) -> None:
        """Write a vector (D,) into the folded copy."""
        weights = self.network.weights(theta)
        for block in self.plain:
            self.own[block.name].copy_(weights[block.name])
        for name, value in self.values(weights).items():
            layer, _, which = name.rpartition(".")
            getattr(self.model.get_submodule(layer), which).copy_(value)

    def values(self, moved: dict[str, Tensor]) -> dict[str, Tensor]:
        """Fold parameters, by their names, into those of the layers of the folded copy; differentiable.

        What is not among the parameters given stays as the network has it.
        """
        here, found = self.network.tensors | moved, {}
        for layer_name, norm_name in self.pairs:
            norm = self.network.model.get_submodule(norm_name)
            scale = torch.rsqrt(norm.running_var + norm.eps)
            if norm.affine:
                scale = scale * here[f"{norm_name}.weight"]
            weight = here[f"{layer_name}.weight"]
            shift = here.get(f"{layer_name}.bias", 0.0) - norm.running_mean
            found[f"{layer_name}.weight"] = weight * scale.view(-1, *[1] * (weight.ndim - 1))
            found[f"{layer_name}.bias"] = shift * scale + here[f"{norm_name}.bias"] if norm.affine else shift * scale
        return found


def foldable(model: nn.Module) -> list[tuple[str, str]]:
    """Find (layer, batch norm) pairs where nothing else sees what passes between them.

    Both modules must be called once, hold no hooks or shared weights, and the norm must have statistics. The network
    must take no arguments that may be None, by which it could choose what to call.
    """
    modules = dict(model.named_modules())
    if any(_hooked(module) for module in modules.values()):
        return []
    if any(parameter.default is None for parameter in signature(model.forward).parameters.values()):
        return []
    try:
        graph = fx.Tracer().trace(model)
    except Exception:  # a model may fail to trace in any way that Python offers; it is then run as it is
        return []
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    seen = {str(node.target).rpartition(".")[0] for node in graph.nodes if node.op == "get_attr"}
    shared = Counter(id(p) for m in modules.values() for p in m._parameters.values() if p is not None)
    found = []
    for node in graph.nodes:
        if node.op != "call_module" or not _is_frozen_norm(modules[node.target]) or calls[node.target] != 1:
            continue
        before = node.all_input_nodes[0]
        if before.op != "call_module" or len(before.users) != 1 or calls[before.target] != 1:
            continue
        if seen & {before.target, node.target}:  # the network looks at the very weights that would be folded
            continue
        layer = modules[before.target]
        alone = all(shared[id(p)] == 1 for p in [*layer.parameters(), *modules[node.target].parameters()])
        if type(layer) in FOLDABLE and alone:
            found.append((before.target, node.target))
    return found


def _is_frozen_norm(module: nn.Module) -> bool:
    known = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    return type(module) in known and module.running_mean is not None and "forward" not in vars(module)


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or hasattr(module, "parametrizations"))
