"""The examples of an objective, as the trainer takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from landscape.engine.resident import decoded, normalization
from landscape.train.augmentation import Augmentation
from landscape.train.batches import Batch, Resident

if TYPE_CHECKING:
    from landscape.objective import Objective


class Given(Resident):
    """The first split of an objective on its device: inputs may be a tensor, or a tuple or dict of tensors.

    Parameters
    ----------
    objective : Objective

    Raises
    ------
    ValueError
        If examples have several shapes.
    """

    def __init__(self, objective: Objective) -> None:
        read = next(iter(objective.examples.values()))
        if len(read.segments) > 1:
            raise ValueError(
                f"Expected examples of one shape to train on, got {len(read.segments)} groups of several: pad them."
            )
        inputs, targets = next(iter(read.segments))
        self.dtype, self.device, self.classes = objective.network.dtype, objective.device, len(objective.classes)
        self.inputs = pytree.tree_map(lambda leaf: leaf.to(self.device), inputs)
        self.targets = targets.to(self.device, self.dtype if targets.is_floating_point() else torch.long)
        self.normalization = normalization(read.mean, read.std, self.dtype, self.device)

    def batch(self, index: Tensor | slice, augment: Augmentation | None = None, generator: Any = None) -> Batch:
        """Return some examples, decoded; of a tensor augmented before."""
        if isinstance(self.inputs, Tensor):
            return super().batch(index, augment, generator)
        inputs = pytree.tree_map(lambda leaf: leaf[index], self.inputs)
        ready = pytree.tree_map(lambda leaf: decoded(leaf, self.dtype, self.normalization), inputs)
        return Batch(ready, self.targets[index])

    def require_images(self) -> None:
        """Refuse to augment what is no images.

        Raises
        ------
        ValueError
            If inputs are not one tensor (N, C, H, W).
        """
        if not isinstance(self.inputs, Tensor) or self.inputs.ndim != 4:
            shape = tuple(self.inputs.shape[1:]) if isinstance(self.inputs, Tensor) else type(self.inputs).__name__
            raise ValueError(f"Expected images to augment, got inputs of shape {shape}: leave --augment out.")
