"""Where the most negative directions of classes lead: angles to gradients and to each other, and steps along them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from landscape import examples
from landscape.paired import mean
from landscape.rows import dot, norm

if TYPE_CHECKING:
    from landscape.objective import Objective

SIGNS = (1, -1)


@dataclass(frozen=True)
class Base:
    """What every example costs before any step, and its class: arrays (N,)."""

    found: examples.ByExample
    labels: np.ndarray

    def of(self, label: int) -> dict[str, np.ndarray]:
        """Name the loss and accuracy of one class, with standard errors over examples."""
        inside = self.labels == label
        weight = self.found.weight[inside]
        loss, loss_error = mean(self.found.loss[inside], weight)
        accuracy, accuracy_error = mean(self.found.correct[inside], weight)
        return {
            "loss": loss, "loss_error": loss_error, "accuracy": accuracy, "accuracy_error": accuracy_error,
        }  # fmt: skip


def spread(bends: np.ndarray, weight: np.ndarray, resamples: int, seed: int) -> dict[str, np.ndarray]:
    """Tell how both ends of a class's spectrum vary over its examples, their vectors held fixed.

    Parameters
    ----------
    bends : array of shape (2, n)
        Curvature of every example along the vectors of the largest and of the smallest eigenvalue.
    weight : array of shape (n,)
    resamples : int
        Draws of the examples with replacement, for an interval of the ratio.
    seed : int
    """
    (largest, smallest), errors = mean(bends, weight)
    with np.errstate(invalid="ignore", divide="ignore"):
        influence = -(bends[1] * largest - bends[0] * smallest) / largest**2  # of an example on -smallest / largest
        ratio_error = mean(influence, weight)[1]
        found = {"lambda_max_error": errors[0], "lambda_min_error": errors[1], "ratio_error": ratio_error}
        if resamples:
            n = len(weight)
            draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
            ratios = -(draws @ bends[1]) / (draws @ bends[0])
            found["ratio_low"], found["ratio_high"] = np.quantile(ratios, (0.025, 0.975))
    return found


def downhill(directions: Tensor, gradients: Tensor) -> Tensor:
    """Turn rows (C, D) so that the gradients in the same row do not rise along them."""
    uphill = dot(directions, gradients) > 0
    return torch.where(uphill[:, None], -directions, directions)


def cosines(rows: Tensor, others: Tensor) -> np.ndarray:
    """Measure cosines between rows (C, D) and (B, D): -> (C, B), float64; NaN where a row is zero."""
    products = torch.stack([dot(rows, other) for other in others], 1)
    lengths = norm(rows)[:, None] * norm(others)
    found = torch.where(lengths > 0, products / lengths, torch.nan)
    return found.cpu().double().numpy()


def walked(
    objective: Objective, theta: Tensor, before: Base, label: int, direction: Tensor, lengths: np.ndarray
) -> dict[str, np.ndarray]:
    """Step along a direction and back, and compare every example with itself: arrays (sign, size), or (size,)."""
    inside = before.labels == label
    shape = (len(SIGNS), len(lengths), len(before.labels))
    loss, right = np.empty(shape), np.empty(shape)
    for i, sign in enumerate(SIGNS):
        for j, length in enumerate(lengths):
            after = examples.by_example(objective, theta + sign * length * direction)
            with np.errstate(invalid="ignore"):
                loss[i, j], right[i, j] = after.loss - before.found.loss, after.correct - before.found.correct
    weight = before.found.weight
    own = loss[..., inside], right[..., inside], loss[..., inside].mean(0)
    (change, error), (answers, answers_error), (bend, bend_error) = (mean(part, weight[inside]) for part in own)
    whole, whole_error = mean(loss, weight)
    return {
        "step_loss": change, "step_loss_error": error,
        "step_accuracy": answers, "step_accuracy_error": answers_error,
        "step_bend": bend, "step_bend_error": bend_error,
        "step_whole_loss": whole, "step_whole_loss_error": whole_error,
    }  # fmt: skip
