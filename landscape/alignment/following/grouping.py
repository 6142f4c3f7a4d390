"""From atoms to groups: which units are alike and may change places."""

from __future__ import annotations

import numpy as np
import torch

from landscape.alignment.following.atoms import Atoms
from landscape.alignment.following.units import Units
from landscape.alignment.structure import Group, Place


def groups(units: Units, atoms: Atoms) -> tuple[tuple[Group, ...], list[str]]:
    """Group units that occur in the same places and took part in the same.

    Units are told apart by colours: hashes of all that their atoms took part in, refined by the colours of their blocks
    and of the members of blocks until nothing changes. Two units that are not alike share a colour with a
    probability near 2⁻⁶⁴ times their number squared.

    Returns
    -------
    groups : tuple of Group
    stay : list of str
        What else holds units back, in words.
    """
    stay: dict[str, None] = {}
    while True:
        stay |= dict.fromkeys(f"{name}: its numbers move along no axis of their own" for name in atoms.settle())
        before = units.root.copy(), units.fixed.sum(), len(units.apart)
        colours = refined(units, atoms)
        pinned = _agree(units, colours)
        stay |= dict.fromkeys(
            f"{layer}: its units lie in blocks of several kinds, which stay" for layer in _layers(units, atoms, pinned)
        )
        if np.array_equal(before[0], units.root) and before[1:] == (units.fixed.sum(), len(units.apart)):
            return tuple(_built(units, atoms, colours)), list(stay)


def refined(units: Units, atoms: Atoms) -> np.ndarray:
    """Return the colour of each root, (atoms,) uint64; units that stay have one of their own."""
    own = _signatures(units, atoms)
    colours = np.zeros(len(own), np.uint64)
    np.add.at(colours, units.root, _mixed(own))
    held = np.union1d(units.root[units.fixed], units.apart)
    colours[held] = _mixed(held.astype(np.uint64) + np.uint64(1 << 32))
    block, member = units.above()
    count = 0
    while True:
        found = np.unique(colours[np.unique(units.root)])
        if len(found) == count:
            return colours
        count, seen = len(found), _mixed(colours)
        more = np.zeros_like(colours)
        np.add.at(more, member, _mixed(seen[block] + np.uint64(1)))
        np.add.at(more, block, _mixed(seen[member] + np.uint64(2)))
        colours = _mixed(seen + more)


def _signatures(units: Units, atoms: Atoms) -> np.ndarray:
    labels, noted = units.notes()
    size = len(units.root)
    (label, atom), count = np.unique(np.stack([labels, noted]), axis=1, return_counts=True)
    own = np.zeros(size, np.uint64)
    np.add.at(own, atom, _mixed(_mixed(label.astype(np.uint64)) + count.astype(np.uint64)))
    kinds = [*atoms.axes.values(), *atoms.elements.values()]
    for kind, members in enumerate(kinds):
        own[members] += _mixed(np.array([kind + (1 << 40)], np.uint64))
    return own


def _mixed(values: np.ndarray) -> np.ndarray:
    """Scramble 64 bits: the finalizer of splitmix64 (Steele, Lea and Flood, 2014)."""
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _agree(units: Units, colours: np.ndarray) -> list[np.ndarray]:
    """Join blocks that hold the same units; where units lie in blocks of several kinds, these blocks stay.

    Returns
    -------
    list of array of int
        Units of blocks that stay from now on.
    """
    if len(twins := _twins(units, colours)):
        units.separate(twins)
        return []
    kinds = _blocks(units, colours)
    inside: dict[int, list] = {}
    for (colour, _), pairs in kinds.items():
        inside.setdefault(colour, []).append(pairs)
    held = []
    for block, member in kinds.values():
        single, nested = len(np.unique(member)) == len(member), int(colours[block[0]]) in inside
        if single and len(np.unique(block)) == len(member):
            units.merge(block, member)
        elif nested or not single:
            units.pin(block)
            held.append(member)
    for first, *others in inside.values():
        held += [first[1] for other in others if not _joined(units, first, other)]
    return held


def _twins(units: Units, colours: np.ndarray) -> np.ndarray:
    """Find blocks that move together, but hold different units of one kind: these may not change blocks."""
    block, member = units.memberships()
    free = ~np.isin(block, units.apart)
    block, member = block[free], member[free]
    kinds = np.stack([units.root[block].astype(np.uint64), colours[member]])
    found = [np.zeros(0, np.int64)]
    for kind in np.unique(kinds, axis=1).T:
        chosen = (kinds == kind[:, None]).all(0)
        blocks, members = (len(np.unique(side[chosen])) for side in (block, member))
        if chosen.sum() < blocks * members:
            found.append(block[units.root[block] == int(kind[0])])
    return np.unique(np.concatenate(found))


