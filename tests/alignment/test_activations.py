import numpy as np
import pytest
import torch
from torch import nn

from landscape.alignment.activations import activation_matching
from landscape.alignment.structure import Group, Place, Structure, permuted
from landscape.alignment.tracing import traced
from landscape.alignment.weights import among
from landscape.objective import Objective


def units(count):
    return torch.arange(count)[:, None]


def group(name, size, *places):
    return Group(name, size, tuple(Place(tensor, axis, units(size)) for tensor, axis in places))


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(30, 2, 6, 6, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, 3, (30,), generator=generator)


def convolutional(norm):
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(5) if norm else nn.Identity()
    model = nn.Sequential(
        nn.Conv2d(2, 5, 3), norm, nn.ReLU(), nn.Conv2d(5, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    )
    flat = Group("second", 4, (
        Place("3.weight", 0, units(4)), Place("3.bias", 0, units(4)), Place("6.weight", 1, torch.arange(16).view(4, 4)),
    ))  # fmt: skip
    normed = (("1.weight", 0), ("1.bias", 0)) if isinstance(norm, nn.BatchNorm2d) else ()
    places = (("0.weight", 0), ("0.bias", 0), *normed, ("3.weight", 1))
    return model.double(), Structure((group("first", 5, *places), flat))


@pytest.mark.parametrize("norm", [False, True])
def test_a_permuted_copy_is_recovered(images, norm):
    model, structure = convolutional(norm)
    policy = "refit" if norm else "frozen"
    objective = Objective(model, images, batchnorm=policy, precision="float64", device="cpu", batch_size=30)
    hidden = structure.random(torch.Generator().manual_seed(2))
    copy = objective.pack(permuted(objective.unpack(objective.theta), structure, hidden))
    found = activation_matching(objective, objective.theta, copy, structure)
    back = objective.pack(permuted(objective.unpack(copy), structure, found.permutation))
    assert torch.equal(back, objective.theta)
    assert found.record["after"] == pytest.approx(1, abs=1e-9)
    assert found.record["before"] < 0.9


def test_correlations_are_those_of_numpy(images):
    model, structure = convolutional(False)
    objective = Objective(
        model, images, precision="float64", device="cpu", strategy="loop,examples=7"
    )
    other = objective.theta + 0.3 * torch.randn(objective.dim, generator=torch.Generator().manual_seed(0))
    found = activation_matching(objective, objective.theta, other, structure)

    def answers(theta):
        named = objective.unpack(theta)
        return nn.functional.conv2d(images[0], named["0.weight"], named["0.bias"]).movedim(1, 0).flatten(1).numpy()

    one, two = answers(objective.theta), answers(other)
    table = np.corrcoef(one, two)[:5, 5:]
    order = found.permutation["first"].numpy()
    from scipy.optimize import linear_sum_assignment

    assert order.tolist() == linear_sum_assignment(-table)[1].tolist()


def test_constant_units_count_as_uncorrelated():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    with torch.no_grad():
        model[0].weight[1] = 0
    structure = Structure((group("hidden", 4, ("0.weight", 0), ("0.bias", 0), ("2.weight", 1)),))
    data = torch.randn(20, 3, dtype=torch.float64), torch.randint(0, 2, (20,))
    objective = Objective(model, data, precision="float64", device="cpu")
    hidden = {"hidden": torch.tensor([3, 1, 0, 2])}
    copy = objective.pack(permuted(objective.unpack(objective.theta), structure, hidden))
    found = activation_matching(objective, objective.theta, copy, structure)
    assert found.permutation["hidden"].tolist() == torch.argsort(hidden["hidden"]).tolist()
    assert found.record["constant"] == 1
    assert found.record["after"] == pytest.approx(3 / 4, abs=1e-9)


def test_groups_that_no_layer_produces_stay():
    class Shifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.shift, self.out = nn.Parameter(torch.randn(4)), nn.Linear(4, 2)

        def forward(self, x):
            return self.out(torch.relu(self.shift * x[:, :1]))

    torch.manual_seed(0)
    structure = Structure((group("hidden", 4, ("shift", 0), ("out.weight", 1)),))
    data = torch.randn(20, 3), torch.randint(0, 2, (20,))
    objective = Objective(Shifted(), data, device="cpu")
    found = activation_matching(objective, objective.theta, objective.theta.flip(0), structure)
    assert found.permutation["hidden"].tolist() == [0, 1, 2, 3]
    assert found.record["unproduced"] == ["hidden"]


def test_channels_that_batch_norm_turns_around_are_recovered():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 3))
    signs = torch.tensor([1, -1, 1, -1, -1, 1, 1, -1, 1])
    x = torch.randn(200, 5)
    structure = traced(model, x[:2])
    objective = Objective(model, (x, torch.randint(3, (200,))), precision="float64", batchnorm="refit", device="cpu")
    turned = {name: tensor.clone() for name, tensor in objective.unpack(objective.theta).items()}
    for name in ("0.weight", "0.bias", "1.weight"):  # the same function: layer and scale both change sign
        turned[name] *= signs.reshape(-1, *[1] * (turned[name].ndim - 1))
    named, hidden = among(structure, turned), structure.random(torch.Generator().manual_seed(1))
    end = objective.pack(permuted(turned, named, hidden))
    assert float(objective.value(end)) == pytest.approx(float(objective.value(objective.theta)), rel=1e-12)
    found = activation_matching(objective, objective.theta, end, structure)
    assert torch.equal(hidden["0"][found.permutation["0"]], torch.arange(9))
    assert found.record["after"] == pytest.approx(1, rel=1e-9)
