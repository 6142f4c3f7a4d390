"""Loss along curves through parameter space."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.probes._cost import Cost
from landscape.probes._on_curves import OnCurves
from landscape.result import Result, quantity

if TYPE_CHECKING:
    from landscape.curves import Curve
    from landscape.objective import Objective


SPACE = 24  # vectors of the Krylov space


@dataclass(frozen=True, eq=False, repr=False)
class Path(OnCurves, Result):
    """Loss along curves, for every split at once, beside the losses at their ends."""

    curve: np.ndarray = quantity("curve", "curve")
    split: np.ndarray = quantity("part of the data", "split")
    t: np.ndarray = quantity("position along the curve", "t")
    loss: np.ndarray = quantity("mean loss", "curve", "split", "t", unit="nat")
    loss_error: np.ndarray = quantity("standard error of the loss over examples", "curve", "split", "t", unit="nat")
    height: np.ndarray = quantity("loss above the linear interpolation of the ends", "curve", "split", "t", unit="nat")
    height_error: np.ndarray = quantity(
        "standard error of that height, paired over examples", "curve", "split", "t", unit="nat"
    )
    rise: np.ndarray = quantity("loss above the higher end", "curve", "split", "t", unit="nat")
    rise_error: np.ndarray = quantity(
        "standard error of that rise, paired over examples", "curve", "split", "t", unit="nat"
    )
    accuracy: np.ndarray | None = quantity("accuracy", "curve", "split", "t", optional=True)
    accuracy_error: np.ndarray | None = quantity(
        "standard error of the accuracy over examples", "curve", "split", "t", optional=True
    )
    drop: np.ndarray | None = quantity(
        "accuracy below the linear interpolation of the ends", "curve", "split", "t", optional=True
    )
    drop_error: np.ndarray | None = quantity(
        "standard error of that drop, paired over examples", "curve", "split", "t", optional=True
    )
    disagreement_first: np.ndarray | None = quantity(
        "share of answers that differ from the first end's", "curve", "split", "t", optional=True
    )
    disagreement_first_error: np.ndarray | None = quantity(
        "standard error of the disagreement with the first end", "curve", "split", "t", optional=True
    )
    disagreement_last: np.ndarray | None = quantity(
        "share of answers that differ from the last end's", "curve", "split", "t", optional=True
    )
    disagreement_last_error: np.ndarray | None = quantity(
        "standard error of the disagreement with the last end", "curve", "split", "t", optional=True
    )
    class_: np.ndarray | None = quantity("class", "class", name="class", optional=True)
    class_loss: np.ndarray | None = quantity(
        "mean loss of a class", "curve", "split", "class", "t", unit="nat", optional=True
    )
    class_loss_error: np.ndarray | None = quantity(
        "standard error of the class loss", "curve", "split", "class", "t", unit="nat", optional=True
    )
    class_accuracy: np.ndarray | None = quantity("accuracy on a class", "curve", "split", "class", "t", optional=True)
    class_accuracy_error: np.ndarray | None = quantity(
        "standard error of the class accuracy", "curve", "split", "class", "t", optional=True
    )
    arc: np.ndarray = quantity("length of the curve up to a position", "curve", "t")
    length: np.ndarray = quantity("length of the curve in parameter space", "curve")
    distance: np.ndarray = quantity("distance between the ends of the curve", "curve")
    s: np.ndarray | None = quantity("position along the curve of a curvature", "s", optional=True)
    bend_arc: np.ndarray | None = quantity("length of the curve up to a curvature", "curve", "s", optional=True)
    lambda_max: np.ndarray | None = quantity(
        "largest eigenvalue of the Hessian, first split", "curve", "s", unit="nat", optional=True
    )
    lambda_max_residual: np.ndarray | None = quantity(
        "an eigenvalue lies within this distance of the largest one found", "curve", "s", unit="nat", optional=True
    )
    lambda_max_converged: np.ndarray | None = quantity(
        "residual of the largest one meets the tolerance", "curve", "s", optional=True
    )
    lambda_min: np.ndarray | None = quantity(
        "smallest eigenvalue of the Hessian, first split", "curve", "s", unit="nat", optional=True
    )
    lambda_min_residual: np.ndarray | None = quantity(
        "an eigenvalue lies within this distance of the smallest one found", "curve", "s", unit="nat", optional=True
    )
    lambda_min_converged: np.ndarray | None = quantity(
        "residual of the smallest one meets the tolerance", "curve", "s", optional=True
    )
    tangent_curvature: np.ndarray | None = quantity(
        "curvature in the curve's direction, first split, exact to rounding", "curve", "s", unit="nat", optional=True
    )
    products: np.ndarray | None = quantity(
        "Hessian-vector products used for both eigenvalues", "curve", "s", optional=True
    )


def path(
    objective: Objective,
    curves: Curve | Mapping[str, Curve],
    *,
    points: int = 61,
    curvature: int = 0,
    tolerance: float = 1e-2,
    limit: int = 200,
    seed: int = 0,
    store: Callable | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    r"""Measure loss and accuracy along curves between networks, whole and by class, on every split.

    Parameters
    ----------
    objective : Objective
        What is measured; all its splits are. Of a network with batch norm, made with ``batchnorm="refit"``.
    curves : Curve, or mapping of names to Curves
        Such as `landscape.curves.segment` between two networks, or the curve of a `landscape.connect`.
    points : int, default=61
        Evenly spaced positions t, the ends included.
    curvature : int, default=0
        Evenly spaced positions, the ends included, at which the Hessian's extreme eigenvalues are found too.
    tolerance : float, default=1e-2
        Largest residual relative to each eigenvalue, whose own relative error is about the square of it.
    limit : int, default=200
        Largest number of products at a point; what has not converged by then is marked.
    seed : int, default=0
        Of the eigenvalue solver's start vectors.
    store : callable, optional
        Opens part files that make the work resumable, as `landscape.sweep.sweep` takes it.
    progress : callable, optional
        Told (points done, points in all).

    Returns
    -------
    Path
        ``barrier()`` tells how high each curve rises between its ends.

    Raises
    ------
    ValueError
        If a curve does not fit the objective, batch-norm statistics are frozen, or a knob is out of range.

    Notes
    -----
    Cost: an evaluation of every split at each point of each curve, and of the first split where batch-norm statistics
    are refitted. Each point is computed from the control points, never from its neighbour. NaN and infinity stay.

    The curvature in the direction of the curve is

    .. math:: \phi'(s)^\top H(\phi(s))\, \phi'(s) / \|\phi'(s)\|^2

    with the Hessian H of the first split and statistics of batch norm held as they are at the point: one product. The
    eigenvalues take some tens at each point.

    References
    ----------
    Garipov et al. (2018), Loss surfaces, mode connectivity, and fast ensembling of DNNs, arXiv:1802.10026;
    Frankle et al. (2020), Linear mode connectivity and the lottery ticket hypothesis, arXiv:1912.05671.
    """
    from landscape.probes._along import along, planned  # imports torch, which reading a result does not need
    from landscape.probes._bending import bending

    _expect(curvature, limit)
    named = curves if isinstance(curves, Mapping) else {curves.name: curves}
    if curvature:
        objective.require_derivatives()
    objective, plan, parts = planned(objective, store, products=bool(curvature))
    whole = len(named) * (points + curvature)
    arrays = along(objective, named, points, store=store, progress=progress and (lambda done, _: progress(done, whole)))
    if curvature:
        arrays |= bending(
            objective, named, curvature, parts=parts, tolerance=tolerance, limit=limit, seed=seed,
            progress=progress and (lambda done, _: progress(len(named) * points + done, whole)),
        )  # fmt: skip
    origin = objective.record() | {
        "plan": plan,
        "curves": {name: curve.record() for name, curve in named.items()},
        "evaluations": len(named) * points,
    }
    if curvature:
        origin["products"] = int(arrays["products"].sum() + arrays["products"].size)  # and one along each tangent
    return Path(**arrays, origin=origin)


def cost(
    objective: Objective, *, curves: int = 1, points: int = 61, curvature: int = 0, limit: int = 200, **_: Any
) -> Cost:
    """Tell what paths along so many curves cost; of products, at most."""
    _expect(curvature, limit)
    bent = curves * curvature
    return Cost(
        points=curves * points, products=bent * (limit + 1), vectors=3 * curves + (SPACE if bent else 1), alone=True
    )


def _expect(curvature: int, limit: int) -> None:
    if curvature < 0 or curvature == 1:
        raise ValueError(f"Expected curvature at 2 points or more, the ends included, or 0, got {curvature}.")
    if limit < 1:
        raise ValueError(f"Expected limit >= 1, got {limit}: it is the largest number of products at a point.")
