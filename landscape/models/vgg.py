"""VGG networks for small images."""

import torch
from torch import nn

from landscape.models import _expect
from landscape.models._convolution import convolution, he, normalization

STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (1, 2, 4, 8, 8)


def vgg(
    depth: int = 16,
    *,
    norm: str = "batch",
    width: int = 64,
    classes: int = 10,
    shape: tuple[int, ...] = (3, 32, 32),
) -> nn.Module:
    """Build a VGG network in the form used for CIFAR: five stages of 3 x 3 convolutions, one linear layer.

    Parameters
    ----------
    depth : {11, 13, 16, 19}
        Configurations A, B, D and E of the paper. The depth counts the paper's three linear layers, of which the
        version for small images keeps one.
    norm : {"batch", "none"}
        "none" gives every convolution a bias instead.
    width : int
        Channels of the first stage; the others have 2, 4, 8 and 8 times as many.
    classes : int
        Number of outputs.
    shape : tuple of int
        (channels, height, width) of one image. Each stage ends in a pooling while both sides have two pixels or more;
        what remains is averaged, so that images of any size pass.

    Returns
    -------
    nn.Module
        ``(B, *shape) -> (B, classes)``.

    Raises
    ------
    ValueError
        If `depth`, `norm` or `shape` is none of the above.

    References
    ----------
    Simonyan and Zisserman (2014), Very deep convolutional networks for large-scale image recognition, arXiv:1409.1556.
    """
    _expect.positive(width=width, classes=classes)
    _expect.choice("depth", depth, STAGES)
    _expect.choice("norm", norm, ("batch", "none"))
    network = VGG(STAGES[depth], _expect.image(shape), width, norm, classes)
    he(network)
    return network


class VGG(nn.Module):
    """Stages of convolutions, the mean over pixels, and a linear layer."""

    def __init__(self, stages: tuple[int, ...], shape: tuple[int, int, int], width: int, norm: str, classes: int):
        super().__init__()
        channels, *sides = shape
        layers, side = [], min(sides)
        for count, factor in zip(stages, WIDTHS, strict=True):
            for _ in range(count):
                layers += [convolution(channels, factor * width, norm=norm)]
                layers += [normalization(norm, factor * width), nn.ReLU()]
                channels = factor * width
            if side >= 2:
                layers, side = [*layers, nn.MaxPool2d(2)], side // 2
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (B, channels, height, width) to logits (B, classes)."""
        return self.classifier(self.features(x).mean((-2, -1)))
