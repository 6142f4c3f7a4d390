"""Sharpness as the rise of the loss under random perturbations: its mean, its largest value, and smoothed losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from landscape import directions
from landscape.measures.row import Row, Tick
from landscape.objective import Objective
from landscape.rows import random_vectors

NEYSHABUR = "Neyshabur et al. 2017, arXiv:1706.08947"
LI = "filters as in Li et al. 2018, arXiv:1712.09913"
STREAM = 2**20  # seeds of the smoothed losses begin in the middle of this many, apart from those of the ball

Step = Callable[[int], Tensor]  # the i-th random perturbation, (D,)


def ball(
    objective: Objective, theta: Tensor, *, radius: Sequence[float], pairs: int, seed: int, tick: Tick
) -> list[Row]:
    r"""Measure the rise of the loss at random points, its mean and its largest value.

    Plain perturbations are Gaussian, of standard deviation radius / sqrt(D), so that their length is about the radius.
    Filter-normalized ones change every filter by the radius times its own length, and leave biases and parameters of
    norm layers alone.

    Parameters
    ----------
    objective : Objective
    theta : Tensor of shape (D,)
    radius : sequence of float
        Absolute for plain perturbations, relative for filter-normalized ones.
    pairs : int
        Perturbations, each with its opposite: the slope then drops out of the mean.
    seed : int
    tick : callable

    Returns
    -------
    list of Row
        Means with the standard error over pairs; the largest rise met is a lower bound.

    Notes
    -----
    Cost: 1 + 2 pairs evaluations for every radius and for both kinds.
    """
    steps: dict[str, Step] = {
        "random": lambda i: _gaussian(theta, STREAM * seed + i) / theta.numel() ** 0.5,
        "random_filter": lambda i: directions.random(objective, 1, center=theta, seed=seed, draw=i).vectors[0],
    }
    base = float(objective.value(theta))
    tick()
    rows = []
    for name, step in steps.items():
        found = [_ball_rows(name, size, _losses(objective, theta, step, size, pairs, tick) - base) for size in radius]
        rows += [row for column in zip(*found, strict=True) for row in column]
    return rows


def _ball_rows(name: str, size: float, rises: np.ndarray) -> list[Row]:
    """Sum up rises (pairs, 2)."""
    mean, error = _mean(rises.mean(1))
    filters = name == "random_filter"
    where = "filters moved by radius times their length" if filters else "Gaussian steps of about this length"
    setting, paper = f"radius={size:g} draws={rises.size}", f"{NEYSHABUR}; {LI}" if filters else NEYSHABUR
    return [
        Row(f"{name}_mean", mean, f"mean rise of the loss, {where}", paper, error, "standard error", setting),
        Row(f"{name}_worst", float(rises.max()), f"largest rise of the loss met, {where}", paper, setting=setting),
    ]


def smoothed(objective: Objective, theta: Tensor, *, sigma: float, pairs: int, seed: int, tick: Tick) -> list[Row]:
    r"""Measure losses smoothed by a Gaussian of standard deviation sigma: low-pass filtered, and local entropy.

    .. math:: (L * K)(\theta) = E\, L(\theta + \tau), \qquad
        -F(\theta) = -\log E\, e^{-L(\theta + \tau)}, \qquad \tau \sim N(0, \sigma^2 I)

    Local entropy :math:`\log \int e^{-L(\theta') - \gamma \|\theta - \theta'\|^2 / 2} d\theta'` is F with
    gamma = 1 / sigma², up to the volume of the Gaussian, which is the same everywhere.

    Parameters
    ----------
    objective : Objective
    theta : Tensor of shape (D,)
    sigma : float
        The paper of the filter has 0.01.
    pairs : int
        Perturbations, each with its opposite.
    seed : int
    tick : callable

    Returns
    -------
    list of Row
        With the standard error over pairs; that of local entropy to first order.

    Notes
    -----
    Cost: 2 pairs evaluations. The logarithm of a mean is biased by half the square of its relative error.
    """
    losses = _losses(objective, theta, lambda i: _gaussian(theta, STREAM * seed + STREAM // 2 + i), sigma, pairs, tick)
    mean, error = _mean(losses.mean(1))
    lowest = losses.min()
    share, spread = _mean(np.exp(lowest - losses).mean(1))
    setting = f"sigma={sigma:g} draws={losses.size}"
    return [
        Row(
            "low_pass", mean, "mean loss under Gaussian perturbations: the loss convolved with a Gaussian",
            "Bisla et al. 2022, arXiv:2201.08025", error, "standard error", setting,
        ),
        Row(
            "local_entropy", float(lowest - np.log(share)),
            "minus the logarithm of the mean of exp(-loss) under Gaussian perturbations; gamma = 1 / sigma^2",
            "Chaudhari et al. 2017, arXiv:1611.01838", spread / share, "standard error", setting,
        ),
    ]  # fmt: skip


def _losses(objective: Objective, theta: Tensor, step: Step, size: float, pairs: int, tick: Tick) -> np.ndarray:
    """Evaluate at theta plus and minus each perturbation: -> (pairs, 2)."""
    found = np.empty((pairs, 2))
    for i in range(pairs):
        moved = size * step(i)
        for side, sign in enumerate((1, -1)):
            found[i, side] = float(objective.value(theta + sign * moved))
            tick()
    return found


def _gaussian(theta: Tensor, seed: int) -> Tensor:
    return random_vectors(1, theta.numel(), torch.Generator().manual_seed(seed), like=theta)[0]


def _mean(samples: np.ndarray) -> tuple[float, float]:
    """Return a mean and its standard error."""
    error = samples.std(ddof=1) / np.sqrt(len(samples)) if len(samples) > 1 else np.nan
    return float(samples.mean()), float(error)
