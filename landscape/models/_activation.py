"""Activations by name."""

from torch import nn

from landscape.models import _expect

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


def activation(name: str) -> nn.Module:
    """Return a new activation module, never in place: derivatives of higher order need its input.

    Raises
    ------
    ValueError
        If `name` is not "relu", "tanh" or "gelu".
    """
    _expect.choice("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()
