"""Objectives whose lines and planes are known."""

from functools import cache

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from landscape.checkpoint import Spec, build
from landscape.objective import Objective


class Quadratic:
    """Half the mean squared error of a linear map, on two splits: every loss in closed form."""

    def __init__(self, dim=6, precision="float64", **options):
        random = np.random.default_rng(3)
        scale = np.linspace(0.5, 2, dim)
        self.data = {
            name: (scale * random.standard_normal((count, dim)), random.standard_normal((count, 1)))
            for name, count in (("train", 40), ("test", 15))
        }
        self.model = nn.Linear(dim, 1, bias=False).double()
        with torch.no_grad():
            self.model.weight.copy_(torch.from_numpy(random.standard_normal((1, dim))))
        tensors = {name: tuple(map(torch.from_numpy, pair)) for name, pair in self.data.items()}
        self.objective = Objective(self.model, tensors, _half_square, precision=precision, device="cpu", **options)

    def loss(self, theta):
        """Closed form: points (..., D) -> (S, ...)."""
        return np.stack([0.5 * ((theta @ x.T - y[:, 0]) ** 2).mean(-1) for x, y in self.data.values()])

    def hessian(self):
        """Hessian of the first split."""
        x, _ = self.data["train"]
        return x.T @ x / len(x)


def _half_square(outputs, targets):
    return 0.5 * (outputs - targets)[:, 0] ** 2


@pytest.fixture(params=["loop,examples=16", "vmap,points=4,examples=16", "auto"])
def planned(request):
    """The quadratic under every kind of plan."""
    return Quadratic(strategy=request.param)


@pytest.fixture
def quadratic():
    return Quadratic(strategy="vmap,points=4,examples=16")


@pytest.fixture
def classifier():
    """A small network with batch norm over three classes, on two splits."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)).double()
    x, y = torch.randn(50, 4, dtype=torch.float64), torch.randint(0, 3, (50,))
    return Objective(model, {"train": (x[:40], y[:40]), "test": (x[40:], y[40:])}, precision="float64", device="cpu")


FAMILIES = {  # every family of networks, as small as it comes; of the larger ones the last layers move
    "mlp": (Spec("mlp", {"width": 5, "classes": 3, "shape": (1, 4, 4)}), "*"),
    "lenet": (Spec("lenet", {"classes": 3, "shape": (1, 4, 4)}), ("0.*", "11.*")),
    "resnet": (Spec("resnet", {"depth": 8, "width": 1, "classes": 3, "shape": (1, 4, 4)}), "*"),
    "vit": (Spec("vit", {"depth": 1, "width": 4, "heads": 2, "patch": 2, "classes": 3, "shape": (1, 4, 4)}), "*"),
    "gpt": (Spec("gpt", {"depth": 1, "width": 4, "heads": 2, "classes": 5, "shape": (6,)}), "*"),
}


@pytest.fixture(scope="session")
def curved():
    """Objectives of every family in float64, each with its Hessian as torch itself differentiates the mean loss."""

    @cache
    def make(name, task="cross_entropy", batchnorm="frozen"):
        with torch.random.fork_rng():
            torch.manual_seed(5)
            spec, chosen = FAMILIES[name]
            model = build(spec).double()
            shape = spec.arguments["shape"]
            x = torch.randint(5, (7, *shape)) if name == "gpt" else torch.randn(7, *shape, dtype=torch.float64)
            y = torch.randint(5, (7, *shape)) if name == "gpt" else torch.tensor([0, 1, 2, 0, 1, 2, 2])
            if task == "mse":
                y = torch.randn(7, 3, dtype=torch.float64)
        options = {"parameters": chosen, "batchnorm": batchnorm, "precision": "float64", "device": "cpu"}
        objective = Objective(model, (x, y), task, batch_size=7 if batchnorm == "batch" else None, **options)
        model.train(batchnorm == "batch")

        def mean(theta):
            outputs = functional_call(model, objective.unpack(theta), (x,))
            if task == "mse":
                return ((outputs - y) ** 2).mean()
            return nn.functional.cross_entropy(outputs.flatten(0, -2), y.flatten())

        with sdpa_kernel(SDPBackend.MATH):
            return objective, torch.autograd.functional.hessian(mean, objective.theta)

    return make
