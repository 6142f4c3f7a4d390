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


@dataclass(frozen=True, eq=False, repr=False)
class Path(OnCurves, Result):
    """Loss along curves, for every split at once, beside the losses at their ends."""

    curve: np.ndarray = quantity("curve", "curve")
    split: np.ndarray = quantity("part of the data", "split")
    t: np.ndarray = quantity("position along the curve", "t")
    arc: np.ndarray = quantity("length of the curve up to a position", "curve", "t")
    length: np.ndarray = quantity("length of the curve in parameter space", "curve")
    distance: np.ndarray = quantity("distance between the ends of the curve", "curve")
    loss: np.ndarray = quantity("mean loss", "curve", "split", "t", unit="nat")
    loss_error: np.ndarray = quantity("standard error of the loss over examples", "curve", "split", "t", unit="nat")
    height: np.ndarray = quantity(
        "loss above the linear interpolation of the ends", "curve", "split", "t", unit="nat"
    )
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
    class_accuracy: np.ndarray | None = quantity(
        "accuracy on a class", "curve", "split", "class", "t", optional=True
    )
    class_accuracy_error: np.ndarray | None = quantity(
        "standard error of the class accuracy", "curve", "split", "class", "t", optional=True
    )


def path(
    objective: Objective,
    curves: Curve | Mapping[str, Curve],
    *,
    points: int = 61,
    store: Callable | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Measure loss and accuracy along curves between networks, whole and by class, on every split.

    Parameters
    ----------
    objective : Objective
        What is measured; all its splits are. Of a network with batch norm, made with ``batchnorm="refit"``.
    curves : Curve, or mapping of names to Curves
        Such as `landscape.curves.segment` between two networks, or the curve of a `landscape.connect`.
    points : int, default=61
        Evenly spaced positions t, the ends included.
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
        If a curve does not fit the objective, or batch-norm statistics are frozen.

    Notes
    -----
    Cost: an evaluation of every split at each point of each curve, and of the first split where batch-norm statistics
    are refitted. Each point is computed from the control points, never from its neighbour. NaN and infinity stay.

    References
    ----------
    Garipov et al. (2018), Loss surfaces, mode connectivity, and fast ensembling of DNNs, arXiv:1802.10026;
    Frankle et al. (2020), Linear mode connectivity and the lottery ticket hypothesis, arXiv:1912.05671.
    """
    from landscape.probes._along import along  # imports torch, which reading a result does not need

    named = curves if isinstance(curves, Mapping) else {curves.name: curves}
    arrays = along(objective, named, points, store=store, progress=progress)
    origin = objective.record() | {
        "plan": objective.plan(1).record(),
        "curves": {name: curve.record() for name, curve in named.items()},
        "evaluations": len(named) * points,
    }
    return Path(**arrays, origin=origin)


def cost(objective: Objective, *, points: int = 61, **_: Any) -> Cost:
    """Tell what the path along one curve costs."""
    return Cost(points=points * (2 if objective.batchnorm == "refit" and objective.network.norms else 1), vectors=4)
