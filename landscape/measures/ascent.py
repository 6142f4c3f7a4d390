"""Sharpness as the largest rise of the loss nearby: one step of gradient ascent (SAM, ASAM), and a search in a box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from landscape.measures.row import Row, Tick
from landscape.objective import Objective
from landscape.traces import average

FORET = "Foret et al. 2021, arXiv:2010.01412; Andriushchenko & Flammarion 2022, arXiv:2206.06232"
KWON = "Kwon et al. 2021, arXiv:2102.11600"
STEPS = 10  # iterations of L-BFGS-B, as in the paper of the box
EVALUATIONS = 2 * STEPS  # of loss and gradient, at most
START = 0.01  # of the width of the box, from which the search starts


def sam(
    objective: Objective, theta: Tensor, *, rho: Sequence[float], adaptive: Sequence[float], group: Sequence[int],
    groups: int, seed: int, tick: Tick,
) -> list[Row]:  # fmt: skip
    r"""Measure by how much one step of ascent raises the loss, on average over groups of m examples.

    .. math:: \frac{1}{G} \sum_g L_g(\theta + \delta_g) - L_g(\theta), \qquad
        \delta_g = \rho\, \frac{T^2 \nabla L_g}{\|T \nabla L_g\|}

    with T the identity, the moduli of the weights ("asam": adaptive), or the length of the filter of each weight
    ("asam_filter"). It is the first-order maximizer over :math:`\|T^{-1} \delta\| \le \rho`.

    Parameters
    ----------
    objective : Objective
    theta : Tensor of shape (D,)
    rho : sequence of float
        Radii of the plain and of the filter-wise measure.
    adaptive : sequence of float
        Radii of the element-wise one, whose balls are smaller.
    group : sequence of int
        Sizes m; 0, or no fewer than there are examples, stands for all examples at once.
    groups : int
        Groups of m < N examples, at most: drawn at random, independently of each other.
    seed : int
    tick : callable

    Returns
    -------
    list of Row
        With the standard error over groups; exact for all examples at once.

    Notes
    -----
    Cost: of each group a gradient, its own loss, and an evaluation for every radius.
    """
    theta = theta.detach()
    scales = {
        "sam": (rho, torch.ones_like(theta)), "asam": (adaptive, theta.abs()),
        "asam_filter": (rho, _filter_lengths(objective, theta)),
    }  # fmt: skip
    rows = []
    for size in group:
        parts = _groups(objective, size, groups, seed)
        rises = torch.stack([_rises(part, theta, list(scales.values()), tick) for part in parts])
        labels = [(name, radius) for name, (radii, _) in scales.items() for radius in radii]
        words = "all" if len(parts) == 1 and parts[0] is objective else str(size)
        rows += [_sam_row(name, radius, words, rise) for (name, radius), rise in zip(labels, rises.T, strict=True)]
    return sorted(rows, key=lambda row: list(scales).index(row.measure))


def counted(
    objective: Objective, *, rho: Sequence[float], adaptive: Sequence[float], group: Sequence[int], groups: int
) -> int:
    """Count the ticks of `sam`."""
    each = 2 + 2 * len(rho) + len(adaptive)
    return sum(each * (1 if _is_whole(objective, size) else groups) for size in group)


def _is_whole(objective: Objective, size: int) -> bool:
    if size < 0:
        raise ValueError(f"Expected group sizes m >= 1, or 0 for all examples, got {size}.")
    return size == 0 or size >= objective.size


def _groups(objective: Objective, size: int, groups: int, seed: int) -> list[Objective]:
    if _is_whole(objective, size):
        return [objective]
    return [objective.subset(size, seed=seed * groups + i) for i in range(groups)]


def _rises(part: Objective, theta: Tensor, scales: list[tuple[Sequence[float], Tensor]], tick: Tick) -> Tensor:
    """Measure the rises of the loss of one group, for every scale and radius: -> (R,), float64."""
    slope, base = part.gradient(theta), float(part.value(theta))
    for _ in range(2):
        tick()
    rises = []
    for radii, scale in scales:
        scaled = scale * slope
        length = torch.linalg.vector_norm(scaled)
        # Where there is no slope there is no step: zero, as implementations of SAM have it
        step = scale * scaled / length if length > 0 else torch.zeros_like(scaled)
        for radius in radii:
            rises.append(float(part.value(theta + radius * step)) - base)
            tick()
    return torch.tensor(rises, dtype=torch.float64)


def _sam_row(name: str, radius: float, words: str, rises: Tensor) -> Row:
    found = average(rises, 0, 0)
    within = {"sam": "|d| <= rho", "asam": "|d / theta| <= rho", "asam_filter": "|d / (length of its filter)| <= rho"}
    whole = words == "all"
    return Row(
        name, float(found.value),
        f"rise of the loss by one step of ascent, {within[name]}, mean over groups of m examples",
        FORET if name == "sam" else KWON,
        0.0 if whole else float(found.standard_error), "exact" if whole else "standard error",
        f"rho={radius:g} m={words}",
    )  # fmt: skip


def _filter_lengths(objective: Objective, theta: Tensor) -> Tensor:
    """Give every weight the length of its filter, and every bias or norm parameter its own modulus: -> (D,)."""
    lengths = theta.abs().clone()
    for block in objective.blocks:
        if block.role == "weight":
            rows = block.filters(theta[block.slice].view(block.shape))
            wide = torch.linalg.vector_norm(rows, dim=1, keepdim=True).expand_as(rows)
            lengths[block.slice] = block.unfiltered(wide.contiguous()).flatten()
    return lengths


def box(objective: Objective, theta: Tensor, *, epsilon: Sequence[float], seed: int, tick: Tick) -> list[Row]:
    r"""Search for the largest loss in a box, relative to the loss in its middle.

    .. math:: 100\, \frac{\max_{|z_i| \le \epsilon (|\theta_i| + 1)} L(\theta + z) - L(\theta)}{1 + L(\theta)}

    Parameters
    ----------
    objective : Objective
    theta : Tensor of shape (D,)
    epsilon : sequence of float
        The paper has 1e-3 and 5e-4.
    seed : int
        Of the start, a random point within a hundredth of the box: in the middle of it a minimum has no slope.
    tick : callable

    Returns
    -------
    list of Row

    Notes
    -----
    Ten iterations of L-BFGS-B, as in the paper, and at most twice as many gradients; the highest loss met counts.
    Memory: about 25 D numbers in float64, on the CPU.
    """
    base, signs = float(objective.value(theta)), torch.Generator().manual_seed(seed)
    tick()
    start = START * (2 * torch.rand(theta.shape, generator=signs, dtype=torch.float64) - 1)
    return [_box_row(size, base, _highest(objective, theta, size, start.numpy(), tick)) for size in epsilon]


def _highest(objective: Objective, theta: Tensor, size: float, start: np.ndarray, tick: Tick) -> float:
    """Search for the highest loss in a box, in units of the box: from a start in [-1, 1] (D,)."""
    from scipy.optimize import Bounds, minimize

    reach = size * (theta.abs().cpu().double() + 1)
    losses: list[float] = []
    scale = 0.0

    def falling(place: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal scale
        point = theta + (reach * torch.from_numpy(place)).to(theta)
        losses.append(float(objective.value(point)))
        slope = (reach * objective.gradient(point).cpu()).numpy()
        tick()
        scale = scale or float(np.linalg.norm(slope)) or 1.0  # slopes of trained networks are small, steps need not be
        return -losses[-1] / scale, -slope / scale

    minimize(
        falling, start, jac=True, method="L-BFGS-B", bounds=Bounds(-1.0, 1.0),
        options={"maxiter": STEPS, "maxfun": EVALUATIONS, "ftol": 0.0, "gtol": 0.0},
    )  # fmt: skip
    return max(losses)


def _box_row(size: float, base: float, highest: float) -> Row:
    return Row(
        "epsilon_sharpness", 100 * (max(highest, base) - base) / (1 + base),
        "100 (max L - L) / (1 + L), the maximum over |z_i| <= epsilon (|theta_i| + 1) by ten steps of L-BFGS-B",
        "Keskar et al. 2017, arXiv:1609.04836", setting=f"epsilon={size:g}", unit="%",
    )  # fmt: skip
