import pytest
import torch
from torch import nn

from landscape.alignment.straight_through import Middle, straight_through_matching
from landscape.alignment.structure import Group, Place, Structure
from landscape.alignment.weights import weight_matching
from landscape.objective import Objective


@pytest.fixture
def pair():
    torch.manual_seed(0)
    x = torch.randn(64, 4)
    y = (x[:, 0] * x[:, 1] > 0).long()
    model = nn.Sequential(nn.Linear(4, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 2))
    objective = Objective(model, (x, y), batchnorm="refit", device="cpu", batch_size=64)
    index = torch.arange(12)[:, None]
    statistics = ("1.running_mean", "1.running_var")
    names = (*((name, 0) for name in ("0.weight", "0.bias", "1.weight", "1.bias", *statistics)), ("3.weight", 1))
    structure = Structure((Group("hidden", 12, tuple(Place(name, axis, index) for name, axis in names)),))
    return objective, torch.randn(objective.dim), structure


def match(pair, **knobs):
    objective, end, structure = pair
    return straight_through_matching(objective, objective.theta, end, structure, steps=20, batch_size=32, **knobs)


def test_it_is_no_worse_in_the_middle_than_weight_matching(pair):
    objective, end, structure = pair
    found = match(pair, lr=1.0)
    middle = Middle(objective, objective.theta, end, structure)
    begun = weight_matching(middle.first, middle.second, structure).permutation
    told = found.record["midpoint"]
    assert [one["step"] for one in told] == list(range(0, 21, 2))
    assert told[0]["loss"] == middle.loss(begun)
    assert middle.loss(found.permutation) == min(one["loss"] for one in told)
    assert min(one["loss"] for one in told) < told[0]["loss"]


def test_the_gradient_passes_straight_through(pair):
    objective, end, structure = pair
    middle = Middle(objective, objective.theta, end, structure)
    identity, batch = structure.identity(), next(iter([objective.examples["train"].segments[0]]))
    from landscape.train.batches import Batch

    hat = (end + 7).requires_grad_()  # far from what it is projected on
    middle.slope(hat, identity, Batch(*batch)).backward()
    at = ((objective.theta + end) / 2).requires_grad_()
    model = middle.model
    outputs = torch.func.functional_call(model, objective.unpack(at), (batch[0],))
    nn.functional.cross_entropy(outputs, batch[1]).backward()
    torch.testing.assert_close(hat.grad, at.grad / 2, rtol=1e-4, atol=1e-6)


def test_the_same_seed_gives_the_same_and_leaves_randomness_alone(pair):
    state = torch.get_rng_state()
    one, two = match(pair, seed=3), match(pair, seed=3)
    assert one.record == two.record
    assert all(torch.equal(one.permutation[name], two.permutation[name]) for name in one.permutation)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("steps", [3, 10, 11, 19, 25])
def test_the_middle_is_asked_at_most_ten_times_and_at_the_last_step(pair, steps):
    objective, end, structure = pair
    found = straight_through_matching(objective, objective.theta, end, structure, steps=steps, batch_size=32)
    asked = [one["step"] for one in found.record["midpoint"]]
    assert asked[0] == 0
    assert asked[-1] == steps
    assert len(asked) <= 11


@pytest.mark.parametrize(("knobs", "words"), [({"lr": 0.0}, "positive learning rate"), ({"lr": -1.0}, "positive")])
def test_values_out_of_range_are_refused(pair, knobs, words):
    with pytest.raises(ValueError, match=words):
        match(pair, **knobs)
