"""Activation matching: units matched by what they answer to the same inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from landscape.alignment.assignment import assigned, ties
from landscape.alignment.producers import answering, at, outputs
from landscape.alignment.structure import Structure
from landscape.alignment.weights import Matching
from landscape.engine.derivatives import wide
from landscape.engine.device import arithmetic
from landscape.engine.network import call

if TYPE_CHECKING:
    from collections.abc import Callable

    from landscape.objective import Objective

DEAD = 1e-12  # variance, as a share of the mean square, below which a unit counts as constant: rounding makes the rest


def activation_matching(
    objective: Objective, first: Tensor, second: Tensor, structure: Structure,
    *, progress: Callable[[int, int], None] | None = None,
) -> Matching:  # fmt: skip
    r"""Permute the units of a network such that they answer as another's do.

    .. math:: \max_\pi \sum_i \mathrm{corr}\left(z^1_i,\; z^2_{\pi(i)}\right)

    The correlations are over all examples of the first split (and all pixels or tokens of each), of what the layers
    give before their nonlinearity, behind batch norm if there is one; where several layers give the units of a group,
    their correlations are averaged.
    Groups do not depend on each other, so that each assignment is exact.

    Parameters
    ----------
    objective : Objective
    first, second : Tensor of shape (D,)
    structure : Structure
    progress : callable, optional
        Told (examples done, examples in all).

    Returns
    -------
    Matching
        The record tells the mean correlation of matched units before and after, the units that are constant in one of
        the networks (their correlations count as zero), and the groups that no layer produces: they stay.

    Notes
    -----
    Cost: one forward pass of both networks over the first split. Means and products are summed in float64.

    References
    ----------
    Li et al. (2015), Convergent learning: do different neural networks learn the same representations?,
    arXiv:1511.07543; Tatro et al. (2020), Optimizing mode connectivity via neuron alignment, arXiv:2009.02439;
    Ainsworth, Hayase & Srinivasa (2022), Git Re-Basin, arXiv:2209.04836 (section 3.1).
    """
    known = answering(objective.network.model, structure)
    found = _joint(objective, at(objective, first), at(objective, second), known, progress)
    score, dead = _correlations(structure, known, found)
    permutation, matched = structure.identity(), torch.zeros(2, dtype=torch.float64)
    for groups in ties(structure):
        if any(group.name not in score for group in groups):
            continue
        step = assigned(groups, score)
        permutation |= step
        for group in groups:
            table = score[group.name]
            matched += torch.stack([table.diagonal().sum(), table[torch.arange(group.size), step[group.name]].sum()])
    units = sum(len(table) for table in score.values()) or float("nan")
    record: dict[str, Any] = {
        "before": float(matched[0]) / units, "after": float(matched[1]) / units, "constant": dead,
        "unproduced": [group.name for group in structure.groups if group.name not in score],
    }  # fmt: skip
    return Matching(permutation, record)


def _correlations(structure: Structure, known: dict, found: dict[str, Moments]) -> tuple[dict[str, Tensor], int]:
    """Average the correlations of the units of a group over the layers that produce it, and count constant units."""
    tables: dict[str, list[Tensor]] = {}
    dead = 0
    for layer, placed in known.items():
        if layer not in found:  # never called
            continue
        table, constant = found[layer].correlations()
        for name, place in placed:
            tables.setdefault(name, []).extend(table[index][:, index] for index in place.index.T)
            dead += int(constant[place.index.flatten()].sum())
    return {g.name: torch.stack(tables[g.name]).mean(0) for g in structure.groups if g.name in tables}, dead


class Moments:
    """Running means and products of two sets of channels, in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.sums: Any = 0
        self.products: Any = 0

    def add(self, first: Tensor, second: Tensor) -> None:
        """Take rows (numbers, channels) of both."""
        both = wide(torch.cat([first, second], 1))
        self.count += len(both)
        self.sums = self.sums + both.sum(0).cpu().double()
        self.products = self.products + (both.T @ both).cpu().double()

    def correlations(self) -> tuple[Tensor, Tensor]:
        """Return (channels of the first, of the second), zero for constant ones; and which are constant in either."""
        mean = self.sums / self.count
        square = self.products.diagonal() / self.count
        covariance = self.products / self.count - mean[:, None] * mean
        variance = covariance.diagonal()
        constant = variance <= DEAD * square
        scale = torch.where(constant, torch.inf, variance.clamp(min=0).sqrt())
        half = len(mean) // 2
        return (covariance / scale[:, None] / scale)[:half, half:], constant[:half] | constant[half:]


def _joint(
    objective: Objective, first: nn.Module, second: nn.Module, known: dict, progress: Callable | None
) -> dict[str, Moments]:
    """Ask both networks about every example of the first split."""
    split, found, done = objective._resident[0], {}, 0
    size = objective.plan(1).examples
    with arithmetic(objective.precision, objective.device), torch.no_grad():
        for inputs, targets, _ in split.chunks(size):
            with outputs(first, known) as one, outputs(second, known) as two:
                call(first, inputs)
                call(second, inputs)
            for layer in known:
                for a, b in zip(one[layer], two[layer], strict=True):
                    found.setdefault(layer, Moments()).add(a, b)
            done += len(targets)
            if progress:
                progress(done, split.size)
    return found
