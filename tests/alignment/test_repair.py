import pytest
import torch
from torch import nn

from landscape.alignment.repair import Reset, ends, repairable, repaired
from landscape.alignment.structure import Group, Place, Structure
from landscape.alignment.tracing import traced
from landscape.checkpoint import Spec, build
from landscape.objective import Objective

FAMILIES = {
    "mlp": Spec("mlp", {"width": 7, "depth": 3, "classes": 3, "shape": (1, 8, 8)}),
    "lenet": Spec("lenet", {"classes": 3, "shape": (1, 8, 8)}),
    "resnet": Spec("resnet", {"depth": 8, "width": 2, "norm": "group", "classes": 3, "shape": (1, 8, 8)}),
    "vit": Spec("vit", {"depth": 1, "width": 8, "heads": 2, "classes": 3, "shape": (1, 8, 8)}),
}


def one_layer(precision="float64"):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2)).to(getattr(torch, precision))
    places = tuple(Place(name, axis, torch.arange(6)[:, None]) for name, axis in (("0.weight", 0), ("2.weight", 1)))
    data = torch.randn(700, 3, dtype=torch.float64), torch.randint(0, 2, (700,))
    objective = Objective(model, data, precision=precision, device="cpu")
    other = torch.randn(objective.dim, dtype=objective.theta.dtype)
    return objective, Structure((Group("hidden", 6, places),)), other, data


def hidden(objective, theta, x):
    named = objective.unpack(theta)
    return nn.functional.linear(x, named["0.weight"], named["0.bias"])


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize("name", FAMILIES)
def test_the_ends_stay_what_they_are(name, precision, tolerance):
    torch.manual_seed(0)
    model = build(FAMILIES[name])
    x, y = torch.randn(600, 1, 8, 8), torch.randint(0, 3, (600,))
    objective = Objective(model, (x, y), precision=precision, device="cpu", strategy="loop,examples=600")
    structure = traced(model, x[:2])
    other = objective.pack(build(FAMILIES[name]))
    made, points = ends(objective, structure, objective.theta, other)
    for theta, point in zip((objective.theta, other), points, strict=True):
        before, after = objective.measure(theta), made.measure(point)
        assert float(after.loss[0]) == pytest.approx(float(before.loss[0]), rel=tolerance)
        assert float(after.loss_error[0]) == pytest.approx(float(before.loss_error[0]), rel=tolerance)
    assert made.dim > objective.dim


@pytest.mark.parametrize("t", [0.0, 0.3, 0.5, 1.0])
def test_mean_and_spread_of_every_channel_are_interpolated(t):
    objective, structure, other, (x, _) = one_layer()
    made, points = ends(objective, structure, objective.theta, other)
    made.value(torch.lerp(points[0], points[1], t))
    found = []
    made.network.model[0].register_forward_hook(lambda module, given, out: found.append(out))
    made.network(x)
    one, two = hidden(objective, objective.theta, x), hidden(objective, other, x)
    middle = hidden(objective, torch.lerp(objective.theta, other, t), x)
    eps = made.network.model[0].reset.eps
    goal = torch.lerp((one.var(0) + eps).sqrt(), (two.var(0) + eps).sqrt(), t) * (
        middle.var(0) / (middle.var(0) + eps)
    ).sqrt()
    torch.testing.assert_close(found[0].mean(0), torch.lerp(one.mean(0), two.mean(0), t), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found[0].std(0), goal, rtol=1e-10, atol=0)


def test_the_repaired_loss_is_the_one_in_closed_form():
    objective, structure, other, (x, y) = one_layer()
    made, points = ends(objective, structure, objective.theta, other)
    t = 0.4
    one, two = hidden(objective, objective.theta, x), hidden(objective, other, x)
    middle = hidden(objective, torch.lerp(objective.theta, other, t), x)
    eps = Reset(1).eps
    scale = torch.lerp((one.var(0) + eps).sqrt(), (two.var(0) + eps).sqrt(), t) / (middle.var(0) + eps).sqrt()
    units = (middle - middle.mean(0)) * scale + torch.lerp(one.mean(0), two.mean(0), t)
    named = objective.unpack(torch.lerp(objective.theta, other, t))
    expected = nn.functional.cross_entropy(
        nn.functional.linear(units.relu(), named["2.weight"], named["2.bias"]), y
    )
    assert float(made.value(torch.lerp(points[0], points[1], t))) == pytest.approx(float(expected), rel=1e-10)


def test_several_points_at_once_are_repaired_like_one():
    objective, structure, other, _ = one_layer()
    made, points = ends(objective, structure, objective.theta, other)
    rows = torch.stack([torch.lerp(points[0], points[1], t) for t in (0.2, 0.7)])
    alone = torch.stack([made.value(row) for row in rows])
    torch.testing.assert_close(made.using("vmap,points=2,examples=512").value(rows), alone, rtol=1e-10, atol=0)