def _joined(units: Units, one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> bool:
    """Let blocks move together that hold the same units, or stay if they do not."""
    (first, members), (second, same) = ((block[np.argsort(member)], np.sort(member)) for block, member in (one, other))
    if np.array_equal(members, same):
        pairs = np.unique(np.stack([first, second]), axis=1)
        if pairs.shape[1] == len(np.unique(first)) == len(np.unique(second)):
            units.merge(*pairs)
            return True
    units.pin(np.concatenate([first, second]))
    return False


def _layers(units: Units, atoms: Atoms, held: list[np.ndarray]) -> list[str]:
    """Name the first layer of each of several lots of units."""
    found = []
    for members in held:
        at = [name for (name, _), own in atoms.axes.items() if np.isin(units.root[own], units.root[members]).any()]
        found += [layer(name) for name in atoms.names if name in at][:1]
    return found


def layer(name: str) -> str:
    """Name the layer that holds a tensor, or the tensor where it lies in the network itself."""
    return name.rpartition(".")[0] or name


def _blocks(units: Units, colours: np.ndarray) -> dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]:
    """Return pairs of block and member by the colours of member and block, where there are several blocks."""
    block, member = units.above()
    kinds = np.stack([colours[member], colours[block]])
    found = {}
    for colour, above in np.unique(kinds, axis=1).T:
        chosen = (kinds[0] == colour) & (kinds[1] == above)
        if len(np.unique(block[chosen])) > 1:
            found[int(colour), int(above)] = block[chosen], member[chosen]
    return found


def _built(units: Units, atoms: Atoms, colours: np.ndarray) -> list[Group]:
    placed = np.unique(units.root[np.concatenate([np.zeros(0, np.int64), *atoms.axes.values()])])
    held = np.zeros(len(units.root), bool)
    held[units.root[units.fixed]] = True
    free = placed[~held[placed]]
    kinds = _blocks(units, colours)
    above = {colour: pairs for (colour, _), pairs in kinds.items()}
    ties = {colour for _, colour in kinds}
    signatures = _signatures(units, atoms)
    found = []
    for colour in np.unique(colours[free]):
        members = free[colours[free] == colour]
        if len(members) > 1:
            blocks = members if int(colour) in ties else np.zeros_like(members)
            if int(colour) in above:
                block, member = above[int(colour)]
                blocks = block[np.argsort(member)]  # members are sorted
            found.append(_Draft(units, atoms, members, blocks, signatures))
    order = {name: i for i, name in enumerate(names for first in atoms.names for names in atoms.names[first])}
    found.sort(key=lambda draft: (order[draft.first[0]], draft.first[1], draft.least))
    return _named(found, colours, atoms)


class _Draft:
    """A group on its way: its units in order, with their blocks."""

    def __init__(
        self, units: Units, atoms: Atoms, members: np.ndarray, blocks: np.ndarray, signatures: np.ndarray
    ) -> None:
        where = {place: _occurrences(units.root[own], members, signatures[own]) for place, own in atoms.axes.items()}
        self.where = {place: rows for place, rows in where.items() if rows is not None}
        self.first = next(place for name in atoms.names for place in sorted(self.where) if place[0] == name)
        rows = self.where[self.first]
        self.blocks = np.unique(blocks)
        order = np.lexsort([rows.min(1), blocks])
        self.where = {place: rows[order] for place, rows in self.where.items()}
        self.least = int(rows.min())

    def places(self, atoms: Atoms) -> tuple[Place, ...]:
        """Return where the units occur, tied tensors under each of their names."""
        return tuple(
            Place(alias, axis, torch.from_numpy(self.where[own, axis].copy()))
            for tensor in atoms.names
            for own, axis in sorted(self.where)
            if own == tensor
            for alias in atoms.names[tensor]
        )


def _occurrences(roots: np.ndarray, members: np.ndarray, signatures: np.ndarray) -> np.ndarray | None:
    """Return the positions of each unit on an axis, (units, repeats), in an order that is the same for all."""
    positions = np.nonzero(np.isin(roots, members))[0]
    if not len(positions):
        return None
    _, first, kind = np.unique(signatures[positions], return_index=True, return_inverse=True)
    order = np.lexsort([positions, first[kind.reshape(-1)], roots[positions]])
    return positions[order].reshape(len(members), -1)


def _named(drafts: list[_Draft], colours: np.ndarray, atoms: Atoms) -> list[Group]:
    found, taken, tied = [], {}, {}
    kinds = [int(colours[draft.blocks[0]]) if len(draft.blocks) > 1 else 0 for draft in drafts]
    for draft, kind in zip(drafts, kinds, strict=True):
        owner = layer(draft.first[0])
        taken[owner] = taken.get(owner, 0) + 1
        name = owner if taken[owner] == 1 else f"{owner} {taken[owner]}"
        tie = tied.setdefault(kind, owner) if kind and kinds.count(kind) > 1 else ""
        found.append(Group(name, len(draft.where[draft.first]), draft.places(atoms), len(draft.blocks), tie))
    return found
