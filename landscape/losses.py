"""Losses: what a network's outputs cost, one example at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils import _pytree as pytree

from landscape import discovery

IGNORED = -100  # the target that marks a token to leave out, as in torch's cross entropy
LANES = 16  # numbers in a vector register: a softmax over fewer, side by side in memory, is slow on a CPU
HALF = (torch.bfloat16, torch.float16)


class Scores(NamedTuple):
    """What one batch of B examples costs.

    Attributes
    ----------
    loss : Tensor of shape (B,)
        Loss of every example, in nats; a sum over the tokens of a sequence.
    weight : Tensor of shape (B,)
        What the loss is divided by in the mean: 1, or the number of tokens.
    correct : Tensor of shape (B,)
        Number of right answers (their share times the weight); NaN where that means nothing.
    terms : Tensor of shape (T, B)
        The terms of the loss, kept apart; T = 0 for a loss of one term.
    """

    loss: Tensor
    weight: Tensor
    correct: Tensor
    terms: Tensor


class Weighted(NamedTuple):
    """A per-example loss that is a sum of `weight` pieces, as over the tokens of a sequence."""

    loss: Tensor
    weight: Tensor


def cross_entropy(outputs: Tensor, targets: Tensor) -> Weighted | Tensor:
    """Return the negative log-likelihood of the targets, in nats.

    Parameters
    ----------
    outputs : Tensor of shape (B, C), (B, ..., C) or (B, C, ...)
        Logits; where both readings of the shape are possible, the classes are on the last axis.
    targets : Tensor of shape (B,) or (B, ...)
        Class indices, -100 for a token to leave out; or probabilities (B, C).
    """
    if targets.is_floating_point():
        return functional.cross_entropy(outputs, targets, reduction="none")
    axis = class_axis(outputs, targets)
    logits = outputs if axis is None else outputs.movedim(axis, 1)
    each = _negative_log_likelihood(logits, targets)
    kept = (targets != IGNORED).to(each.dtype)
    return Weighted(_rows(each, torch.sum), _rows(kept, torch.sum))


def _negative_log_likelihood(logits: Tensor, targets: Tensor) -> Tensor:
    """Return cross entropies; of few classes from logits laid out by class, five times faster on a CPU."""
    if logits.ndim == 2 and logits.shape[1] < LANES and logits.device.type == "cpu":
        return functional.cross_entropy(logits.T.contiguous()[None], targets[None], reduction="none")[0]
    return functional.cross_entropy(logits, targets, reduction="none")


def causal(outputs: Tensor, targets: Tensor) -> Weighted:
    """Return the loss of predicting each next token: outputs (B, T, V) at t against targets (B, T) at t + 1."""
    return cross_entropy(outputs[:, :-1], targets[:, 1:])


def mse(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the squared error, averaged over an example's outputs: (B, ...) -> (B,)."""
    return _rows((outputs - _like(targets, outputs)) ** 2, torch.mean)


