"""How the loss bends along curves: both ends of the Hessian's spectrum, and the curvature in the curve's direction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from landscape.curves import Curve
from landscape.eigenpairs import eigenpairs
from landscape.operators import Operator, hessian
from landscape.parts import Parts
from landscape.sweep import Progress

if TYPE_CHECKING:
    from landscape.objective import Objective

FOUND = (
    "lambda_max", "lambda_max_residual", "lambda_max_converged",
    "lambda_min", "lambda_min_residual", "lambda_min_converged", "products",
)  # fmt: skip
KINDS = (float, float, bool, float, float, bool, int)
NOTHING = (np.nan, np.nan, False, np.nan, np.nan, False, 0)  # where products are not finite
Cell = dict[str, np.ndarray]


def bending(
    objective: Objective,
    curves: Mapping[str, Curve],
    points: int,
    *,
    parts: Parts | None = None,
    progress: Progress | None = None,
    **solving: Any,
) -> dict[str, np.ndarray]:
    """Measure the curvature of the first split's loss at evenly spaced s along curves.

    Batch-norm statistics that are refitted are those of each point, and held there while differentiating. Every point
    begins from the same random vectors, so that one computed after an interruption has the same bits.

    Parameters
    ----------
    parts : Parts, optional
        Of the work that this one belongs to: a point here is a part in a folder inside theirs.
    **solving
        Knobs of `landscape.eigenpairs.eigenpairs`.

    Returns
    -------
    dict of str to ndarray
        ``s`` (points,), and for every curve and s: ``bend_arc``, ``tangent_curvature``, and the names in `FOUND`.
    """
    s = np.linspace(0, 1, points)
    kept = Parts(parts.folder / "curvature", {}, dict) if parts else None  # the folder belongs to one work
    done = {index: kept.read(index) for index in sorted(kept.done())} if kept else {}
    total = len(curves) * points
    if progress:
        progress(len(done), total)
    for index, cell in _cells(objective, curves, s, done, solving):
        done[index] = cell
        if kept:
            kept.write(index, cell)
        if progress:
            progress(len(done), total)
    ordered = [done[index] for index in range(total)]
    arrays = {name: np.stack([one[name] for one in ordered]).reshape(len(curves), -1) for name in ordered[0]}
    arc = np.stack([curve.arc(torch.from_numpy(s)).numpy() for curve in curves.values()])
    return {"s": s, "bend_arc": arc} | arrays


def _cells(
    objective: Objective, curves: Mapping[str, Curve], s: np.ndarray, done: Mapping[int, Cell], solving: dict[str, Any]
) -> Iterator[tuple[int, Cell]]:
    """Measure the points that are missing; ends that curves share are solved once."""
    solved: dict[bytes, tuple] = {}
    for c, curve in enumerate(curves.values()):
        for k, t in enumerate(s.tolist()):
            index = c * len(s) + k
            if index in done:
                continue
            theta = curve(t)
            operator, key = hessian(objective, theta), theta.cpu().numpy().tobytes()
            found = solved.get(key) or _ends(operator, solving)
            if t in (0.0, 1.0):
                solved[key] = found
            cell = {name: np.array(value, kind) for name, kind, value in zip(FOUND, KINDS, found, strict=True)}
            yield index, cell | {"tangent_curvature": np.array(_along(operator, curve.derivative(t)))}


def _ends(operator: Operator, solving: dict[str, Any]) -> tuple:
    """Find both ends of the spectrum, as `FOUND` names them."""
    product = _told_apart(operator)
    try:
        found = eigenpairs(product, operator.dim, count=(1, 1), like=operator.like, **solving)
    except FloatingPointError:
        return NOTHING
    ends = zip(found.values.tolist(), found.residuals.tolist(), found.converged.tolist(), strict=True)
    return (*(number for end in ends for number in end), found.products)


def _along(operator: Operator, direction: Tensor) -> float:
    """Return the curvature along a direction; NaN where it is no direction, or products are not finite."""
    exact = direction.double()
    length = exact.norm()
    if not (length > 0 and torch.isfinite(length)):
        return np.nan
    unit = (exact / length).to(operator.like)
    try:
        image = _told_apart(operator)(unit[None])[0]
    except FloatingPointError:
        return np.nan
    return float(unit.double() @ image.double())


def _told_apart(operator: Operator) -> Callable[[Tensor], Tensor]:
    """Raise what is no error of the solver, a product that is not finite, as one of arithmetic."""

    def product(rows: Tensor) -> Tensor:
        try:
            return operator(rows)
        except ValueError as error:  # with rows that fit, the only one
            raise FloatingPointError(str(error)) from error

    return product
