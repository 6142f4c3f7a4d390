"""From the pieces of the saddle probe to named arrays over all classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from landscape.decomposition import PARTS, decomposition
from landscape.probes import _saddle_ways as ways
from landscape.probes._saddle_ends import Search, fitting
from landscape.probes._saddle_work import Work, patience
from landscape.rows import norm

if TYPE_CHECKING:
    from landscape.objective import Objective


def measured(
    objective: Objective, theta: Tensor | None, names: tuple[str, ...], present: tuple[str, ...], *,
    search: Search, top: int, sizes: tuple[float, ...], resamples: int, decompose: bool, together: int | None,
    store: Callable | None, progress: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    """Do the work, piece by piece, and return the arrays of a Saddle and its origin: see `landscape.probes.saddle`."""
    point = objective.theta if theta is None else torch.as_tensor(theta).to(objective.theta).detach()
    total = len(present) * (search.steps * search.probes + 2 + search.limit + (patience(top) + top if top else 0))
    work = Work(objective, point, present, search, None, _meter(progress, total))
    classes, at_once = fitting(work.by, search)

    def planned() -> dict:
        strategy = work.by.operators[0].choose(at_once)
        return {"classes": min(together or classes, len(present)), "probes": at_once, "strategy": strategy}

    parts = store(planned) if store else None
    cut = parts.plan if parts else planned()
    objective = objective.using(cut["strategy"])
    work = replace(work, objective=objective, parts=parts)
    groups = list(work.spectra(cut["classes"], cut["probes"], resamples))
    found = {name: np.concatenate([group[name] for group in groups]) for name in groups[0]}
    directions, gradients = (torch.from_numpy(found.pop(name)).to(point) for name in ("direction", "gradient"))
    used = found.pop("products")
    angles = {
        "gradient_cosine": ways.cosines(directions, gradients),
        "direction_cosine": ways.cosines(directions, directions),
    }
    shared = work.top(top) if top else {}
    lengths = np.array(sizes) * float(norm(point))
    found |= work.walked(directions, lengths)
    if "top_curvature" in shared:
        found["top_curvature"] = shared.pop("top_curvature")
    whole = int(shared.pop("products")) if shared else 0
    shares = np.array(work.by.counts) / objective.size
    origin = objective.record() | {
        "split": objective.splits[0], "seed": search.seed, "lockstep": cut, "class_products": int(used.sum()),
        "products": round(float(used @ shares)) + whole, "evaluations": 1 + 2 * len(sizes) * len(present),
    }  # fmt: skip
    where = [names.index(name) for name in present]
    spread = {name: _among(len(names), where, array, 1) for name, array in found.items()}
    spread |= {name: _among(len(names), where, array, 2) for name, array in angles.items()}
    return dict(
        class_=list(names), other=list(names), count=_among(len(names), where, np.array(work.by.counts), 1, 0),
        tau=search.tau, dimension=objective.dim, sign=list(ways.SIGNS), size=np.array(sizes), step_length=lengths,
        **_known(spread), **shared, **(_apart(objective, point) if decompose else {}), origin=origin,
    )  # fmt: skip


def _apart(objective: Objective, theta: Tensor) -> dict[str, np.ndarray]:
    """Name the eigenvalues of the parts of the Gauss-Newton matrix."""
    found = decomposition(objective, theta)
    return {name: found.values(part).numpy() for name, part in zip(("g0", "g1", "g2", "g12"), PARTS, strict=True)}


def _among(count: int, where: list[int], array: np.ndarray, axes: int, empty: float = np.nan) -> np.ndarray:
    """Put arrays of the classes that have examples in their places among all."""
    kind = array.dtype if array.dtype.kind in "bi" else float
    full = np.full((count,) * axes + array.shape[axes:], False if array.dtype.kind == "b" else empty).astype(kind)
    full[np.ix_(*[where] * axes)] = array
    return full


def _known(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Leave accuracies out where right answers mean nothing."""
    if not np.isnan(arrays["accuracy"]).all():
        return arrays
    return {name: array for name, array in arrays.items() if "accuracy" not in name}


def _meter(progress: Callable[[int, int], None] | None, total: int) -> Callable[[int], None]:
    done = 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(min(done, total), total)

    tell(0)
    return tell
