"""Folding batch norm: what may be folded, and that nothing else is."""

import pytest
import torch
from torch import nn

from landscape import operators
from landscape.engine.folding import foldable
from landscape.engine.plan import Plan
from landscape.objective import Objective


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.norm(self.conv(self.norm(self.conv(x)))).mean((2, 3))


class Seen(Twice):
    def forward(self, x):
        y = self.conv(x)
        return (self.norm(y) + y).mean((2, 3))


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.norm = nn.Linear(4, 4), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.norm(self.linear(x)).mean((2, 3))  # features of the linear layer are not the channels


class Rows(Tokens):
    def __init__(self):
        super().__init__()
        self.linear, self.norm = nn.Linear(3, 3), nn.BatchNorm1d(3)

    def forward(self, x):
        return self.norm(self.linear(x[:, :, 0, :3])).tanh().mean(2)  # as many rows as features: every shape fits


class Optional(Twice):
    def forward(self, x, alone=None):
        y = self.conv(x)
        return (self.norm(y) if alone is not None else self.norm(y) + y).mean((2, 3))


class Weighed(Twice):
    def forward(self, x):
        return self.norm(self.conv(x)).mean((2, 3)) * self.conv.weight.sum()  # looks at what would be folded


class Named(Twice):
    def forward(self, x):
        return self.norm(input=self.conv(input=x)).mean((2, 3))


def objective(model):
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    data = torch.randn(9, 3, 4, 4), torch.arange(9) % 3
    return Objective(model, data, precision="float64", device="cpu")


@pytest.mark.parametrize("model", [Twice(), Seen(), Tokens(), Rows(), Optional()])
def test_what_is_shared_seen_or_on_another_axis_is_not_folded(model):
    assert foldable(model) == []
    f = objective(model)
    points = f.theta + torch.randn(2, f.dim, dtype=torch.float64)
    torch.testing.assert_close(torch.tensor(f.measure(points, plan=Plan(folded=True)).loss[0]), f.value(points))


@pytest.mark.parametrize("model", [Rows(), Optional()])
def test_products_fold_nothing_else_either(model):
    f = objective(model)
    rows = torch.eye(f.dim, dtype=torch.float64)
    plain, chosen = (operators.hessian(f.using(s))(rows) for s in ("retained,examples=9", "retained,folded,examples=9"))
    torch.testing.assert_close(chosen, plain, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_folding_equals_normalizing(affine, bias):
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=bias),
        nn.BatchNorm2d(4, affine=affine),
        nn.ReLU(),
        nn.Flatten(2),
        nn.Conv1d(4, 5, 2, bias=bias),
        nn.BatchNorm1d(5, affine=affine),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(15, 3),
    )
    assert foldable(model) == [("0", "1"), ("4", "5")]
    f = objective(model)
    points = f.theta + 0.3 * torch.randn(4, f.dim, dtype=torch.float64)
    folded = torch.tensor(f.measure(points, plan=Plan(folded=True)).loss[0])
    torch.testing.assert_close(folded, f.value(points), rtol=1e-12, atol=0)
    part = Objective(
        model, f.examples["train"], parameters=["1.*", "4.*"] if affine else "4.*", precision="float64", device="cpu"
    )
    theta = part.theta + 0.1
    assert part.measure(theta, plan=Plan(folded=True)).loss[0] == pytest.approx(float(part.value(theta)), rel=1e-12)


def test_arguments_that_are_given_by_name_fold_too():
    assert foldable(Named()) == [("conv", "norm")]
    f = objective(Named())
    torch.testing.assert_close(torch.tensor(f.measure(f.theta, plan=Plan(folded=True)).loss[0]), f.value(f.theta))


def test_hooks_and_weights_that_are_looked_at_forbid_it():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    model[0].register_forward_hook(lambda m, x, y: 2 * y)
    assert foldable(model) == []
    assert foldable(Weighed()) == []
