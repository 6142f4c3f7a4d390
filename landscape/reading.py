"""Reading data: anything that yields examples in, tensors in a fixed order out."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, default_collate

from landscape.dataset import Split

ARRAYS = (Tensor, np.ndarray)
TARGETS = ("labels", "label", "targets", "target")  # where mappings keep the answer
COLLATED = 256  # examples of a torch Dataset that are stacked at a time
CLASSES = 30_000  # integers beyond this are counts or identifiers, not classes
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

    @functools.cached_property
    def labels(self) -> Tensor | None:
        """Class index of every example, shape (N,); None where targets are not class indices."""
        if any(t.ndim != 1 or t.is_floating_point() for _, t in self.segments):
            return None
        labels = torch.cat([targets for _, targets in self.segments]).long()
        return labels if int(labels.min()) >= 0 and int(labels.max()) < CLASSES else None

    def has(self, label: int) -> bool:
        """Say whether an example bears a label."""
        return self.labels is not None and bool((self.labels == label).any())

    def restrict(self, label: int) -> Examples:
        """Keep the examples of one class.

        Raises
        ------
        ValueError
            If targets are not class indices, or no example bears the label.
        """
        if self.labels is None:
            raise ValueError(
                "Expected class indices as targets, got other targets: there are no classes to choose from."
            )
        if not self.has(label):
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

    def draw(self, count: int, seed: int) -> Examples:
        """Keep `count` examples drawn at random, in their order."""
        chosen = torch.zeros(self.size, dtype=torch.bool)
        chosen[torch.randperm(self.size, generator=torch.Generator().manual_seed(seed))[:count]] = True
        parts = chosen.split([len(y) for _, y in self.segments])
        kept = ((_take(x, part), y[part]) for (x, y), part in zip(self.segments, parts, strict=True))
        return replace(self, segments=tuple((x, y) for x, y in kept if len(y)))

    def first(self, count: int) -> Examples:
        """Keep the first `count` examples."""
        kept, left = [], count
        for inputs, targets in self.segments:
            if left > 0:
                kept.append((_take(inputs, slice(left)), targets[:left]))
                left -= len(targets)
        return replace(self, segments=tuple(kept))


def read(data: Any, *, stochastic: bool = False) -> Examples:
    """Read data once, in order; the random state of torch is left as it was.

    Parameters
    ----------
    data : Split, (inputs, targets), mapping of tensors, torch Dataset, DataLoader, or iterable of batches
        A batch is ``(inputs, targets)``, ``(input, input, ..., targets)``, or a mapping with a key ``labels``.
        A DataLoader that shuffles is read in the order of its dataset.
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
    with torch.random.fork_rng(devices=[]):
        if not stochastic:
            _refuse_random(data.dataset if isinstance(data, DataLoader) else data)
            if isinstance(data, DataLoader):
                _refuse_random_choice(data)
        segments = _segments(_batch(batch) for batch in _batches(data))
    if not segments:
        raise ValueError("Expected data with at least one example, got none.")
    return _named(Examples(segments, batch_size=data.batch_size if isinstance(data, DataLoader) else None))


def _of_split(split: Split) -> Examples:
    inputs, targets = (torch.from_numpy(np.array(array)) for array in (split.inputs, split.targets))
    segments = _segments([_batch((inputs, targets))])
    if not segments:
        raise ValueError("Expected data with at least one example, got none.")
    return _named(Examples(segments, split.mean, split.std, tuple(split.classes)))


def _named(examples: Examples) -> Examples:
    """Name the classes by their index where nobody did."""
    labels, names = examples.labels, examples.classes
    if labels is None:
        return replace(examples, classes=())
    if names and int(labels.max()) >= len(names):
        raise ValueError(f"Expected labels from 0 to {len(names) - 1} ({len(names)} classes), got {int(labels.max())}.")
    return replace(examples, classes=names or tuple(str(i) for i in range(int(labels.max()) + 1)))


def _batches(data: Any) -> Iterable[Any]:
    if _is_batch(data):
        return [data]
    if isinstance(data, DataLoader):
        return _in_order(data)
    if isinstance(data, Dataset):
        return _collated(data[i] for i in range(len(data))) if _is_indexed(data) else _collated(data)
    if isinstance(data, Iterable) and not isinstance(data, (str, bytes, Mapping, Tensor, np.ndarray)):
        return data
    raise ValueError(
        f"Expected (inputs, targets), a Dataset, a DataLoader or an iterable of batches, got {type(data).__name__}."
    )


