"""The block that the vision transformer and the language model share."""

import torch
from torch import nn
from torch.nn import functional

from landscape.models import _expect

STD = 0.02  # of every weight at initialization, as in both papers' code


def heads_divide(width: int, heads: int) -> None:
    """Raise a ValueError unless `width` splits evenly into `heads`."""
    _expect.positive(width=width, heads=heads)
    if width % heads:
        raise ValueError(
            f"expected `heads` to divide `width`, got heads={heads} and width={width}; "
            f"give a width such as {heads * (width // heads + 1)}"
        )


class Block(nn.Module):
    """x + attention(norm(x)), then x + perceptron(norm(x)): pre-normalized, four times as wide inside, GELU."""

    def __init__(self, width: int, heads: int, *, causal: bool):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads, causal=causal)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map features (B, T, width) to features of the same shape."""
        x = x + self.attention(self.norm1(x))
        return x + self.contract(functional.gelu(self.expand(self.norm2(x))))


class Attention(nn.Module):
    """Multi-head self-attention.

    Notes
    -----
    Forward mode and second derivatives pass through `scaled_dot_product_attention` only with its math kernel
    (`torch.nn.attention.sdpa_kernel`); which kernel runs is for the caller to say, since first derivatives are faster
    with the fused ones.
    """

    def __init__(self, width: int, heads: int, *, causal: bool):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map features (B, T, width) to features of the same shape."""
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).movedim(-3, 0).transpose(-3, -2).unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        return self.project(mixed.transpose(-3, -2).flatten(-2))


def initialize(network: nn.Module) -> None:
    """Draw weights from N(0, 0.02²), biases zero, and shrink what is added to the residual stream.

    The two layers of each block that write to the stream are divided by sqrt(2 depth), so that its variance does not
    grow with depth.

    References
    ----------
    Radford et al. (2019), Language models are unsupervised multitask learners (no arXiv number), section 2.3.
    """
    blocks = [module for module in network.modules() if isinstance(module, Block)]
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=STD)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    for block in blocks:
        for layer in (block.attention.project, block.contract):
            nn.init.normal_(layer.weight, std=STD / (2 * len(blocks)) ** 0.5)
