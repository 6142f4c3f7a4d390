"""The memory of a forward pass is that of the activations alive together."""

import torch
from torch import nn

from landscape.engine.footprint import footprint


def measured(model, *shape):
    return footprint(lambda: model(torch.zeros(2, *shape))) // 2 - 4 * torch.Size(shape).numel()


def test_a_chain_keeps_two_layers_alive():
    chain = nn.Sequential(nn.Linear(8, 100), nn.Linear(100, 50), nn.Linear(50, 10))
    assert measured(chain, 8) == 4 * (100 + 50)


def test_a_shortcut_keeps_three():
    class Shortcut(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.third = nn.Linear(8, 40), nn.Linear(40, 40), nn.Linear(40, 40)

        def forward(self, x):
            x = self.first(x)
            return x + self.third(self.second(x))

    assert measured(Shortcut(), 8) == 4 * 3 * 40


def test_views_and_in_place_operations_count_once():
    model = nn.Sequential(nn.Linear(8, 64), nn.Unflatten(1, (8, 8)), nn.ReLU(inplace=True), nn.Flatten())
    assert measured(model, 8) == 4 * 64
