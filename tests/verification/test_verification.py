"""Checks agree on objectives that are right, notice each thing that is wrong, and leave no traces."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from landscape import Objective, operators
from landscape.verification import Check, verification
from landscape.verification.consistency import symmetry

PEER = {"eigenvalue", "trace"}


def verdicts(checks):
    return {check.name: check.verdict for check in checks}


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("parameters", ["*", "2.*"])
def test_a_right_objective_agrees_in_everything(make, loss, parameters):
    network = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3)).requires_grad_(False)
    given = {"loss": loss, "parameters": parameters, "model": network}
    before = torch.random.get_rng_state()
    checks = verification(make("float32", **given), make(**given))
    assert set(verdicts(checks).values()) == {"agrees"}, checks
    assert len(checks) == 10
    assert torch.get_default_dtype() == torch.float32
    assert torch.equal(torch.random.get_rng_state(), before)
    assert network.training
    assert all(p.grad is None and not p.requires_grad for p in network.parameters())


def sabotaged(objective, name, change):
    method = getattr(objective, name)
    setattr(objective, name, lambda *given: change(method(*given)))
    return objective


@pytest.mark.parametrize(
    ("name", "change", "noticed"),
    [
        ("hvp", lambda found: 1.01 * found, {"product", "Hessian product"}),
        ("hvp", lambda found: found.flip(-1), {"symmetry", "Hessian product"}),
        ("hvp", lambda found: found + 0.01 * found.norm(), {"symmetry", "Hessian product"}),
        ("gradient", lambda found: found * 1.001, {"gradient", "Hessian product"}),
        ("value", lambda found: found * 1.001, {"value", "gradient"}),
    ],
    ids=["scaled", "reversed", "shifted", "gradient", "value"],
)
def test_whatever_is_wrong_is_noticed(make, name, change, noticed):
    checks = verification(make("float32"), sabotaged(make(), name, change))
    assert noticed <= {check.name for check in checks if check.verdict == "disagrees"}


def test_wrong_operators_disagree_with_pyhessian(make, monkeypatch):
    right = operators.Operator.__call__
    monkeypatch.setattr(operators.Operator, "__call__", lambda self, rows: 1.05 * right(self, rows))
    assert verdicts(verification(make("float32"), make())) == {
        "value again": "agrees", "gradient again": "agrees", "product again": "agrees", "value": "agrees",
        "product": "agrees", "symmetry": "agrees", "gradient": "agrees", "Hessian product": "agrees",
        "eigenvalue": "disagrees", "trace": "disagrees",
    }  # fmt: skip


def test_what_answers_otherwise_each_time_is_noticed(make):
    wrong = sabotaged(make("float32"), "gradient", lambda found: found + torch.randn_like(found) * 1e-3)
    assert verdicts(verification(wrong, make()))["gradient again"] == "disagrees"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"loss": "mae"}, "the loss is mae"),
        ({"model": nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)), "batchnorm": "refit"}, "refit"),
    ],
)
def test_what_pyhessian_cannot_express_is_said(make, given, why):
    checks = [check for check in verification(make("float32", **given), make(**given)) if check.name in PEER]
    assert [check.verdict for check in checks] == ["skipped", "skipped"]
    assert all(why in check.words for check in checks)


def test_a_network_that_pyhessian_fails_on_is_said(make):
    """A parameter that nothing depends on has no gradient there."""

    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.idle = nn.Linear(5, 3), nn.Linear(2, 2)

        def forward(self, x):
            return self.layer(x)

    model = Idle()
    found = verification(make("float32", model=model), make(model=model))
    assert {c.verdict for c in found if c.name in PEER} == {"skipped"}
    assert {c.verdict for c in found if c.name not in PEER} == {"agrees"}


def test_curvature_of_a_tiny_scale_agrees(make):
    """PyHessian adds 1e-6 to lengths, which would be 10 % of this curvature."""
    model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
    with torch.no_grad():
        model[0].weight.mul_(1e-6), model[2].weight.mul_(1e-6), model[0].bias.fill_(1e-6), model[2].bias.zero_()
    found = verdicts(verification(make("float32", model=model), make(model=model)))
    assert {found[name] for name in PEER} == {"agrees"}


def test_nan_disagrees():
    assert Check("x", "", float("nan"), 1.0).verdict == "disagrees"
    assert Check("x", "").verdict == "skipped"


def test_a_loss_that_is_nearly_zero_is_no_asymmetry(make):
    """Where p is one but for a few digits, products are rounded as 1 - p is, and are symmetric only to that."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].bias.fill_(1.0)
        model[2].bias.copy_(torch.tensor([22.0, 0.0, 0.0]))
    x, y = torch.randn(20, 5), torch.zeros(20, dtype=torch.long)
    exact = Objective(model, (x, y), precision="float64", device="cpu")
    assert float(exact.value(exact.theta)) < 1e-6
    assert symmetry(exact, seed=0).verdict == "agrees"
