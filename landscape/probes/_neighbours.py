"""Both ends of the Hessian's spectrum over a grid, each point begun from the eigenvectors of its neighbour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from landscape import operators
from landscape.eigenpairs import Eigenpairs, eigenpairs
from landscape.engine.plan import Plan

if TYPE_CHECKING:
    from landscape.frame import Frame
    from landscape.objective import Objective

MEASURED = ("loss", "loss_error")
FOUND = (
    "lambda_max", "lambda_max_residual", "lambda_max_converged",
    "lambda_min", "lambda_min_residual", "lambda_min_converged", "products",
)  # fmt: skip
BEGINNING = 0  # the part that holds the center's eigenvectors; row i of the grid is part i + 1


def neighbours(
    objective: Objective,
    frame: Frame,
    grid: list[np.ndarray],
    *,
    store: Callable | None,
    progress: Callable[[int, int], None] | None,
    **solving: Any,
) -> tuple[dict[str, np.ndarray], dict, int]:
    """Measure the loss and solve for both ends of the Hessian's spectrum over a plane.

    Every row begins at its middle with the eigenvectors of the plane's center and goes outward to both sides, from
    neighbour to neighbour. A row depends on no other row, so that one computed after an interruption has the same bits.

    Parameters
    ----------
    objective, frame
        What is measured and where.
    grid : list of 2 ndarrays
        Steps along both axes.
    store, progress
        As `landscape.sweep.sweep` takes them; a finished row is a part.
    **solving
        Knobs of `landscape.eigenpairs.eigenpairs`.

    Returns
    -------
    arrays : dict of str to ndarray
        ``loss`` and ``loss_error`` (S, A, B), and the names in `FOUND` (A, B).
    plan : dict
        How losses were evaluated.
    beginning : int
        Products that the center took before all rows.
    """
    rows, size = len(grid[0]), len(grid[0]) * len(grid[1])

    def planned() -> dict:
        return {"points": objective.plan(size).record(), "products": operators.hessian(objective).choose()}

    parts = store(planned) if store else None
    record = parts.plan if parts else planned()
    objective, plan = objective.using(record["products"]), Plan(**record["points"])
    done = {index: parts.read(index) for index in sorted(parts.done())} if parts else {}
    if BEGINNING not in done:
        done[BEGINNING] = _beginning(_solved(objective, frame.center, None, **solving))
        if parts:
            parts.write(BEGINNING, done[BEGINNING])
    vectors = torch.from_numpy(done[BEGINNING]["vectors"])
    if progress:
        progress((len(done) - 1) * len(grid[1]), size)
    for row in range(rows):
        if row + 1 in done:
            continue
        points = _Row(objective, frame, grid, row)
        losses = points.measured(plan)
        finite = np.isfinite(losses["loss"][0])
        done[row + 1] = losses | points.solved(finite, vectors if len(vectors) else None, **solving)
        if parts:
            parts.write(row + 1, done[row + 1])
        if progress:
            progress((len(done) - 1) * len(grid[1]), size)
    ordered = [done[row + 1] for row in range(rows)]
    arrays = {name: np.stack([one[name] for one in ordered], -2) for name in (*MEASURED, *FOUND)}
    return arrays, record, int(done[BEGINNING]["products"])


class _Row:
    """The points of a plane that share their first coordinate."""

    def __init__(self, objective: Objective, frame: Frame, grid: list[np.ndarray], row: int) -> None:
        self.objective, self.frame = objective, frame
        self.size, self.middle = len(grid[1]), int(np.abs(grid[1]).argmin())
        self.steps = torch.from_numpy(np.stack([np.full(self.size, grid[0][row]), grid[1]], -1))

    def measured(self, plan: Plan) -> dict[str, np.ndarray]:
        """Return losses and their errors (S, B), for as many points at a time as the plan says."""
        found = [self.objective.measure(self.frame.point(some), plan=plan) for some in self.steps.split(plan.points)]
        return {name: np.concatenate([getattr(one, name) for one in found], -1) for name in MEASURED}

    def solved(self, finite: np.ndarray, vectors: Tensor | None, **solving: Any) -> dict[str, np.ndarray]:
        """Return what `FOUND` names, each (B,); NaN where losses (B,) or products are not finite."""
        cells: list[tuple] = [()] * self.size
        middle = vectors
        for run in self._outward():
            start = middle
            for index in run:
                theta = self.frame.point(self.steps[index])
                found = _solved(self.objective, theta, start, **solving) if finite[index] else None
                cells[index] = _numbers(found)
                start = start if found is None else found.vectors
                middle = start if index == self.middle else middle
        kinds = (float, float, bool, float, float, bool, int)
        return {
            name: np.array(values, dtype=kind)
            for name, kind, values in zip(FOUND, kinds, zip(*cells, strict=True), strict=True)
        }

    def _outward(self) -> Iterator[range]:
        yield range(self.middle, self.size)
        yield range(self.middle - 1, -1, -1)


def _solved(objective: Objective, theta: Tensor, start: Tensor | None, **solving: Any) -> Eigenpairs | None:
    """Find the largest and the smallest eigenvalue at a point; None where products are not finite."""
    operator = operators.hessian(objective, theta)

    def product(rows: Tensor) -> Tensor:
        try:
            return operator(rows)
        except ValueError as error:  # with rows that fit, the only one: it is told apart from errors of the solver
            raise FloatingPointError(str(error)) from error

    start = None if start is None else start.to(operator.like)
    try:
        return eigenpairs(product, operator.dim, count=(1, 1), start=start, like=operator.like, **solving)
    except FloatingPointError:
        return None


def _beginning(found: Eigenpairs | None) -> dict[str, np.ndarray]:
    if found is None:
        return {"vectors": np.zeros((0, 0)), "products": np.array(0)}
    return {"vectors": found.vectors.cpu().numpy(), "products": np.array(found.products)}


def _numbers(found: Eigenpairs | None) -> tuple:
    if found is None:
        return (np.nan, np.nan, False, np.nan, np.nan, False, 0)
    ends = zip(found.values.tolist(), found.residuals.tolist(), found.converged.tolist(), strict=True)
    return (*(number for end in ends for number in end), found.products)
