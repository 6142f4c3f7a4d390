"""Vision transformer for small images."""

import torch
from torch import nn

from landscape.models import _expect
from landscape.models._transformer import STD, Block, heads_divide, initialize


def vit(
    depth: int = 4,
    *,
    patch: int = 4,
    width: int = 64,
    heads: int = 4,
    classes: int = 10,
    shape: tuple[int, ...] = (3, 32, 32),
) -> nn.Module:
    """Build a vision transformer: square patches as tokens, a class token, learned positions, pre-normalized blocks.

    Parameters
    ----------
    depth : int
        Number of blocks.
    patch : int, pixels
        Side of a patch; it must divide the height and the width of the images.
    width : int
        Features of a token.
    heads : int
        Attention heads; they must divide `width`.
    classes : int
        Number of outputs.
    shape : tuple of int
        (channels, height, width) of one image.

    Returns
    -------
    nn.Module
        ``(B, *shape) -> (B, classes)``.

    Raises
    ------
    ValueError
        If the patch does not divide the image, the heads do not divide the width, or a size is not positive.

    References
    ----------
    Dosovitskiy et al. (2020), An image is worth 16x16 words, arXiv:2010.11929.
    """
    _expect.positive(depth=depth, patch=patch, classes=classes)
    heads_divide(width, heads)
    channels, *sides = _expect.image(shape)
    if any(side % patch for side in sides):
        raise ValueError(
            f"expected `patch` to divide the image, got patch={patch} for {sides[0]} x {sides[1]} pixels; "
            f"choose one of {divisors(*sides)}"
        )
    network = VisionTransformer(depth, patch, width, heads, classes, channels, sides)
    initialize(network)
    return network


def divisors(height: int, width: int) -> list[int]:
    """List the sides of square patches that tile an image, smallest first."""
    return [side for side in range(1, min(height, width) + 1) if height % side == 0 and width % side == 0]


class VisionTransformer(nn.Module):
    """Patches, blocks, and a linear layer that reads the class token."""

    def __init__(self, depth: int, patch: int, width: int, heads: int, classes: int, channels: int, sides: list[int]):
        super().__init__()
        self.patch, self.grid = patch, tuple(side // patch for side in sides)
        # Equal to a convolution of stride `patch`, but a matrix product stays fast when vmap stacks the parameters.
        self.embed = nn.Linear(channels * patch * patch, width)
        self.token = nn.Parameter(STD * torch.randn(1, 1, width))
        self.position = nn.Parameter(STD * torch.randn(1, 1 + self.grid[0] * self.grid[1], width))
        self.blocks = nn.Sequential(*(Block(width, heads, causal=False) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (B, channels, height, width) to logits (B, classes)."""
        tokens = self.embed(self.patches(x))
        tokens = torch.cat([self.token.expand(x.shape[0], -1, -1), tokens], dim=1)
        return self.head(self.norm(self.blocks(tokens + self.position))[:, 0])

    def patches(self, x: torch.Tensor) -> torch.Tensor:
        """Cut images (B, C, H, W) into rows (B, H W / patch², C patch²), left to right and top to bottom."""
        rows, columns = self.grid
        x = x.unflatten(3, (columns, self.patch)).unflatten(2, (rows, self.patch))
        return x.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
