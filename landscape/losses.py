"""Losses: what a network's outputs cost, one example at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from landscape import discovery

IGNORED = -100  # the target that marks a token to leave out, as in torch's cross entropy


class Scores(NamedTuple):
    """What one batch of B examples costs.

    Attributes
    ----------
    loss : Tensor of shape (B,)
        Loss of every example, in nats; a sum over the tokens of a sequence.
    weight : Tensor of shape (B,)
        What the loss is divided by in the mean: 1, or the number of tokens.
    correct : Tensor of shape (B,)
        Number of right answers; NaN where that means nothing.
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


def cross_entropy(outputs: Tensor, targets: Tensor) -> Weighted:
    """Return the negative log-likelihood of class indices: (B, C) or (B, T, C) -> (B,), in nats."""
    classes = outputs.shape[-1] if targets.ndim == outputs.ndim - 1 and targets.ndim > 1 else 0
    logits = outputs.movedim(-1, 1) if classes else outputs
    each = functional.cross_entropy(logits.float() if _half(logits) else logits, targets, reduction="none")
    kept = (targets != IGNORED).to(each.dtype)
    return Weighted(_rows(each, torch.sum), _rows(kept, torch.sum))


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


def scores(function: Callable, outputs: Any, targets: Tensor) -> Scores:
    """Apply a loss to a batch and count right answers.

    Parameters
    ----------
    function : callable (outputs, targets) -> Tensor (B,) or (B, ...), Weighted, or dict of name -> one of these
        A dict keeps the terms of a loss apart; the loss is their sum.
    outputs : Tensor, or an object with ``.logits``
    targets : Tensor of shape (B, ...)

    Raises
    ------
    ValueError
        If the function returns something else, such as a mean over the batch.
    """
    outputs = getattr(outputs, "logits", outputs)
    found = function(outputs, targets)
    terms = found if isinstance(found, dict) else {"": found}
    each = [_weighted(value, len(targets)) for value in terms.values()]
    total = torch.stack([one.loss for one in each]).sum(0) if len(each) > 1 else each[0].loss
    kept = torch.stack([one.loss for one in each]) if isinstance(found, dict) else total.new_zeros(0, len(targets))
    return Scores(total, each[0].weight, _correct(function, outputs, targets, total), kept)


def term_names(function: Callable, outputs: Any, targets: Tensor) -> tuple[str, ...]:
    """Name the terms of a loss; empty for a loss of one term."""
    found = function(getattr(outputs, "logits", outputs), targets)
    return tuple(found) if isinstance(found, dict) else ()


def _weighted(value: Any, examples: int) -> Weighted:
    if isinstance(value, Weighted):
        return value
    if not isinstance(value, Tensor) or value.ndim == 0 or value.shape[0] != examples:
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(
            f"Expected a loss that returns one value for each of {examples} examples, got {shape}: "
            "use reduction='none' and leave the mean to the objective."
        )
    rows = _rows(value, torch.mean)
    return Weighted(rows, torch.ones_like(rows))


def _correct(function: Callable, outputs: Any, targets: Tensor, like: Tensor) -> Tensor:
    if function is causal:
        outputs, targets = outputs[:, :-1], targets[:, 1:]
    whole = isinstance(outputs, Tensor) and not targets.is_floating_point() and targets.ndim == outputs.ndim - 1
    if not whole:
        return torch.full_like(like, torch.nan)
    right = (outputs.argmax(-1) == targets) & (targets != IGNORED)
    return _rows(right.to(like.dtype), torch.sum)


def _rows(values: Tensor, reduce: Callable) -> Tensor:
    return values if values.ndim == 1 else reduce(values.flatten(1), 1)


def _like(targets: Tensor, outputs: Tensor) -> Tensor:
    """Give targets the dtype and, for a trailing axis of one, the shape of the outputs: never broadcast (B,) to (B, B)."""
    if targets.shape != outputs.shape and targets.numel() != outputs.numel():
        raise ValueError(
            f"Expected targets of the outputs' shape {tuple(outputs.shape)}, got {tuple(targets.shape)}: "
            "reshape the targets, or use another loss."
        )
    return targets.reshape(outputs.shape).to(outputs.dtype)


def _half(logits: Tensor) -> bool:
    return logits.dtype in (torch.bfloat16, torch.float16)
