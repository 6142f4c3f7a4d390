"""Loss and accuracy of a model on a split, without augmentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from landscape import losses
from landscape.train.batches import Resident

CHUNK = 512  # examples a forward pass


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode inside, and every module back in its own mode afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@torch.no_grad()
def evaluate(model: nn.Module, data: Resident, loss: Callable, *, chunk: int = CHUNK) -> dict[str, float | None]:
    """Return the mean loss (nats) and the accuracy (fraction; None where it means nothing).

    Sums are accumulated in float64 and divided once, so a short last chunk weighs what it should.

    Parameters
    ----------
    model : nn.Module
        Evaluated in evaluation mode, and left in its own.
    data : Resident
        The split.
    loss : callable (outputs, targets) -> losses (B,)
        As `landscape.losses.loss` returns it.
    chunk : int
        Examples a forward pass.
    """
    total = torch.zeros(3, dtype=torch.float64)
    with evaluating(model):
        for start in range(0, len(data), chunk):
            batch = data.batch(slice(start, start + chunk))
            scores = losses.scores(loss, model(batch.inputs), batch.targets)
            total += torch.stack([x.cpu().double().sum() for x in (scores.loss, scores.correct, scores.weight)])
    value, accuracy = (total[:2] / total[2]).tolist()
    return {"loss": value, "accuracy": None if accuracy != accuracy else accuracy}
