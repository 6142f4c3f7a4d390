"""Loss on a line through parameter space."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.probes._cost import Cost
from landscape.probes._on_grid import OnGrid
from landscape.result import Result, quantity

if TYPE_CHECKING:
    import torch

    from landscape.directions import Frame
    from landscape.objective import Objective


@dataclass(frozen=True, eq=False, repr=False)
class Line(OnGrid, Result):
    """Loss on the line theta = center + a * direction, for every split at once."""

    split: np.ndarray = quantity("part of the data", "split")
    a: np.ndarray = quantity("step along the direction", "a")
    loss: np.ndarray = quantity("mean loss", "split", "a", unit="nat")
    loss_error: np.ndarray = quantity("standard error of the loss over examples", "split", "a", unit="nat")
    accuracy: np.ndarray | None = quantity("accuracy", "split", "a", optional=True)
    accuracy_error: np.ndarray | None = quantity(
        "standard error of the accuracy over examples", "split", "a", optional=True
    )
    class_: np.ndarray | None = quantity("class", "class", name="class", optional=True)
    class_loss: np.ndarray | None = quantity(
        "mean loss of a class", "split", "class", "a", unit="nat", optional=True
    )
    class_loss_error: np.ndarray | None = quantity(
        "standard error of the class loss", "split", "class", "a", unit="nat", optional=True
    )
    class_accuracy: np.ndarray | None = quantity("accuracy on a class", "split", "class", "a", optional=True)
    class_accuracy_error: np.ndarray | None = quantity(
        "standard error of the class accuracy", "split", "class", "a", optional=True
    )
    term: np.ndarray | None = quantity("term of the loss", "term", optional=True)
    term_loss: np.ndarray | None = quantity(
        "mean of a term of the loss", "split", "term", "a", unit="nat", optional=True
    )
    stopped: np.ndarray | None = quantity(
        "given up early: values are those of a tenth of the examples", "a", optional=True
    )
    draw: np.ndarray | None = quantity("random draw of the directions", "draw", optional=True)
    draw_loss: np.ndarray | None = quantity(
        "mean loss of every draw", "draw", "split", "a", unit="nat", optional=True
    )
    draw_accuracy: np.ndarray | None = quantity("accuracy of every draw", "draw", "split", "a", optional=True)
    axis: np.ndarray = quantity("direction", "axis")
    norm: np.ndarray = quantity("length of the direction in parameter space", "axis")
    explained: np.ndarray | None = quantity("explained variance of the trajectory", "axis", optional=True)
    checkpoint: np.ndarray | None = quantity("checkpoint", "checkpoint", optional=True)
    checkpoint_a: np.ndarray | None = quantity("coordinate of a checkpoint", "checkpoint", optional=True)
    checkpoint_residual: np.ndarray | None = quantity(
        "distance of a checkpoint from the line", "checkpoint", optional=True
    )
    checkpoint_run: np.ndarray | None = quantity(
        "run of a checkpoint, empty for one on its own", "checkpoint", optional=True
    )


def line(
    objective: Objective,
    directions: Frame | torch.Tensor | None = None,
    *,
    center: torch.Tensor | None = None,
    span: float | str | tuple[float, ...] | None = None,
    points: int | tuple[int, ...] = 101,
    normalization: str = "filter",
    include: tuple[str, ...] = (),
    norms: torch.Tensor | None = None,
    seed: int = 0,
    draws: int = 1,
    multiple: float = 10.0,
    stop_above: float | None = None,
    store: Callable | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Line:
    """Measure loss and accuracy on a line through parameter space, whole and by class, on every split.

    Parameters
    ----------
    objective : Objective
        What is measured; all its splits are.
    directions : Frame, Tensor of shape (1, D) or (D,), or None
        What is given is what is drawn: not rescaled, not made orthogonal. By default one random
        direction, normalized as `normalization` says. `landscape.directions` makes others.
    center : Tensor of shape (D,), optional
        Where the line is attached; the objective's own parameters by default.
    span : float, "auto" or None, optional
        The grid covers [-span, span], in units of each direction. "auto" goes on until the loss has risen to
        `multiple` times the center's. By default 1, or as far as the marked checkpoints reach.
    points : int, default=101
        Grid points along the line, odd, so that the center is one of them.
    normalization : str, default="filter"
        Of random directions: filter, layer, weight, model or none.
    include : sequence of str, default=()
        Perturb bias and norm parameters too.
    norms : Tensor of shape (D,), optional
        The weights whose filters give random directions their lengths; those at the center by default.
    seed : int, default=0
        Of random directions.
    draws : int, default=1
        Independent draws of random directions; the first is stored in full, of the others loss and accuracy.
    multiple : float, default=10
        Of the center's loss, at which a span of "auto" ends (or 1 nat above it, if that is more).
    stop_above : float, optional
        Give up points whose loss on a random tenth of the examples is above this by five standard errors.
    store : callable, optional
        Opens part files that make the work resumable, as `landscape.sweep.sweep` takes it.
    progress : callable, optional
        Told (points done, points in all).

    Returns
    -------
    Line

    Raises
    ------
    ValueError
        If the grid has no extent, or directions do not fit the objective.

    Notes
    -----
    Cost: points x draws evaluations of every split. Each point is computed from the center, never from its
    neighbour. NaN and infinity stay what they are.

    References
    ----------
    Li, Xu, Taylor, Studer & Goldstein (2018), Visualizing the loss landscape of neural nets, arXiv:1712.09913.
    """
    from landscape.probes._evaluated import evaluated  # these import torch, which reading a result does not need
    from landscape.probes._grid import axes, frames

    drawn = frames(
        objective, 1, directions,
        center=center, draws=draws, normalization=normalization, include=include, norms=norms, seed=seed,
    )
    grid = axes(objective, drawn(0), span, points, multiple)
    found = evaluated(objective, drawn, grid, draws, stop_above=stop_above, store=store, progress=progress)
    return Line(**found)


def cost(objective: Objective, *, points: int | tuple[int, ...] = 101, draws: int = 1, **_: Any) -> Cost:
    """Tell what a line costs; the search of a span of "auto" comes on top."""
    from landscape.probes._grid import counts

    return Cost(points=math.prod(counts(points, 1)) * draws, vectors=2)
