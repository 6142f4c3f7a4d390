"""Twins: every way of evaluating gives the same numbers, for every network and batch-norm policy."""

import inspect
import shutil

import pytest
import torch
from torch import nn
from torch.nn import functional

from landscape import discovery
from landscape.engine.plan import Plan
from landscape.objective import Objective

SMALL = {
    "gpt": {"width": 16, "shape": (6,), "depth": 1, "heads": 2},
    "lenet": {"shape": (3, 12, 12)},
    "mlp": {"width": 8, "shape": (3, 8, 8)},
    "resnet": {"depth": 8, "width": 4, "shape": (3, 8, 8)},
    "vgg": {"depth": 11, "width": 4, "shape": (3, 8, 8)},
    "vit": {"depth": 1, "width": 16, "heads": 2, "shape": (3, 8, 8)},
    "wideresnet": {"depth": 10, "widen": 1, "shape": (3, 8, 8)},
}
CLASSES, EXAMPLES = 5, 23
NETWORKS = discovery.discover("landscape.models")
NORMED = ["resnet", "vgg", "wideresnet"]
CASES = [
    (name, policy)
    for name in sorted(NETWORKS)
    for policy in ("frozen", "refit", "batch")
    if policy == "frozen" or name in NORMED
]
PLANS = {
    "loop": Plan(examples=7),
    "one chunk": Plan(examples=64),
    "channels_last": Plan(examples=7, channels_last=True),
    "folded": Plan(examples=7, folded=True),
    "folded channels_last": Plan(examples=7, folded=True, channels_last=True),
    "vmap": Plan("vmap", 3, 7),
}


def built(name):
    shape = SMALL.get(name, {}).get("shape") or inspect.signature(NETWORKS[name]).parameters["shape"].default
    network = NETWORKS[name](**{**SMALL.get(name, {}), "classes": CLASSES, "shape": shape})
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    if len(shape) == 1:
        tokens = torch.randint(CLASSES, (EXAMPLES, *shape))
        return network, tokens, tokens.where(torch.rand(tokens.shape) > 0.2, -100)
    return network, torch.randn(EXAMPLES, *shape), torch.randint(CLASSES, (EXAMPLES,))


def objective(name, policy="frozen", precision="float64"):
    network, x, y = built(name)
    loss = "causal" if x.ndim == 2 else "cross_entropy"
    return Objective(network, (x, y), loss, batchnorm=policy, precision=precision, device="cpu", batch_size=7)


def around(f, count=4, size=0.05):
    return f.theta + size * torch.randn(count, f.dim, dtype=f.theta.dtype)


@pytest.mark.parametrize(("name", "policy"), CASES)
@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_batched_values_equal_values_one_by_one(name, policy, precision, tolerance):
    f = objective(name, policy, precision)
    points = around(f)
    apart = torch.stack([f.value(point) for point in points])
    assert len(apart.unique()) == len(points)
    for label, plan in PLANS.items():
        if policy != "frozen" and (plan.examples != 7 or plan.folded):
            continue  # the loss depends on how examples are cut; batch norms that are not frozen cannot be folded
        together = torch.from_numpy(f.measure(points, plan=plan).loss[0])
        torch.testing.assert_close(together, apart, rtol=tolerance, atol=0, msg=lambda m, label=label: f"{label}: {m}")
    torch.testing.assert_close(f.value(points.reshape(2, 2, -1)), apart.reshape(2, 2), rtol=tolerance, atol=0)


