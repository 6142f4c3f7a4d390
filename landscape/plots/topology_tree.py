"""Where the branches of a merge tree stand, so that none crosses another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from landscape.basins.topology import Topology


class Branch(NamedTuple):
    """A minimum's branch: its row, where it stands, and where the branch stands into which it merges."""

    row: int
    place: int
    parent: int | None


def branches(result: Topology | Any, part: str) -> list[Branch]:
    """Lay out the merge tree of a part of the data from left to right.

    The branches that merge into another one stand to its right, those that merge lower nearer to it: what stands
    between has ended below the level at which a branch goes over to its parent.
    """
    rows = result.rows(part).tolist()
    children: dict[int, list[int]] = {row: [] for row in [-1, *rows]}
    for row in sorted(rows, key=lambda row: (result.death[row], -row)):
        children[int(result.parent[row])].append(row)
    place: dict[int, int] = {}
    waiting = children[-1][::-1]
    while waiting:
        row = waiting.pop()
        place[row] = len(place)
        waiting += children[row][::-1]
    return [Branch(row, spot, place.get(int(result.parent[row]))) for row, spot in place.items()]
