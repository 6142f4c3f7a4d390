"""A tree of trained curves as it grows, edge by edge."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from landscape.connection.search import search
from landscape.connection.training import steps
from landscape.connection.tree import Edge, spanning, untried
from landscape.curves import Curve
from landscape.parts import Parts
from landscape.probes._along import along, planned
from landscape.probes._networks import along_tree, matrix, of_networks, segments
from landscape.probes.path import Path
from landscape.train.settings import Settings

if TYPE_CHECKING:
    from landscape.objective import Objective

Progress = Callable[..., None]


def grown(
    objective: Objective,
    found: dict[str, Tensor],
    settings: Settings,
    *,
    shape: str,
    own: dict[str, Any],
    rounds: int,
    points: int,
    store: Callable | None = None,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure all segments, train the edges of their tree, then further ones; return a `Tree`'s arrays and origin."""
    names, count = list(found), len(found)
    objective, plan, parts = planned(objective, store)
    lines = segments(found)
    each = steps(objective, settings) + points
    edges = min(count - 1 + rounds, len(lines))
    total, before = len(lines) * points + edges * each, len(lines) * points
    told = progress and (lambda done, _: progress(done, total, label="tree: segments"))
    straight = Path(**along(objective, lines, points, store=store, progress=told))
    saddles, errors = _of_segments(straight, count)
    known, known_errors = saddles.copy(), errors.copy()
    tried: dict[Edge, tuple[int, Path, Curve]] = {}
    history: list[float] = []
    for step in range(rounds + 1):
        wanted = [untried(known, spanning(known), set(tried))] if step else spanning(known)
        for pair in wanted:
            if pair is None:
                break
            name = f"{names[pair[0]]} to {names[pair[1]]}"
            shown = progress and _shown(progress, before + len(tried) * each, total, f"tree: {name}")
            curve, measured, spent = _edge(
                objective, lines[name].points[0], lines[name].points[-1], settings, name, parts,
                f"edge-{pair[0]}-{pair[1]}", points, {"shape": shape, **own}, shown,
            )  # fmt: skip
            tried[pair] = step, measured, curve
            history.append(spent)
            height, error, _ = saddle(measured)
            if not height[0] >= known[pair]:  # NaN of a segment gives way too
                known[pair] = known[pair[::-1]] = height[0]
                known_errors[pair] = known_errors[pair[::-1]] = error[0]
    kept = spanning(known)
    arrays = _tree(known, known_errors, kept) | _edges(tried, kept, names)
    arrays |= {
        "network": names, "other": names, "split": straight.split, "t": straight.t,
        "loss": of_networks(straight.loss, count), "loss_error": of_networks(straight.loss_error, count),
        "distance": matrix(straight.distance, count), "segment_saddle": saddles, "segment_saddle_error": errors,
    }  # fmt: skip
    return arrays, {
        "plan": plan,
        "curves": {name: tried[pair][2].record() for pair, name in _named(tried, names)},
        "evaluations": (len(lines) + len(tried)) * points,
        "gradient_evaluations": float(np.sum(history)),
    }


def saddle(measured: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the highest loss of the first split along each curve, its error, and where it is among the points."""
    loss = measured.loss[:, 0]
    top = loss.argmax(-1)  # NaN, if there is one
    rows = np.arange(len(loss))
    return loss[rows, top], measured.loss_error[rows, 0, top], top


def _edge(
    objective: Objective, first: Tensor, last: Tensor, settings: Settings, name: str, parts: Parts | None, file: str,
    points: int, knobs: dict[str, Any], shown: Callable[[int, str], None] | None,
) -> tuple[Curve, Path, float]:  # fmt: skip
    """Train the curve of one edge, and measure along it; both go on where they were interrupted."""
    found = search(
        objective, first, last, settings, **knobs, keep=parts.folder / file if parts else None,
        progress=shown and (lambda done, _, told: shown(done, f", {told}")),
    )  # fmt: skip
    inner = (lambda plan: Parts(parts.folder / f"{file}-path", {}, plan)) if parts else None
    measured = along(
        objective, {name: found.curve}, points, store=inner,
        progress=shown and (lambda done, _: shown(steps(objective, settings) + done, ", path")),
    )  # fmt: skip
    return found.curve, Path(**measured), found.history[-1]["gradient_evaluations"] if found.history else 0.0


def _shown(progress: Progress, before: int, total: int, label: str) -> Callable[[int, str], None]:
    return lambda done, told: progress(before + done, total, label=label + told)


def _of_segments(straight: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the saddles of all segments as a matrix, and their errors; on the diagonal those of the networks."""
    found = []
    for values, of in zip(saddle(straight)[:2], (straight.loss, straight.loss_error), strict=True):
        laid = matrix(values, count)
        np.fill_diagonal(laid, of_networks(of, count)[0])
        found.append(laid)
    return found[0], found[1]


def _tree(known: np.ndarray, errors: np.ndarray, kept: list[Edge]) -> dict[str, np.ndarray]:
    values, sure = along_tree(known, errors, kept)
    return {"saddle": values, "saddle_error": sure}


def _edges(tried: dict[Edge, tuple[int, Path, Curve]], kept: list[Edge], names: list[str]) -> dict[str, Any]:
    """Return the arrays of the trained edges, in the order of their training."""
    paths, curves = [path for _, path, _ in tried.values()], [curve for _, _, curve in tried.values()]
    tops = [int(saddle(path)[2][0]) for path in paths]
    longest = max(len(curve.points) for curve in curves)
    control = [
        np.pad(c.points.cpu().numpy(), ((0, longest - len(c.points)), (0, 0)), constant_values=np.nan) for c in curves
    ]
    return {
        "edge": [name for _, name in _named(tried, names)],
        "end": np.array(list(tried)),
        "step": [step for step, _, _ in tried.values()],
        "kept": [pair in kept for pair in tried],
        "edge_saddle": [path.loss[0, 0, top] for path, top in zip(paths, tops, strict=True)],
        "edge_saddle_error": [path.loss_error[0, 0, top] for path, top in zip(paths, tops, strict=True)],
        "edge_rise": [path.rise[0, 0, top] for path, top in zip(paths, tops, strict=True)],
        "edge_rise_error": [path.rise_error[0, 0, top] for path, top in zip(paths, tops, strict=True)],
        "length": [path.length[0] for path in paths],
        "arc": np.stack([path.arc[0] for path in paths]),
        "edge_loss": np.stack([path.loss[0] for path in paths]),
        "edge_loss_error": np.stack([path.loss_error[0] for path in paths]),
        "count": [len(curve.points) for curve in curves],
        "control": np.stack(control),
    }


def _named(tried: dict[Edge, Any], names: list[str]) -> list[tuple[Edge, str]]:
    return [(pair, f"{names[pair[0]]} to {names[pair[1]]}") for pair in tried]
