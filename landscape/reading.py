"""Reading data: anything that yields examples in, tensors in a fixed order out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.data import DataLoader, Dataset, default_collate

from landscape.dataset import Split

TARGETS = ("labels", "label", "targets", "target")  # where mappings keep the answer
COLLATED = 256  # examples of a torch Dataset that are stacked at a time
TWICE = 4  # examples that are read twice, to notice random augmentation


@dataclass(frozen=True, eq=False)
class Examples:
    """Examples in a fixed order, read once.

    Attributes
    ----------
    segments : tuple of (inputs, targets)
        Tensors, or tuples or dicts of them, whose first axis runs over examples. There is more than one
        segment only where shapes differ (batches padded to different lengths).
    mean, std : tuple of float or None
        Normalization of the channels of uint8 or float images, applied on the device.
    classes : tuple of str
        Names of the classes; empty where targets are not class indices.
    batch_size : int or None
        Size of the batches that the data came in.
    """

    segments: tuple[tuple[Any, Tensor], ...]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    classes: tuple[str, ...] = ()
    batch_size: int | None = None

    @property
    def size(self) -> int:
        """Number of examples, N."""
        return sum(len(targets) for _, targets in self.segments)

    @property
    def labels(self) -> Tensor | None:
        """Class index of every example, shape (N,); None where targets are not class indices."""
        if any(t.ndim != 1 or t.is_floating_point() for _, t in self.segments):
            return None
        return torch.cat([targets for _, targets in self.segments])

    def restrict(self, label: int) -> Examples:
        """Keep the examples of one class.

        Raises
        ------
        ValueError
            If targets are not class indices, or no example bears the label.
        """
        if self.labels is None:
            raise ValueError("Expected class indices as targets, got other targets: there are no classes to choose from.")
        if not bool((self.labels == label).any()):
            present = ", ".join(str(int(v)) for v in self.labels.unique())
            raise ValueError(f"Expected a class with examples ({present}), got {label}.")
        kept = ((_take(x, y == label), y[y == label]) for x, y in self.segments)
        return replace(self, segments=tuple((x, y) for x, y in kept if len(y)))

    def fingerprint(self) -> str:
        """Hash the numbers and the normalization (sha256, 64 hex digits)."""
        digest = hashlib.sha256(repr((self.mean, self.std)).encode())
        for leaf in pytree.tree_leaves(self.segments):
            digest.update(f"{leaf.dtype}{tuple(leaf.shape)}".encode())
            digest.update(leaf.contiguous().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def first(self, count: int) -> Examples:
        """Keep the first `count` examples."""
        kept, left = [], count
        for inputs, targets in self.segments:
            if left > 0:
                kept.append((_take(inputs, slice(left)), targets[:left]))
                left -= len(targets)
        return replace(self, segments=tuple(kept))


def read(data: Any, *, stochastic: bool = False) -> Examples:
    """Read data once, in order.

    Parameters
    ----------
    data : Split, (inputs, targets), mapping of tensors, torch Dataset, DataLoader, or iterable of batches
        A batch is ``(inputs, targets)``, ``(input, input, ..., targets)``, or a mapping with a key ``labels``.
    stochastic : bool, default=False
        Accept data that differ when they are read again (random augmentation); one reading of them is kept.

    Raises
    ------
    ValueError
        If there is no example, lengths disagree, or the data are random and that was not accepted.
    """
    if isinstance(data, Examples):
        return data
    if isinstance(data, Split):
        return _of_split(data)
    if _is_pair(data) or _is_batch_mapping(data):
        batches, size = iter([data]), None
    elif isinstance(data, DataLoader):
        _refuse_random(data.dataset, stochastic)
        batches, size = iter(data), data.batch_size
    elif isinstance(data, Dataset) and hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        _refuse_random(data, stochastic)
        batches, size = _collated(data), None
    elif isinstance(data, Iterable) and not isinstance(data, (str, bytes)):
        batches, size = iter(data), None
    else:
        raise ValueError(
            f"Expected (inputs, targets), a Dataset, a DataLoader or an iterable of batches, got {type(data).__name__}."
        )
    segments = _segments(_batch(batch) for batch in batches)
    if not segments:
        raise ValueError("Expected data with at least one example, got none.")
    found = Examples(segments, batch_size=size)
    return replace(found, classes=_class_names(found))


def _of_split(split: Split) -> Examples:
    inputs, targets = (torch.from_numpy(np.array(array)) for array in (split.inputs, split.targets))
    known = {"mean": split.mean, "std": split.std, "classes": split.classes}
    found = Examples(((inputs, targets),), **known)
    return found if split.classes else replace(found, classes=_class_names(found))


def _class_names(examples: Examples) -> tuple[str, ...]:
    labels = examples.labels
    return () if labels is None else tuple(str(i) for i in range(int(labels.max()) + 1))


def _is_pair(data: Any) -> bool:
    return isinstance(data, (tuple, list)) and len(data) == 2 and all(isinstance(d, (Tensor, np.ndarray)) for d in data)


def _is_batch_mapping(data: Any) -> bool:
    return isinstance(data, Mapping) and all(isinstance(v, (Tensor, np.ndarray)) for v in data.values())


def _batch(batch: Any) -> tuple[Any, Tensor]:
    """Bring one batch to (inputs, targets) of tensors whose lengths agree."""
    if isinstance(batch, Mapping):
        key = next((k for k in TARGETS if k in batch), None)
        if key is None:
            raise ValueError(f"Expected a mapping with a key among {', '.join(TARGETS)}, got {', '.join(map(str, batch))}.")
        inputs, targets = {k: v for k, v in batch.items() if k != key}, batch[key]
    elif isinstance(batch, (tuple, list)) and len(batch) >= 2:
        inputs, targets = (batch[0] if len(batch) == 2 else tuple(batch[:-1])), batch[-1]
    else:
        raise ValueError(f"Expected batches (inputs, targets) or mappings, got {type(batch).__name__}.")
    inputs, targets = pytree.tree_map(_tensor, inputs), _tensor(targets)
    for leaf in pytree.tree_leaves(inputs):
        if leaf.ndim == 0 or targets.ndim == 0 or len(leaf) != len(targets):
            raise ValueError(
                f"Expected one target for each input, got inputs of shape {tuple(leaf.shape)} "
                f"and targets of shape {tuple(targets.shape)}."
            )
    return inputs, targets


def _tensor(value: Any) -> Tensor:
    return value.detach().cpu() if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))


def _collated(data: Dataset) -> Iterator[Any]:
    for start in range(0, len(data), COLLATED):
        yield default_collate([data[i] for i in range(start, min(start + COLLATED, len(data)))])


def _refuse_random(data: Any, stochastic: bool) -> None:
    if stochastic or not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        return
    for index in range(min(TWICE, len(data))):
        once, again = (pytree.tree_leaves(data[index]) for _ in range(2))
        if any(isinstance(a, Tensor) and not torch.equal(a, b) for a, b in zip(once, again, strict=True)):
            raise ValueError(
                f"Expected data that read the same twice, got an example ({index}) that differs: "
                "take random augmentation out of the data, or pass stochastic=True to keep one reading of them."
            )


def _segments(batches: Iterator[tuple[Any, Tensor]]) -> tuple[tuple[Any, Tensor], ...]:
    groups: list[list[tuple[Any, Tensor]]] = []
    shape: Any = None
    for inputs, targets in batches:
        if len(targets) == 0:
            continue
        leaves = [*pytree.tree_leaves(inputs), targets]
        now = [(leaf.shape[1:], leaf.dtype) for leaf in leaves]
        if now != shape:
            groups.append([])
            shape = now
        groups[-1].append((inputs, targets))
    return tuple(_joined(group) for group in groups)


def _joined(group: list[tuple[Any, Tensor]]) -> tuple[Any, Tensor]:
    joined = pytree.tree_map(lambda *leaves: torch.cat(leaves), *group)
    return tuple(joined)


def _take(inputs: Any, index: Any) -> Any:
    return pytree.tree_map(lambda leaf: leaf[index], inputs)