def test_constant_channels_stay_constant():
    objective, structure, other, (x, _) = one_layer()
    for theta in (objective.theta, other):
        objective.unpack(theta)["0.weight"][2] = 0
    made, points = ends(objective, structure, objective.theta, other)
    made.value(torch.lerp(points[0], points[1], 0.5))
    found = []
    made.network.model[0].register_forward_hook(lambda module, given, out: found.append(out))
    made.network(x)
    expected = (objective.unpack(objective.theta)["0.bias"][2] + objective.unpack(other)["0.bias"][2]) / 2
    torch.testing.assert_close(found[0][:, 2], expected.expand(len(x)), rtol=1e-10, atol=1e-12)
    assert made.measure(torch.stack(points)).loss[0] == pytest.approx(objective.measure(
        torch.stack([objective.theta, other])).loss[0], rel=1e-10)  # fmt: skip


def test_a_last_batch_is_never_a_single_example():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))
    _, structure, _, _ = one_layer()
    objective = Objective(model, (torch.randn(513, 3), torch.randint(0, 2, (513,))), device="cpu")
    made, points = ends(objective, structure, objective.theta)
    assert float(made.value(points[0])) == pytest.approx(float(objective.value(objective.theta)), rel=1e-5)


def test_names_stay_and_the_last_layer_is_left_alone():
    objective, structure, _, _ = one_layer()
    names = set(repaired(objective.network.model, repairable(objective, structure)).state_dict())
    assert names >= set(objective.network.model.state_dict())
    assert {name for name in names if "reset" in name and name.endswith("weight")} == {"0.reset.weight"}


def test_networks_that_need_no_repair_are_refused():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))
    _, structure, _, _ = one_layer()
    objective = Objective(model, (torch.randn(20, 3), torch.randint(0, 2, (20,))), batchnorm="refit", device="cpu")
    with pytest.raises(ValueError, match="without batch norm"):
        ends(objective, structure, objective.theta)
    linear = Objective(nn.Linear(3, 2), (torch.randn(20, 3), torch.randint(0, 2, (20,))), device="cpu")
    with pytest.raises(ValueError, match="nothing to repair"):
        ends(linear, Structure(()), linear.theta)


class Recurring(nn.Module):
    """One layer that runs twice, and another that runs once."""

    def __init__(self):
        super().__init__()
        self.enter, self.again, self.leave = nn.Linear(3, 6), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x):
        return self.leave(self.again(self.again(self.enter(x).relu()).relu()).relu())


def test_layers_that_run_several_times_are_left_alone():
    torch.manual_seed(0)
    model, x = Recurring(), torch.randn(1200, 3)
    objective = Objective(model, (x, torch.randint(0, 2, (1200,))), precision="float64", device="cpu")
    structure = traced(model, x[:2])
    assert {place.tensor for place in structure.groups[0].places} >= {"enter.weight", "again.weight"}
    assert repairable(objective, structure) == ["enter"]
    other = objective.pack(Recurring())
    made, points = ends(objective, structure, objective.theta, other)
    for theta, point in zip((objective.theta, other), points, strict=True):
        assert float(made.value(point)) == pytest.approx(float(objective.value(theta)), rel=1e-12)


def repaired_by_layers(networks, t, x, eps):
    """The units of the last hidden layer, each layer reset over all examples before the next is asked: in float64."""
    one = two = middle = x
    for (weight, bias), (others, shift) in zip(*networks, strict=True):
        one, two = one @ weight.T + bias, two @ others.T + shift
        middle = middle @ torch.lerp(weight, others, t).T + torch.lerp(bias, shift, t)
        spread = torch.lerp((one.var(0) + eps).sqrt(), (two.var(0) + eps).sqrt(), t) / (middle.var(0) + eps).sqrt()
        middle = (middle - middle.mean(0)) * spread + torch.lerp(one.mean(0), two.mean(0), t)
        one, two, middle = one.tanh(), two.tanh(), middle.tanh()
    return middle


def test_one_batch_repairs_as_layer_after_layer_does():
    torch.manual_seed(0)
    layers = [nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 2)]
    model, x, y = nn.Sequential(*layers), torch.randn(500, 3, dtype=torch.float64), torch.randint(0, 2, (500,))
    objective = Objective(model, (x, y), precision="float64", device="cpu", strategy="loop,examples=500")
    other = 3 * torch.randn(objective.dim, dtype=torch.float64)
    made, points = ends(objective, traced(model, x[:2].float()), objective.theta, other)
    both = [objective.unpack(theta) for theta in (objective.theta, other)]
    networks = [[(named[f"{k}.weight"], named[f"{k}.bias"]) for k in (0, 2, 4)] for named in both]
    units = repaired_by_layers(networks, 0.5, x, Reset(1).eps)
    middle = objective.unpack(torch.lerp(objective.theta, other, 0.5))
    expected = nn.functional.cross_entropy(units @ middle["6.weight"].T + middle["6.bias"], y)
    # within the batch a spread is over n, among all examples over n - 1: the layers between see a part in n of it
    assert float(made.value(torch.lerp(points[0], points[1], 0.5))) == pytest.approx(float(expected), rel=2 / len(x))
