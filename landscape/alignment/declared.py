"""Permutation symmetries that a file declares, for networks that cannot be traced."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from landscape.alignment.structure import Group, Place, Structure

LAYOUTS = ("units", "repeats")
Part = tuple[str, int, str, Tensor]  # tensor, axis, layout, positions
KEYS = ("places", "size", "blocks", "tie")


def declared(text: str | Mapping[str, Any], model: nn.Module) -> Structure:
    """Read the permutation symmetries of a network from JSON.

    Parameters
    ----------
    text : str or mapping
        By name of the group: a list of places, or a mapping with `places` and, where they apply, `size`, `blocks` and
        `tie`. A place is [tensor, axis]; the size of a group is that of its shortest axis. An axis may be a multiple
        of it, as behind a flattened convolution: each unit then has that many neighbouring positions, or, written
        [tensor, axis, "repeats"], the units follow one another and start anew that many times. A part of an axis is
        [tensor, axis, [positions]], unit by unit.
    model : nn.Module

    Returns
    -------
    Structure

    Raises
    ------
    ValueError
        If the text is not of that form; if there is no such tensor or axis; if sizes disagree, or two groups hold
        the same positions. That the function of the network stays is for the caller to check.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> declared('{"hidden": [["0.weight", 0], ["0.bias", 0], ["2.weight", 1]]}', network).groups[0].size
    3
    """
    named = _parsed(text)
    state = {name: tensor for name, tensor in model.state_dict().items() if isinstance(tensor, Tensor)}
    groups = tuple(_group(name, entry, state) for name, entry in named.items())
    _require_apart(groups)
    _require_equal_ties(groups)
    return Structure(groups)


def _parsed(text: str | Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        named = json.loads(text) if isinstance(text, str) else text
    except json.JSONDecodeError as error:
        raise ValueError(f"Expected groups as JSON, got something else at line {error.lineno}: {error.msg}.") from None
    if not isinstance(named, Mapping) or not named:
        raise ValueError(
            'Expected groups by name, got none: write {"hidden": [["fc1.weight", 0], ["fc2.weight", 1]]}.'
        )
    return named


def _group(name: str, entry: Any, state: Mapping[str, Tensor]) -> Group:
    entry = entry if isinstance(entry, Mapping) else {"places": entry}
    if unknown := [key for key in entry if key not in KEYS]:
        raise ValueError(f"Expected {', '.join(KEYS)} in group {name!r}, got {unknown[0]!r}: leave it out.")
    places = [_place(name, place, state) for place in _listed(name, entry.get("places"))]
    size = _count(name, "size", entry.get("size", min(len(positions) for *_, positions in places)))
    for tensor, axis, _, positions in places:
        if len(positions) % size:
            raise ValueError(
                f"Expected places of group {name!r} that are multiples of its {size} units, got {len(positions)} on "
                f"axis {axis} of {tensor!r}: give another axis, or the group's size."
            )
    blocks, tie = _count(name, "blocks", entry.get("blocks", 1)), entry.get("tie", "")
    if size % blocks:
        raise ValueError(
            f"Expected blocks that divide the {size} units of group {name!r}, got {blocks}: give a divisor."
        )
    if not isinstance(tie, str):
        raise ValueError(f"Expected the tie of group {name!r} as text, got {tie!r}: give it a name.")
    return Group(name, size, tuple(_arranged(size, place) for place in places), blocks, tie)


def _arranged(size: int, part: Part) -> Place:
    tensor, axis, layout, positions = part
    return Place(tensor, axis, positions.reshape(size, -1) if layout == "units" else positions.reshape(-1, size).T)


def _listed(name: str, places: Any) -> Sequence[Any]:
    if not isinstance(places, Sequence) or isinstance(places, str) or not places:
        raise ValueError(f'Expected places of group {name!r}, got {places!r}: list them as [["fc1.weight", 0], ...].')
    return places


def _place(name: str, place: Any, state: Mapping[str, Tensor]) -> Part:
    known = isinstance(place, Sequence) and not isinstance(place, str) and len(place) in (2, 3)
    if not known or not isinstance(place[0], str) or type(place[1]) is not int:
        raise ValueError(
            f'Expected a place of group {name!r} as ["fc1.weight", 0], got {place!r}: name tensor and axis.'
        )
    tensor, axis, layout = str(place[0]), int(place[1]), place[2] if len(place) == 3 else LAYOUTS[0]
    if tensor not in state:
        raise ValueError(
            f"Expected tensors of the network in group {name!r}, got {tensor!r}: it has "
            f"{', '.join(list(state)[:6])} ..."
        )
    rank = state[tensor].ndim
    if not 0 <= axis < rank:
        raise ValueError(
            f"Expected an axis of {tensor!r} from 0 to {rank - 1} in group {name!r}, got {axis}: count from 0."
        )
    positions = torch.arange(state[tensor].shape[axis])
    if isinstance(layout, list):
        return tensor, axis, LAYOUTS[0], _positions(name, tensor, layout, len(positions))
    if layout not in LAYOUTS:
        raise ValueError(
            f"Expected the layout of {tensor!r} as one of {', '.join(LAYOUTS)} or a list of positions, got {layout!r}: "
            "give one of these."
        )
    return tensor, axis, layout, positions


def _positions(name: str, tensor: str, given: list, length: int) -> Tensor:
    flat = [position for row in given for position in (row if isinstance(row, list) else [row])]
    wrong = [position for position in flat if type(position) is not int or not 0 <= position < length]
    if wrong or not flat:
        raise ValueError(
            f"Expected positions from 0 to {length - 1} on {tensor!r} in group {name!r}, got "
            f"{wrong[0] if wrong else given!r}: list integers."
        )
    return torch.tensor(flat)


def _count(name: str, what: str, value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(
            f"Expected the {what} of group {name!r} as an integer of at least 1, got {value!r}: give a count."
        )
    return value


def _require_apart(groups: tuple[Group, ...]) -> None:
    """Refuse positions that two places hold: permutations would go over them twice."""
    taken: dict[tuple[str, int, int], str] = {}
    for group in groups:
        for place in group.places:
            for position in place.index.flatten().tolist():
                if (place.tensor, place.axis, position) in taken:
                    other = taken[place.tensor, place.axis, position]
                    raise ValueError(
                        f"Expected each position once, got {position} on axis {place.axis} of {place.tensor!r} in "
                        f"{other!r} and in {group.name!r}: leave it in one of them."
                    )
                taken[place.tensor, place.axis, position] = group.name


def _require_equal_ties(groups: tuple[Group, ...]) -> None:
    blocks: dict[str, Group] = {}
    for group in groups:
        first = blocks.setdefault(group.tie, group)
        if group.tie and first.blocks != group.blocks:
            raise ValueError(
                f"Expected groups of the tie {group.tie!r} with equally many blocks, got {first.blocks} of "
                f"{first.name!r} and {group.blocks} of {group.name!r}: give both the same."
            )
