"""Cross entropy of classes or tokens."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from landscape.train.batches import Batch
from landscape.train.clock import Clock
from landscape.train.step import Objective


def cross_entropy(*, label_smoothing: float = 0.0) -> Objective:
    """Return the mean cross entropy of a batch as an objective, in nats.

    Parameters
    ----------
    label_smoothing : float, from 0 to 1
        Share of the target probability that is spread evenly over all classes.

    Returns
    -------
    callable (model, batch, clock) -> scalar
        Outputs (B, C) against classes (B,), or (B, T, C) against tokens (B, T).

    References
    ----------
    Szegedy et al. (2015), Rethinking the inception architecture for computer vision, arXiv:1512.00567.
    """

    def objective(model: nn.Module, batch: Batch, clock: Clock) -> Tensor:
        outputs = model(batch.inputs)
        logits = getattr(outputs, "logits", outputs)
        if batch.targets.ndim > 1 and batch.targets.ndim == logits.ndim - 1:
            logits = logits.movedim(-1, 1)
        return functional.cross_entropy(logits, batch.targets, label_smoothing=label_smoothing)

    return objective
