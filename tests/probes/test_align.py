"""Alignment of two networks: what is permuted, what is measured, what is refused."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from landscape.alignment.structure import permuted
from landscape.alignment.tracing import traced
from landscape.checkpoint import Spec, build
from landscape.curves import segment
from landscape.objective import Objective
from landscape.parts import Parts
from landscape.probes.align import Align, align, cost
from landscape.probes.path import path
from landscape.result import load

IMAGES = {"classes": 3, "shape": (1, 8, 8)}
FAMILIES = {
    "mlp": Spec("mlp", {"width": 6} | IMAGES),
    "lenet": Spec("lenet", IMAGES),
    "resnet": Spec("resnet", {"depth": 8, "width": 2} | IMAGES),
    "option B": Spec("resnet", {"depth": 8, "width": 2, "shortcut": "B"} | IMAGES),
    "group norm": Spec("resnet", {"depth": 8, "width": 4, "norm": "group"} | IMAGES),
    "vgg": Spec("vgg", {"depth": 11, "width": 1, "classes": 3, "shape": (1, 32, 32)}),
    "vit": Spec("vit", {"depth": 1, "width": 8, "heads": 2} | IMAGES),
    "gpt": Spec("gpt", {"depth": 1, "width": 8, "heads": 2, "classes": 5, "shape": (6,)}),
}


def example(name, count=6):
    spec = FAMILIES[name]
    if name == "gpt":
        return torch.randint(5, (count, 6)), torch.randint(5, (count, 6))
    return torch.randn(count, *spec.arguments["shape"]), torch.randint(3, (count,))


def pair(name="mlp", precision="float64", **options):
    """An objective of a family, and the vector of another network of it."""
    torch.manual_seed(0)
    model, other = build(FAMILIES[name]), build(FAMILIES[name])
    data = {"train": example(name), "test": example(name, 4)}
    loss = "causal" if name == "gpt" else "cross_entropy"
    objective = Objective(
        model, data, loss, precision=precision, batchnorm="refit", batch_size=6, device="cpu",
        strategy="loop,examples=6", **options,
    )  # fmt: skip
    return objective, objective.pack(other)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_permuted_network_comes_back(name):
    objective, _ = pair(name)
    structure = traced(objective.network.model, example(name, 2)[0])
    state = {key: tensor.clone() for key, tensor in objective.network.model.state_dict().items()}
    hidden = structure.random(torch.Generator().manual_seed(1))
    copy = objective.pack(permuted(state, structure, hidden))
    found = align(objective, copy, points=3, tries=12)  # descents end in local optima
    assert found.curve.tolist() == ["before"]
    np.testing.assert_allclose(found.similarity[1], 1, atol=1e-12)
    back = {name: torch.tensor(order) for name, order in found.permutations().items()}
    returned = objective.pack(permuted(permuted(state, structure, hidden), structure, back))
    assert torch.equal(returned, objective.theta)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_aligned_end_is_the_same_network_nearer_by(name):
    objective, end = pair(name)
    found = align(objective, end, points=3)
    repaired = ["repaired"] if not objective.network.norms else []
    assert found.curve.tolist() == ["before", "after", *repaired]
    np.testing.assert_allclose(found.loss[1, :, -1], found.loss[0, :, -1], rtol=1e-10)
    np.testing.assert_array_equal(found.disagreement_last[1, :, -1], 0)
    assert found.distance[1] < found.distance[0]
    for curve in range(2, len(found.curve)):
        np.testing.assert_allclose(found.loss[curve][:, [0, -1]], found.loss[1][:, [0, -1]], rtol=1e-9)
    gain = (found.distance[0] ** 2 - found.distance[1] ** 2) / 2
    products = found.origin["matched"]["products"]
    assert products[-1] - products[0] == pytest.approx(gain, rel=1e-9)


@pytest.mark.parametrize("matching", ["weights", "activations", "straight_through"])
@pytest.mark.parametrize("name", ["resnet", "vit", "gpt"])
def test_every_matching_takes_every_kind_of_network(name, matching):
    objective, end = pair(name)
    found = align(objective, end, matching=matching, steps=2, points=3, repair=False)
    np.testing.assert_allclose(found.loss[1, :, -1], found.loss[0, :, -1], rtol=1e-10)


@pytest.mark.parametrize("matching", ["weights", "activations", "straight_through"])
def test_segments_are_those_of_paths(matching):
    objective, end = pair("lenet")
    found = align(objective, end, matching=matching, steps=10, points=5)
    structure = traced(build(FAMILIES["lenet"]), example("lenet", 2)[0])
    order = {name: torch.tensor(units) for name, units in found.permutations().items()}
    last = objective.pack(permuted(objective.unpack(end), structure, order))
    curves = {"before": segment(objective.theta, end), "after": segment(objective.theta, last)}
    twin = path(objective, curves, points=5)
    for name in ("loss", "loss_error", "height", "height_error", "accuracy", "class_loss", "distance"):
        np.testing.assert_array_equal(getattr(found, name)[:2], getattr(twin, name))
    assert found.origin["matched"]["by"] == matching
    assert found.origin["curves"]["after"] == twin.origin["curves"]["after"]


def test_groups_say_what_moved():
    objective, end = pair()
    found = align(objective, end, points=3)
    assert found.size.tolist() == [6, 6]
    for (_, order), moved in zip(found.permutations().items(), found.moved, strict=True):
        assert sorted(order.tolist()) == list(range(6))
        assert moved == np.mean(order != np.arange(6))
    assert found.similarity[1].mean() > found.similarity[0].mean()
    assert "of 12 units in 2 groups changed places" in found.remarks()[0]
    assert {f"{curve}_test_barrier" for curve in ("before", "after", "repaired")} <= set(found.figures())


def test_cosines_are_of_parameters_not_of_statistics():
    objective, end = pair("resnet")
    found = align(objective, end, points=3)
    assert (np.abs(found.similarity) <= 1).all()
    assert np.isfinite(found.similarity).all()


def test_a_structure_may_be_declared(tmp_path):
    objective, end = pair()
    file = tmp_path / "units.json"
    file.write_text(json.dumps({"only": [["1.weight", 0], ["1.bias", 0], ["3.weight", 1]]}))
    found = align(objective, end, points=3, structure=str(file))
    assert found.group.tolist() == ["only"]


def test_without_repair_there_are_two_segments():
    objective, end = pair()
    assert align(objective, end, points=3, repair=False).curve.tolist() == ["before", "after"]


def test_it_goes_on_where_it_was_interrupted(tmp_path):
    objective, end = pair()
    knobs = {"matching": "straight_through", "steps": 5, "points": 5}
    whole = align(objective, end, **knobs)

    class Stop(Exception):
        pass

    def stopping(at):
        def progress(done, _):
            if done >= at:
                raise Stop

        return progress

    def store(plan):
        return Parts(tmp_path / "a.h5", {"work": 1}, plan)

    for at in (9, 17):
        with pytest.raises(Stop):
            align(objective, end, **knobs, store=store, progress=stopping(at))
    steps = []
    found = align(objective, end, **knobs, store=store, progress=lambda done, total: steps.append((done, total)))
    assert steps[0][0] > 5  # the permutation is there, and points
    assert steps[-1] == (20, 20)
    for name in whole.quantities():
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    assert found.origin == whole.origin


def test_it_is_stored_whole(tmp_path):
    objective, end = pair()
    found = align(objective, end, points=3)
    found.save(tmp_path / "a.h5")
    again = load(tmp_path / "a.h5")
    assert isinstance(again, Align)
    for name in found.quantities():
        np.testing.assert_array_equal(getattr(found, name), getattr(again, name))
    assert again.origin == json.loads(json.dumps(found.origin))


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"matching": "names"}, "among weights, activations, straight_through, got 'names'"),
        ({"points": 2}, "at least 3 points"), ({"tries": 0}, "at least 1 try"),
        ({"matching": "straight_through", "steps": 0}, "at least 1 step"),
        ({"structure": '{"no": "file"}'}, "expected a JSON file of permutable units, got no such file"),
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused(knobs, words):
    objective, end = pair()
    with pytest.raises((ValueError, OSError), match=words):
        align(objective, end, **knobs)


def test_a_structure_of_another_network_is_refused(tmp_path):
    objective, end = pair()
    file = tmp_path / "units.json"
    file.write_text(json.dumps({"wrong": [["1.weight", 0], ["3.weight", 1]]}))
    with torch.no_grad():
        objective.network.tensors["1.bias"].copy_(torch.arange(6.0))
    with pytest.raises(ValueError, match="leaves the outputs of Sequential as they are"):
        align(objective, end, points=3, structure=str(file))


def test_what_cannot_be_aligned_is_refused():
    objective, end = pair()
    with pytest.raises(ValueError, match="points are all the same"):
        align(objective, objective.theta)
    with pytest.raises(ValueError, match="belongs to another network"):
        align(objective, end[1:])
    held = pair(parameters=("1.*", "3.*"))[0]
    with pytest.raises(ValueError, match=r"holds '5.weight' fixed"):
        align(held, held.theta + 1)
    frozen = Objective(build(FAMILIES["resnet"]), example("resnet"), device="cpu")
    with pytest.raises(ValueError, match="--batchnorm refit"):
        align(frozen, frozen.theta + 1)
    linear = Objective(nn.Linear(4, 2), (torch.randn(9, 4), torch.randint(2, (9,))), device="cpu")
    with pytest.raises(ValueError, match="may change places, got none"):
        align(linear, linear.theta + 1)


def test_the_cost_counts_the_passes_that_repair_adds():
    assert cost(pair("mlp")[0], points=10).points == 40
    assert cost(pair("mlp")[0], points=10, repair=False).points == 20
    refitted = cost(pair("resnet")[0], points=10)  # the price of a point knows of the refitting
    assert (refitted.points, refitted.alone) == (20, True)


class Routed(nn.Module):
    """An expert for large inputs alone: the first examples do not ask it."""

    def __init__(self):
        super().__init__()
        self.enter, self.leave, self.expert = nn.Linear(4, 6), nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x):
        hidden, large = self.enter(x).relu(), x[:, :1] > 5
        found = self.leave(hidden)
        return torch.where(large, self.expert(hidden), found) if large.any() else found


def test_units_that_other_examples_tell_apart_are_refused():
    torch.manual_seed(0)
    x = torch.cat([torch.randn(40, 4).clamp(max=4), torch.full((20, 4), 6.0)])
    objective = Objective(Routed(), (x, torch.randint(3, (60,))), precision="float64", device="cpu")
    end = objective.pack(Routed())
    with pytest.raises(ValueError, match="'after' that ends in the same networks as before"):
        align(objective, end, points=3)


class Gated(nn.Module):
    """A buffer with a number for each unit: the second network's is not among its parameters."""

    def __init__(self):
        super().__init__()
        self.enter, self.leave = nn.Linear(4, 6), nn.Linear(6, 3)
        self.register_buffer("gate", torch.rand(6))

    def forward(self, x):
        return self.leave(self.enter(x).relu() * self.gate)


def test_units_that_buffers_tell_apart_are_refused():
    torch.manual_seed(0)
    data = torch.randn(60, 4), torch.randint(3, (60,))
    objective = Objective(Gated(), data, precision="float64", device="cpu")
    with pytest.raises(ValueError, match="'after' that ends in the same networks as before"):
        align(objective, objective.pack(Gated()), points=3)
