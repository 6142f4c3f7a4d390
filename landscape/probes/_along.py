"""An objective measured along curves: losses, accuracies, heights over the ends, disagreement with the ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from landscape.curves import Curve
from landscape.engine.plan import Plan
from landscape.examples import Answers, answers
from landscape.operators import hessian
from landscape.paired import mean
from landscape.parts import Parts
from landscape.sweep import Finished, Progress

if TYPE_CHECKING:
    from landscape.objective import Objective

Ends = tuple[list[Answers], list[Answers]]
Store = Callable[[Callable[[], dict]], Parts]


def along(
    objective: Objective,
    curves: Mapping[str, Curve],
    points: int,
    *,
    store: Store | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure an objective at evenly spaced t along curves, and return the arrays of a `Path`.

    Every point is measured on all examples of all splits, one at a time, so that differences to the ends are paired.

    Raises
    ------
    ValueError
        If a curve is none of this objective, its ends coincide, or batch-norm statistics would be those of one end.
    """
    grid = torch.from_numpy(spaced(points))
    for name, curve in curves.items():
        require_curve(objective, name, curve)
    objective, _, parts = planned(objective, store)
    found, total = Finished(parts), len(curves) * points
    if progress:
        progress(found.number, total)
    try:
        for row, arrays in _rows(objective, curves, grid, found.has):
            found.add(row, arrays)
            if progress:
                progress(found.number, total)
    finally:
        found.keep()
    shaped = {name: _laid_out(array, len(curves)) for name, array in found.arrays().items()}
    return shaped | described(objective, curves, grid.numpy())


def planned(
    objective: Objective, store: Store | None, *, products: bool = False
) -> tuple[Objective, dict[str, Any], Parts | None]:
    """Fix how an objective is computed: as in the part files, if there are any, so that bits stay the same.

    Returns
    -------
    objective : Objective
        The same, by that plan; and by that strategy of products, where these are wanted too.
    plan : dict
        For the record: that of points, or of ``points`` and of ``products``.
    parts : Parts, optional
    """

    def chosen() -> dict[str, Any]:
        plan = objective.plan(1).record()
        return {"points": plan, "products": hessian(objective).choose()} if products else plan

    parts = store(chosen) if store else None
    plan = parts.plan if parts else chosen()
    several = "products" in plan
    strategy = f"{Plan(**plan['points'])};{plan['products']}" if several else str(Plan(**plan))
    return objective.using(strategy), plan, parts


def spaced(points: int) -> np.ndarray:
    """Return evenly spaced t from 0 to 1.

    Raises
    ------
    ValueError
        If there is no point between the ends.
    """
    if points < 3:
        raise ValueError(f"Expected at least 3 points along a curve, its ends included, got {points}: give more.")
    return np.linspace(0, 1, points)


def require_curve(objective: Objective, name: str, curve: Curve) -> None:
    """Refuse a curve that an objective cannot be measured along.

    Raises
    ------
    ValueError
        If its points have another length, its ends coincide, or batch-norm statistics are frozen.
    """
    if curve.points.shape[1] != objective.dim:
        raise ValueError(
            f"Expected curves of {objective.dim} parameters, got {name!r} of {curve.points.shape[1]}: it belongs to "
            "another network."
        )
    if bool((curve.points == curve.points[0]).all()):
        raise ValueError(f"Expected a curve between different networks, got {name!r} whose points are all the same.")
    require_statistics(objective)


def require_statistics(objective: Objective) -> None:
    """Refuse to look between networks with the batch-norm statistics of one of them.

    Raises
    ------
    ValueError
        If the network has batch norm and its statistics are frozen.
    """
    if objective.network.norms and objective.batchnorm == "frozen":
        raise ValueError(
            "Expected batch-norm statistics of every point between the networks, got the frozen ones of the first: use "
            "batchnorm='refit' (--batchnorm refit)."
        )


def described(objective: Objective, curves: Mapping[str, Curve], t: np.ndarray) -> dict[str, Any]:
    """Return the coordinates of results along curves, and how long the curves are: exact, to rounding."""
    found: dict[str, Any] = {
        "curve": list(curves), "split": list(objective.splits), "t": t,
        "arc": np.stack([curve.arc(torch.from_numpy(t)).numpy() for curve in curves.values()]),
        "distance": [curve.distance for curve in curves.values()],
    }  # fmt: skip
    found["length"] = found["arc"][:, -1]
    return found | ({"class_": list(objective.classes)} if _by_class(objective) else {})


