"""A gradient of bounded length."""

from __future__ import annotations

import torch
from torch import Tensor

from landscape.train.gradients.plain import plain
from landscape.train.step import Gradient, Step


def clipped(norm: float, gradient: Gradient = plain) -> Gradient:
    """Scale the gradient of another rule down to a length of `norm`, where it is longer.

    The length is that of all parameters together.

    References
    ----------
    Pascanu, Mikolov and Bengio (2013), On the difficulty of training recurrent neural networks, arXiv:1211.5063.
    """

    def bounded(step: Step) -> Tensor:
        loss = gradient(step)
        torch.nn.utils.clip_grad_norm_(step.parameters.values(), norm)
        return loss

    return bounded
