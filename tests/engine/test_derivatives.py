"""Products with the Hessian and the Gauss-Newton matrix equal the dense matrices."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from landscape import Objective, operators
from landscape.checkpoint import Spec, build
from landscape.exact import gauss_newton_diagonal

SMALL = {
    "mlp": Spec("mlp", {"width": 5, "classes": 3, "shape": (1, 4, 4)}),
    "lenet": Spec("lenet", {"classes": 3, "shape": (1, 4, 4)}),
    "resnet": Spec("resnet", {"depth": 8, "width": 1, "classes": 3, "shape": (1, 4, 4)}),
    "vit": Spec("vit", {"depth": 1, "width": 4, "heads": 2, "patch": 2, "classes": 3, "shape": (1, 4, 4)}),
    "gpt": Spec("gpt", {"depth": 1, "width": 4, "heads": 2, "classes": 5, "shape": (6,)}),
}


def case(name, task="cross_entropy", **knobs):
    model = build(SMALL[name]).double()
    shape = SMALL[name].arguments["shape"]
    x = torch.randint(5, (7, *shape)) if name == "gpt" else torch.randn(7, *shape, dtype=torch.float64)
    y = torch.randint(5, (7, *shape)) if name == "gpt" else torch.tensor([0, 1, 2, 0, 1, 2, 2])
    if task == "mse":
        y = torch.randn(7, 3, dtype=torch.float64)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(), module.running_var.uniform_(0.5, 2)
    return Objective(model, (x, y), task, precision="float64", device="cpu", **knobs), model.eval(), x, y


def dense_hessian(objective, model, x, y, task):
    def mean(theta):
        outputs = functional_call(model, objective.unpack(theta), (x,))
        if task == "mse":
            return ((outputs - y) ** 2).mean()
        return cross_entropy(outputs.flatten(0, -2), y.flatten())

    with sdpa_kernel(SDPBackend.MATH):
        return torch.autograd.functional.hessian(mean, objective.theta)


@pytest.mark.parametrize("task", ["cross_entropy", "mse"])
@pytest.mark.parametrize("name", ["mlp", "resnet", "vit", "gpt"])
def test_products_equal_the_dense_hessian(name, task):
    if name == "gpt" and task == "mse":
        pytest.skip("tokens are classes")
    objective, model, x, y = case(name, task)
    vectors = torch.randn(2, 2, objective.dim, dtype=torch.float64)
    found = objective.hvp(objective.theta, vectors)
    torch.testing.assert_close(found, vectors @ dense_hessian(objective, model, x, y, task), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(objective.hvp(objective.theta, vectors[0, 0]), found[0, 0], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ["mlp", "resnet", "vit"])
def test_products_equal_the_dense_gauss_newton_matrix(name):
    objective, model, x, y = case(name)
    with sdpa_kernel(SDPBackend.MATH):
        jacobian = torch.autograd.functional.jacobian(
            lambda theta: functional_call(model, objective.unpack(theta), (x,)), objective.theta
        )
        p = model(x).softmax(-1)
    curved = torch.diag_embed(p) - p[:, :, None] * p[:, None]
    dense = torch.einsum("nci,ncd,ndj->ij", jacobian, curved, jacobian) / len(y)
    vectors = torch.randn(3, objective.dim, dtype=torch.float64)
    torch.testing.assert_close(objective.ggnvp(objective.theta, vectors), vectors @ dense, rtol=1e-10, atol=1e-10)


def test_products_through_batch_statistics_equal_differences_of_gradients():
    objective, *_ = case("resnet", batchnorm="batch", batch_size=4)
    v = torch.randn(objective.dim, dtype=torch.float64)
    step = 1e-6
    difference = objective.gradient(objective.theta + step * v) - objective.gradient(objective.theta - step * v)
    torch.testing.assert_close(objective.hvp(objective.theta, v), difference / (2 * step), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("product", ["hvp", "ggnvp"])
def test_classes_weighted_by_frequency_sum_to_the_whole(product):
    objective, _, _, y = case("resnet")
    v = torch.randn(2, objective.dim, dtype=torch.float64)
    parts = [
        (y == label).double().mean() * getattr(objective.restrict(label), product)(objective.theta, v)
        for label in range(3)
    ]
    torch.testing.assert_close(sum(parts), getattr(objective, product)(objective.theta, v), rtol=1e-10, atol=1e-12)


def test_chunks_do_not_matter_and_unused_parameters_have_no_curvature():
    class Spare(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Linear(3, 2), nn.Linear(4, 4)

        def forward(self, x):
            return self.used(x).tanh()

    data = (torch.randn(10, 3, dtype=torch.float64), torch.randint(2, (10,)))
    whole, cut = (
        Objective(Spare(), data, precision="float64", device="cpu", strategy=f"loop,examples={n}") for n in (10, 3)
    )
    cut.theta = whole.theta
    v = torch.randn(3, whole.dim, dtype=torch.float64)
    for product in ("hvp", "ggnvp"):
        found = getattr(whole, product)(whole.theta, v)
        torch.testing.assert_close(getattr(cut, product)(whole.theta, v), found, rtol=1e-12, atol=1e-14)
        assert not found[:, -20:].any()
        assert found[:, :8].any()


def test_a_part_of_the_parameters_gives_a_block_of_the_hessian():
    objective, model, x, y = case("mlp")
    part = Objective(model, (x, y), precision="float64", device="cpu", parameters="*weight")
    index = torch.cat([torch.arange(b.slice.start, b.slice.stop) for b in objective.blocks if "weight" in b.name])
    v = torch.randn(part.dim, dtype=torch.float64)
    whole = torch.zeros(objective.dim, dtype=torch.float64)
    whole[index] = v
    expected = objective.hvp(objective.theta, whole)[index]
    torch.testing.assert_close(part.hvp(part.theta, v), expected, rtol=1e-10, atol=1e-12)


def test_a_recurrent_network_is_differentiated_twice():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.head = nn.LSTM(2, 3, batch_first=True), nn.Linear(3, 2)

        def forward(self, x):
            return self.head(self.lstm(x)[0][:, -1])

    data = (torch.randn(5, 4, 2, dtype=torch.float64), torch.randint(2, (5,)))
    objective = Objective(Last(), data, precision="float64", device="cpu")
    u, v = torch.randn(2, objective.dim, dtype=torch.float64)
    hu, hv = objective.hvp(objective.theta, torch.stack([u, v]))
    torch.testing.assert_close(v @ hu, u @ hv, rtol=1e-9, atol=1e-12)
    step = 1e-6
    difference = objective.gradient(objective.theta + step * v) - objective.gradient(objective.theta - step * v)
    torch.testing.assert_close(hv, difference / (2 * step), rtol=1e-5, atol=1e-7)


def test_what_is_not_finite_names_its_examples():
    x = torch.ones(6, 1)
    x[4] = 1e30
    objective = Objective(nn.Linear(1, 1), (x, torch.zeros(6, 1)), "mse", device="cpu", strategy="loop,examples=2")
    with pytest.raises(ValueError, match="Expected finite products, got NaN or infinity from examples 4 to 5"):
        objective.hvp(objective.theta, torch.ones(2))


def test_products_are_at_one_point():
    objective, *_ = case("mlp")
    with pytest.raises(ValueError, match="Expected one point"):
        objective.hvp(objective.theta[None], objective.theta)
    with pytest.raises(ValueError, match="Expected vectors of length"):
        objective.hvp(objective.theta, objective.theta[1:])


@pytest.mark.parametrize("strategy", ["retained,examples=3", "batched,kept,examples=3", "forward,examples=3"])
@pytest.mark.parametrize("matrix", ["hessian", "gauss_newton", "fisher"])
def test_where_nothing_depends_on_the_parameters_there_is_no_curvature(matrix, strategy):
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = nn.Linear(2, 3), nn.Linear(2, 2)

        def forward(self, x):
            return self.used(x)

    def mistaken(outputs, targets):
        return (outputs.argmax(1) != targets).float()

    data = torch.randn(5, 2), torch.arange(5) % 3
    idle = Objective(Idle(), data, parameters="idle*", device="cpu", strategy=strategy)
    step = Objective(nn.Linear(2, 3), data, mistaken, device="cpu", strategy=strategy)
    for objective in (idle, step):
        assert not getattr(operators, matrix)(objective)(torch.eye(objective.dim)).any()
        assert not objective.gradient(objective.theta).any()


def test_several_outputs_have_no_gauss_newton_matrix():
    class Pair(nn.Linear):
        def forward(self, x):
            return super().forward(x), x

    def first(outputs, targets):
        return nn.functional.cross_entropy(outputs[0], targets, reduction="none")

    pair = Objective(Pair(2, 3), (torch.randn(5, 2), torch.arange(5) % 3), first, device="cpu")
    assert pair.hvp(pair.theta, pair.theta).isfinite().all()
    with pytest.raises(ValueError, match="returns one tensor.*got tuple: wrap the network"):
        pair.ggnvp(pair.theta, pair.theta)


@pytest.mark.parametrize("made_within", [False, True])
def test_inference_mode_changes_nothing(made_within):
    x, y = torch.randn(5, 2), torch.arange(5) % 3
    model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)).eval()
    outside = Objective(model, (x, y), device="cpu")
    expected = derived(outside)
    with torch.inference_mode():
        there = Objective(deepcopy(model), (x.clone(), y.clone()), device="cpu")
        found = derived(there if made_within else outside)
    for one, other in zip(found + derived(there), expected * 2, strict=True):
        assert other.any()
        torch.testing.assert_close(one, other)


def derived(objective):
    theta, rows, part = objective.theta.clone(), torch.eye(objective.dim), objective.restrict(1)
    return [
        objective.value(theta), objective.gradient(theta), part.gradient(theta),
        operators.hessian(objective, theta)(rows), part.hvp(theta, rows), gauss_newton_diagonal(objective),
    ]  # fmt: skip
