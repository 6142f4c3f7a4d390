"""Examples that stay on the device, decoded and normalized once where they fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
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

    Notes
    -----
    Inputs are decoded once if they then fill less than a quarter of the free memory, else chunk by chunk.
    """

    def __init__(self, examples: Examples, dtype: torch.dtype, device: torch.device) -> None:
        self.examples, self.dtype, self.device = examples, dtype, device
        self.classes = len(examples.classes)
        decoded = sum(leaf.numel() * dtype.itemsize for x, _ in examples.segments for leaf in pytree.tree_leaves(x))
        room = free_memory(device) * SHARE
        self.keep = decoded <= room
        stored = sum(leaf.nbytes for leaf in pytree.tree_leaves(examples.segments))
        if stored <= room and not self.keep:
            examples = pytree.tree_map_only(Tensor, lambda t: t.to(device), examples.segments)
            self.segments = tuple(examples)
        elif self.keep:
            self.segments = tuple((self._decode(x), self._targets(y)) for x, y in examples.segments)
        else:
            self.segments = examples.segments
        self.last_axis: tuple[tuple[Any, Tensor], ...] | None = None

    @property
    def size(self) -> int:
        """Number of examples, N."""
        return self.examples.size

    def counts(self) -> Tensor:
        """Number of examples of every class (C,), or of all (1,) where there are no classes."""
        labels = self.examples.labels
        if labels is None or not self.classes:
            return torch.tensor([self.size])
        return torch.bincount(labels, minlength=self.classes)

    def chunks(self, size: int, channels_last: bool = False) -> Iterator[tuple[Any, Tensor, Tensor]]:
        """Yield (inputs, targets, groups) of up to `size` examples; groups is (B, G), zeros and ones."""
        for inputs, targets in self._laid_out(channels_last):
            for start in range(0, len(targets), size):
                x = pytree.tree_map(lambda leaf: leaf[start : start + size], inputs)  # noqa: B023 (used at once)
                y = targets[start : start + size]
                if not self.keep:
                    x, y = self._decode(x), self._targets(y)
                    x = _channels_last(x) if channels_last else x
                yield x, y, self._groups(y)

    def _laid_out(self, channels_last: bool) -> tuple[tuple[Any, Tensor], ...]:
        if not (channels_last and self.keep):
            return self.segments
        if self.last_axis is None:
            self.last_axis = tuple((_channels_last(x), y) for x, y in self.segments)
        return self.last_axis

    def _groups(self, targets: Tensor) -> Tensor:
        if targets.ndim != 1 or targets.is_floating_point() or not self.classes:
            return torch.ones(len(targets), 1, device=targets.device)
        return torch.nn.functional.one_hot(targets, self.classes)

    def _targets(self, targets: Tensor) -> Tensor:
        targets = targets.to(self.device)
        return targets.to(self.dtype) if targets.is_floating_point() else targets.long()

    def _decode(self, inputs: Any) -> Any:
        return pytree.tree_map(self._decoded, inputs)

    def _decoded(self, leaf: Tensor) -> Tensor:
        leaf = leaf.to(self.device)
        if leaf.dtype == torch.uint8:
            leaf = leaf.to(self.dtype) / 255
        elif leaf.is_floating_point():
            leaf = leaf.to(self.dtype)
        if self.examples.mean is None or not leaf.is_floating_point():
            return leaf
        axes = (1, -1, *[1] * (leaf.ndim - 2))
        mean, std = (torch.tensor(v, dtype=self.dtype, device=self.device).view(axes) for v in (self.examples.mean, self.examples.std))
        return (leaf - mean) / std


def _channels_last(inputs: Any) -> Any:
    return pytree.tree_map(lambda t: t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t, inputs)
