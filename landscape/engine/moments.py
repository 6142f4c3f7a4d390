"""Sums over examples, in float64, and the means and standard errors that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from landscape.losses import Scores

ROWS = 10  # what `sums` keeps of the examples of a group


@dataclass(frozen=True, eq=False)
class Measurement:
    """Loss and accuracy at some points, with standard errors over examples.

    Every array leads with the split, then (where it has one) the class or the term, then the axes of the
    points: ``loss`` is (S, ...), ``class_loss`` is (S, C, ...), ``terms`` is (S, T, ...).

    Attributes
    ----------
    loss, loss_error : ndarray
        In nats. The error is sqrt(sum_n w_n^2 (l_n - L)^2 / (1 - 1/N)) / sum_n w_n, for per-example losses l_n
        of weight w_n; NaN for one example.
    accuracy, accuracy_error : ndarray or None
        Fractions; None where the loss is not over classes.
    class_loss, class_loss_error, class_accuracy, class_accuracy_error : ndarray or None
        The same over the examples of one class; NaN for a class without examples.
    terms : ndarray or None
        Means of the terms of a loss that has several.
    """

    loss: np.ndarray
    loss_error: np.ndarray
    accuracy: np.ndarray | None = None
    accuracy_error: np.ndarray | None = None
    class_loss: np.ndarray | None = None
    class_loss_error: np.ndarray | None = None
    class_accuracy: np.ndarray | None = None
    class_accuracy_error: np.ndarray | None = None
    terms: np.ndarray | None = None


def sums(scores: Scores, groups: Tensor) -> Tensor:
    """Add up a batch: scores (P, B) and a group membership (B, G) of zeros and ones -> (P, 10 + T, G), float64.

    Sums run through a matrix product, which is deterministic on every device and keeps groups apart;
    NaN and infinity are counted beside, so that they do not leak from one class into another.
    """
    loss, weight, correct = (t.double() for t in scores[:3])
    finite = loss.nan_to_num(0.0, 0.0, 0.0)
    answers = correct.nan_to_num(0.0)
    kept = [finite, finite**2, finite * weight, weight, weight**2, answers, answers**2, answers * weight]
    flags = [loss.isnan().double(), torch.isinf(loss).double()]
    rows = torch.stack([*kept, *flags], dim=-2)
    terms = scores.terms.double().nan_to_num(0.0, 0.0, 0.0).expand(*rows.shape[:-2], -1, -1)
    return torch.cat([rows, terms], dim=-2) @ groups.double()


def measurement(totals: list[Tensor], counts: list[Tensor], shape: tuple[int, ...], answers: bool) -> Measurement:
    """Turn sums of every split into means and errors.

    Parameters
    ----------
    totals : list of Tensor of shape (P, 10 + T, G)
        One for each split, as `sums` makes them.
    counts : list of Tensor of shape (G,)
        Number of examples of every group in every split.
    shape : tuple of int
        Axes of the points, of product P.
    answers : bool
        Whether an accuracy is defined. Classes are told apart only if there is more than one group.
    """
    whole = [_means(t.sum(-1, keepdim=True), c.sum(-1, keepdim=True)) for t, c in zip(totals, counts, strict=True)]
    loss, loss_error, accuracy, accuracy_error = (
        np.stack([m[i][:, 0].reshape(shape) for m in whole]) for i in range(4)
    )
    found = {"loss": loss, "loss_error": loss_error}
    if answers:
        found |= {"accuracy": accuracy, "accuracy_error": accuracy_error}
    if len(counts[0]) > 1:
        parts = [_means(t, c) for t, c in zip(totals, counts, strict=True)]
        names = ("class_loss", "class_loss_error", "class_accuracy", "class_accuracy_error")
        by_class = {n: np.stack([m[i].T.reshape(-1, *shape) for m in parts]) for i, n in enumerate(names)}
        found |= by_class
    if totals[0].shape[-2] > ROWS:
        terms = [(t[:, ROWS:].sum(-1) / t[:, 3].sum(-1, keepdim=True)).cpu().numpy() for t in totals]
        found["terms"] = np.stack([t.T.reshape(-1, *shape) for t in terms])
    return Measurement(**found)


def _means(total: Tensor, count: Tensor) -> tuple[np.ndarray, ...]:
    """Return loss, its error, accuracy and its error, each (P, G)."""
    loss, loss2, cross, weight, weight2, right, right2, right_cross, nan, inf = (
        total[:, i].cpu().numpy() for i in range(ROWS)
    )
    examples = count.cpu().numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        small = np.where(examples > 1, 1 - 1 / examples, np.nan)  # one example has no spread
        mean, share = loss / weight, right / weight
        spread = np.maximum(loss2 - 2 * mean * cross + mean**2 * weight2, 0)
        share_spread = np.maximum(right2 - 2 * share * right_cross + share**2 * weight2, 0)
        error, share_error = np.sqrt(spread / small) / weight, np.sqrt(share_spread / small) / weight
    mean = np.where(nan > 0, np.nan, np.where(inf > 0, np.inf, mean))
    return mean, np.where(nan + inf > 0, np.nan, error), share, share_error
