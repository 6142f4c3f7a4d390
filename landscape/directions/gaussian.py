"""Random directions, normalized by the weights that they perturb."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from landscape.directions.attaching import attached, numbered
from landscape.frame import Frame, exact

if TYPE_CHECKING:
    from landscape.engine.network import Block
    from landscape.objective import Objective


NORMALIZATIONS = ("filter", "layer", "weight", "model", "none")
KEPT_OUT = ("bias", "norm")  # roles whose share of a random direction is zero unless included


def random(
    objective: Objective,
    count: int = 2,
    *,
    center: Tensor | None = None,
    normalization: str = "filter",
    include: Sequence[str] = (),
    seed: int = 0,
    draw: int = 0,
    norms: Tensor | None = None,
) -> Frame:
    r"""Draw Gaussian directions, each filter as long as the filter of the network it perturbs.

    .. math:: d_f \leftarrow d_f \, \|w_f\| / \|d_f\|

    A filter is all that feeds one output unit: a row of a Linear or Embedding, an output channel of a convolution
    (transposed ones too). Biases and parameters of normalization layers are not perturbed unless included;
    one that is counts as a single filter.

    Parameters
    ----------
    objective : Objective
        Its parameters are perturbed.
    count : int, default=2
        Number of directions, k.
    center : Tensor of shape (D,), optional
        The network that is perturbed; the objective's own parameters by default.
    normalization : {"filter", "layer", "weight", "model", "none"}
        What is scaled to the length of its counterpart in the network: each filter, each tensor, the whole vector;
        "weight" multiplies by every single ``|w|``.
    include : sequence of {"bias", "norm"}
        Roles that are perturbed too.
    seed, draw : int
        Directions are drawn on the CPU from (seed, draw, parameter name): the same on every device and in every
        precision, and the same for a parameter whichever others move.
    norms : Tensor of shape (D,), optional
        The weights whose filters set the scale; those at the center by default. Give the full-precision weights to
        compare quantizations of one network, whose own filters differ in length.

    Returns
    -------
    Frame
        ``record["ratio"]`` has the smallest and largest ``|d_f| / |w_f|`` over filters of non-zero length;
        ``record["norms"]`` is there where w is not the center.

    Raises
    ------
    ValueError
        If the normalization or an included role is unknown, or nothing is left to perturb.

    References
    ----------
    Li, Xu, Taylor, Studer & Goldstein (2018), Visualizing the loss landscape of neural nets, arXiv:1712.09913.
    """
    include = (include,) if isinstance(include, str) else tuple(include)
    moving = _moving(objective, normalization, include)
    center = attached(objective, center)
    own, ratios = exact(center if norms is None else attached(objective, norms)), []
    vectors = torch.zeros(count, objective.dim).to(center)
    for axis in range(count):
        row = torch.zeros_like(own)
        for block in moving:
            drawn = _gaussian(f"{seed}/{draw}/{axis}/{block.name}", block.shape)
            row[block.slice] = _scaled(drawn, own[block.slice].view(block.shape), block, normalization).flatten()
        if normalization == "model":
            row *= own.norm() / row.norm()
        vectors[axis] = row
        ratios += [_ratios(row, own, block) for block in moving]
    if not bool(vectors.any()):
        raise ValueError("Expected weights to perturb, got weights that are all zero: pass normalization='none'.")
    ratio = torch.cat(ratios)
    record = {
        "kind": "random", "normalization": normalization, "include": sorted(include), "seed": seed, "draw": draw,
        "ratio": [float(ratio.min()), float(ratio.max())] if len(ratio) else None,
    }
    record |= {} if norms is None else {"norms": "given"}
    return Frame(center, vectors, numbered("random direction", count), record).told()


def _moving(objective: Objective, normalization: str, include: tuple[str, ...]) -> list[Block]:
    """Return the blocks that a random direction perturbs."""
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"Expected a normalization among {', '.join(NORMALIZATIONS)}, got {normalization!r}.")
    if unknown := set(include) - set(KEPT_OUT):
        raise ValueError(f"Expected include among {', '.join(KEPT_OUT)}, got {', '.join(sorted(map(str, unknown)))}.")
    moving = [block for block in objective.blocks if block.role not in KEPT_OUT or block.role in include]
    if not moving:
        raise ValueError("Expected weights to perturb, got only biases and norms: pass include=('bias', 'norm').")
    return moving


def _gaussian(key: str, shape: tuple[int, ...]) -> Tensor:
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "big")
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, dtype=np.float64))


def _scaled(drawn: Tensor, own: Tensor, block: Block, normalization: str) -> Tensor:
    if normalization == "weight":
        return drawn * own.abs()
    if normalization in ("model", "none"):
        return drawn
    if normalization == "layer":
        return drawn * (own.norm() / drawn.norm())
    rows = block.filters(drawn)
    return block.unfiltered(rows * (block.filters(own).norm(dim=1) / rows.norm(dim=1))[:, None])


def _ratios(vector: Tensor, center: Tensor, block: Block) -> Tensor:
    ours, own = (block.filters(t[block.slice].view(block.shape)).norm(dim=1) for t in (vector, center))
    return ours[own > 0] / own[own > 0]
