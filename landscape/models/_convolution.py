"""The pieces that convolutional networks share: convolution, normalization, initialization."""

import math

from torch import nn

from landscape.models import _expect

GROUPS = 8  # two channels a group at the width of 16 where CIFAR networks begin


def convolution(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, norm: str = "batch") -> nn.Conv2d:
    """Return a convolution that keeps the size of its input, up to its stride.

    It has a bias only where no normalization follows: before one, a bias would be a flat direction of the loss (or,
    with group norm, shared with its shift). Folding batch norm into a resnet or a vgg therefore gives its
    norm="none" twin.
    """
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=norm == "none")


def normalization(norm: str, channels: int) -> nn.Module:
    """Return the normalization of that name for feature maps with `channels` channels.

    Raises
    ------
    ValueError
        If `norm` is not "batch", "group" or "none".

    References
    ----------
    Ioffe and Szegedy (2015), Batch normalization, arXiv:1502.03167.
    Wu and He (2018), Group normalization, arXiv:1803.08494.
    """
    _expect.choice("norm", norm, ("batch", "group", "none"))
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "group":
        return nn.GroupNorm(math.gcd(GROUPS, channels), channels)
    return nn.Identity()


def he(network: nn.Module) -> None:
    """Draw the weight of every convolution from N(0, 2 / fan in), and set the biases of convolutions to zero.

    References
    ----------
    He et al. (2015), Delving deep into rectifiers, arXiv:1502.01852.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
