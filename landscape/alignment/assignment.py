"""The best permutation for a matrix of similarities between units: linear assignment, attention heads included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from landscape.alignment.structure import Group, Structure


def assigned(groups: Sequence[Group], similarity: Mapping[str, Tensor]) -> dict[str, Tensor]:
    r"""Find the permutation of tied groups that has the largest similarity in all, among those that are allowed.

    .. math:: \max_\pi \sum_g \sum_i S_g[i, \pi_g(i)]

    Parameters
    ----------
    groups : sequence of Group
        One group, or all those of one tie.
    similarity : dict of str to Tensor (units, units)
        By group: of a unit that stays (row) with one that comes in its place (column).

    Returns
    -------
    dict of str to Tensor
        By group: the unit that comes to each place.

    Raises
    ------
    ValueError
        If a similarity is not finite.

    Notes
    -----
    Exact. Of units in blocks, every block is first matched with every other by itself, which gives what it would be
    worth to put one in the place of the other; blocks are then matched by the sums of that over the groups. Time: cubic
    in the units of a block for each of the pairs of blocks, and cubic in their number.

    References
    ----------
    Kuhn (1955), The Hungarian method for the assignment problem, Naval Research Logistics 2; Crouse (2016), On
    implementing 2D rectangular assignment algorithms, IEEE Trans. Aerospace and Electronic Systems 52(4).
    """
    blocks = groups[0].blocks
    worth = torch.zeros(blocks, blocks, dtype=torch.float64)
    inside: dict[str, dict[tuple[int, int], Tensor]] = {}
    for group in groups:
        inside[group.name] = {}
        cells = _cells(similarity[group.name], blocks)
        for a in range(blocks):
            for b in range(blocks):
                order = _assignment(cells[a, b])
                inside[group.name][a, b] = order
                worth[a, b] += cells[a, b][torch.arange(len(order)), order].sum()
    outer = _assignment(worth).tolist()
    return {
        group.name: torch.cat([
            b * (group.size // blocks) + inside[group.name][a, b] for a, b in enumerate(outer)
        ])
        for group in groups
    }  # fmt: skip


def ties(structure: Structure) -> list[tuple[Group, ...]]:
    """List the groups that must be assigned together: those of one tie, or one by itself."""
    found: dict[str, list[Group]] = {}
    for number, group in enumerate(structure.groups):
        found.setdefault(f"tie {group.tie}" if group.tie else f"group {number}", []).append(group)
    return [tuple(groups) for groups in found.values()]


def _cells(matrix: Tensor, blocks: int) -> Tensor:
    """Cut (units, units) into (blocks, blocks, units of a block, units of a block)."""
    each = len(matrix) // blocks
    return matrix.double().reshape(blocks, each, blocks, each).transpose(1, 2)


def _assignment(matrix: Tensor) -> Tensor:
    if not matrix.isfinite().all():
        raise ValueError(
            "Expected finite numbers to match units by, got NaN or infinity: one of the networks has diverged, or the "
            "learning rate of the matching is too high."
        )
    _, columns = linear_sum_assignment(matrix.cpu().numpy(), maximize=True)
    return torch.from_numpy(columns).long()
