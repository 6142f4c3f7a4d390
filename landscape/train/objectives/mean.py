"""The mean of any per-example loss."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from landscape import losses
from landscape.train.batches import Batch
from landscape.train.clock import Clock
from landscape.train.step import Objective


def mean(loss: str | Callable) -> Objective:
    """Return the mean of a per-example loss over a batch as an objective.

    Parameters
    ----------
    loss : str or callable (outputs, targets) -> losses (B,)
        As `landscape.losses.loss` takes it: ``mse``, ``file.py:function`` ...

    Returns
    -------
    callable (model, batch, clock) -> scalar
    """
    function = losses.loss(loss)

    def objective(model: nn.Module, batch: Batch, clock: Clock) -> Tensor:
        scores = losses.scores(function, model(batch.inputs), batch.targets)
        return scores.loss.sum() / scores.weight.sum()

    return objective
