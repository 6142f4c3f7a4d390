"""Memory of some work: the most bytes of tensors that are alive together."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode


class Live(TorchDispatchMode):
    """Count the bytes of storages that operations make, until they are freed.

    Attributes
    ----------
    peak : int
        Most bytes alive at once. What an operation needs only inside itself is not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Run an operation, and watch the storages that it returns."""
        output = function(*args, **(kwargs or {}))
        given = {t.untyped_storage().data_ptr() for t in pytree.tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        for tensor in pytree.tree_leaves(output):
            if isinstance(tensor, Tensor) and tensor.untyped_storage().data_ptr() not in given | self.known:
                self._watch(tensor.untyped_storage())
        return output

    def _watch(self, storage: torch.UntypedStorage) -> None:
        size, place = storage.nbytes(), storage.data_ptr()
        self.known.add(place)
        self.now += size
        self.peak = max(self.peak, self.now)

        def freed() -> None:
            self.known.discard(place)
            self.now -= size

        weakref.finalize(storage, freed)


@torch.no_grad()
def footprint(work: Callable[[], Any]) -> int:
    """Do some work, and measure the most bytes of what it makes that are alive together."""
    with Live() as live:
        work()
    return live.peak
