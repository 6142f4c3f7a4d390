"""The Gauss-Newton matrix of a classifier, taken apart by class and by what a class is mistaken for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from landscape import losses
from landscape.engine.device import free_memory
from landscape.examples import pulled
from landscape.krylov import Product

if TYPE_CHECKING:
    from landscape.objective import Objective

PARTS = ("G0", "G1", "G2", "G1+2")
ROOM = 0.5  # of the free memory, for the means


@dataclass(frozen=True)
class Decomposition:
    r"""Papyan's decomposition of the Gauss-Newton matrix of a mean cross entropy, :math:`G = G_0 + G_1 + G_2 + W`.

    With :math:`\delta_{ncm} = \sqrt{p_m}\, J^\top (e_m - p)` for example n of class c and output m, p being the
    predicted probabilities, :math:`G = \sum_c \frac{\pi_c}{n_c} \sum_{n m} \delta_{ncm} \delta_{ncm}^\top`. Let
    :math:`\delta_{cm}` be the mean over the examples of class c, and :math:`\delta_c` the mean of the M - 1 of them
    with m other than c. Then

    .. math::
        G_0 = \sum_c \pi_c\, \delta_{cc} \delta_{cc}^\top, \qquad
        G_1 = \sum_c \pi_c\, (M - 1)\, \delta_c \delta_c^\top, \qquad
        G_2 = \sum_c \pi_c \sum_{m \ne c} (\delta_{cm} - \delta_c)(\delta_{cm} - \delta_c)^\top,

    and W, what is left, is the covariance within (c, m), averaged over c and summed over m: positive semidefinite.

    Attributes
    ----------
    means : Tensor of shape (C, M, D)
        The means, for the C classes that have examples and the M outputs.
    labels : tuple of int
        The output that stands for each of the C classes.
    share : Tensor of shape (C,), float64
        Fraction of the examples, pi.

    References
    ----------
    Papyan (2020), Traces of class/cross-class structure pervade deep learning spectra, arXiv:2008.11865;
    Papyan (2019), Measurements of three-level hierarchical structure in the outliers in the spectrum of deepnet
    Hessians, arXiv:1901.08244.
    """

    means: Tensor
    labels: tuple[int, ...]
    share: Tensor

    def rows(self, part: str) -> Tensor:
        """Return vectors (r, D) whose outer products sum to a part: r = C for G0 and G1, C (M - 1) for G2 and G1+2.

        Raises
        ------
        ValueError
            If the part is none of G0, G1, G2, G1+2.
        """
        if part not in PARTS:
            raise ValueError(f"Expected a part, one of {', '.join(PARTS)}, got {part!r}: choose one of these.")
        root = self.share.sqrt().to(self.means)
        index = torch.arange(len(self.labels), device=self.means.device)
        own = torch.tensor(self.labels, device=self.means.device)
        if part == "G0":
            return root[:, None] * self.means[index, own]
        others = torch.ones(self.means.shape[:2], dtype=torch.bool, device=self.means.device)
        others[index, own] = False
        crossed = self.means[others].reshape(len(index), -1, self.means.shape[-1])
        centers = crossed.mean(1, keepdim=True)
        if part == "G1":
            return math.sqrt(crossed.shape[1]) * root[:, None] * centers[:, 0]
        spread = crossed - centers if part == "G2" else crossed
        return (root[:, None, None] * spread).flatten(0, 1)

    def values(self, part: str) -> Tensor:
        """Find the eigenvalues of a part that may differ from zero, from the Gram matrix: (r,), descending, float64."""
        rows = self.rows(part)
        gram = (rows @ rows.mT).cpu().double()
        return torch.linalg.eigvalsh((gram + gram.mT) / 2).flip(0)

    def product(self, part: str) -> Product:
        """Return the product of a part with rows (K, D) -> (K, D)."""
        rows = self.rows(part)
        return lambda vectors: vectors @ rows.mT @ rows

    def within(self, whole: Product) -> Product:
        """Return the product of what is left of the whole Gauss-Newton matrix, given by its products."""
        first, rest = self.rows("G0"), self.rows("G1+2")
        return lambda vectors: whole(vectors) - vectors @ first.mT @ first - vectors @ rest.mT @ rest


def decomposition(objective: Objective, theta: Tensor | None = None) -> Decomposition:
    """Take the Gauss-Newton matrix of an objective apart, at a point, its own by default.

    Parameters
    ----------
    objective : Objective
        Of cross entropy over classes.
    theta : Tensor of shape (D,), optional

    Returns
    -------
    Decomposition

    Raises
    ------
    ValueError
        If the loss is another one, there are no classes, or the C M means do not fit the free memory.

    Notes
    -----
    Means are found of sums over a class, not example by example: M backward passes over the data in all, less than M
    gradients, where one for each class and output of every batch would be C M of them. Memory: C M D numbers.

    Examples
    --------
    >>> from landscape.objective import Objective
    >>> data = torch.eye(3).repeat(4, 1), torch.arange(3).repeat(4)
    >>> found = decomposition(Objective(torch.nn.Linear(3, 3, bias=False), data, device="cpu"))
    >>> [len(found.values(part)) for part in PARTS]
    [3, 3, 6, 6]
    """
    if objective.loss is not losses.cross_entropy:
        raise ValueError(
            f"Expected cross entropy, of which the decomposition is, got {objective.loss_name}: leave it out."
        )
    if objective.labels is None:
        raise ValueError("Expected class indices as targets, got other targets: there are no classes to tell apart.")
    theta = objective.theta if theta is None else theta
    labels = tuple(sorted(set(objective.labels.tolist())))
    found, sizes = [], []
    for label in labels:
        part = objective.restrict(label)
        means = pulled(part, theta, _checked(_weighted, objective, len(labels)))
        found.append(means.to(objective.theta))
        sizes.append(part.size)
    share = torch.tensor(sizes, dtype=torch.float64) / objective.size
    return Decomposition(torch.stack(found), labels, share)


def _weighted(outputs: Tensor) -> Tensor:
    """Make sqrt(p_m) (e_m - p) for every output m: (B, M) -> (M, B, M)."""
    chance = outputs.softmax(-1)
    apart = torch.eye(outputs.shape[-1], dtype=chance.dtype, device=chance.device)[:, None] - chance
    return chance.mT.sqrt()[..., None] * apart


def _checked(cotangents: Callable, objective: Objective, classes: int) -> Callable:
    """Refuse, before the first backward pass, what would not fit memory."""

    def checked(outputs: Tensor) -> Tensor:
        needed = 2 * classes * outputs.shape[-1] * objective.dim * objective.theta.itemsize
        room = ROOM * free_memory(objective.device)
        if outputs.ndim != 2 or needed > room:
            raise ValueError(
                f"Expected outputs (B, M) and room for C M D numbers, got outputs {tuple(outputs.shape)} and "
                f"{needed / 2**30:.1f} GiB for {room / 2**30:.1f}: leave the decomposition out."
            )
        return cotangents(outputs)

    return checked
