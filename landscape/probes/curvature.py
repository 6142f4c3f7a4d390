"""Both ends of the Hessian's spectrum on a plane through parameter space."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.probes._cost import Cost
from landscape.result import Result, quantity

if TYPE_CHECKING:
    import torch

    from landscape.directions import Frame
    from landscape.objective import Objective

SPACE = 24  # vectors of the Krylov space


@dataclass(frozen=True, eq=False, repr=False)
class Curvature(Result):
    """Largest and smallest eigenvalue of the Hessian at theta = center + a * first + b * second, and the loss there."""

    split: np.ndarray = quantity("part of the data", "split")
    a: np.ndarray = quantity("step along the first direction", "a")
    b: np.ndarray = quantity("step along the second direction", "b")
    loss: np.ndarray = quantity("mean loss", "split", "a", "b", unit="nat")
    loss_error: np.ndarray = quantity("standard error of the loss over examples", "split", "a", "b", unit="nat")
    lambda_max: np.ndarray = quantity("largest eigenvalue of the Hessian, first split", "a", "b", unit="nat")
    lambda_max_residual: np.ndarray = quantity(
        "an eigenvalue lies within this distance of the largest one found", "a", "b", unit="nat"
    )
    lambda_max_converged: np.ndarray = quantity("residual of the largest one meets the tolerance", "a", "b")
    lambda_min: np.ndarray = quantity("smallest eigenvalue of the Hessian, first split", "a", "b", unit="nat")
    lambda_min_residual: np.ndarray = quantity(
        "an eigenvalue lies within this distance of the smallest one found", "a", "b", unit="nat"
    )
    lambda_min_converged: np.ndarray = quantity("residual of the smallest one meets the tolerance", "a", "b")
    ratio: np.ndarray = quantity("|smallest| / |largest| eigenvalue", "a", "b")
    ratio_residual: np.ndarray = quantity("what both residuals leave open of the ratio, to first order", "a", "b")
    products: np.ndarray = quantity("Hessian-vector products used", "a", "b")
    axis: np.ndarray = quantity("direction", "axis")
    norm: np.ndarray = quantity("length of the direction in parameter space", "axis")
    cosine: np.ndarray = quantity("cosine between the two directions")
    explained: np.ndarray | None = quantity("explained variance of the trajectory", "axis", optional=True)
    checkpoint: np.ndarray | None = quantity("checkpoint", "checkpoint", optional=True)
    checkpoint_a: np.ndarray | None = quantity("first coordinate of a checkpoint", "checkpoint", optional=True)
    checkpoint_b: np.ndarray | None = quantity("second coordinate of a checkpoint", "checkpoint", optional=True)
    checkpoint_residual: np.ndarray | None = quantity(
        "distance of a checkpoint from the plane", "checkpoint", optional=True
    )
    checkpoint_run: np.ndarray | None = quantity(
        "run of a checkpoint, empty for one on its own", "checkpoint", optional=True
    )
    curve: np.ndarray | None = quantity("curve", "curve", optional=True)
    curve_t: np.ndarray | None = quantity("position along a curve", "t", name="t", optional=True)
    curve_a: np.ndarray | None = quantity("first coordinate of a curve", "curve", "t", optional=True)
    curve_b: np.ndarray | None = quantity("second coordinate of a curve", "curve", "t", optional=True)
    curve_residual: np.ndarray | None = quantity("distance of a curve from the plane", "curve", "t", optional=True)

    def figures(self) -> dict[str, tuple[float, float]]:
        """Tell both ends and their ratio at the center, with residuals; and the largest ratio on the plane."""
        middle = int(np.abs(self.a).argmin()), int(np.abs(self.b).argmin())
        names = ("lambda_max", "lambda_min", "ratio")
        found = {name: (getattr(self, name)[middle], getattr(self, f"{name}_residual")[middle]) for name in names}
        if not np.isnan(self.ratio).all():
            worst = np.unravel_index(np.nanargmax(self.ratio), self.ratio.shape)
            found["ratio_worst"] = self.ratio[worst], self.ratio_residual[worst]
        return {name: (float(value), float(error)) for name, (value, error) in found.items()}


def curvature(
    objective: Objective,
    directions: Frame | torch.Tensor | None = None,
    *,
    center: torch.Tensor | None = None,
    span: float | str | tuple[float, ...] | None = None,
    points: int | tuple[int, ...] = 11,
    normalization: str = "filter",
    include: tuple[str, ...] = (),
    multiple: float = 10.0,
    tolerance: float = 1e-2,
    limit: int = 200,
    norms: torch.Tensor | None = None,
    seed: int = 0,
    store: Callable | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Curvature:
    """Measure the largest and the smallest eigenvalue of the Hessian, and the loss, on a plane.

    Parameters
    ----------
    objective : Objective
        The Hessian is that of its first split; the loss is measured on all of them.
    directions : Frame, Tensor of shape (2, D), or None
        What is given is what is measured: not rescaled, not made orthogonal. By default two random
        directions, normalized as `normalization` says. `landscape.directions` makes others.
    center : Tensor of shape (D,), optional
        Where the plane is attached; the objective's own parameters by default.
    span : float, "auto" or pair of them, optional
        The grid covers [-span, span], in units of each direction. "auto" goes on until the loss has risen to
        `multiple` times the center's. By default 1, or as far as the marked checkpoints reach.
    points : int or pair of int, default=11
        Grid points along each axis, odd, so that the center is one of them.
    normalization : str, default="filter"
        Of random directions: filter, layer, weight, model or none.
    include : sequence of str, default=()
        Perturb bias and norm parameters too.
    multiple : float, default=10
        Of the center's loss, at which a span of "auto" ends (or 1 nat above it, if that is more).
    tolerance : float, default=1e-2
        Largest residual relative to each eigenvalue, whose own relative error is about the square of it.
    limit : int, default=200
        Largest number of products at a point; what has not converged by then is marked.
    norms : Tensor of shape (D,), optional
        The weights whose filters give random directions their lengths; those at the center by default.
    seed : int, default=0
        Of random directions, and of the solver's start vectors.
    store : callable, optional
        Opens part files that make the work resumable, as `landscape.sweep.sweep` takes it; a row is a part.
    progress : callable, optional
        Told (points done, points in all).

    Returns
    -------
    Curvature

    Raises
    ------
    ValueError
        If the grid has no extent, directions do not fit the objective, or a knob is out of range.

    Notes
    -----
    Cost: points^2 evaluations of every split, and at each point some tens of products. Each point is computed from the
    center of the plane, its eigenproblem begun from the vectors of its neighbour; rows begin from those of the center,
    so that an interrupted run goes on with the same bits. Points where products are not finite are NaN.

    A ratio ``|lambda_min| / |lambda_max|`` near zero says that the landscape is nearly convex there.

    References
    ----------
    Li, Xu, Taylor, Studer & Goldstein (2018), Visualizing the loss landscape of neural nets, arXiv:1712.09913.
    """
    from landscape.probes._evaluated import coordinates  # these import torch, which reading a result does not need
    from landscape.probes._grid import axes, frames
    from landscape.probes._neighbours import neighbours

    _expect(limit)
    drawn = frames(
        objective, 2, directions, center=center, draws=1,
        normalization=normalization, include=include, norms=norms, seed=seed,
    )
    grid = axes(objective, drawn(0), span, points, multiple)
    arrays, plan, beginning = neighbours(
        objective, drawn(0), grid, tolerance=tolerance, limit=limit, seed=seed, store=store, progress=progress
    )
    origin = objective.record() | {
        "split": objective.splits[0], "directions": drawn(0).record, "plan": plan, "seed": seed,
        "evaluations": arrays["products"].size, "products": beginning + int(arrays["products"].sum()),
    }  # fmt: skip
    named = {"split": list(objective.splits), "origin": origin}
    return Curvature(**arrays, **_ratio(arrays), **coordinates(drawn(0), grid), **named)


def cost(objective: Objective, *, points: int | tuple[int, ...] = 11, limit: int = 200, **_: Any) -> Cost:
    """Tell what a map costs at most; warm starts need far fewer products."""
    from landscape.probes._grid import counts

    _expect(limit)
    count = math.prod(counts(points, 2))
    return Cost(points=count, products=(count + 1) * limit, vectors=min(objective.dim, SPACE) + 9)


def _expect(limit: int) -> None:
    if limit < 1:
        raise ValueError(f"Expected limit >= 1, got {limit}: it is the largest number of products at a point.")


def _ratio(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    small, large = np.abs(arrays["lambda_min"]), np.abs(arrays["lambda_max"])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = small / large
        residual = (arrays["lambda_min_residual"] + ratio * arrays["lambda_max_residual"]) / large
    return {"ratio": ratio, "ratio_residual": residual}
