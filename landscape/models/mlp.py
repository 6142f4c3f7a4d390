"""Multilayer perceptron."""

import math

from torch import nn

from landscape.models import _expect
from landscape.models._activation import activation as named


def mlp(
    width: int = 64,
    depth: int = 2,
    *,
    activation: str = "relu",
    classes: int = 10,
    shape: tuple[int, ...] = (3, 32, 32),
) -> nn.Sequential:
    """Build a multilayer perceptron on flattened inputs.

    Parameters
    ----------
    width : int
        Units of each hidden layer.
    depth : int
        Number of hidden layers; 0 is a linear classifier.
    activation : {"relu", "tanh", "gelu"}
        "tanh" and "gelu" make the loss twice differentiable everywhere.
    classes : int
        Number of outputs.
    shape : tuple of int
        Shape of one input without the batch axis; of any length.

    Returns
    -------
    nn.Sequential
        ``(B, *shape) -> (B, classes)``.

    Raises
    ------
    ValueError
        If a size is not positive, the depth negative, or the activation unknown.

    Examples
    --------
    >>> import torch
    >>> mlp(16, 1, classes=3, shape=(1, 8, 8))(torch.zeros(5, 1, 8, 8)).shape
    torch.Size([5, 3])
    """
    _expect.positive(width=width, classes=classes, **{f"shape[{i}]": size for i, size in enumerate(shape)})
    if depth < 0:
        raise ValueError(f"expected `depth` to be at least 0, got {depth}; give the number of hidden layers")
    sizes = [math.prod(shape)] + [width] * depth
    hidden = [
        layer
        for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True)
        for layer in (nn.Linear(inputs, outputs), named(activation))
    ]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(sizes[-1], classes))
