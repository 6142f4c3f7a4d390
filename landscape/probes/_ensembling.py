"""Networks along a curve asked one after another: alone, with the first, all so far, and their weights averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from landscape.curves import Curve
from landscape.ensembles.scores import SCORES, Scores, scores, standard_error
from landscape.examples import log_probabilities, require_classifier
from landscape.probes._along import Store, planned, require_curve
from landscape.sweep import Finished, Progress

if TYPE_CHECKING:
    from landscape.objective import Objective

POINTS = 11
WAYS = ("alone", "pair", "all", "pair_average", "all_average")
CONTRASTS = (
    ("pair", "alone"), ("all", "alone"), ("pair_average", "alone"), ("all_average", "alone"), ("pair_average", "pair"),
    ("all_average", "all"),
)  # fmt: skip


def ensembled(
    objective: Objective,
    curves: Mapping[str, Curve],
    points: int | None,
    bins: int,
    *,
    store: Store | None = None,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ask the networks along curves, and return the arrays of an `Ensembling`, and the plan of evaluation.

    Raises
    ------
    ValueError
        If the objective is no classifier, a curve is none of it, or there are too few points, bins or examples.
    """
    require_classifier(objective)
    for name, curve in curves.items():
        require_curve(objective, name, curve)
    t = positions(curves, points)
    _require_scores(objective, bins)
    objective, plan, parts = planned(objective, store)
    found, total = Finished(parts), len(curves) * len(t)
    if progress:
        progress(found.number, total)
    try:
        for row, arrays in _rows(objective, curves, t, bins, found.has):
            found.add(row, arrays)
            if progress:
                progress(found.number, total)
    finally:
        found.keep()
    arrays = {name: _laid_out(array, len(curves)) for name, array in found.arrays().items()}
    return arrays | _described(objective, curves, t), plan


def positions(curves: Mapping[str, Curve], points: int | None) -> np.ndarray:
    """Return evenly spaced t; where their number is not given, those of the corners of a chain.

    Raises
    ------
    ValueError
        If there are fewer than two, or their number is not given and chains have different numbers of corners.
    """
    corners = sorted({len(curve.points) for curve in curves.values() if curve.shape == "chain"})
    if points is None and len(corners) > 1:
        told = " and ".join(map(str, corners))
        raise ValueError(f"Expected chains through equally many networks, got {told}: pass points (--points).")
    count = points if points is not None else corners[0] if corners else POINTS
    if count < 2:
        raise ValueError(f"Expected at least 2 points along a curve, got {count}: give more.")
    return np.linspace(0, 1, count)


def network(curve: Curve, t: float) -> Tensor:
    """Return a point of a curve; at a corner of a chain that very corner, bit for bit."""
    stretch = t * (len(curve.points) - 1)
    if curve.shape == "chain" and abs(stretch - round(stretch)) < 1e-9:  # t of a corner is rounded
        return curve.points[round(stretch)]
    return curve(t)


class Committee:
    """Networks that join one after another, as far as what they are together needs to be known.

    Holds the log-probabilities (N, C) of the first one, of the newest, and of all together, for every split.
    """

    def __init__(self, objective: Objective, bins: int) -> None:
        self.objective, self.bins, self.count = objective, bins, 0
        self.labels = [np.asarray(part.labels) for part in objective.examples.values()]

    def join(self, theta: Tensor) -> None:
        """Ask a network, and let it be a member."""
        here, weights = log_probabilities(self.objective, theta), theta.to("cpu", torch.float64)
        alone = self._scored(here)
        if not self.count:
            self.origin, self.first, self.first_alone = weights, here, alone
            self.summed, self.total, self.summed_alone = weights, here, alone
        else:
            self.summed = self.summed + weights
            self.total = [_together(*pair) for pair in zip(self.total, here, strict=True)]
            self.summed_alone = [_sum(*pair) for pair in zip(self.summed_alone, alone, strict=True)]
        self.weights, self.here, self.alone = weights, here, alone
        self.count += 1

    def row(self) -> dict[str, np.ndarray]:
        """Return what the newest network is, alone and together with those before, with an axis of one point last."""
        asked = self._asked()
        two = [_divided(_sum(*pair), 2) for pair in zip(self.first_alone, self.alone, strict=True)]
        every = [_divided(one, self.count) for one in self.summed_alone]
        parts = []
        for k in range(len(self.labels)):
            ways = {way: found[k] for way, found in asked.items()}
            single = {"pair": two[k], "pair_average": two[k], "all": every[k], "all_average": every[k]}
            parts.append(_columns(ways) | _compared(ways, single) | _apart(self.first[k], self.here[k]))
        return {name: np.stack([part[name] for part in parts])[..., None] for name in parts[0]}

    def _asked(self) -> dict[str, list[Scores]]:
        """Score the networks in every way, on every split."""
        alone = self.alone
        if self.count == 1:
            return dict.fromkeys(WAYS, alone)
        pair = self._scored([_together(*two) - np.log(2) for two in zip(self.first, self.here, strict=True)])
        every = self._scored([total - np.log(self.count) for total in self.total])
        middle = self._at((self.origin + self.weights) / 2)
        average = middle if self.count == 2 else self._at(self.summed / self.count)
        return dict(zip(WAYS, (alone, pair, every, middle, average), strict=True))

    def _at(self, weights: Tensor) -> list[Scores]:
        return self._scored(log_probabilities(self.objective, weights.to(self.objective.theta)))

    def _scored(self, found: list[np.ndarray]) -> list[Scores]:
        return [_scores(one, labels, self.bins) for one, labels in zip(found, self.labels, strict=True)]


