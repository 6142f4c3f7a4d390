"""A network as a function of a flat parameter vector."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True)
class Block:
    """One parameter tensor of a network, and where it lies in the flat vector.

    Attributes
    ----------
    name : str
        As in ``named_parameters``.
    shape : tuple of int
    slice : slice
        Its place in the flat vector.
    role : {"weight", "bias", "norm"}
        Biases are vectors and scalars; norm is anything that belongs to a normalization layer.
    groups : int or None
        Groups of a layer whose output units lie on the second axis (a transposed convolution, or the Conv1D of
        GPT-2 in transformers); None elsewhere.
    """

    name: str
    shape: tuple[int, ...]
    slice: slice
    role: str
    groups: int | None = None

    def filters(self, tensor: Tensor) -> Tensor:
        """View a tensor of this block as one row for each output unit: (*shape) -> (units, fan-in)."""
        if self.groups is None:
            return tensor.reshape(self.shape[0] if len(self.shape) > 1 else 1, -1)
        grouped = tensor.reshape(self.groups, self.shape[0] // self.groups, self.shape[1], -1)
        return grouped.transpose(1, 2).reshape(self.groups * self.shape[1], -1)

    def unfiltered(self, rows: Tensor) -> Tensor:
        """Undo `filters`: (units, fan-in) -> (*shape)."""
        if self.groups is None:
            return rows.reshape(self.shape)
        grouped = rows.reshape(self.groups, self.shape[1], self.shape[0] // self.groups, -1)
        return grouped.transpose(1, 2).reshape(self.shape)


class View(Protocol):
    """A function from named parameters to the weights that the network has there; safe under vmap."""

    no_derivatives: str

    @property
    def grids(self) -> Mapping[str, Any]:
        """What it rounds to, by the names of the parameters that it changes."""
        ...

    def __call__(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Map values of all or some of the parameters."""
        ...

    def draws(self) -> Iterator[View]:
        """Iterate over the views whose losses are averaged."""
        ...

    def record(self) -> dict[str, Any]:
        """Say what it is, in plain JSON."""
        ...


