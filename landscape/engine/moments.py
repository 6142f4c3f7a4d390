"""Sums over examples, in float64, and the means and standard errors that follow from them."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from landscape.losses import Scores

MOMENTS = 8  # rows of `sums` about the loss, the weight and the right answers
FLAGS = 3  # rows for each of loss and terms, that count what is not finite


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
    """Add up a batch: scores (P, B) and a group membership (B, G) of zeros and ones -> (P, R, G), float64.

    The R = 8 + 3 (1 + T) + T rows are moments, counts of NaN, infinity and minus infinity in the loss and its T
    terms, and the terms. Sums run through a matrix product, which is deterministic on every device and keeps groups
    apart; what is not finite is counted beside, so that it does not leak from one class into another.
    """
    loss, weight, right, terms = (t.double() for t in scores)
    finite = loss.nan_to_num(0.0, 0.0, 0.0)
    answers = right.nan_to_num(0.0)
    kept = [finite, finite**2, finite * weight, weight, weight**2, answers, answers**2, answers * weight]
    all_losses = torch.cat([loss.unsqueeze(-2), terms], dim=-2)
    flags = [all_losses.isnan(), all_losses == torch.inf, all_losses == -torch.inf]
    rows = [torch.stack(kept, dim=-2), *(flag.double() for flag in flags), terms.nan_to_num(0.0, 0.0, 0.0)]
    return torch.cat(rows, dim=-2) @ groups.double()


def measurement(totals: list[Tensor], counts: list[Tensor], shape: tuple[int, ...], answers: bool) -> Measurement:
    """Turn sums of every split into means and errors.

    Parameters
    ----------
    totals : list of Tensor of shape (P, R, G)
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
        names = ("class_loss", "class_loss_error", "class_accuracy", "class_accuracy_error")[: 4 if answers else 2]
        found |= {n: np.stack([m[i].T.reshape(-1, *shape) for m in parts]) for i, n in enumerate(names)}
    if _terms(totals[0]):
        found["terms"] = np.stack([_term_means(t).T.reshape(-1, *shape) for t in totals])
    return Measurement(**found)


def averaged(found: list[Measurement]) -> Measurement:
    """Average measurements of independent random draws on the same examples.

    The error of a mean is sqrt(mean of the squared errors + variance among draws / number of draws): those over
    examples are not independent between draws, and are not divided.
    """
    if len(found) == 1:
        return found[0]
    arrays = {}
    for name in (field.name for field in fields(Measurement)):
        values = [getattr(one, name) for one in found]
        if values[0] is None:
            continue
        if name.endswith("_error"):
            among = np.var([getattr(one, name.removesuffix("_error")) for one in found], axis=0, ddof=1)
            arrays[name] = np.sqrt(np.mean(np.square(values), axis=0) + among / len(found))
        else:
            arrays[name] = np.mean(values, axis=0)
    return Measurement(**arrays)


def _terms(total: Tensor) -> int:
    """Return T, the number of terms that are kept apart."""
    return (total.shape[-2] - MOMENTS - FLAGS) // (1 + FLAGS)


def _means(total: Tensor, count: Tensor) -> tuple[np.ndarray, ...]:
    """Return loss, its error, accuracy and its error, each (P, G)."""
    rows = total.cpu().numpy()
    loss, loss2, cross, weight, weight2, right, right2, right_cross = (rows[:, i] for i in range(MOMENTS))
    nan, up, down = (rows[:, MOMENTS + i * (1 + _terms(total))] for i in range(FLAGS))
    examples = count.cpu().numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        small = np.where(examples > 1, 1 - 1 / examples, np.nan)  # one example has no spread
        mean, share = loss / weight, right / weight
        spread = np.maximum(loss2 - 2 * mean * cross + mean**2 * weight2, 0)
        share_spread = np.maximum(right2 - 2 * share * right_cross + share**2 * weight2, 0)
        error, share_error = np.sqrt(spread / small) / weight, np.sqrt(share_spread / small) / weight
    mean = _marked(mean, nan, up, down)
    return mean, np.where(np.isfinite(mean), error, np.nan), share, share_error


def _term_means(total: Tensor) -> np.ndarray:
    """Return the mean of every term over all groups: (P, T)."""
    rows, count = total.sum(-1).cpu().numpy(), _terms(total)
    flags = (rows[:, MOMENTS + i * (1 + count) + 1 : MOMENTS + (i + 1) * (1 + count)] for i in range(FLAGS))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = rows[:, MOMENTS + FLAGS * (1 + count) :] / rows[:, 3, None]
    return _marked(mean, *flags)


def _marked(mean: np.ndarray, nan: np.ndarray, up: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Put back what was not finite, as a sum of numbers would have it."""
    mean = np.where(up > 0, np.inf, np.where(down > 0, -np.inf, mean))
    return np.where((nan > 0) | ((up > 0) & (down > 0)), np.nan, mean)
