"""Networks along curves asked together: in the space of outputs, and by averaging their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.probes._cost import Cost
from landscape.result import Result, quantity

if TYPE_CHECKING:
    from landscape.curves import Curve
    from landscape.objective import Objective

AXES = ("curve", "split", "way", "t")
PAIRED = ("curve", "split", "contrast", "score", "t")
TOLD = (
    ("pair - alone", "the two ends together", "their mean alone"),
    ("all - alone", "all {count} together", "their mean alone"),
    ("all_average - all", "the average of all {count} weights", "all together"),
)  # of which remarks speak: a contrast, its subject, what it is compared with
BETTER = {"loss": -1, "accuracy": 1}
ROUNDING = 1e-12  # of differences that are none


@dataclass(frozen=True, eq=False, repr=False)
class Ensembling(Result):
    """Scores of the networks along curves: each alone, together with the first, all so far, and averages of weights.

    The ways: "alone" is phi(t); "pair" the mean of the probabilities of phi(0) and phi(t), "all" that of all networks
    up to t; "pair_average" and "all_average" are single networks, at the average of the weights of the same ones.

    Errors are over examples: of the calibration error the jackknife's, of all others that of a mean. They tell how far
    other examples would move a score of these very networks, not how far other networks would.
    """

    curve: np.ndarray = quantity("curve", "curve")
    split: np.ndarray = quantity("part of the data", "split")
    t: np.ndarray = quantity("position along the curve", "t")
    way: np.ndarray = quantity("way in which networks are asked", "way")
    contrast: np.ndarray = quantity("what less what; alone is the mean of the same networks alone", "contrast")
    score: np.ndarray = quantity("score", "score")
    loss: np.ndarray = quantity("negative log-likelihood", *AXES, unit="nat")
    loss_error: np.ndarray = quantity("its standard error", *AXES, unit="nat")
    accuracy: np.ndarray = quantity("accuracy", *AXES)
    accuracy_error: np.ndarray = quantity("its standard error", *AXES)
    brier: np.ndarray = quantity("Brier score", *AXES)
    brier_error: np.ndarray = quantity("its standard error", *AXES)
    calibration: np.ndarray = quantity("expected calibration error", *AXES)
    calibration_error: np.ndarray = quantity("its standard error", *AXES)
    entropy: np.ndarray = quantity("entropy of the prediction", *AXES, unit="nat")
    entropy_error: np.ndarray = quantity("its standard error", *AXES, unit="nat")
    distance: np.ndarray = quantity("distance from the first network", "curve", "t")
    arc: np.ndarray = quantity("length of the curve up to a position", "curve", "t")
    difference: np.ndarray = quantity("difference of a score between two ways (nat, or fraction)", *PAIRED)
    difference_error: np.ndarray = quantity("its standard error, paired over examples", *PAIRED)
    disagreement: np.ndarray = quantity("share of answers that differ from the first network's", "curve", "split", "t")
    disagreement_error: np.ndarray = quantity("its standard error", "curve", "split", "t")

    def compared(self, contrast: str, score: str) -> tuple[np.ndarray, np.ndarray]:
        """Return a paired difference and its standard error, each of shape (curve, split, t).

        Parameters
        ----------
        contrast, score : str
            Of those in `contrast` and in `score`.

        Raises
        ------
        ValueError
            If there is no such contrast or score.
        """
        for what, known in ((contrast, self.contrast), (score, self.score)):
            if what not in known:
                raise ValueError(f"Expected one of {', '.join(known)}, got {what!r}: choose one of these.")
        at = (..., self.contrast.tolist().index(contrast), self.score.tolist().index(score), slice(None))
        return self.difference[at], self.difference_error[at]

    def figures(self) -> dict[str, tuple[float, float]]:
        """Tell what loss and accuracy gain at the last point, by ensembling and by averaging weights."""
        found = {}
        for contrast, _, _ in TOLD:
            for score in BETTER:
                values, errors = (array[..., -1] for array in self.compared(contrast, score))
                name = f"{contrast.replace(' - ', '_less_')}_{score}"
                found |= {
                    f"{curve}_{split}_{name}": (float(values[c, s]), float(errors[c, s]))
                    for c, curve in enumerate(self.curve.tolist())
                    for s, split in enumerate(self.split.tolist())
                }
        return found

    def remarks(self) -> list[str]:
        """Say of each curve how far apart its ends answer, and whether networks gain by being asked together."""
        told = []
        for c, curve in enumerate(self.curve.tolist()):
            apart = ", ".join(
                f"{split} {100 * self.disagreement[c, s, -1]:.3g} \N{PLUS-MINUS SIGN} "
                f"{100 * self.disagreement_error[c, s, -1]:.2g} %"
                for s, split in enumerate(self.split.tolist())
            )
            told.append(f"{curve}: ends at a distance of {self.distance[c, -1]:.4g} disagree on {apart}")
            for s, split in enumerate(self.split.tolist()):
                shown = TOLD if len(self.t) > 2 else TOLD[1:]  # of two networks the ends are all
                told += [f"{curve}, {split}: {self._compared(c, s, *words)}" for words in shown]
        return told

    def _compared(self, c: int, s: int, contrast: str, subject: str, other: str) -> str:
        parts = []
        for score, better in BETTER.items():
            by, error = (float(array[c, s, -1]) for array in self.compared(contrast, score))
            scale, unit = (100, "percentage points") if score == "accuracy" else (1, "nat")
            amount = f"{abs(scale * by):.3g} \N{PLUS-MINUS SIGN} {scale * error:.2g} {unit}"
            word = "better" if by * better > 0 else "worse"
            parts.append(f"{score} no different" if abs(by) < ROUNDING else f"{score} {word} by {amount}")
        return f"{subject.format(count=len(self.t))} against {other}: {', '.join(parts)}"


def ensembling(
    objective: Objective,
    curves: Curve | Mapping[str, Curve],
    *,
    points: int | None = None,
    bins: int = 15,
    store: Callable | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Ensembling:
    r"""Score networks along curves alone, together, and with their weights averaged: what distance is worth.

    .. math:: p_{\text{pair}}(y|x) = \tfrac12 \big(p(y|x; \phi(0)) + p(y|x; \phi(t))\big), \qquad
        p_{\text{all}}(y|x) = \tfrac1k \textstyle\sum_{j<k} p(y|x; \phi(t_j))

    and beside them the networks at :math:`\tfrac12(\phi(0) + \phi(t))` and :math:`\tfrac1k \sum_{j<k} \phi(t_j)`.

    Parameters
    ----------
    objective : Objective
        A classifier by cross entropy; all its splits are looked at. With batch norm, made with ``batchnorm="refit"``.
    curves : Curve, or mapping of names to Curves
        Such as `landscape.curves.segment` between two networks, a trained curve, or the chain through the members of a
        run of fast geometric ensembling.
    points : int, optional
        Evenly spaced networks, both ends included: by default the checkpoints of a trajectory, those and no others
        (the corners of a chain), and 11 where there is no chain.
    bins : int, default=15
        Of the calibration error, of equal width.
    store : callable, optional
        Opens part files that make the work resumable, as `landscape.sweep.sweep` takes it.
    progress : callable, optional
        Told (points done, points in all).

    Returns
    -------
    Ensembling

    Raises
    ------
    ValueError
        If the objective is no classifier by cross entropy, a curve does not fit it, batch-norm statistics are frozen,
        or chains have different numbers of corners and `points` is not given.

    Notes
    -----
    Cost: 3 (P - 1) evaluations of every split for P networks of a curve, and as many of the first split where
    batch-norm statistics are refitted, of averaged weights too. Work that goes on asks the networks before it again,
    once each. Memory: about six arrays of N x C numbers for each split, whatever P.

    Loss and Brier score of the mean of probabilities are never above the mean of the members' (both are convex in the
    probabilities). A network whose outputs are not finite has NaN for scores, and so has whatever it is part of.

    References
    ----------
    Garipov, Izmailov, Podoprikhin, Vetrov & Wilson (2018), Loss surfaces, mode connectivity, and fast ensembling of
    DNNs, arXiv:1802.10026 (the ensemble of an end and a point of the curve).
    Izmailov, Podoprikhin, Garipov, Vetrov & Wilson (2018), Averaging weights leads to wider optima and better
    generalization, arXiv:1803.05407.
    Fort, Hu & Lakshminarayanan (2019), Deep ensembles: a loss landscape perspective, arXiv:1912.02757 (disagreement
    against distance).
    """
    from landscape.probes._ensembling import ensembled  # imports torch, which reading a result does not need

    named = curves if isinstance(curves, Mapping) else {curves.name: curves}
    arrays, plan = ensembled(objective, named, points, bins, store=store, progress=progress)
    origin = objective.record() | {
        "plan": plan,
        "curves": {name: curve.record() for name, curve in named.items()},
        "evaluations": len(named) * 3 * (len(arrays["t"]) - 1),
    }
    return Ensembling(**arrays, origin=origin)


def cost(objective: Objective, *, points: int | None = None, **_: Any) -> Cost:
    """Tell what one curve costs; of a trajectory whose points are not given, as if it had 11 checkpoints."""
    return Cost(points=3 * ((points or 11) - 1), vectors=6, alone=True)
