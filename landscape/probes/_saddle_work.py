"""The work of the saddle probe, in pieces that survive a kill: groups of classes, top directions, steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from landscape import examples, operators
from landscape.eigenpairs import eigenpairs
from landscape.operators import ByClass
from landscape.parts import Parts
from landscape.probes import _saddle_ends as search_
from landscape.probes import _saddle_ways as ways
from landscape.probes._saddle_ends import Search
from landscape.rows import dot, norm

if TYPE_CHECKING:
    from landscape.objective import Objective

TOGETHER = 8  # vectors that are multiplied at once where many are
PATIENCE = 10  # products that one of the top eigenvectors may take, and
FEWEST = 100  # that all of them may take besides


@dataclass
class Work:
    """The saddle probe at a point, on the classes that have examples.

    Attributes
    ----------
    objective : Objective
    theta : Tensor of shape (D,)
    names : tuple of str
        Classes, C of them.
    search : Search
    parts : Parts or None
        Where finished pieces are kept.
    tell : callable
        Told the number of products that were done, of one class each.
    """

    objective: Objective
    theta: Tensor
    names: tuple[str, ...]
    search: Search
    parts: Parts | None
    tell: Callable[[int], None]

    def __post_init__(self) -> None:
        known = operators.by_class(self.objective, self.theta)
        chosen = [known.classes.index(name) for name in self.names]
        self.by = subset(known, chosen)
        self.labels = [self.objective.classes.index(name) for name in self.names]
        answers = self.objective.labels
        labels = np.zeros(0) if answers is None else answers.cpu().numpy()
        self.base = ways.Base(examples.by_example(self.objective, self.theta), labels)
        self._next = 0

    def kept(self, make: Callable[[], dict[str, Any]]) -> dict[str, np.ndarray]:
        """Read the next piece if it is finished, else make it and keep it."""
        index, self._next = self._next, self._next + 1
        if self.parts and index in self.parts.done():
            return self.parts.read(index)
        found = {name: np.asarray(value) for name, value in make().items()}
        if self.parts:
            self.parts.write(index, found)
        return found

    def spectra(self, classes: int, together: int, resamples: int) -> Iterator[dict[str, np.ndarray]]:
        """Find both ends and the density of all classes, so many in lockstep: yield a dict of arrays for each group."""
        for first in range(0, len(self.names), classes):
            group = list(range(first, min(first + classes, len(self.names))))
            yield self.kept(lambda group=group: self._group(group, together, resamples))

    def _group(self, group: list[int], together: int, resamples: int) -> dict[str, np.ndarray]:
        by = subset(self.by, group)
        spectra = search_.lockstep(by, self.search, together, self.tell)
        found = [
            self._class(index, spectrum, resamples) for index, spectrum in zip(group, spectra, strict=True)
        ]
        return {name: np.stack([np.asarray(one[name]) for one in found]) for name in found[0]}

    def _class(self, index: int, spectrum: search_.Spectrum, resamples: int) -> dict[str, Any]:
        """Finish one class: both ends, how they vary over its examples, its gradient."""
        operator, label = self.by.operators[index], self.labels[index]
        before = operator.products
        ends = search_.ends(operator, spectrum, self.search)
        used = operator.products - before
        self.tell(2 + self.search.limit)
        part = self.objective.restrict(label)
        bends = examples.curvature(part, self.theta, ends.vectors).numpy()
        weight = self.base.found.weight[self.base.labels == label]
        gradient = part.gradient(self.theta)
        direction = ways.downhill(ends.vectors[1:], gradient[None])[0]
        return {
            **search_.described(spectrum, ends, self.search, self.by.dim),
            **ways.spread(bends, weight, resamples, self.search.seed),
            **self.base.of(label),
            "gradient_norm": float(norm(gradient)),
            "gradient": gradient.cpu().numpy(),
            "direction": direction.cpu().numpy(),
            "products": self.search.steps * self.search.probes + used,
        }

    def top(self, count: int) -> dict[str, np.ndarray]:
        """Find the top eigenvectors of the whole objective, and how every class bends along them."""
        return self.kept(lambda: self._top(count))

    def _top(self, count: int) -> dict[str, Any]:
        whole = operators.hessian(self.objective, self.theta)
        found = eigenpairs(
            whole, whole.dim, count=(count, 0), tolerance=self.search.tolerance, limit=patience(count),
            seed=self.search.seed, like=whole.like,
        )  # fmt: skip
        bends = [
            torch.cat([dot(rows, operator(rows)) for rows in found.vectors.split(TOGETHER)]).cpu().double()
            for operator in self.by.operators
        ]
        self.tell((patience(count) + count) * len(self.by.operators))
        values = {"top_value": found.values, "top_residual": found.residuals, "top_curvature": torch.stack(bends)}
        return {name: value.numpy() for name, value in values.items()} | {"products": whole.products + count}

    def walked(self, directions: Tensor, lengths: np.ndarray) -> dict[str, np.ndarray]:
        """Step along the most negative direction of every class: arrays that lead with the class."""
        pairs = zip(self.labels, directions, strict=True)
        found = [
            self.kept(
                lambda label=label, direction=direction: ways.walked(
                    self.objective, self.theta, self.base, label, direction, lengths
                )
            )
            for label, direction in pairs
        ]
        return {name: np.stack([one[name] for one in found]) for name in found[0]}


def subset(by: ByClass, chosen: list[int]) -> ByClass:
    """Return some classes of a lockstep operator."""
    classes = tuple(by.classes[i] for i in chosen)
    return ByClass(classes, tuple(by.counts[i] for i in chosen), tuple(by.operators[i] for i in chosen))


def patience(count: int) -> int:
    """Limit the products that finding so many top eigenvectors may take."""
    return FEWEST + PATIENCE * count
