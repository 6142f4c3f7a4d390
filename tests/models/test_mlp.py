"""What the multilayer perceptron promises: layers, activations, any input."""

import pytest
import torch
from torch import nn

from landscape.models.mlp import mlp


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_depth_counts_hidden_layers(depth):
    network = mlp(5, depth, classes=3, shape=(7,))
    sizes = [layer.weight.shape for layer in network if isinstance(layer, nn.Linear)]
    assert sizes == [(b, a) for a, b in zip([7] + [5] * depth, [5] * depth + [3], strict=True)]


@pytest.mark.parametrize(("name", "kind"), [("relu", nn.ReLU), ("tanh", nn.Tanh), ("gelu", nn.GELU)])
def test_activation_stands_between_layers_only(name, kind):
    network = mlp(depth=2, activation=name, shape=(7,))
    assert [type(layer) for layer in network] == [nn.Flatten, nn.Linear, kind, nn.Linear, kind, nn.Linear]


@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 4), (2, 2, 2, 2)])
def test_inputs_of_any_shape_are_flattened(shape):
    assert mlp(shape=shape)(torch.zeros(3, *shape)).shape == (3, 10)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"depth": -1}, "expected `depth` to be at least 0, got -1; give"),
        ({"width": 0}, "expected `width` .*, got 0; give"),
        ({"width": 2.5}, "expected `width` .*, got 2.5; give"),
        ({"shape": (3, 0)}, r"expected `shape\[1\]` .*, got 0; give"),
        ({"activation": "sine"}, "expected `activation` to be one of 'relu', 'tanh', 'gelu', got 'sine'; choose"),
    ],
)
def test_what_makes_no_network_is_refused(knobs, message):
    with pytest.raises(ValueError, match=message):
        mlp(**knobs)
