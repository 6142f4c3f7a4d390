"""Wide residual networks with pre-activation."""

import torch
from torch import nn
from torch.nn import functional

from landscape.models import _expect
from landscape.models._convolution import convolution, he, normalization


def wideresnet(
    depth: int = 16,
    *,
    widen: int = 4,
    dropout: float = 0.0,
    norm: str = "batch",
    classes: int = 10,
    shape: tuple[int, ...] = (3, 32, 32),
) -> nn.Module:
    """Build a wide residual network: 3 stages of n pre-activated blocks, depth = 6n + 4.

    Parameters
    ----------
    depth : int
        16, 22, 28 and 40 in the paper; 10, 34, ... are allowed too.
    widen : int
        The stages have 16, 32 and 64 times `widen` channels.
    dropout : float in [0, 1)
        Probability of dropping a feature between the two convolutions of a block, in training mode.
    norm : {"batch", "group", "none"}
        "none" gives every convolution a bias instead.
    classes : int
        Number of outputs.
    shape : tuple of int
        (channels, height, width) of one image, of any size.

    Returns
    -------
    nn.Module
        ``(B, *shape) -> (B, classes)``.

    Raises
    ------
    ValueError
        If `depth` is not of the form 6n + 4, or another argument is none of the above.

    References
    ----------
    Zagoruyko and Komodakis (2016), Wide residual networks, arXiv:1605.07146.
    """
    _expect.positive(widen=widen, classes=classes)
    if not 0 <= dropout < 1:
        raise ValueError(f"expected `dropout` in [0, 1), got {dropout}; give a probability, 0 for none")
    network = WideResNet(
        _expect.blocks(depth, layers=6, extra=4), _expect.image(shape)[0], widen, dropout, norm, classes
    )
    he(network)
    return network


class WideResNet(nn.Module):
    """A convolution, three stages of blocks, a last normalization, the mean over pixels, and a linear layer."""

    def __init__(self, blocks: int, channels: int, widen: int, dropout: float, norm: str, classes: int):
        super().__init__()
        thin, *wide = 16, 16 * widen, 32 * widen, 64 * widen
        self.conv1 = convolution(channels, thin, norm=norm)
        self.layer1 = stage(blocks, thin, wide[0], 1, dropout, norm)
        self.layer2 = stage(blocks, wide[0], wide[1], 2, dropout, norm)
        self.layer3 = stage(blocks, wide[1], wide[2], 2, dropout, norm)
        self.bn1 = normalization(norm, wide[2])
        self.linear = nn.Linear(wide[2], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (B, channels, height, width) to logits (B, classes)."""
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return self.linear(functional.relu(self.bn1(x)).mean((-2, -1)))


def stage(blocks: int, inputs: int, outputs: int, stride: int, dropout: float, norm: str) -> nn.Sequential:
    """Return blocks of which the first changes the number of channels and the size."""
    first = Block(inputs, outputs, stride, dropout, norm)
    return nn.Sequential(first, *(Block(outputs, outputs, 1, dropout, norm) for _ in range(blocks - 1)))


class Block(nn.Module):
    """shortcut + f(a) with a = relu(norm(x)); the shortcut is x, or a projected where the size changes."""

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float, norm: str):
        super().__init__()
        self.bn1 = normalization(norm, inputs)
        self.conv1 = convolution(inputs, outputs, stride=stride, norm=norm)
        self.bn2 = normalization(norm, outputs)
        # Dropout draws random numbers even at probability zero, which vmap refuses.
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.conv2 = convolution(outputs, outputs, norm=norm)
        same = inputs == outputs and stride == 1
        self.shortcut = None if same else convolution(inputs, outputs, kernel=1, stride=stride, norm=norm)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map features (B, inputs, H, W) to (B, outputs, H / stride, W / stride), rounded up."""
        a = functional.relu(self.bn1(x))
        y = self.conv2(self.dropout(functional.relu(self.bn2(self.conv1(a)))))
        return y + (x if self.shortcut is None else self.shortcut(a))
