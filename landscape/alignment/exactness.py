"""Whether a permuted network computes what it did."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from landscape.alignment.running import running, tensors
from landscape.alignment.structure import Permutation, Structure, permuted
from landscape.alignment.weights import among
from landscape.engine.network import call

SHARE = 0.5  # power of the format's precision that outputs may differ by: sums are added up in another order


@torch.no_grad()
def require_same_function(model: nn.Module, structure: Structure, permutation: Permutation, inputs: Any) -> None:
    """Refuse a permutation that changes what a network computes.

    Parameters
    ----------
    model : nn.Module
        Left as it is; a copy runs, in evaluation mode and in float64 where it can.
    structure : Structure
    permutation : dict of str to Tensor
    inputs : Tensor, tuple of Tensor or dict of str to Tensor
        Some examples, as the model takes them.

    Raises
    ------
    ValueError
        If outputs differ by more than rounding.
    """
    network, given, before = running(model, inputs)
    state = {name: tensor for name, tensor in network.state_dict().items() if isinstance(tensor, Tensor)}
    network.load_state_dict(permuted(state, among(structure, state), permutation), strict=False)
    for old, new in zip(before, tensors(call(network, given)), strict=True):
        if not old.is_floating_point():
            continue
        scale, away = float(old.abs().max()), float((new - old).abs().max())
        if not away <= torch.finfo(old.dtype).eps ** SHARE * scale:
            raise ValueError(
                f"Expected a permutation that leaves the outputs of {type(model).__name__} as they are, got outputs up "
                f"to {scale:.3g} that differ by {away:.2g}: its structure is none of this network, declare another."
            )

