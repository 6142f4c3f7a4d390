"""The gradient of the loss of the batch."""

from torch import Tensor

from landscape.train.step import Step


def plain(step: Step) -> Tensor:
    """Leave the gradient of the batch in ``.grad`` and return its loss.

    Notes
    -----
    One gradient evaluation.
    """
    return step.backward()
