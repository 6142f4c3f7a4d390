"""One value with the derivatives of another."""

from __future__ import annotations

from torch import Tensor


def through(soft: Tensor, hard: Tensor) -> Tensor:
    """Return the numbers of `hard`, bit for bit where `soft` is finite, with the derivatives of `soft`, of every order.

    ``hard + (soft - soft)``, with nothing but the first `soft` differentiated: the usual ``soft + (hard - soft)`` has
    the same derivatives, and rounds.
    """
    return hard.detach() + (soft - soft.detach())
