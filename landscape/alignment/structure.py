"""Permutation structures: which units of a network may change places, and where their numbers lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

Permutation = Mapping[str, Tensor]  # by name of the group: the unit that comes to each place, (units,)


@dataclass(frozen=True, eq=False)
class Place:
    """Where the units of a group occur on one axis of a tensor of the state dict.

    Attributes
    ----------
    tensor : str
        Its name in the state dict: a parameter or a buffer.
    axis : int
    index : Tensor of int, shape (units, repeats)
        Positions of each unit on that axis, in an order that is the same for all units: a channel that is flattened
        before a linear layer has one for each pixel.
    """

    tensor: str
    axis: int
    index: Tensor


@dataclass(frozen=True, eq=False)
class Group:
    """Units that may be permuted among each other without changing the function.

    Attributes
    ----------
    name : str
    size : int
        Number of units.
    places : tuple of Place
    blocks : int
        Units move inside their block of size / blocks, and blocks move as wholes: 1 leaves all free. Attention heads
        are blocks.
    tie : str
        Groups of the same tie permute their blocks in the same way; empty for a group on its own.
    """

    name: str
    size: int
    places: tuple[Place, ...]
    blocks: int = 1
    tie: str = ""


@dataclass(frozen=True, eq=False)
class Structure:
    """The permutation symmetries of a network.

    Attributes
    ----------
    groups : tuple of Group
    fixed : tuple of str
        Why units of some layers may not move, in words: for those who wonder.
    """

    groups: tuple[Group, ...]
    fixed: tuple[str, ...] = field(default=())

    def identity(self) -> dict[str, Tensor]:
        """Return the permutation that leaves all units where they are."""
        return {group.name: torch.arange(group.size) for group in self.groups}

    def random(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw a permutation: every one that the structure allows is equally likely."""
        ties: dict[str, Tensor] = {}
        found = {}
        for group in self.groups:
            own = torch.randperm(group.blocks, generator=generator)
            blocks = ties.setdefault(group.tie, own) if group.tie else own
            each = group.size // group.blocks
            inside = [b * each + torch.randperm(each, generator=generator) for b in blocks.tolist()]
            found[group.name] = torch.cat(inside)
        return found


def permuted(state: Mapping[str, Tensor], structure: Structure, permutation: Permutation) -> dict[str, Tensor]:
    """Permute the units of a network: the same function, with its units in another order.

    Parameters
    ----------
    state : dict of str to Tensor
        Its state dict; tensors without places stay the same objects.
    structure : Structure
    permutation : dict of str to Tensor
        By group; groups that are left out stay as they are. The unit ``permutation[g][i]`` comes to place i.

    Returns
    -------
    dict of str to Tensor

    Raises
    ------
    ValueError
        If a permutation is none of that many units, or a place lies outside its tensor.
    """
    found = dict(state)
    for group in structure.groups:
        if group.name not in permutation:
            continue
        order = permutation[group.name].to("cpu", torch.long)
        if sorted(order.tolist()) != list(range(group.size)):
            raise ValueError(f"Expected a permutation of the {group.size} units of {group.name!r}, got another list.")
        for place in group.places:
            tensor = found[place.tensor]
            take = torch.arange(tensor.shape[place.axis])
            take[place.index.flatten()] = place.index[order].flatten()
            found[place.tensor] = tensor.index_select(place.axis, take.to(tensor.device))
    return found


def composed(first: Permutation, second: Permutation) -> dict[str, Tensor]:
    """Return the permutation that does the same as `first` and then `second`."""
    return {name: first[name][order] for name, order in second.items()}


def inverse(permutation: Permutation) -> dict[str, Tensor]:
    """Return the permutation that undoes another one."""
    return {name: torch.argsort(order) for name, order in permutation.items()}
