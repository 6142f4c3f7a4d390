"""Networks with everything that a point on a curve must get right, and a loss whose valley is a circle."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from landscape.checkpoint import Spec, build
from landscape.objective import Objective


class Tied(nn.Module):
    """Two layers that share their weight."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 3)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.last(torch.tanh(self.second(torch.tanh(self.first(x)))))


def made(name: str) -> nn.Module:
    """Build a network by what is special about it, in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        layers = {
            "plain": lambda: nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3)),
            "norm": lambda: nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)),
            "dropout": lambda: nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 3)),
            "tied": Tied,
            "attention": lambda: build(
                Spec("vit", {"depth": 1, "width": 4, "heads": 2, "patch": 2, "classes": 3, "shape": (1, 4, 4)})
            ),
        }
        return layers[name]().double()


@pytest.fixture(params=["plain", "norm", "dropout", "tied", "attention"])
def family(request):
    """A network in float64, and an objective of it on twelve examples."""
    model = made(request.param)
    shape = (1, 4, 4) if request.param == "attention" else (5,)
    x, y = torch.randn(12, *shape, dtype=torch.float64), torch.arange(12) % 3
    policy = "refit" if request.param == "norm" else "frozen"
    return model, Objective(model, (x, y), precision="float64", batchnorm=policy, device="cpu")


@pytest.fixture
def network():
    """An objective on three classes with batch norm and dropout, and another point of it."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 3))
    centers = 2 * torch.randn(3, 5)
    y = torch.arange(90) % 3
    x = centers[y] + torch.randn(90, 5)
    data = {"train": (x[:60], y[:60]), "test": (x[60:], y[60:])}
    objective = Objective(model, data, batchnorm="refit", device="cpu", strategy="loop,examples=64")
    return objective, objective.theta + 0.5 * torch.randn(objective.dim)


class Position(nn.Module):
    """Two parameters x and y; the output is x^2 + y^2 - 1, whatever the input."""

    def __init__(self, where):
        super().__init__()
        self.where = nn.Parameter(torch.tensor(where, dtype=torch.float64))

    def forward(self, inputs):
        return (self.where.square().sum() - 1).expand(len(inputs), 1)


ANGLE = math.radians(5)  # of the ends over the horizontal: on it, the segment would be a saddle that nothing leaves


@pytest.fixture
def ring():
    """(x^2 + y^2 - 1)^2, whose minima are the unit circle: an objective at one of them, and the one across."""
    x, y = math.cos(ANGLE), math.sin(ANGLE)
    data = torch.zeros(4, 1, dtype=torch.float64), torch.zeros(4, 1, dtype=torch.float64)
    objective = Objective(Position([x, y]), data, lambda out, _: out[:, 0] ** 2, precision="float64", device="cpu")
    return objective, torch.tensor([-x, y], dtype=torch.float64)
