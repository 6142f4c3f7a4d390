"""What rules of operators ask about: a call, its arguments, and the atoms of its tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from landscape.alignment.following.atoms import Atoms
from landscape.alignment.following.units import Operand, Units, operand


class NoRule(Exception):  # noqa: N818 - no error: the units simply stay
    """No rule says how the units of this call move."""


class Ledger:
    """The atoms of all tensors of a forward pass."""

    def __init__(self, units: Units, atoms: Atoms) -> None:
        self.units, self.atoms = units, atoms
        self._known: dict[int, tuple[Tensor, Tensor]] = {}  # tensors are kept, or others would get their identity
        self._values: dict[str, int] = {}

    def __getitem__(self, tensor: Tensor) -> Tensor:
        """Return the integers of a tensor, of its own shape; what nobody made stays."""
        if id(tensor) in self._known:
            return self._known[id(tensor)][1]
        name = self.atoms.name(tensor)
        ids = torch.zeros((), dtype=torch.long).expand(tensor.shape) if name is None else self.atoms.data(name)
        self[tensor] = ids
        return ids

    def __setitem__(self, tensor: Tensor, ids: Tensor) -> None:
        self._known[id(tensor)] = tensor, ids.expand(tensor.shape)

    def moves(self, tensor: Tensor) -> bool:
        """Whether a tensor has atoms; asks nothing of parameters."""
        if id(tensor) not in self._known:
            return self.atoms.name(tensor) is not None and tensor.numel() > 1
        return bool((self[tensor] > 0).any())

    def value(self, number: float) -> int:
        """Return the negative integer of numbers that are all equal to one."""
        return self._values.setdefault(repr(number), -1 - len(self._values))

    def still(self, tensor: Tensor, *, constant: bool) -> Tensor:
        """Return the integer of a tensor whose numbers do not move; `constant`: nor do they depend on the inputs."""
        flat = tensor.reshape(-1)
        uniform = constant and len(flat) > 0 and not tensor.is_complex() and bool((flat == flat[0]).all())
        return torch.tensor(self.value(float(flat[0])) if uniform else 0)

    def aliases(self, tensor: Tensor) -> list[Tensor]:
        """Return other tensors that share their numbers with one."""
        storage = tensor.untyped_storage().data_ptr()
        known = [other for other, _ in self._known.values() if other is not tensor]
        return [other for other in known if other.untyped_storage().data_ptr() == storage]


@dataclass(frozen=True, eq=False)
class Call:
    """One call of an operator in the forward pass."""

    name: str
    func: Callable
    args: tuple
    kwargs: dict
    result: Any
    ledger: Ledger

    @property
    def units(self) -> Units:
        """The units of the network."""
        return self.ledger.units

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors among its arguments."""
        return [leaf for leaf in tree_leaves((self.args, self.kwargs)) if isinstance(leaf, Tensor)]

    @property
    def results(self) -> list[Tensor]:
        """All tensors that it returned."""
        return [leaf for leaf in tree_leaves(self.result) if isinstance(leaf, Tensor)]

    def given(self, position: int, *names: str, default: Any = None) -> Any:
        """Return an argument by its position or one of its names."""
        if position < len(self.args):
            return self.args[position]
        return next((self.kwargs[name] for name in names if name in self.kwargs), default)

    def ids(self, tensor: Tensor) -> Tensor:
        """Return the integers of a tensor."""
        return self.ledger[tensor]

    def operand(self, tensor: Tensor) -> Operand:
        """Return what a tensor brings to it."""
        return operand(self.ledger[tensor], tensor)

    def moved(self) -> tuple[tuple, dict]:
        """Return its arguments with integers in the place of tensors."""
        return tree_map(lambda leaf: self.ids(leaf) if isinstance(leaf, Tensor) else leaf, (self.args, self.kwargs))

    def axis(self, tensor: Tensor, axis: int) -> np.ndarray:
        """Return the atoms of an axis of a weight.

        Raises
        ------
        NoRule
            If the tensor is neither a parameter nor a rearrangement of one.
        """
        name, axis = self.ledger.atoms.name(tensor), axis % tensor.ndim
        found = self.ledger.atoms.along(self.ids(tensor), axis) if name is None else self.ledger.atoms.axis(name, axis)
        if found is None:
            raise NoRule
        return found

    def meet(self, ids: Tensor, weights: np.ndarray) -> None:
        """Let the units of an input move with the axis of the weight that reads them, one by one."""
        read = np.broadcast_to(ids.reshape(-1).numpy(), weights.shape)
        self.units.merge(read, weights)
        for constant in np.unique(read[read < 0]):
            self.units.note(self.units.label(), weights[read == constant])

    def column(self, tensor: Tensor, axis: int) -> Tensor:
        """Return one integer for each position of an axis, the same at all others: (size,)."""
        ids = self.operand(tensor).ids
        axis %= tensor.ndim
        fused = self.units.fused(ids, tuple(other for other in range(ids.ndim) if other != axis))
        return fused.reshape(-1).expand(tensor.shape[axis])


def axes(dim: Any, ndim: int) -> tuple[int, ...]:
    """Return the axes that an argument names: all of them where it is None or empty."""
    named = range(ndim) if dim is None or dim == () else [dim] if isinstance(dim, int) else dim
    return tuple(axis % ndim for axis in named)


def names(text: str) -> Iterator[str]:
    """Iterate over the words of a text."""
    return iter(text.split())
