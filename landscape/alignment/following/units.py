"""Bookkeeping of units: which numbers of a network must move together, and which stay.

A tensor of the forward pass carries an integer for each of its numbers: positive for the *atom* that moves it (a row
of one weight, a channel), zero for numbers that do not move, negative for constants that are equal wherever they
carry that integer. Along an axis of size 1 of the integers the numbers may differ, but stay where they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Operand:
    """What a tensor brings to an operator.

    Attributes
    ----------
    ids : Tensor of int
        Its atoms, of size 1 along axes that they do not depend on.
    spread : tuple of bool
        By axis: whether its numbers differ along it.
    """

    ids: Tensor
    spread: tuple[bool, ...]

    def padded(self, ndim: int) -> Operand:
        """Return the same with axes of size 1 in front."""
        more = ndim - self.ids.ndim
        return Operand(self.ids.reshape((1,) * more + self.ids.shape), (False,) * more + self.spread)

    def stays(self, axis: int) -> bool:
        """Whether its numbers differ along an axis and do not move along it."""
        return self.spread[axis] and self.ids.shape[axis] == 1


def operand(ids: Tensor, real: Tensor) -> Operand:
    """Return what a tensor brings to an operator, from integers of its own shape."""
    small = compact(ids)
    uniform = small.numel() == 1 and small.min() < 0
    sizes = zip(real.shape, real.stride(), strict=True)
    return Operand(small, tuple(size > 1 and stride != 0 and not uniform for size, stride in sizes))


def compact(ids: Tensor) -> Tensor:
    """Narrow all axes to size 1 along which integers are the same."""
    for axis, (size, stride) in enumerate(zip(ids.shape, ids.stride(), strict=True)):
        if size > 1 and (stride == 0 or bool((ids == ids.narrow(axis, 0, 1)).all())):
            ids = ids.narrow(axis, 0, 1)
    return ids


class Units:
    """The atoms of a network, what must move together, and what must stay.

    Attributes
    ----------
    root : array of int, shape (atoms,)
        The atom that stands for all that move together; atom 0 stands for numbers that stay.
    fixed : array of bool, shape (atoms,)
        Atoms that must stay, each with all of its root.
    """

    def __init__(self) -> None:
        self.root, self.fixed = np.zeros(1, np.int64), np.zeros(1, bool)
        self._element = np.zeros(1, bool)
        self._notes: list[tuple[int, np.ndarray]] = []
        self._above: list[tuple[np.ndarray, np.ndarray]] = []
        self._apart = np.zeros(0, np.int64)
        self._labels = 0

    def fresh(self, count: int, *, element: bool = False) -> np.ndarray:
        """Add atoms that move on their own; `element`: those of single numbers of a parameter."""
        start = len(self.root)
        atoms = np.arange(start, start + count)
        self.root = np.concatenate([self.root, atoms])
        self.fixed = np.concatenate([self.fixed, np.zeros(count, bool)])
        self._element = np.concatenate([self._element, np.full(count, element)])
        return atoms

    def label(self) -> int:
        """Return a new label."""
        self._labels += 1
        return self._labels

    def note(self, label: int, ids: Tensor | np.ndarray) -> None:
        """Write down that atoms took part in something: units are exchanged only where they took part in the same."""
        flat = np.asarray(ids).reshape(-1)
        self._notes.append((label, flat[flat > 0]))

    def notes(self) -> tuple[np.ndarray, np.ndarray]:
        """Return labels and atoms of all notes, (notes,) each."""
        labels = [np.full(len(atoms), label) for label, atoms in self._notes]
        return _joined(labels), _joined([atoms for _, atoms in self._notes])

    def pin(self, ids: Tensor | np.ndarray) -> None:
        """Let atoms stay where they are."""
        flat = np.asarray(ids).reshape(-1)
        self.fixed[flat[flat > 0]] = True

    def rooted(self, ids: Tensor) -> Tensor:
        """Return each atom's root; numbers that do not move keep their integers."""
        return torch.where(ids > 0, torch.from_numpy(self.root[ids.clamp(min=0).numpy()]), ids)

    def merge(self, first: np.ndarray, second: np.ndarray) -> None:
        """Let atoms move together, pair by pair; those that meet numbers that stay, stay."""
        first, second = np.broadcast_arrays(first, second)
        self.pin(first[second == 0])
        self.pin(second[first == 0])
        atoms = (first > 0) & (second > 0)
        pairs = np.unique(np.stack([self.root[first[atoms]], self.root[second[atoms]]]), axis=1)
        nodes, flat = np.unique(pairs, return_inverse=True)
        if not len(nodes):
            return
        graph = coo_array((np.ones(pairs.shape[1]), tuple(flat.reshape(2, -1))), shape=(len(nodes), len(nodes)))
        count, part = connected_components(graph, directed=False)
        least = np.full(count, len(self.root))
        np.minimum.at(least, part, nodes)
        single = np.ones(count, bool)
        np.logical_and.at(single, part, self._element[nodes])
        to = np.arange(len(self.root))
        to[nodes] = least[part]
        self._element[least] = single
        self.root = to[self.root]

    def relate(self, blocks: np.ndarray, members: np.ndarray) -> None:
        """Let a member stay in its block, pair by pair: where the block moves, its members move as a whole."""
        self._above.append((blocks, members))

    def memberships(self) -> np.ndarray:
        """Return the distinct pairs of a block, by the atom that was its own, and a member, by its root: (2, pairs)."""
        blocks, members = (_joined([pair[side] for pair in self._above]) for side in (0, 1))
        return np.unique(np.stack([blocks, self.root[members]]), axis=1)

    def separate(self, blocks: np.ndarray) -> None:
        """Keep blocks that move together from becoming one: they stay, each with its own members."""
        self.pin(blocks)
        self._apart = np.union1d(self._apart, blocks)

    @property
    def apart(self) -> np.ndarray:
        """Atoms of blocks that are kept from becoming one."""
        return self._apart

    def above(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the distinct pairs of a block and a member, by their roots, (pairs,) each."""
        blocks, members = self.memberships()
        blocks = np.where(np.isin(blocks, self._apart), blocks, self.root[blocks])
        pairs = np.unique(np.stack([blocks, members]), axis=1)
        return pairs[0][pairs[0] != pairs[1]], pairs[1][pairs[0] != pairs[1]]

    def fused(self, ids: Tensor, axes: tuple[int, ...]) -> Tensor:
        """Let atoms move together along axes that numbers may not move along; those axes are left with size 1."""
        axes = tuple(axis for axis in axes if ids.shape[axis] > 1)
        if not axes:
            return ids
        first = ids.amax(axes, keepdim=True)
        constant = torch.where(ids == 0, 0, ids.amin(axes, keepdim=True)).amax(axes, keepdim=True)
        first = torch.where(first > 0, first, constant)
        self.merge(ids.numpy(), first.numpy())
        return first

    def combined(self, one: Operand, other: Operand) -> Operand:
        """Combine the numbers of two tensors position by position, as addition and multiplication do.

        Atoms that meet one to one move together. Where one meets several, it is the block of these. Along axes on
        which the numbers of one tensor differ and stay, those of the other may not move.
        """
        ndim = max(one.ids.ndim, other.ids.ndim)
        one, other = one.padded(ndim), other.padded(ndim)
        spread = tuple(a or b for a, b in zip(one.spread, other.spread, strict=True))
        first = self.fused(one.ids, tuple(axis for axis in range(ndim) if other.stays(axis)))
        second = self.fused(other.ids, tuple(axis for axis in range(ndim) if one.stays(axis)))
        if first.shape == second.shape and torch.equal(first, second):
            return Operand(first, spread)
        met = self._met(*_entries(first, second))
        shape = torch.broadcast_shapes(first.shape, second.shape)
        return Operand(compact(torch.from_numpy(met).reshape(shape)), spread)

    def _met(self, first: np.ndarray, second: np.ndarray, at: np.ndarray) -> np.ndarray:
        for one, other in ((first, second), (second, first)):
            if one.max() > 0:  # numbers that stay among others that move
                self.pin(other[one == 0])
            if one.max() != one.min():
                for constant in np.unique(one[one < 0]):
                    self.note(self.label(), other[one == constant])
        met = np.where(first > 0, first, second)
        met = np.where((met <= 0) & ((first == 0) | (second == 0)), 0, met)
        both = (first > 0) & (second > 0)
        if both.any():
            met[both] = self._paired(first[both], second[both], at[:, both])
        return met

    def _paired(self, first: np.ndarray, second: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Decide who moves with whom by how many each meets; returns the atom that is left at each position.

        An atom is a block only of those that every one of its numbers meets: where each number has a partner of its
        own, these cannot be exchanged without it.
        """
        met, inverse = np.unique(np.stack([self.root[first], self.root[second]]), axis=1, return_inverse=True)
        (a, b), inverse = met, inverse.reshape(-1)
        many_b, many_a = _counts(a) > 1, _counts(b) > 1
        selfs = a[a == b]
        alone = ~np.isin(a, selfs) & ~np.isin(b, selfs)
        whole_a, whole_b = _whole(inverse, self.root[first], at[0], a), _whole(inverse, self.root[second], at[1], b)
        below = many_b & ~many_a & alone & whole_a & ~self._element[b]
        over = many_a & ~many_b & alone & whole_b & ~self._element[a]
        below, over = below & ~np.isin(a, a[~below]), over & ~np.isin(b, b[~over])
        self.relate(a[below], b[below])
        self.relate(b[over], a[over])
        together = ~below & ~over
        self.merge(a[together], b[together])
        return np.where(below[inverse], second, first)

    def reduced(self, ids: Tensor, axes: tuple[int, ...]) -> Tensor:
        """Sum over axes: what is left moves with the block of all that it was made of; those axes keep size 1."""
        axes = tuple(axis % ids.ndim for axis in axes if ids.shape[axis] > 1)
        if not axes:
            return ids
        kept = [axis for axis in range(ids.ndim) if axis not in axes]
        rows = ids.permute(*kept, *axes).reshape(-1, int(np.prod([ids.shape[axis] for axis in axes]))).numpy()
        sets, inverse = np.unique(np.sort(np.where(rows > 0, self.root[np.maximum(rows, 0)], rows)), axis=0,
                                  return_inverse=True)  # fmt: skip
        left = np.array([self._set(row) for row in sets])
        constants = [tuple(row[row <= 0]) for row in sets]
        if len(set(constants)) > 1 or any(0 in row for row in constants):
            self.pin(left)
        shape = [1 if axis in axes else size for axis, size in enumerate(ids.shape)]
        return torch.from_numpy(left[inverse.reshape(-1)]).reshape(shape)

    def _set(self, row: np.ndarray) -> int:
        members = np.unique(row[row > 0])
        if len(members) > 1:
            block = self.fresh(1)
            self.relate(np.repeat(block, len(members)), members)
            return int(block[0])
        return int(members[0]) if len(members) else int(row.max())


def _entries(first: Tensor, second: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return two tensors position by position, and which entry of each lies there, (2, positions)."""
    flat = torch.broadcast_tensors(*(torch.arange(ids.numel()).reshape(ids.shape) for ids in (first, second)))
    at = torch.stack([entry.reshape(-1) for entry in flat])
    return first.reshape(-1)[at[0]].numpy(), second.reshape(-1)[at[1]].numpy(), at.numpy()


def _whole(pair: np.ndarray, roots: np.ndarray, entries: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Say for each pair whether its second atom meets all numbers of the first, (pairs,)."""
    own = np.bincount(np.unique(np.stack([pair, entries]), axis=1)[0], minlength=len(centres))
    every = np.bincount(np.unique(np.stack([roots, entries]), axis=1)[0], minlength=centres.max() + 1)
    return own == every[centres]


def _counts(values: np.ndarray) -> np.ndarray:
    _, inverse, count = np.unique(values, return_inverse=True, return_counts=True)
    return count[inverse.reshape(-1)]


def _joined(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int64), *arrays]).astype(np.int64)
