"""Exact diagonals: twins of the dense matrices on piecewise linear networks, and refusal of all others."""

import pytest
import torch
from torch import nn
from torch.func import functional_call

from landscape import Objective
from landscape.checkpoint import Spec, build
from landscape.exact import gauss_newton_diagonal, hessian_diagonal, require_piecewise_linear
from landscape.losses import LOSSES

SMALL = {
    "mlp": Spec("mlp", {"width": 5, "classes": 3, "shape": (1, 4, 4)}),
    "lenet": Spec("lenet", {"classes": 3, "shape": (1, 4, 4)}),
    "resnet": Spec("resnet", {"depth": 8, "width": 1, "classes": 3, "shape": (1, 6, 6)}),
    "projecting": Spec("resnet", {"depth": 8, "width": 1, "classes": 3, "shape": (1, 6, 6), "shortcut": "B"}),
    "vgg": Spec("vgg", {"depth": 11, "width": 1, "classes": 3, "shape": (1, 8, 8)}),
    "vit": Spec("vit", {"depth": 1, "width": 4, "heads": 2, "patch": 2, "classes": 3, "shape": (1, 4, 4)}),
    "gelu": Spec("mlp", {"width": 5, "classes": 3, "shape": (1, 4, 4), "activation": "gelu"}),
    "tanh": Spec("lenet", {"classes": 3, "shape": (1, 4, 4), "activation": "tanh"}),
    "group": Spec("resnet", {"depth": 8, "width": 1, "classes": 3, "shape": (1, 6, 6), "norm": "group"}),
}
PARTS = {"lenet": ("*0.*", "*.bias", "11.*"), "vgg": ("features.?.*", "features.1?.*", "classifier.*")}


def case(name, task="cross_entropy", parameters="*", count=6, **knobs):
    model = build(SMALL[name]).double()
    x = torch.randn(count, *SMALL[name].arguments["shape"], dtype=torch.float64)
    y = torch.randn(count, 3, dtype=torch.float64) if task in ("mse", "huber") else torch.arange(count) % 3
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(), module.running_var.uniform_(0.5, 2)
            module.weight.data.normal_(), module.bias.data.normal_()
    return Objective(model, (x, y), task, parameters=parameters, precision="float64", device="cpu", **knobs), x, y


def dense(objective, x, y, task):
    def mean(theta):
        outputs = functional_call(objective.network.model, objective.unpack(theta), (x,))
        found = LOSSES[task](outputs, y)
        return getattr(found, "loss", found).mean()

    return torch.autograd.functional.hessian(mean, objective.theta).diagonal()


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("mlp", "cross_entropy"), ("mlp", "mse"), ("mlp", "huber"), ("lenet", "cross_entropy"),
        ("vgg", "cross_entropy"), ("resnet", "cross_entropy"), ("projecting", "cross_entropy"), ("resnet", "mse"),
    ],
)
def test_the_diagonal_of_the_hessian_of_piecewise_linear_networks(name, task):
    objective, x, y = case(name, task, PARTS.get(name, "*"))
    truth = dense(objective, x, y, task)
    found = hessian_diagonal(objective)
    assert truth.norm() > 1e-3
    assert (found - truth).norm() < 1e-10 * truth.norm()
    assert float(found.sum()) == pytest.approx(float(truth.sum()), rel=1e-10)


def test_at_another_point():
    objective, x, y = case("mlp")
    theta = objective.theta + 0.1
    kept = objective.theta.clone()
    found = hessian_diagonal(objective, theta)
    objective.theta.copy_(theta)
    assert torch.allclose(found, dense(objective, x, y, "cross_entropy"), rtol=1e-10)
    objective.theta.copy_(kept)


@pytest.mark.parametrize("name", ["vit", "gelu"])
def test_the_diagonal_of_the_gauss_newton_matrix_of_any_network(name):
    objective, _, _ = case(name)
    whole = objective.ggnvp(objective.theta, torch.eye(objective.dim, dtype=torch.float64))
    found = gauss_newton_diagonal(objective)
    assert (found - whole.diagonal()).norm() < 1e-10 * found.norm()
    assert (found >= 0).all()


@pytest.mark.parametrize("name", ["vit", "gelu", "tanh", "group"])
def test_curved_networks_are_refused(name):
    objective, _, _ = case(name)
    with pytest.raises(ValueError, match="Expected a piecewise linear network.*estimate it"):
        hessian_diagonal(objective)


def test_layers_above_the_curved_ones_are_linear():
    objective, x, y = case("gelu", parameters="5.*")
    truth = dense(objective, x, y, "cross_entropy")
    assert torch.allclose(hessian_diagonal(objective), truth, rtol=1e-10, atol=1e-14)


class Tied(nn.Module):
    """One matrix, used twice."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3, bias=False)

    def forward(self, x):
        return self.inner(self.inner(x).relu())


def test_weights_that_are_used_twice_are_refused():
    data = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    objective = Objective(Tied(), data, device="cpu")
    with pytest.raises(ValueError, match=r"got outputs that are curved in inner\.weight"):
        require_piecewise_linear(objective)


@pytest.mark.parametrize("policy", ["refit", "batch"])
def test_batch_norm_must_be_frozen(policy):
    objective, _, _ = case("resnet", batchnorm=policy)
    with pytest.raises(ValueError, match=f"Expected frozen batch norm.*got '{policy}'"):
        gauss_newton_diagonal(objective)


def test_cross_entropy_takes_one_pass_less_than_classes(monkeypatch):
    from landscape import exact

    ranks = []
    true = exact._loss_eigenpairs

    def counted(*given):
        found = true(*given)
        ranks.append(found[1].shape)
        return found

    monkeypatch.setattr(exact, "_loss_eigenpairs", counted)
    gauss_newton_diagonal(case("mlp")[0])
    assert ranks == [(6, 2)]


def test_losses_that_are_not_convex_keep_their_sign():
    model = nn.Linear(2, 1, bias=False).double()
    x = torch.tensor([[1.0, 2.0], [3.0, -1.0]], dtype=torch.float64)
    data = x, torch.zeros(2, 1, dtype=torch.float64)
    objective = Objective(model, data, lambda f, y: f[:, 0].cos(), precision="float64", device="cpu")
    truth = -((x @ objective.theta).cos()[:, None] * x**2).mean(0)
    assert torch.allclose(hessian_diagonal(objective), truth, rtol=1e-12)


def test_float32_agrees_and_progress_counts_examples():
    told = []
    objective, x, y = case("resnet", count=9)
    single = Objective(objective.network.model, (x.float(), y), device="cpu")
    found = gauss_newton_diagonal(single, progress=lambda *now: told.append(now))
    assert (found - gauss_newton_diagonal(objective)).norm() < 1e-5 * found.norm()
    assert told[-1] == (9, 9)
