"""The weights of a network as they are now: copied to the CPU, under the names that the bare network gives them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

WRAPPERS = ("DataParallel", "DistributedDataParallel", "AveragedModel", "DeepSpeedEngine", "ModelEma", "ModelEmaV2",
            "ModelEmaV3")  # fmt: skip
STORAGES = {"exact": None, "float16": torch.float16, "bfloat16": torch.bfloat16}
WIDE = (torch.float32, torch.float64)


def unwrapped(model: nn.Module) -> nn.Module:
    """Take off what compiling, several devices and averaging put around a network."""
    while inner := _inside(model):
        model = getattr(model, inner)
    return model


def _inside(module: nn.Module) -> str | None:
    """Name the attribute under which a wrapper has its network; None of anything else."""
    if "_orig_mod" in module._modules:
        return "_orig_mod"
    names = {kind.__name__ for kind in type(module).__mro__}
    return "module" if "module" in module._modules and not names.isdisjoint(WRAPPERS) else None


def named(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """List the tensors of a network's state dict, under the names that the bare network gives them.

    Parameters
    ----------
    model : nn.Module
        Wrapped as it may be, also in its parts.
    """
    bare = unwrapped(model)
    prefixes = sorted(_wrapped(bare), key=len, reverse=True)  # the innermost first, while the outer ones still match
    for name, tensor in bare.state_dict(keep_vars=True).items():
        if not isinstance(tensor, Tensor):
            continue
        for prefix in prefixes:
            if name.startswith(prefix):
                head = prefix.removesuffix(".").rpartition(".")[0]
                name = (f"{head}." if head else "") + name.removeprefix(prefix)
        yield name, tensor


def state(model: nn.Module) -> dict[str, Tensor]:
    """Copy the state dict of a network to the CPU, `named` as the bare network does.

    Returns
    -------
    dict of str to Tensor
        Nothing in it changes with the network. Tensors that are tied are one tensor here too.

    Notes
    -----
    One copy of the weights in host memory; an accelerator waits until it is made, and for nothing else.
    """
    copies: dict[int, Tensor] = {}
    found = {}
    for name, tensor in named(model):
        if id(tensor) not in copies:
            copies[id(tensor)] = tensor.detach().to("cpu", copy=True)
        found[name] = copies[id(tensor)]
    return found


def parameters(model: nn.Module) -> set[str]:
    """Name what is trained in a state dict; the rest of it are buffers."""
    return {name for name, tensor in named(model) if isinstance(tensor, nn.Parameter)}


def changes(model: nn.Module) -> tuple[int, ...]:
    """Count how often each parameter was written in place, as an optimizer does it."""
    return tuple(parameter._version for parameter in model.parameters())


def within(inner: nn.Module, outer: nn.Module) -> bool:
    """Say whether a network is a part of another: by its first parameter."""
    first = next(inner.parameters(), None)
    return first is None or any(parameter is first for parameter in outer.parameters())


def _wrapped(model: nn.Module) -> Iterator[str]:
    """List what wrappers of parts of a network put before the names of their weights."""
    for path, module in model.named_modules(remove_duplicate=False):
        if inner := _inside(module):
            yield f"{path}.{inner}." if path else f"{inner}."


def elsewhere(model: nn.Module) -> str | None:
    """Say why the weights cannot be copied by one process alone; None where they can."""
    if any(type(module).__name__ == "FullyShardedDataParallel" for module in model.modules()):
        return "its weights are sharded over processes (FSDP)"
    for name, parameter in model.named_parameters():
        if hasattr(parameter, "full_tensor"):
            return f"{name} is sharded over processes"
        if hasattr(parameter, "ds_id"):
            return f"{name} is partitioned over processes (ZeRO)"
        if parameter.is_meta:
            return f"{name} has no values (it is on the meta device)"
    return None


def rounded(found: dict[str, Tensor], names: set[str], dtype: torch.dtype) -> tuple[dict[str, Tensor], float]:
    """Round parameters to a format of 16 bits.

    Parameters
    ----------
    found : dict of str to Tensor
        A state dict.
    names : set of str
        Of the parameters: buffers stay exact, for they are small, and running variances may be too large or small.
    dtype : torch.dtype
        A tensor that has numbers out of its range stays exact.

    Returns
    -------
    state, error
        The L2 norm of what rounding changed, over all parameters.
    """
    made, squares = dict(found), []
    for name in sorted(names & found.keys()):
        if found[name].dtype in WIDE:
            half = found[name].to(dtype)
            if bool((half.isfinite() | ~found[name].isfinite()).all()):
                made[name] = half
                squares.append(float((half.double() - found[name].double()).square().nansum()))
    return made, math.sqrt(math.fsum(squares))


def distance(one: dict[str, Tensor], two: dict[str, Tensor], names: set[str]) -> float:
    """Return the L2 distance between the parameters of two states."""
    return math.sqrt(math.fsum(float((one[n].double() - two[n].double()).square().sum()) for n in names & one.keys()))


def statistics_are_copied(model: nn.Module) -> bool:
    """Say whether torch averages weights here, but only copies the running statistics of batch norm."""
    kinds = [m for m in model.modules() if type(m).__name__ == "AveragedModel" and not getattr(m, "use_buffers", False)]
    return bool(kinds) and bool(_means(model))


def same_statistics(one: nn.Module, two: nn.Module) -> bool:
    """Say whether two networks have the same running statistics; False where there are none."""
    pairs = list(zip(_means(one), _means(two), strict=False))
    return bool(pairs) and all(bool((a.cpu() == b.cpu()).all()) for a, b in pairs)


def _means(model: nn.Module) -> list[Tensor]:
    found: list[Tensor | None] = [getattr(module, "running_mean", None) for module in unwrapped(model).modules()]
    return [mean.detach() for mean in found if mean is not None]
