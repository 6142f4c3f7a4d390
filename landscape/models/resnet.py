"""Residual networks for CIFAR, and their twins without shortcuts or without normalization."""

import torch
from torch import nn
from torch.nn import functional

from landscape.models import _expect
from landscape.models._convolution import convolution, he, normalization


def resnet(
    depth: int = 20,
    *,
    width: int = 16,
    shortcut: str = "A",
    norm: str = "batch",
    classes: int = 10,
    shape: tuple[int, ...] = (3, 32, 32),
) -> nn.Module:
    """Build a CIFAR residual network: 3 stages of n blocks of two 3 x 3 convolutions, depth = 6n + 2.

    Parameters
    ----------
    depth : int
        Layers with weights: 20, 32, 44, 56 and 110 in the paper; 8, 14, ... are allowed too.
    width : int
        Channels of the first stage; the others have twice and four times as many.
    shortcut : {"A", "B", "none"}
        Where the number of channels grows: "A" takes every second pixel and pads with zero channels (no parameters),
        "B" projects by a normalized 1 x 1 convolution. "none" takes all shortcuts away, those of equal size too.
    norm : {"batch", "group", "none"}
        "none" gives every convolution a bias instead.
    classes : int
        Number of outputs.
    shape : tuple of int
        (channels, height, width) of one image, of any size.

    Returns
    -------
    nn.Module
        ``(B, *shape) -> (B, classes)``. With option A and batch norm the parameters carry the names of the published
        CIFAR checkpoints (`conv1`, `bn1`, `layer1.0.conv1`, ..., `linear`) and number 269,722 for depth 20.

    Raises
    ------
    ValueError
        If `depth` is not of the form 6n + 2, or another argument is none of the above.

    Notes
    -----
    Without normalization the variance of the features doubles with each block at initialization (plain He
    initialization, no Fixup), so that deep networks with norm="none" need a small step size or trained weights.

    References
    ----------
    He, Zhang, Ren and Sun (2015), Deep residual learning for image recognition, arXiv:1512.03385.
    Li et al. (2018), Visualizing the loss landscape of neural nets, arXiv:1712.09913 (networks without shortcuts).
    """
    _expect.positive(width=width, classes=classes)
    _expect.choice("shortcut", shortcut, ("A", "B", "none"))
    network = ResNet(_expect.blocks(depth, layers=6, extra=2), _expect.image(shape)[0], width, shortcut, norm, classes)
    he(network)
    return network


class ResNet(nn.Module):
    """A convolution, three stages of residual blocks, the mean over pixels, and a linear layer."""

    def __init__(self, blocks: int, channels: int, width: int, shortcut: str, norm: str, classes: int):
        super().__init__()
        self.conv1 = convolution(channels, width, norm=norm)
        self.bn1 = normalization(norm, width)
        self.layer1 = stage(blocks, width, width, 1, shortcut, norm)
        self.layer2 = stage(blocks, width, 2 * width, 2, shortcut, norm)
        self.layer3 = stage(blocks, 2 * width, 4 * width, 2, shortcut, norm)
        self.linear = nn.Linear(4 * width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (B, channels, height, width) to logits (B, classes)."""
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((-2, -1)))


def stage(blocks: int, inputs: int, outputs: int, stride: int, shortcut: str, norm: str) -> nn.Sequential:
    """Return residual blocks of which the first changes the number of channels and the size."""
    first = Block(inputs, outputs, stride, shortcut, norm)
    return nn.Sequential(first, *(Block(outputs, outputs, 1, shortcut, norm) for _ in range(blocks - 1)))


class Block(nn.Module):
    """relu(f(x) + shortcut(x)), where f is two normalized convolutions with a relu between them."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: str, norm: str):
        super().__init__()
        self.conv1 = convolution(inputs, outputs, stride=stride, norm=norm)
        self.bn1 = normalization(norm, outputs)
        self.conv2 = convolution(outputs, outputs, norm=norm)
        self.bn2 = normalization(norm, outputs)
        self.shortcut = bridge(shortcut, inputs, outputs, stride, norm)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map features (B, inputs, H, W) to (B, outputs, H / stride, W / stride), rounded up."""
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        # Structure, not data: the branch is taken once when the network is traced.
        return functional.relu(y if self.shortcut is None else y + self.shortcut(x))


def bridge(shortcut: str, inputs: int, outputs: int, stride: int, norm: str) -> nn.Module | None:
    """Return the shortcut around a block, or None where there is none."""
    if shortcut == "none":
        return None
    if inputs == outputs and stride == 1:
        return nn.Identity()
    if shortcut == "A":
        return Subsample(outputs - inputs, stride)
    return nn.Sequential(convolution(inputs, outputs, kernel=1, stride=stride, norm=norm), normalization(norm, outputs))


class Subsample(nn.Module):
    """Option A: keep one pixel in `stride` along each side, and add zero channels before and after."""

    def __init__(self, channels: int, stride: int):
        super().__init__()
        self.stride = stride
        self.padding = (0, 0, 0, 0, channels // 2, channels - channels // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map features (B, C, H, W) to (B, C + channels, H / stride, W / stride), rounded up."""
        return functional.pad(x[:, :, :: self.stride, :: self.stride], self.padding)
