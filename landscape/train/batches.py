"""Batches of resident data: kept on the device as they came, decoded and normalized a batch at a time."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from landscape.dataset import Split
from landscape.engine.resident import decoded, normalization
from landscape.train.augmentation import Augmentation, augmented
from landscape.train.streams import Streams


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs (B, ...) and targets (B, ...) as the model and the objective take them.

    A part of a larger batch has the targets of that one in `whole`: a weighted mean needs their weights.
    """

    inputs: Tensor
    targets: Tensor
    whole: Tensor | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def split(self, size: int) -> Iterator[Batch]:
        """Yield parts of up to `size` examples, in order."""
        if len(self) <= size:
            yield self
            return
        whole = self.targets if self.whole is None else self.whole
        for inputs, targets in zip(self.inputs.split(size), self.targets.split(size), strict=True):
            yield Batch(inputs, targets, whole)


class Resident:
    """One split on a device: uint8 images stay uint8.

    Parameters
    ----------
    split : Split
    dtype : torch.dtype
        Of decoded images and of real targets.
    device : torch.device
    classes : int
        Classes of the data, where more of them exist than have examples.
    """

    def __init__(self, split: Split, dtype: torch.dtype, device: torch.device, *, classes: int = 0) -> None:
        self.inputs = torch.tensor(split.inputs).to(device)
        self.targets = torch.tensor(split.targets).to(device)
        if self.targets.is_floating_point():
            self.targets = self.targets.to(dtype)
        self.dtype, self.device, self.classes = dtype, device, classes
        self.normalization = normalization(split.mean, split.std, dtype, device)

    def __len__(self) -> int:
        return len(self.targets)

    def counts(self) -> Tensor:
        """Return the number of examples of every class: (C,), on the device.

        Raises
        ------
        ValueError
            If the targets are not one class an example.
        """
        if self.targets.ndim != 1 or self.targets.is_floating_point():
            raise ValueError(
                f"Expected one class an example, got targets of shape {tuple(self.targets.shape)} and "
                f"{self.targets.dtype}: methods that know classes need classification."
            )
        return torch.bincount(self.targets, minlength=self.classes).to(self.dtype)

    def augmented(self, by: str | Augmentation | None) -> Resident:
        """Return the same examples, augmented once: see `landscape.train.augmentation.augmented`."""
        found = copy.copy(self)
        found.inputs = augmented(self.inputs, by)
        return found

    def batch(self, index: Tensor | slice, augment: Augmentation | None = None, generator: Any = None) -> Batch:
        """Return some examples: augmented as pixels, then decoded to (x / 255 - mean) / std."""
        inputs = self.inputs[index]
        if augment is not None:
            inputs = augment(inputs, generator)
        return Batch(decoded(inputs, self.dtype, self.normalization), self.targets[index])


class Batches:
    """The training batches of a run, in an order that depends on the seed alone.

    Every example comes once an epoch; the last batch may be short.

    Parameters
    ----------
    resident : Resident
    size : int
        Examples of a batch.
    streams : Streams
    augment : callable, optional
    """

    def __init__(self, resident: Resident, size: int, streams: Streams, augment: Augmentation | None = None) -> None:
        self.resident, self.size, self.streams, self.augment = resident, size, streams, augment
        self.order = torch.arange(len(resident))

    def __len__(self) -> int:
        return -(-len(self.resident) // self.size)

    def shuffle(self) -> None:
        """Begin an epoch: draw its order."""
        self.order = torch.randperm(len(self.resident), generator=self.streams["order"])

    def take(self, position: int) -> Batch:
        """Return batch number `position` of this epoch."""
        return self._batch(self.order[position * self.size :][: self.size], self.streams["augment"])

    def draw(self) -> Batch:
        """Return a fresh batch beside the order of the epoch, without repetition inside it."""
        generator = self.streams["draw"]
        return self._batch(torch.randperm(len(self.resident), generator=generator)[: self.size], generator)

    def share(self, position: int) -> float:
        """Share of the epoch's examples that batch number `position` holds."""
        total = len(self.resident)
        return (min(total, (position + 1) * self.size) - position * self.size) / total

    def _batch(self, index: Tensor, generator: torch.Generator) -> Batch:
        return self.resident.batch(index.to(self.resident.device), self.augment, generator)

    def state_dict(self) -> dict[str, Any]:
        """Return the order of the epoch under way."""
        return {"order": self.order}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the epoch of another run."""
        self.order = state["order"]
