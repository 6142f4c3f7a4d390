"""Directions through checkpoints: between two or three, or the principal ones of many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from landscape.directions.attaching import attached, numbered, orthogonal, rounding
from landscape.directions.gaussian import random
from landscape.frame import Frame, exact

if TYPE_CHECKING:
    from landscape.objective import Objective


COLUMNS = 2**16  # parameters of all checkpoints that are held in float64 at a time
FLAT = 1e-12  # share of the variance below which a trajectory does not span a direction


def between(
    objective: Objective, thetas: Sequence[Tensor], names: Sequence[str] | None = None, *, count: int = 2, seed: int = 0
) -> Frame:
    """Lay a line or a plane through checkpoints.

    Of one direction (`count` = 1) it is the segment: a = 0 at the first, a = 1 at the second checkpoint. A plane is
    spanned by an orthonormal frame with its origin at the first: toward the second, and toward the third (or, of two
    checkpoints, a random filter-normalized direction) made orthogonal; its coordinates are distances.

    Parameters
    ----------
    objective : Objective
        Of the same network as the checkpoints.
    thetas : sequence of 2 or 3 Tensors of shape (D,)
        The checkpoints.
    names : sequence of str, optional
        What they are called.
    count : {1, 2}
        A line or a plane.
    seed : int
        Of the random axis.

    Raises
    ------
    ValueError
        If the number of checkpoints does not fit, or they coincide or lie on a line.

    References
    ----------
    Goodfellow, Vinyals & Saxe (2015), arXiv:1412.6544 (segment); Garipov et al. (2018), arXiv:1802.10026 (plane).
    """
    thetas, names = _checkpoints(objective, thetas, names)
    if len(thetas) not in ((2,) if count == 1 else (2, 3)):
        raise ValueError(f"Expected {'2' if count == 1 else '2 or 3'} checkpoints, got {len(thetas)}.")
    origin = thetas[0]
    first = exact(thetas[1]) - exact(origin)
    if not bool(first.any()):
        raise ValueError(f"Expected different checkpoints, got the same weights in {names[0]} and {names[1]}.")
    record: dict[str, Any] = {"kind": "between", "checkpoints": names}
    if count == 1:
        frame = Frame(origin, first[None].to(origin), (f"{names[0]} to {names[1]}",), record, spanned=len(thetas))
        return frame.project(names, thetas).told()
    if len(thetas) == 3:
        second, label = exact(thetas[2]) - exact(origin), f"toward {names[2]}, orthogonalized"
    else:
        second, label = exact(random(objective, 1, center=origin, seed=seed).vectors[0]), "random, orthogonalized"
        record["seed"] = seed
    unit = first / first.norm()
    across = orthogonal(second, unit)
    if across.norm() <= max(1e-6 * second.norm(), rounding(origin)):
        raise ValueError(f"Expected three checkpoints that span a plane, got three on one line: {', '.join(names)}.")
    vectors = torch.stack([unit, across / across.norm()]).to(origin)
    frame = Frame(origin, vectors, (f"toward {names[1]}", label), record, spanned=len(thetas))
    return frame.project(names, thetas).told()


def principal(
    objective: Objective, thetas: Sequence[Tensor], names: Sequence[str] | None = None, *, count: int = 2,
    runs: Sequence[str] | None = None, center: Tensor | None = None,
) -> Frame:  # fmt: skip
    """Find the principal directions of a trajectory, or of all checkpoints of several, through the last checkpoint.

    The axes are orthonormal, from the Gram matrix of the checkpoints (n x n, so that D does not matter); variance is
    about their mean. Each checkpoint is projected by least squares, with its residual. The checkpoint that lies
    farthest along an axis lies on its positive side of the mean.

    Parameters
    ----------
    objective : Objective
        Of the same network as the checkpoints.
    thetas : sequence of n Tensors of shape (D,)
        The checkpoints, in order.
    names : sequence of str, optional
        What they are called.
    count : int, default=2
        Number of directions, k < n.
    runs : sequence of str, optional
        The run that each checkpoint belongs to; one run by default.
    center : Tensor of shape (D,), optional
        The origin; the last checkpoint by default.

    Raises
    ------
    ValueError
        If there are fewer than count + 1 checkpoints, or they do not span so many directions.

    Notes
    -----
    Memory beside the n checkpoints: the k directions in float64, and 65,536 parameters of every checkpoint.

    References
    ----------
    Li et al. (2018), arXiv:1712.09913, section 7.
    """
    thetas, names = _checkpoints(objective, thetas, names)
    runs = ["trajectory"] * len(thetas) if runs is None else list(runs)
    if len(thetas) < count + 1:
        raise ValueError(f"Expected at least {count + 1} checkpoints of a trajectory, got {len(thetas)}.")
    gram = torch.zeros(len(thetas), len(thetas), dtype=torch.float64)
    for part in _centered(thetas):
        gram += part @ part.T
    variance, mix = (found.flip(-1)[..., :count] for found in torch.linalg.eigh(gram))
    noise = len(thetas) * max(rounding(theta) for theta in thetas) ** 2
    if variance[-1] <= max(FLAT * gram.trace(), noise):
        raise ValueError(f"Expected a trajectory that spans {count} directions, got one that spans fewer.")
    mix = mix * mix.gather(0, mix.abs().argmax(0, keepdim=True)).sign()
    spanning = torch.cat([mix.T @ part for part in _centered(thetas)], dim=1)
    vectors, triangle = torch.linalg.qr(spanning.T)  # orthonormal up to rounding already, but for small variances
    vectors = (vectors * triangle.diagonal().sign()).T
    frame = Frame(
        thetas[-1] if center is None else attached(objective, center),
        vectors.to(thetas[-1]),
        numbered("principal direction", count),
        {"kind": "principal", "checkpoints": len(thetas), "runs": len(set(runs))},
        explained=(variance / gram.trace()).numpy(),
        spanned=len(thetas),
    )
    return frame.project(names, thetas, runs).told()


def _checkpoints(
    objective: Objective, thetas: Sequence[Tensor], names: Sequence[str] | None
) -> tuple[list[Tensor], list[str]]:
    thetas = [attached(objective, theta) for theta in thetas]
    names = list(names or (f"checkpoint {i + 1}" for i in range(len(thetas))))
    if len(names) != len(thetas):
        raise ValueError(f"Expected a name for each of {len(thetas)} checkpoints, got {len(names)}.")
    return thetas, names


def _centered(thetas: list[Tensor]) -> Iterator[Tensor]:
    """Yield stretches (n, columns) of the checkpoints about their mean, in float64."""
    for start in range(0, len(thetas[0]), COLUMNS):
        part = torch.stack([exact(theta[start : start + COLUMNS]) for theta in thetas])
        yield part - part.mean(0)