def _rows(
    objective: Objective, curves: Mapping[str, Curve], t: np.ndarray, bins: int, has: Callable[[int], bool]
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Measure the points that are missing; what comes before one of them on its curve is asked again."""
    for c, curve in enumerate(curves.values()):
        rows = range(c * len(t), (c + 1) * len(t))
        last = max((row for row in rows if not has(row)), default=-1)
        committee = Committee(objective, bins)
        for row, position in zip(rows, t.tolist(), strict=True):
            if row > last:
                break
            committee.join(network(curve, position))
            if not has(row):
                yield row, committee.row()


def _together(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Add probabilities up, in logarithms; NaN where one of them is."""
    with np.errstate(invalid="ignore"):
        return np.logaddexp(one, other)


def _scores(log_probability: np.ndarray, labels: np.ndarray, bins: int) -> Scores:
    """Score predictions; NaN where one of them is not finite."""
    if np.isfinite(log_probability).all():
        return scores(log_probability, labels, bins=bins)
    nothing = np.full(len(labels), np.nan)
    return Scores(dict.fromkeys(SCORES, np.nan), dict.fromkeys(SCORES, nothing), nothing)


def _sum(one: Scores, other: Scores) -> Scores:
    """Add scores up example by example; `confidence` has no sum."""
    value = {name: one.value[name] + other.value[name] for name in SCORES}
    return Scores(value, {name: one.each[name] + other.each[name] for name in SCORES}, np.empty(0))


def _divided(summed: Scores, count: int) -> Scores:
    value = {name: value / count for name, value in summed.value.items()}
    return Scores(value, {name: each / count for name, each in summed.each.items()}, np.empty(0))


def _columns(ways: dict[str, Scores]) -> dict[str, np.ndarray]:
    errors = [found.error() for found in ways.values()]
    columns = {name: np.array([found.value[name] for found in ways.values()]) for name in SCORES}
    return columns | {f"{name}_error": np.array([error[name] for error in errors]) for name in SCORES}


def _compared(ways: dict[str, Scores], single: dict[str, Scores]) -> dict[str, np.ndarray]:
    """Compare in pairs of examples: (contrast, score)."""
    pairs = [(ways[one], single[one] if other == "alone" else ways[other]) for one, other in CONTRASTS]
    value = [[one.value[name] - other.value[name] for name in SCORES] for one, other in pairs]
    error = [[standard_error(one.each[name] - other.each[name]) for name in SCORES] for one, other in pairs]
    return {"difference": np.array(value), "difference_error": np.array(error)}


def _apart(first: np.ndarray, here: np.ndarray) -> dict[str, Any]:
    """Return the share of examples that two networks answer differently; NaN where one of them has no answer."""
    each = (first.argmax(1) != here.argmax(1)).astype(float)
    each[~(np.isfinite(first).all(1) & np.isfinite(here).all(1))] = np.nan
    return {"disagreement": each.mean(), "disagreement_error": standard_error(each)}


def _require_scores(objective: Objective, bins: int) -> None:
    if bins < 1:
        raise ValueError(f"Expected at least 1 bin, got {bins}: raise it.")
    for name, part in objective.examples.items():
        if part.size < 2:
            raise ValueError(f"Expected at least 2 examples of each split, got {part.size} of {name}: give more.")


def _described(objective: Objective, curves: Mapping[str, Curve], t: np.ndarray) -> dict[str, Any]:
    """Return the coordinates, and how far the networks are from the first: exact, to rounding."""
    grid = torch.from_numpy(t)
    return {
        "curve": list(curves), "split": list(objective.splits), "t": t, "way": WAYS, "score": SCORES,
        "contrast": [" - ".join(pair) for pair in CONTRASTS],
        "arc": np.stack([curve.arc(grid).numpy() for curve in curves.values()]),
        "distance": np.stack([_distances(curve, t) for curve in curves.values()]),
    }  # fmt: skip


def _distances(curve: Curve, t: np.ndarray) -> np.ndarray:
    first = curve.points[0].double()
    return np.array([float((network(curve, position).double() - first).norm()) for position in t.tolist()])


def _laid_out(array: np.ndarray, curves: int) -> np.ndarray:
    """Bring an array (..., curves * points) to (curves, ..., points)."""
    return np.moveaxis(array.reshape(*array.shape[:-1], curves, -1), -2, 0)
