"""Examples that stay on the device, decoded and normalized once where they fit."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils import _pytree as pytree

from landscape.engine.device import SHARE, free_memory
from landscape.reading import Examples


class Resident:
    """The examples of one split on a device, cut into chunks in a fixed order.

    Parameters
    ----------
    examples : Examples
    dtype, device
        Of decoded inputs. uint8 inputs mean pixels / 255; mean and standard deviation act on axis 1.
    classes : int, default=0
        Number of classes that sums are kept apart for; 0 for none.

    Notes
    -----
    Inputs are decoded once if they then fill less than a quarter of the free memory, else chunk by chunk. They are
    kept in one memory layout, the last one asked for.
    """

    def __init__(self, examples: Examples, dtype: torch.dtype, device: torch.device, classes: int = 0) -> None:
        self.examples, self.dtype, self.device, self.classes = examples, dtype, device, classes
        self.normalization = normalization(examples.mean, examples.std, dtype, device)
        leaves = pytree.tree_leaves(examples.segments)
        room = free_memory(device) * SHARE
        self.decoded = sum(leaf.numel() * dtype.itemsize for leaf in leaves) <= room
        self.channels_last = False
        self.segments = examples.segments
        if self.decoded:
            self.segments = tuple((self._decode(x), self._targets(y)) for x, y in examples.segments)
        elif sum(leaf.nbytes for leaf in leaves) <= room:
            self.segments = pytree.tree_map_only(Tensor, lambda t: t.to(device), examples.segments)

    @property
    def size(self) -> int:
        """Number of examples, N."""
        return self.examples.size

    def head(self, count: int) -> Resident:
        """Return the first `count` examples or all; views of what is decoded already."""
        first = copy.copy(self)
        first.examples = self.examples.first(count)
        if self.decoded:
            first.segments = Examples(self.segments).first(count).segments
        else:
            first.segments = first.examples.segments
        return first

    def counts(self) -> Tensor:
        """Number of examples of every class (C,), or of all (1,) where there are no classes."""
        labels = self.examples.labels
        if labels is None or not self.classes:
            return torch.tensor([self.size])
        return torch.bincount(labels, minlength=self.classes)

    def chunks(self, size: int, channels_last: bool = False) -> Iterator[tuple[Any, Tensor, Tensor]]:
        """Yield (inputs, targets, groups) of up to `size` examples; groups is (B, G), zeros and ones."""
        if self.decoded and channels_last != self.channels_last:
            self.segments = tuple((_laid_out(x, channels_last), y) for x, y in self.segments)
            self.channels_last = channels_last
        for inputs, targets in self.segments:
            for start in range(0, len(targets), size):
                x = pytree.tree_map(lambda leaf: leaf[start : start + size], inputs)  # noqa: B023 (used at once)
                y = targets[start : start + size]
                if not self.decoded:
                    x, y = _laid_out(self._decode(x), channels_last), self._targets(y)
                yield x, y, self._groups(y)

    def _groups(self, targets: Tensor) -> Tensor:
        if self.classes:
            return functional.one_hot(targets, self.classes)
        return torch.ones(len(targets), 1, device=targets.device)

    def _targets(self, targets: Tensor) -> Tensor:
        targets = _differentiable(targets.to(self.device))
        return targets.to(self.dtype) if targets.is_floating_point() else targets.long()

    def _decode(self, inputs: Any) -> Any:
        return pytree.tree_map(self._decoded, inputs)

    def _decoded(self, leaf: Tensor) -> Tensor:
        return decoded(_differentiable(leaf.to(self.device)), self.dtype, self.normalization)


def normalization(
    mean: Sequence[float] | None, std: Sequence[float] | None, dtype: torch.dtype, device: torch.device
) -> list[Tensor]:
    """Bring mean and standard deviation of the channels to a device; an empty list where there are none."""
    return [torch.tensor(values, dtype=dtype, device=device) for values in (mean, std) if values]


def decoded(inputs: Tensor, dtype: torch.dtype, normalization: Sequence[Tensor]) -> Tensor:
    """Decode pixels to (x / 255 - mean) / std, and real numbers to (x - mean) / std; other integers stay as they are.

    Parameters
    ----------
    inputs : Tensor of shape (B, C, ...)
    dtype : torch.dtype
        Of what is decoded.
    normalization : sequence of two Tensors (C,), or empty
        Mean and standard deviation of the channels.
    """
    if inputs.dtype == torch.uint8:
        inputs = inputs.to(dtype) / 255
    elif inputs.is_floating_point():
        inputs = inputs.to(dtype)
    if not normalization or not inputs.is_floating_point():
        return inputs
    mean, std = (values.view(1, -1, *[1] * (inputs.ndim - 2)) for values in normalization)
    return (inputs - mean) / std


def _differentiable(tensor: Tensor) -> Tensor:
    """Copy a tensor that was made in inference mode: no derivative goes past it otherwise."""
    return tensor.clone() if tensor.is_inference() else tensor


def _laid_out(inputs: Any, channels_last: bool) -> Any:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return pytree.tree_map(lambda t: t.contiguous(memory_format=layout) if t.ndim == 4 else t, inputs)