def mae(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the absolute error, averaged over an example's outputs: (B, ...) -> (B,)."""
    return _rows((outputs - _like(targets, outputs)).abs(), torch.mean)


def huber(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the Huber loss with delta = 1, averaged over an example's outputs: (B, ...) -> (B,)."""
    return _rows(functional.huber_loss(outputs, _like(targets, outputs), reduction="none"), torch.mean)


def bce(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the binary cross entropy of logits, averaged over an example's outputs: (B, ...) -> (B,)."""
    each = functional.binary_cross_entropy_with_logits(outputs, _like(targets, outputs), reduction="none")
    return _rows(each, torch.mean)


LOSSES = {f.__name__: f for f in (cross_entropy, causal, mse, mae, huber, bce)}
CLASSLESS = (mse, mae, huber)  # of which integer targets are numbers, not classes


def loss(spec: str | Callable) -> Callable:
    """Find a loss by name, by ``file.py:function``, or take a callable ``(outputs, targets) -> losses`` as it is.

    Raises
    ------
    ValueError
        If there is no such loss.
    """
    if callable(spec):
        return spec
    if spec in LOSSES:
        return LOSSES[spec]
    if ":" in spec:
        return discovery.resolve(spec, "landscape.models")
    raise ValueError(
        f"Expected a loss among {', '.join(LOSSES)}, or file.py:function, got {spec!r}"
        f"{discovery.did_you_mean(spec, list(LOSSES))}."
    )


def name(spec: str | Callable) -> str:
    """Name a loss for the record."""
    return spec if isinstance(spec, str) else getattr(spec, "__name__", type(spec).__name__)


def class_axis(outputs: Any, targets: Tensor) -> int | None:
    """Find the axis of the class scores: the last one or, as of images, the second; None without class indices."""
    if not isinstance(outputs, Tensor) or targets.is_floating_point() or targets.ndim != outputs.ndim - 1:
        return None
    if targets.shape[1:] == outputs.shape[1:-1]:
        return outputs.ndim - 1
    return 1 if targets.shape[1:] == outputs.shape[2:] else None


def scores(function: Callable, outputs: Any, targets: Tensor) -> Scores:
    """Apply a loss to a batch and count right answers.

    Parameters
    ----------
    function : callable (outputs, targets) -> Tensor (B,) or (B, ...), Weighted, or dict of name -> one of these
        A dict keeps the terms of a loss apart; the loss is their sum. Its weight is that of the first term that
        has one, and means of the others are multiplied by it.
    outputs : Tensor, or an object with ``.logits``
        Half-precision numbers are widened to float32 first.
    targets : Tensor of shape (B, ...)
        Class indices, tokens, or numbers, as the loss takes them.

    Raises
    ------
    ValueError
        If the function returns something else, such as a mean over the batch.
    """
    outputs = _full(outputs)
    found = function(outputs, targets)
    each = [_weighted(value, targets) for value in (found.values() if isinstance(found, dict) else [found])]
    weight = next((one.weight for one in each if one.weight is not None), torch.ones_like(each[0].loss))
    losses = torch.stack([_reweighted(one, weight) for one in each])
    terms = losses if isinstance(found, dict) else losses[:0]
    return Scores(losses.sum(0), weight, _correct(function, outputs, targets, weight), terms)


def term_names(function: Callable, outputs: Any, targets: Tensor) -> tuple[str, ...]:
    """Name the terms of a loss; empty for a loss of one term."""
    found = function(_full(outputs), targets)
    return tuple(map(str, found)) if isinstance(found, dict) else ()


class _Piece(NamedTuple):
    loss: Tensor
    weight: Tensor | None


def _weighted(value: Any, targets: Tensor) -> _Piece:
    if isinstance(value, Weighted):
        return _Piece(value.loss, value.weight.to(value.loss.dtype))
    if not isinstance(value, Tensor) or value.ndim == 0 or value.shape[0] != len(targets):
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(
            f"Expected a loss that returns one value for each of {len(targets)} examples, got {shape}: "
            "use reduction='none' and leave the mean to the objective."
        )
    return _Piece(_rows(value, torch.mean), None)


def _reweighted(piece: _Piece, weight: Tensor) -> Tensor:
    if piece.weight is None:
        return piece.loss * weight
    if piece.weight is weight:
        return piece.loss
    return piece.loss * (weight / torch.where(piece.weight > 0, piece.weight, 1.0))


def _correct(function: Callable, outputs: Any, targets: Tensor, weight: Tensor) -> Tensor:
    """Return the share of right answers of every example, times its weight: (B,). NaN is never a right answer."""
    if function is bce:
        right = ((outputs > 0) == (_like(targets, outputs) > 0.5)) & ~outputs.isnan()
        return _rows(right.to(weight.dtype), torch.mean) * weight
    if function is causal:
        outputs, targets = outputs[:, :-1], targets[:, 1:]
    axis = class_axis(outputs, targets)
    if axis is None or outputs.shape[axis] < 2:
        return torch.full_like(weight, torch.nan)
    kept = targets != IGNORED
    largest, index = outputs.max(axis)  # NaN where any output is
    right = (index == targets) & kept & ~largest.isnan()
    right, kept = (_rows(t.to(weight.dtype), torch.sum) for t in (right, kept))
    return right * (weight / kept.clamp(min=1))


def answers(function: Callable, outputs: Any, targets: Tensor) -> Tensor | None:
    """Return what a network answers, wherever there is something to answer: (B, A) classes, -1 elsewhere.

    One for an example, one for each of its tokens, or zeros and ones for its labels under ``bce``; None where outputs
    are not over classes. NaN is answered by -2, which agrees with no class.
    """
    outputs = _full(outputs)
    if function is bce:
        return torch.where(outputs.isnan(), -2, (outputs > 0).long()).flatten(1)
    if function is causal:
        outputs, targets = outputs[:, :-1], targets[:, 1:]
    axis = class_axis(outputs, targets)
    if axis is None or outputs.shape[axis] < 2:
        return None
    largest, index = outputs.max(axis)  # NaN where any output is
    found = torch.where(targets == IGNORED, -1, torch.where(largest.isnan(), -2, index))
    return found.reshape(len(found), -1)


def _full(outputs: Any) -> Any:
    outputs = getattr(outputs, "logits", outputs)
    return pytree.tree_map_only(Tensor, lambda t: t.float() if t.dtype in HALF else t, outputs)


def _rows(values: Tensor, reduce: Callable) -> Tensor:
    return values if values.ndim == 1 else reduce(values.flatten(1), 1)


def _like(targets: Tensor, outputs: Tensor) -> Tensor:
    """Give targets the dtype and, but for axes of one, the shape of the outputs: never broadcast (B,) to (B, B)."""
    if targets.shape != outputs.shape and targets.numel() != outputs.numel():
        raise ValueError(
            f"Expected targets of the outputs' shape {tuple(outputs.shape)}, got {tuple(targets.shape)}: "
            "reshape the targets, or use another loss."
        )
    return targets.reshape(outputs.shape).to(outputs.dtype)
