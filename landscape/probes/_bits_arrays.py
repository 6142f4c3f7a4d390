"""From the pieces of the bits probe to named arrays over all widths."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from landscape import operators
from landscape.probes import _bits_near as near
from landscape.probes._bits_work import CALLS, TOGETHER, Settings, Work

if TYPE_CHECKING:
    from landscape.objective import Objective

BESIDE = ("sha256", "vector", *CALLS)  # what is no array of the result
BY_SPLIT = 1  # place of the axis of widths in arrays that lead with the split


def measured(
    objective: Objective, theta: Tensor | None, settings: Settings, by_split: Collection[str], store: Callable | None,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Any]:  # fmt: skip
    """Do the work, width by width, and return the arrays of a `Bits` and its origin.

    The axis of widths (or of segments) comes first, or after the split in the arrays that are `by_split`.
    """
    point = objective.theta if theta is None else torch.as_tensor(theta).to(objective.theta).detach()

    def planned() -> dict:
        return {"strategy": f"{objective.plan(1)};{operators.hessian(objective, point).choose(TOGETHER)}"}

    parts = store(planned) if store else None
    cut = parts.plan if parts else planned()
    work = Work(objective.using(cut["strategy"]), point, settings, parts, progress)
    whole = work.whole()
    each = [work.rounded(index) for index in range(len(settings.schemes))]
    found = {name: array for name, array in whole.items() if name not in BESIDE}
    for asked, name in ((settings.curvature, "trace_full"), (settings.layers, "tensor_trace")):
        if not asked:
            found = {n: array for n, array in found.items() if n not in (name, f"{name}_error")}
    found |= {
        name: np.stack([one[name] for one in each], axis=BY_SPLIT if name in by_split else 0)
        for name in each[0] if name not in BESIDE
    }  # fmt: skip
    pieces = [whole, *each]
    origin = objective.record() | {
        "split": objective.splits[0], "seed": settings.seed, "strategy": cut["strategy"], "skip": list(settings.skip),
        "schemes": [scheme.record() for scheme in settings.schemes],
        "grids": {str(s.bits): str(one["sha256"]) for s, one in zip(settings.schemes, each, strict=True)},
        "flips": settings.flips, "rho": settings.rho, "spacing": settings.spacing,
        **{kind: sum(int(piece[kind]) for piece in pieces) for kind in CALLS},
    }  # fmt: skip
    return found | _scaled(found) | _coordinates(objective, settings, work) | {"origin": origin}


def _coordinates(objective: Objective, settings: Settings, work: Work) -> dict[str, Any]:
    names = [block.name for block in objective.blocks if block.name in work.rounding]
    sizes = [b.slice.stop - b.slice.start for b in objective.blocks if b.name in work.rounding]
    widths = [scheme.bits for scheme in settings.schemes]
    ends = ["full", *map(str, widths)]
    return {
        "split": list(objective.splits), "bits": widths, "tensor": names, "tensor_size": sizes,
        "family": [scheme.family for scheme in settings.schemes],
        "calibration": [scheme.calibration for scheme in settings.schemes],
        "segment": [f"{a} to {b}" for a, b in zip(ends, ends[1:], strict=False)],
        "t": np.linspace(0, 1, settings.points), "ascent": np.arange(1, settings.ascent + 1),
        "flipped": near.flips(sum(sizes), settings.flips),
    }  # fmt: skip


def _scaled(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Multiply eigenvalues and their residuals by the squared step."""
    if "lambda_max" not in found:
        return {}
    square = found["step"] ** 2
    return {
        f"scaled{at}{end}": found[f"lambda_max{at}{end}"] * square for at in ("", "_full") for end in ("", "_residual")
    }
