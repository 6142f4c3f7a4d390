"""Small decoder-only language model."""

import torch
from torch import nn

from landscape.models import _expect
from landscape.models._transformer import STD, Block, heads_divide, initialize


def gpt(
    depth: int = 2,
    *,
    width: int = 64,
    heads: int = 4,
    tied: bool = True,
    classes: int = 64,
    shape: tuple[int, ...] = (32,),
) -> nn.Module:
    """Build a decoder-only transformer that predicts the next token at every position.

    Parameters
    ----------
    depth : int
        Number of blocks.
    width : int
        Features of a token.
    heads : int
        Attention heads; they must divide `width`.
    tied : bool
        Whether the output layer and the embedding are one and the same parameter.
    classes : int
        Size of the vocabulary.
    shape : tuple of int
        (length,) of the longest sequence; shorter ones pass too.

    Returns
    -------
    nn.Module
        (B, T) int64 -> (B, T, classes); position t sees tokens 0 to t only.

    Raises
    ------
    ValueError
        If `shape` is not one length, the heads do not divide the width, or a size is not positive.

    References
    ----------
    Radford et al. (2019), Language models are unsupervised multitask learners (no arXiv number).
    Press and Wolf (2016), Using the output embedding to improve language models, arXiv:1608.05859 (tied weights).
    """
    if len(shape) != 1:
        raise ValueError(
            f"expected `shape` as (length,), got {tuple(shape)}; give the length of the longest sequence, such as (32,)"
        )
    _expect.positive(depth=depth, classes=classes, length=shape[0])
    heads_divide(width, heads)
    network = GPT(depth, width, heads, classes, shape[0])
    initialize(network)
    if tied:
        network.head.weight = network.embedding.weight
    return network


class GPT(nn.Module):
    """Token and position embeddings, causal blocks, and a linear layer at every position."""

    def __init__(self, depth: int, width: int, heads: int, classes: int, length: int):
        super().__init__()
        self.embedding = nn.Embedding(classes, width)
        self.position = nn.Parameter(STD * torch.randn(length, width))
        self.blocks = nn.Sequential(*(Block(width, heads, causal=True) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map tokens (B, T) int64 to logits (B, T, classes)."""
        x = self.embedding(tokens) + self.position[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(x)))
