"""What lies near a rounded network: the box of its bins, codes that flip, the steps of its staircase."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from landscape.directions import random
from landscape.examples import ByExample
from landscape.paired import mean
from landscape.probes._bits_width import Width
from landscape.rows import norm

if TYPE_CHECKING:
    from landscape.objective import Objective

DIRECTIONS = 10  # random ones, that are looked along both ways from w

At = Callable[[Tensor], ByExample]  # losses of the examples of the first split at a point
Slope = Callable[[Tensor], Tensor]  # gradient at a point


def rise(after: ByExample, before: ByExample) -> tuple[float, float]:
    """Tell by how much the loss is higher on the same examples, with the paired standard error."""
    with np.errstate(invalid="ignore"):
        found = mean(after.loss - before.loss, before.weight)
    return float(found[0]), float(found[1])


def ascended(theta: Tensor, made: Width, before: ByExample, gradient: Tensor, steps: int, at: At, slope: Slope) -> dict:
    r"""Climb in the box of the bins, by signs of the gradient: max of L(w + e) - L(w) over :math:`|e_i| \le s_i / 2`.

    The first step goes to the corner that the gradient at w points to, which is the highest one of a loss that is
    separable and convex; step k has the length 2 / (k + 1) of half a bin, and what leaves the box is put on its side.

    Parameters
    ----------
    theta : Tensor of shape (D,)
    made : Width
    before : ByExample
        At w.
    gradient : Tensor of shape (D,)
        At w.
    steps : int
    at, slope : callable

    Returns
    -------
    dict
        The highest rise so far after every step, and the paired standard error of the last one: a lower bound of the
        maximum.
    """
    half = made.step / 2
    move, path, best = torch.zeros_like(theta), [], (0.0, 0.0)
    for index in range(1, steps + 1):
        uphill = torch.where(gradient < 0, -1.0, 1.0).to(theta)  # where there is no slope, either way is as good
        move = torch.clamp(move + 2 / (index + 1) * half * uphill, -half, half)
        best = max(best, rise(at(theta + move), before))
        path.append(best[0])
        if index < steps:
            gradient = slope(theta + move)
    return {"bin_path": np.array(path), "bin_sharpness": best[0], "bin_sharpness_error": best[1]}


def flipped(
    made: Width, before: ByExample, gradient: Tensor, share: float, draws: int, seed: int, at: At
) -> dict[str, Any]:
    """Move a share of the codes by one: at random, and those that the gradient at Q(w) says cost most.

    Parameters
    ----------
    made : Width
    before : ByExample
        At Q(w).
    gradient : Tensor of shape (D,)
        At Q(w).
    share : float
        Of the codes, the same number k for both.
    draws, seed : int
        Of the codes and their ways up or down, which are the same for every width; a code at an end goes the other way.
    at : callable

    Returns
    -------
    dict
        The mean rise with its standard error over draws, and that of the k largest slopes uphill with the paired
        standard error over examples.
    """
    places = made.rounded.nonzero().squeeze(1)
    count = flips(len(places), share)
    generator = torch.Generator().manual_seed(seed)
    rises = []
    for _ in range(draws):
        order, ways = torch.randperm(len(places), generator=generator), torch.rand(count, generator=generator) < 0.5
        picked = places[order[:count].to(places.device)]
        rises.append(rise(at(_turned(made, picked, ways.to(places.device))), before)[0])
    upward = gradient > 0
    goal = torch.where(upward, made.up, made.down)
    gain = gradient * (goal - made.vector)
    picked = gain.topk(count).indices
    picked = picked[gain[picked] > 0]
    worst = made.vector.clone()
    worst[picked] = goal[picked]
    found = rise(at(worst), before)
    return {
        "flip_mean": np.mean(rises), "flip_mean_error": np.std(rises, ddof=1) / np.sqrt(draws),
        "flip_worst": found[0], "flip_worst_error": found[1],
    }  # fmt: skip


def flips(codes: int, share: float) -> int:
    """Count the codes that flip: at least one."""
    return max(1, round(share * codes))


def _turned(made: Width, picked: Tensor, upward: Tensor) -> Tensor:
    """Move picked codes up or down by one; at an end of the range, the other way."""
    here, up, down = made.vector[picked], made.up[picked], made.down[picked]
    first, second = torch.where(upward, up, down), torch.where(upward, down, up)
    point = made.vector.clone()
    point[picked] = torch.where(first == here, second, first)
    return point


def stepped(made: Width, before: ByExample, gradient: Tensor, rho: float, at: At) -> dict[str, float]:
    """Take the step of SAM from Q(w), relative to the length of Q(w)."""
    length = norm(gradient[None])[0]
    move = gradient / length * norm(made.vector[None])[0] if length > 0 else torch.zeros_like(gradient)
    found = rise(at(made.vector + (rho * move).to(made.vector)), before)
    return {"sam": found[0], "sam_error": found[1]}


def flat(
    objective: Objective, theta: Tensor, made: Width, before: ByExample, spacing: float, seed: int, at: At
) -> dict[str, Any]:
    """Look both ways along random directions from w: how often the rounded network has the very same loss.

    Parameters
    ----------
    objective : Objective
    theta : Tensor of shape (D,)
    made : Width
    before : ByExample
        At Q(w).
    spacing : float
        Distance of the neighbours, in lengths of the filters; what is not rounded does not move.
    seed : int
    at : callable

    Returns
    -------
    dict
        The share of the neighbours, and of the codes that differ there, with standard errors over directions. A point
        whose codes are the same is not evaluated: nothing can differ.
    """
    same, moved = np.zeros((DIRECTIONS, 2)), np.zeros((DIRECTIONS, 2))
    rounded, loss = made.rounded, before.loss.sum()
    for draw in range(DIRECTIONS):
        direction = random(objective, 1, center=theta, seed=seed, draw=draw).vectors[0] * rounded
        for side, sign in enumerate((1, -1)):
            point = made.again(objective, theta + sign * spacing * direction.to(theta))
            changed = int((point != made.vector).sum())
            moved[draw, side] = changed / int(rounded.sum())
            same[draw, side] = changed == 0 or bool(at(point).loss.sum() == loss)
    root = np.sqrt(DIRECTIONS)
    return {
        "flat": same.mean(), "flat_error": same.mean(1).std(ddof=1) / root,
        "moved": moved.mean(), "moved_error": moved.mean(1).std(ddof=1) / root,
    }  # fmt: skip
