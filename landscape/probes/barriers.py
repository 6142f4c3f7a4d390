"""The linear barrier between every two of several networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.probes._cost import Cost
from landscape.probes._networks import matrix, mean_of_pairs, networks, of_networks, pairs, segments
from landscape.probes.path import Path
from landscape.result import Result, quantity

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.objective import Objective

DIAGONAL = "0 on the diagonal, exactly"
GRID = ("split", "first", "second")


@dataclass(frozen=True, eq=False, repr=False)
class Barriers(Result):
    """How high the loss rises on the segment between every two networks, for every split at once."""

    split: np.ndarray = quantity("part of the data", "split")
    first: np.ndarray = quantity("network", "first")
    second: np.ndarray = quantity("network", "second")
    loss: np.ndarray = quantity("mean loss of a network", "split", "first", unit="nat")
    loss_error: np.ndarray = quantity("standard error of the loss over examples", "split", "first", unit="nat")
    barrier: np.ndarray = quantity(
        f"largest loss above the linear interpolation of the ends; {DIAGONAL}", *GRID, unit="nat"
    )
    barrier_error: np.ndarray = quantity("standard error of that, paired over examples", *GRID, unit="nat")
    t: np.ndarray = quantity("position of the barrier, from first to second; NaN on the diagonal", *GRID)
    rise: np.ndarray = quantity(f"largest loss above the higher end; {DIAGONAL}", *GRID, unit="nat")
    rise_error: np.ndarray = quantity("standard error of that, paired over examples", *GRID, unit="nat")
    drop: np.ndarray | None = quantity(
        f"largest drop of accuracy below the linear interpolation of the ends; {DIAGONAL}", *GRID, optional=True
    )
    drop_error: np.ndarray | None = quantity("standard error of that, paired over examples", *GRID, optional=True)
    disagreement: np.ndarray | None = quantity(
        f"share of answers in which both networks differ; {DIAGONAL}", *GRID, optional=True
    )
    disagreement_error: np.ndarray | None = quantity("standard error of the disagreement", *GRID, optional=True)
    distance: np.ndarray = quantity(f"distance in parameter space; {DIAGONAL}", "first", "second")

    def figures(self) -> dict[str, tuple[float, float]]:
        """Tell means over all pairs, with their standard errors over networks: see `mean_of_pairs`."""
        names = [name for name in ("barrier", "rise", "drop", "disagreement") if getattr(self, name) is not None]
        return {
            f"{split}_{name}": mean_of_pairs(getattr(self, name)[s])
            for name in names
            for s, split in enumerate(self.split.tolist())
        }

    def remarks(self) -> list[str]:
        """Say for each split what the mean barrier is, and between which networks it is lowest and highest."""
        count, told = len(self.first), []
        one, other = pairs(count)
        for s, split in enumerate(self.split.tolist()):
            values, errors = self.barrier[s][one, other], self.barrier_error[s][one, other]
            mean, error = mean_of_pairs(self.barrier[s])
            sure = f" \N{PLUS-MINUS SIGN} {error:.2g}" if np.isfinite(error) else ""
            number = f"{len(values)} pair{'s' * (len(values) > 1)}"
            line = f"{split}: mean barrier {mean:.4g}{sure} nat over {number} of {count} networks"
            if len(values) > 1 and not np.isnan(values).all():
                ends = {"lowest": np.nanargmin(values), "highest": np.nanargmax(values)}
                line += "".join(
                    f"; {word} {values[p]:.4g} \N{PLUS-MINUS SIGN} {errors[p]:.2g}"
                    f" ({self.first[one[p]]} to {self.second[other[p]]})"
                    for word, p in ends.items()
                )
            told.append(line)
        return told


def barriers(
    objective: Objective,
    thetas: Sequence[Tensor],
    *,
    names: Sequence[str] | None = None,
    points: int = 25,
    store: Callable | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Barriers:
    """Measure the linear barrier between every two of several networks, on every split.

    Parameters
    ----------
    objective : Objective
        What is measured; all its splits are. Of a network with batch norm, made with ``batchnorm="refit"``.
    thetas : sequence of Tensors of shape (D,)
        The networks, two or more.
    names : sequence of str, optional
        What they are called; numbers from 1 unless given.
    points : int, default=25
        Evenly spaced positions on each segment, the ends included.
    store : callable, optional
        Opens part files that make the work resumable, as `landscape.sweep.sweep` takes it.
    progress : callable, optional
        Told (points done, points in all).

    Returns
    -------
    Barriers
        Matrices are symmetric by construction: each pair is measured once, and ``t`` of (second, first) is one minus
        that of (first, second).

    Raises
    ------
    ValueError
        If there is one network alone, two are the same, one is of another architecture, or batch-norm statistics are
        frozen.

    Notes
    -----
    Cost: n (n - 1) / 2 segments of n networks, each the evaluation of every split at each point between its ends, and
    of the first split where batch-norm statistics are refitted.

    A barrier is the highest of the evaluated points, never below zero: its error does not tell that the point was
    chosen as the highest, nor what lies between points.

    References
    ----------
    Frankle, Dziugaite, Roy & Carbin (2020), Linear mode connectivity and the lottery ticket hypothesis,
    arXiv:1912.05671; Entezari, Sedghi, Saukh & Neyshabur (2022), The role of permutation invariance in linear mode
    connectivity of neural networks, arXiv:2110.06296.
    """
    from landscape.probes._along import along, planned  # imports torch, which reading a result does not need

    found = networks(objective, thetas, names)
    curves = segments(found)
    objective, plan, _ = planned(objective, store)
    measured = Path(**along(objective, curves, points, store=store, progress=progress))
    return Barriers(
        split=measured.split, first=np.array(list(found)), second=np.array(list(found)),
        loss=of_networks(measured.loss, len(found)), loss_error=of_networks(measured.loss_error, len(found)),
        **_matrices(measured, len(found)), distance=matrix(measured.distance, len(found)),
        origin=objective.record() | {
            "plan": plan,
            "curves": {name: curve.record() for name, curve in curves.items()},
            "evaluations": len(curves) * (points - 2) + len(found),
        },
    )  # fmt: skip


def cost(objective: Objective, *, thetas: int = 2, points: int = 25, **_: Any) -> Cost:
    """Tell what the barriers between so many networks cost."""
    return Cost(points=thetas * (thetas - 1) // 2 * (points - 2) + thetas, vectors=thetas + 1, alone=True)


def _matrices(measured: Path, count: int) -> dict[str, np.ndarray]:
    """Return what is known of pairs, (split, network, network)."""
    found, where = {}, {}
    found["barrier"], found["barrier_error"], where["t"] = measured.barrier()
    found["rise"], found["rise_error"], _ = measured.barrier("higher")
    if measured.drop is not None:
        found["drop"], found["drop_error"], _ = measured.error_barrier()
    if measured.disagreement_first is not None and measured.disagreement_first_error is not None:
        found["disagreement"] = measured.disagreement_first[..., -1]
        found["disagreement_error"] = measured.disagreement_first_error[..., -1]
    laid = {name: matrix(values.T, count) for name, values in found.items()}
    t = matrix(where["t"].T, count, np.nan)
    return laid | {"t": np.where(np.tri(count, dtype=bool), 1 - t, t)}
