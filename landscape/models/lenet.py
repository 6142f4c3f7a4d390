"""LeNet-5, fitted to the size of the images."""

from torch import nn

from landscape.models import _expect
from landscape.models._activation import activation as named

KERNEL = 5
SMALLEST = 4  # pixels a side that two poolings leave something of


def lenet(*, activation: str = "relu", classes: int = 10, shape: tuple[int, ...] = (3, 32, 32)) -> nn.Sequential:
    """Build LeNet-5: two 5 x 5 convolutions with average pooling, then layers of 120 and 84 units.

    Sides below 32 pixels are padded by two before the first convolution, as the paper pads MNIST from 28 to 32; where
    fewer than eight pixels reach the second convolution it is padded as well, so that the 8 x 8 digits pass.

    Parameters
    ----------
    activation : {"relu", "tanh", "gelu"}
        The paper has a scaled tanh; "relu" is today's habit.
    classes : int
        Number of outputs.
    shape : tuple of int
        (channels, height, width) of one image.

    Returns
    -------
    nn.Sequential
        ``(B, *shape) -> (B, classes)``; 61,706 parameters for ten classes and one channel of 28 x 28 or 32 x 32.

    Raises
    ------
    ValueError
        If `shape` is not that of an image of at least 4 x 4 pixels, or the activation is unknown.

    References
    ----------
    LeCun, Bottou, Bengio and Haffner (1998), Gradient-based learning applied to document recognition, Proc. IEEE 86.
    """
    _expect.positive(classes=classes)
    channels, height, width = _expect.image(shape, smallest=SMALLEST)
    first, height, width = fitted(height, width, enough=32)
    second, height, width = fitted(height, width, enough=8)
    return nn.Sequential(
        nn.Conv2d(channels, 6, KERNEL, padding=first),
        named(activation),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, KERNEL, padding=second),
        named(activation),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * height * width, 120),
        named(activation),
        nn.Linear(120, 84),
        named(activation),
        nn.Linear(84, classes),
    )


def fitted(height: int, width: int, *, enough: int) -> tuple[tuple[int, int], int, int]:
    """Return the padding (vertical, horizontal) of a convolution, and the height and width after its pooling.

    Parameters
    ----------
    height, width : int, pixels
        Size before the convolution.
    enough : int, pixels
        Sides of at least this many pixels go without padding.
    """
    vertical, horizontal = (0 if side >= enough else KERNEL // 2 for side in (height, width))
    return (vertical, horizontal), pooled(height, vertical), pooled(width, horizontal)


def pooled(side: int, padding: int) -> int:
    """Return what a convolution and a pooling by two leave of a side, all in pixels."""
    return (side + 2 * padding - KERNEL + 1) // 2