def _rows(
    objective: Objective, curves: Mapping[str, Curve], grid: Tensor, has: Callable[[int], bool]
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Measure the points that are missing, curve after curve."""
    asked: dict[bytes, list[Answers]] = {}  # curves share their ends
    for c, curve in enumerate(curves.values()):
        rows = [row for row in range(c * len(grid), (c + 1) * len(grid)) if not has(row)]
        if not rows:
            continue
        ends = _ask_end(objective, curve.points[0], asked), _ask_end(objective, curve.points[-1], asked)
        for row in rows:
            t = float(grid[row % len(grid)])
            here = ends[int(t)] if t in (0.0, 1.0) else answers(objective, curve(t))
            yield row, _row(objective, here, ends, t)


def _ask_end(objective: Objective, theta: Tensor, asked: dict[bytes, list[Answers]]) -> list[Answers]:
    key = theta.cpu().numpy().tobytes()
    if key not in asked:
        asked[key] = answers(objective, theta)
    return asked[key]


def _row(objective: Objective, here: list[Answers], ends: Ends, t: float) -> dict[str, np.ndarray]:
    """Return what is measured at a point, with an axis of one point last: (split, 1) or (split, class, 1)."""
    parts = []
    for k, name in enumerate(objective.splits):
        first, last = (end[k] for end in ends)
        found = _scores(here[k]) | _heights(here[k], first, last, t)
        if "accuracy" in found:
            found |= _drop(here[k], first, last, t)
        if here[k].answer:
            found |= _apart(here[k], first, "first") | _apart(here[k], last, "last")
        if _by_class(objective):
            found |= _classes(here[k], np.asarray(objective.examples[name].labels), len(objective.classes))
        parts.append(found)
    return {name: np.stack([part[name] for part in parts])[..., None] for name in parts[0]}


def _scores(here: Answers) -> dict[str, Any]:
    loss, loss_error = mean(here.loss, here.weight)
    if np.isnan(here.correct).all():
        return {"loss": loss, "loss_error": loss_error}
    accuracy, accuracy_error = mean(here.correct, here.weight)
    return {"loss": loss, "loss_error": loss_error, "accuracy": accuracy, "accuracy_error": accuracy_error}


def _heights(here: Answers, first: Answers, last: Answers, t: float) -> dict[str, Any]:
    """Return the loss over the linear interpolation of the ends' and over the higher one, paired over examples."""
    higher = max((first, last), key=lambda end: mean(end.loss, end.weight)[0])
    with np.errstate(invalid="ignore"):
        height = mean(here.loss - (1 - t) * first.loss - t * last.loss, here.weight)
        rise = mean(here.loss - higher.loss, here.weight)
    return {"height": height[0], "height_error": height[1], "rise": rise[0], "rise_error": rise[1]}


def _drop(here: Answers, first: Answers, last: Answers, t: float) -> dict[str, Any]:
    """Return the accuracy below the linear interpolation of the ends', paired over examples."""
    drop, error = mean((1 - t) * first.correct + t * last.correct - here.correct, here.weight)
    return {"drop": drop, "drop_error": error}


def _apart(here: Answers, end: Answers, name: str) -> dict[str, Any]:
    share, error = mean(here.disagreement(end), here.weight)
    return {f"disagreement_{name}": share, f"disagreement_{name}_error": error}


def _classes(here: Answers, labels: np.ndarray, classes: int) -> dict[str, Any]:
    found: dict[str, list[Any]] = {}
    for label in range(classes):
        of = labels == label
        part = Answers(here.loss[of], here.weight[of], here.correct[of], ())
        scores = _scores(part) if of.any() else dict.fromkeys(_scores(here), np.nan)
        for name, value in scores.items():
            found.setdefault(f"class_{name}", []).append(value)
    return {name: np.array(values) for name, values in found.items()}


def _by_class(objective: Objective) -> bool:
    return bool(objective.classes) and all(part.labels is not None for part in objective.examples.values())


def _laid_out(array: np.ndarray, curves: int) -> np.ndarray:
    """Bring an array (..., curves * points) to (curves, ..., points)."""
    return np.moveaxis(array.reshape(*array.shape[:-1], curves, -1), -2, 0)