@pytest.mark.filterwarnings("ignore")  # torch's own compiler warns of its own deprecations
def test_compiled_values_equal_values_one_by_one():
    if not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("needs a C++ compiler, which is absent")
    f = objective("mlp")
    points = around(f, 2)
    compiled = f.measure(points, plan=Plan(examples=7, compiled=True)).loss[0]
    torch.testing.assert_close(torch.from_numpy(compiled), f.value(points), rtol=1e-12, atol=0)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("name", ["mlp", "resnet", "vit", "gpt"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_point_has_the_same_bits_alone_and_in_a_batch(name, plan, precision):
    f = objective(name, precision=precision)
    points = around(f, 5)
    points[2] = f.theta
    together = f.measure(points, plan=plan).loss[0]
    f.measure(points[:3], plan=Plan(examples=7, channels_last=not plan.channels_last))  # leaves no trace
    f.gradient(points[0])
    assert together[2] == f.measure(f.theta, plan=plan).loss[0]
    assert (together == f.measure(points, plan=plan).loss[0]).all()


def naive_loss(f, theta):
    """Loss of the whole data in one batch, by the obvious route; batch norm as the policy left it in the network."""
    model = f.network.model
    values = {n: t.clone() for n, t in model.named_parameters()} | f.unpack(theta)
    x, y = f.examples["train"].segments[0]
    x = x.double() if x.is_floating_point() else x
    logits = torch.func.functional_call(model, values, (x,))
    if x.ndim == 2:
        return functional.cross_entropy(logits[:, :-1].flatten(0, 1), y[:, 1:].flatten(), ignore_index=-100)
    return functional.cross_entropy(logits, y)


@pytest.mark.parametrize(("name", "policy"), [c for c in CASES if c[1] != "refit"])
def test_gradient_equals_autograd_of_the_whole_batch_and_differences(name, policy):
    network, x, y = built(name)
    loss = "causal" if x.ndim == 2 else "cross_entropy"
    size = EXAMPLES if policy == "batch" else 7
    f = Objective(network, (x, y), loss, batchnorm=policy, precision="float64", device="cpu", batch_size=size)
    theta = around(f, 1)[0]
    slope = f.gradient(theta)
    expected = torch.func.grad(lambda t: naive_loss(f, t))(theta)
    torch.testing.assert_close(slope, expected, rtol=1e-9, atol=1e-12)
    v = torch.randn(f.dim, dtype=torch.float64)
    step = 1e-7 / float(v.norm())  # so small that no unit changes side
    ends = f.value(torch.stack([theta + step * v, theta - step * v]))
    along = (ends[0] - ends[1]) / (2 * step)
    torch.testing.assert_close(along, slope @ v, rtol=1e-4, atol=1e-5 * float(v.norm()))
    torch.testing.assert_close(f.gradient(torch.stack([theta, theta])), torch.stack([slope, slope]), rtol=0, atol=0)


def test_gradient_under_refit_holds_the_statistics_of_the_point():
    f = objective("resnet", "refit")
    theta = around(f, 1)[0]
    slope = f.gradient(theta)
    f.value(f.theta)  # refits elsewhere
    torch.testing.assert_close(f.gradient(theta), slope, rtol=0, atol=0)
    f._runner._by(Plan(examples=7)).refit(theta)
    expected = torch.func.grad(lambda t: naive_loss(f, t))(theta)
    torch.testing.assert_close(slope, expected, rtol=1e-9, atol=1e-12)


def test_parameters_that_the_loss_does_not_see_have_no_slope():
    model = nn.Sequential(nn.Linear(3, 2))
    model.register_parameter("spare", nn.Parameter(torch.ones(4)))
    data = (torch.randn(6, 3), torch.randint(2, (6,)))
    f = Objective(model, data, parameters="spare", device="cpu")
    assert torch.equal(f.gradient(f.theta), torch.zeros(4))


@pytest.mark.parametrize("precision", ["bfloat16", "tf32"])
def test_reduced_precision_comes_close_and_keeps_no_stale_weights(precision):
    network, x, y = built("mlp")
    exact = Objective(network, (x, y), precision="float64", device="cpu")
    f = Objective(network, (x, y), precision=precision, device="cpu")
    points = around(f)
    assert f.theta.dtype == torch.float32
    tolerance = 0.03 if precision == "bfloat16" else 1e-5
    torch.testing.assert_close(f.value(points), exact.value(points), rtol=tolerance, atol=tolerance)
    apart = torch.stack([f.gradient(point) for point in points])
    torch.testing.assert_close(f.gradient(points), apart, rtol=0, atol=0)
    torch.testing.assert_close(apart.double(), exact.gradient(points), rtol=0.1, atol=tolerance)
    vmapped = torch.from_numpy(f.measure(points, plan=Plan("vmap", 4, 64)).loss[0])
    torch.testing.assert_close(vmapped, exact.value(points), rtol=tolerance, atol=tolerance)


def test_points_are_not_copied_at_once(monkeypatch):
    f = objective("mlp")
    seen = []
    place = f.network.place
    monkeypatch.setattr(f.network, "place", lambda theta: (seen.append(theta.untyped_storage().nbytes()), place(theta)))
    points = around(f, 50).float()
    f.measure(points, plan=Plan(examples=64))
    assert max(seen) == f.dim * 8  # one point at a time in the network's own format
