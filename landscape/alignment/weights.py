"""Weight matching: units matched by the numbers that go into them and out of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from landscape.alignment.assignment import assigned, ties
from landscape.alignment.structure import Group, Permutation, Place, Structure, composed, permuted

LEAST = 1e-12  # gain that counts, as a share of the product of both lengths: below it, rounding decides


class Matching(NamedTuple):
    """A permutation that brings one network near to another, and how it was found (plain JSON)."""

    permutation: dict[str, Tensor]
    record: dict[str, Any]


def weight_matching(
    first: Mapping[str, Tensor],
    second: Mapping[str, Tensor],
    structure: Structure,
    *,
    tries: int = 1,
    seed: int = 0,
    start: Permutation | None = None,
) -> Matching:
    r"""Permute the units of a network such that its weights come near to another's.

    .. math:: \max_\pi \; \langle \theta_1, \pi(\theta_2) \rangle
        \quad\Longleftrightarrow\quad \min_\pi \; \|\theta_1 - \pi(\theta_2)\|^2

    One group of units after another, in random order, gets the permutation that is best while all others stay: a linear
    assignment. This goes on until a pass over all groups improves nothing. The product never falls.

    Parameters
    ----------
    first, second : dict of str to Tensor
        Tensors that count, of two networks of one architecture, by name in the state dict. Give the parameters, and
        tied ones once: statistics of batch norm are on other scales. Places in other tensors do not matter here.
    structure : Structure
    tries : int, default=1
        Descents. The first begins at `start`, each further one at a random permutation; the best is kept.
    seed : int, default=0
        Of the order of the groups and the random permutations.
    start : dict of str to Tensor, optional
        Where the first descent begins; the identity by default.

    Returns
    -------
    Matching
        The record tells the inner product of all these tensors before, after every pass of the descent that was kept,
        and at the end of each descent.

    Raises
    ------
    ValueError
        If there are fewer than one tries.

    Notes
    -----
    All sums are in float64, on the CPU. A local optimum: the problem as a whole is NP-hard. Where one group lies on two
    axes of a tensor, the assignment solves a linear approximation, and is taken only if it improves the product itself.

    References
    ----------
    Ainsworth, Hayase & Srinivasa (2022), Git Re-Basin: merging models modulo permutation symmetries, arXiv:2209.04836,
    algorithm 1.
    """
    if tries < 1:
        raise ValueError(f"Expected at least 1 try, got {tries}: give the number of descents.")
    both = [name for name in first if name in second]
    known = among(structure, both)
    one, two = ({name: tensors[name].detach().to("cpu", torch.float64) for name in both} for tensors in (first, second))
    generator = torch.Generator().manual_seed(seed)
    begun = dict(start) if start is not None else known.identity()
    found = [_descent(one, two, known, begun, generator)]
    found += [_descent(one, two, known, known.random(generator), generator) for _ in range(tries - 1)]
    products = [float(values[-1]) for _, values in found]
    permutation, values = found[products.index(max(products))]
    record = {"passes": len(values) - 1, "before": product(one, two), "products": values, "tries": products}
    return Matching(permutation, record)


def among(structure: Structure, names: Iterable[str]) -> Structure:
    """Return the same groups with those places alone that lie in certain tensors."""
    kept = set(names)
    groups = (replace(g, places=tuple(p for p in g.places if p.tensor in kept)) for g in structure.groups)
    return replace(structure, groups=tuple(groups))


def similarity(first: Mapping[str, Tensor], second: Mapping[str, Tensor], group: Group) -> Tensor:
    """Multiply what belongs to each unit of one network with what belongs to each of another: (units, units)."""
    found = torch.zeros(group.size, group.size, dtype=torch.float64)
    for place in group.places:
        found += rows(first[place.tensor], place) @ rows(second[place.tensor], place).T
    return found


def cosines(first: Mapping[str, Tensor], second: Mapping[str, Tensor], group: Group) -> Tensor:
    """Return the cosine between the weights of each unit in one network and in the other: (units,).

    NaN for units of which one has no weights but zeros.
    """
    found = torch.zeros(3, group.size, dtype=torch.float64)
    for place in group.places:
        one, two = rows(first[place.tensor], place), rows(second[place.tensor], place)
        found += torch.stack([(one * two).sum(1), (one**2).sum(1), (two**2).sum(1)])
    return found[0] / (found[1] * found[2]).sqrt()


def rows(tensor: Tensor, place: Place) -> Tensor:
    """View what belongs to each unit of a group at one of its places: (units, numbers), float64."""
    taken = tensor.to("cpu", torch.float64).index_select(place.axis, place.index.flatten())
    return taken.movedim(place.axis, 0).reshape(len(place.index), -1)


def product(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> float:
    """Return the inner product of two networks over all their tensors."""
    return sum(float((tensor.double() * second[name].double()).sum()) for name, tensor in first.items())


def _descent(
    first: dict[str, Tensor], second: dict[str, Tensor], structure: Structure, permutation: dict[str, Tensor],
    generator: torch.Generator,
) -> tuple[dict[str, Tensor], list[float]]:  # fmt: skip
    """Improve a permutation until nothing improves; return it, and the product before and after each pass."""
    least = LEAST * (product(first, first) * product(second, second)) ** 0.5
    here, together, moved = permuted(second, structure, permutation), ties(structure), True
    values = [product(first, here)]
    while moved:
        moved = False
        for index in torch.randperm(len(together), generator=generator).tolist():
            step, there = _improved(first, here, together[index])
            if product(first, there) - product(first, here) > least:
                moved, here = True, here | there
                permutation = permutation | composed(permutation, step)
        values.append(product(first, here))
    return permutation, values


def _improved(
    first: Mapping[str, Tensor], here: Mapping[str, Tensor], groups: Sequence[Group]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the best step of tied groups while all others stay."""
    step = assigned(groups, {group.name: similarity(first, here, group) for group in groups})
    return step, permuted(here, Structure(tuple(groups)), step)