class Network:
    """A private copy of a model, in evaluation mode, whose parameters are set from flat vectors.

    Parameters
    ----------
    model : nn.Module
        Copied; the original is never touched.
    parameters : str or sequence of str
        Globs over parameter names; the rest is held fixed. Tied parameters count once.
    dtype, device
        Of floating-point parameters and buffers; integer buffers keep their format.
    view : View, optional
        What the weights are as a function of the parameters; the parameters themselves unless given.

    Raises
    ------
    ValueError
        If no parameter matches, or one is not finite; if the view is about parameters that there are not.
    """

    def __init__(
        self, model: nn.Module, parameters: str | Iterable[str], dtype: torch.dtype, device: torch.device,
        view: View | None = None,
    ) -> None:  # fmt: skip
        if not isinstance(model, nn.Module):
            raise ValueError(f"Expected a torch.nn.Module, got {type(model).__name__}.")
        self.model = deepcopy(model).eval().requires_grad_(False).to(device)
        _cast(self.model, dtype)
        self.dtype, self.device, self.view = dtype, device, view
        self.blocks = _blocks(self.model, parameters)
        self.dim = sum(_size(block) for block in self.blocks)
        self.tensors = dict(self.model.named_parameters())
        _require_finite(self.model)
        self.theta = self.pack(self.model)
        if view is not None:
            if unknown := view.grids.keys() - self.tensors.keys():
                raise ValueError(
                    f"Expected grids of parameters of {type(model).__name__}, got one of {min(unknown)!r}: it has none "
                    "of that name, or shares it with another."
                )
            moved = {block.name for block in self.blocks}
            self._write(view({name: tensor for name, tensor in self.tensors.items() if name not in moved}))

    @property
    def norms(self) -> list[tuple[str, _BatchNorm]]:
        """Batch-norm layers by name."""
        return [(n, m) for n, m in self.model.named_modules() if isinstance(m, _BatchNorm)]

    def pack(self, source: nn.Module | Mapping[str, Tensor]) -> Tensor:
        """Flatten the parameters of a model, or of a state dict, into a vector: -> (D,).

        Raises
        ------
        ValueError
            If a parameter is missing or has another shape; all such are listed.
        """
        found = dict(source) if isinstance(source, Mapping) else dict(source.named_parameters())
        wrong = [
            f"{b.name} ({'missing' if b.name not in found else f'shape {tuple(found[b.name].shape)}'})"
            for b in self.blocks
            if b.name not in found or tuple(found[b.name].shape) != b.shape
        ]
        if wrong:
            raise ValueError(
                f"Expected the parameters of {type(self.model).__name__}, got others at: {', '.join(wrong)}."
            )
        flat = [found[block.name].detach().to(self.device, self.dtype).flatten() for block in self.blocks]
        return torch.cat(flat)

    def unpack(self, theta: Tensor) -> dict[str, Tensor]:
        """Split vectors (..., D) into named parameters (..., *shape); no copy."""
        return {b.name: theta[..., b.slice].reshape(*theta.shape[:-1], *b.shape) for b in self.blocks}

    def weights(self, theta: Tensor) -> dict[str, Tensor]:
        """Return the weights at vectors (D,) or (P, D): the named parameters, as the view shows them."""
        values = self.unpack(theta)
        if self.view is None:
            return values
        if theta.ndim == 1:
            return self.view(values)
        return vmap(self.view.__call__)(values)  # vmap names what it maps: an object without a name it writes out

    def place(self, theta: Tensor) -> None:
        """Write the weights at a vector (D,) into the parameters of the private copy."""
        self._write(self.weights(theta))

    @torch.no_grad()
    def _write(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            self.tensors[name].copy_(value)

    def __call__(self, inputs: Any) -> Any:
        """Apply the network, with the parameters that were placed last."""
        return call(self.model, inputs)


def lay_out(model: nn.Module, channels_last: bool) -> None:
    """Store the weights of 2-D convolutions with the channels last, or first; the numbers stay as they are."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    for parameter in model.parameters():
        if parameter.ndim == 4 and not parameter.is_contiguous(memory_format=layout):
            parameter.data = parameter.data.contiguous(memory_format=layout)


def call(model: nn.Module, inputs: Any) -> Any:
    """Apply a model to inputs: a tensor, a tuple of positional or a dict of keyword arguments."""
    if isinstance(inputs, dict):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple) else model(inputs)


def arguments(inputs: Any) -> tuple[tuple, dict]:
    """Split inputs into positional and keyword arguments, as `torch.func.functional_call` takes them."""
    if isinstance(inputs, dict):
        return (), inputs
    return (inputs if isinstance(inputs, tuple) else (inputs,)), {}


def _cast(model: nn.Module, dtype: torch.dtype) -> None:
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            tensor.data = tensor.data.to(dtype)


def _blocks(model: nn.Module, parameters: str | Iterable[str]) -> tuple[Block, ...]:
    globs = [parameters] if isinstance(parameters, str) else list(parameters)
    named = [(n, p) for n, p in model.named_parameters() if any(fnmatchcase(n, g) for g in globs)]
    if complex_ones := [n for n, p in named if p.is_complex()]:
        raise ValueError(
            f"Expected real parameters, got complex ones ({', '.join(complex_ones[:4])}): leave them out by a glob "
            "over names, or store them as real pairs."
        )
    named = [(n, p) for n, p in named if p.is_floating_point()]
    if not named:
        offered = ", ".join(n for n, _ in list(model.named_parameters())[:8])
        raise ValueError(
            f"Expected a glob that matches parameters of {type(model).__name__} ({offered or 'it has none'} ...), "
            f"got {', '.join(globs)!r}."
        )
    owners = {f"{m}.{n}" if m else n: module for m, module in model.named_modules() for n in module._parameters}
    blocks, start = [], 0
    for name, parameter in named:
        blocks.append(_block(name, parameter, owners[name], start))
        start += parameter.numel()
    return tuple(blocks)


def _block(name: str, parameter: Tensor, owner: nn.Module, start: int) -> Block:
    norm = isinstance(owner, NORMS) or type(owner).__name__.endswith("Norm")
    role = "norm" if norm else "bias" if parameter.ndim < 2 else "weight"
    groups = _transposed_groups(owner) if role == "weight" else None
    return Block(name, tuple(parameter.shape), slice(start, start + parameter.numel()), role, groups)


def _transposed_groups(owner: nn.Module) -> int | None:
    """Return the groups of a layer whose output units lie on the second axis of its weight."""
    if type(owner).__name__ == "Conv1D":  # the linear layer of GPT-2 in transformers: (inputs, outputs)
        return 1
    return owner.groups if isinstance(owner, TRANSPOSED) else None


def _size(block: Block) -> int:
    return block.slice.stop - block.slice.start


def _require_finite(model: nn.Module) -> None:
    """Refuse weights that are not finite, and buffers with NaN (a mask may well hold infinities)."""
    named = [(n, ~torch.isfinite(p)) for n, p in model.named_parameters()]
    named += [(n, torch.isnan(b)) for n, b in model.named_buffers()]
    for name, wrong in named:
        if bool(wrong.any()):
            raise ValueError(
                f"Expected finite weights, got {int(wrong.sum())} NaN or infinite numbers in `{name}`: "
                "this checkpoint is damaged or its training diverged."
            )