def _in_order(loader: DataLoader) -> DataLoader:
    if not isinstance(loader.sampler, RandomSampler) or loader.batch_size is None:
        return loader
    return DataLoader(
        loader.dataset, loader.batch_size, num_workers=loader.num_workers, collate_fn=loader.collate_fn
    )


def _is_batch(data: Any) -> bool:
    """Tell one batch from an iterable of them: its targets are an array."""
    if isinstance(data, Mapping):
        return any(isinstance(data.get(key), ARRAYS) for key in TARGETS)
    return isinstance(data, (tuple, list)) and len(data) >= 2 and isinstance(data[-1], ARRAYS)


def _is_indexed(data: Any) -> bool:
    return hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, IterableDataset)


def _batch(batch: Any) -> tuple[Any, Tensor]:
    """Bring one batch to (inputs, targets) of tensors whose lengths agree."""
    if isinstance(batch, Mapping):
        key = next((k for k in TARGETS if k in batch), None)
        if key is None:
            raise ValueError(
                f"Expected a mapping with a key among {', '.join(TARGETS)}, got {', '.join(map(str, batch))}."
            )
        inputs, targets = {k: v for k, v in batch.items() if k != key and v is not None}, batch[key]
    elif isinstance(batch, (tuple, list)) and len(batch) >= 2:
        inputs, targets = (batch[0] if len(batch) == 2 else tuple(batch[:-1])), batch[-1]
    else:
        raise ValueError(f"Expected batches (inputs, targets) or mappings, got {type(batch).__name__}.")
    inputs = tuple(inputs) if isinstance(inputs, list) else inputs
    inputs, targets = pytree.tree_map(_tensor, inputs), _tensor(targets)
    for leaf in pytree.tree_leaves(inputs):
        if leaf.ndim == 0 or targets.ndim == 0 or len(leaf) != len(targets):
            raise ValueError(
                f"Expected one target for each input, got inputs of shape {tuple(leaf.shape)} "
                f"and targets of shape {tuple(targets.shape)}."
            )
    return inputs, targets


def _tensor(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().cpu()
    try:
        return torch.from_numpy(np.array(value))  # a copy: torch warns of arrays that it may not write to
    except (TypeError, ValueError) as error:
        raise ValueError(f"Expected numbers as inputs and targets, got {type(value).__name__}: {error}.") from error


def _collated(examples: Iterable[Any]) -> Iterator[Any]:
    source = iter(examples)
    while group := list(itertools.islice(source, COLLATED)):  # itertools.batched needs Python 3.12
        try:
            yield default_collate(group)
        except (RuntimeError, TypeError) as error:
            raise ValueError(
                f"Expected examples of one shape that stack into batches, got others ({error}): "
                "pass a DataLoader with a collate_fn."
            ) from error


def _refuse_random_choice(loader: DataLoader) -> None:
    """Refuse a loader whose sampler takes other examples each time; the order alone does not matter."""
    if isinstance(loader.dataset, IterableDataset) or isinstance(loader.sampler, RandomSampler):
        return  # the former has no sampler to ask, the latter is read in the order of its dataset
    drawn = loader.sampler if loader.batch_size is not None else loader.batch_sampler or loader.sampler
    once, again = (Counter(i for one in drawn for i in (one if isinstance(one, list) else [one])) for _ in range(2))
    if once != again:
        raise ValueError(
            f"Expected a loader that takes the same examples twice, got others from its {type(drawn).__name__}: "
            "pass its dataset, or stochastic=True to keep one reading."
        )


def _refuse_random(data: Any) -> None:
    if not isinstance(data, Dataset) or not _is_indexed(data):
        return
    for index in range(min(TWICE, len(data))):
        once, again = (pytree.tree_leaves(data[index]) for _ in range(2))
        if len(once) != len(again) or not all(map(_equal, once, again)):
            raise ValueError(
                f"Expected data that read the same twice, got an example ({index}) that differs: "
                "take random augmentation out of the data, or pass stochastic=True to keep one reading of them."
            )


def _equal(once: Any, again: Any) -> bool:
    if not isinstance(once, (*ARRAYS, float, int)):
        return True
    once, again = np.asarray(once), np.asarray(again)
    return np.array_equal(once, again, equal_nan=once.dtype.kind in "fc")


def _segments(batches: Iterable[tuple[Any, Tensor]]) -> tuple[tuple[Any, Tensor], ...]:
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
