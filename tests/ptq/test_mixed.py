"""Widths under a budget: the integer program against all allocations there are, and what it is fed."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from landscape.objective import Objective
from landscape.ptq.allocation import Budget, allocation
from landscape.ptq.calls import operations
from landscape.ptq.mixed import mixed
from landscape.quantize.calibration import calibrate
from landscape.quantize.layers import chosen
from landscape.quantize.scheme import Scheme
from landscape.sensitivity import block_traces

BITS = np.array([8, 4, 2])


def best(sensitivity, costs, limit):
    """The least sum of all allocations, one by one."""
    layers, widths = sensitivity.shape
    every = (np.array(one) for one in itertools.product(range(widths), repeat=layers))
    rows = np.arange(layers)
    return min(sensitivity[rows, one].sum() for one in every if costs[rows, one].sum() <= limit)


@pytest.mark.parametrize("seed", range(12))
def test_no_allocation_is_better(seed):
    random = np.random.default_rng(seed)
    count = random.integers(10, 10**6, 5)
    sensitivity = 10.0 ** random.uniform(-8, 0, (5, 1)) * np.array([[1.0, 250.0, 4000.0]])
    costs = np.outer(count, BITS)
    limit = random.uniform(2.1, 8) * count.sum()
    found = allocation(sensitivity, costs, limit)
    rows = np.arange(5)
    assert costs[rows, found].sum() <= limit
    assert sensitivity[rows, found].sum() == pytest.approx(best(sensitivity, costs, limit), rel=1e-6)


def test_ends_of_the_budget():
    costs, sensitivity = np.outer([10, 20, 30], BITS), np.tile([0.1, 1.0, 10.0], (3, 1))
    assert allocation(sensitivity, costs, 2 * 60).tolist() == [2, 2, 2]
    assert allocation(sensitivity, costs, 8 * 60).tolist() == [0, 0, 0]
    assert allocation(sensitivity, costs, 1e9).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="budget that the narrowest widths meet, got 119 where they cost 120"):
        allocation(sensitivity, costs, 119)


def test_a_negative_sensitivity_earns_nothing():
    costs = np.outer([10, 10], BITS)
    found = allocation(np.array([[-1.0, -50.0, -900.0], [0.1, 1.0, 10.0]]), costs, 100)
    assert found.tolist() == [2, 0]


@pytest.mark.parametrize("text", ["size", "size:0", "size:-1", "size:inf", "bops:1.5", "flops:2", "4", "size:x"])
def test_budgets_refused(text):
    with pytest.raises(ValueError, match="Expected a budget such as size:4"):
        Budget.parse(text)


def test_budgets():
    count, work = np.array([10, 30]), np.array([700, 100])
    size, bops = Budget.parse("size:4"), Budget.parse("bops:0.25")
    assert (str(size), str(bops)) == ("size:4", "bops:0.25")
    assert size.costs(count, work, BITS).tolist() == [[80, 40, 20], [240, 120, 60]]
    assert bops.costs(count, work, BITS).tolist() == [[5600, 2800, 1400], [800, 400, 200]]
    assert (size.limit(count, work, BITS), bops.limit(count, work, BITS)) == (160, 1600)


@pytest.fixture(scope="module")
def setting():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 6), nn.Tanh(), nn.Linear(6, 3))
    data = (torch.randn(24, 1, 6, 6), torch.randint(0, 3, (24,)))
    strategy = "loop;retained,kept,examples=24"
    objective = Objective(model, data, lambda out, y: (out**2).sum(1), device="cpu", strategy=strategy)
    axes = chosen(model)
    offered = {name: [Scheme(bits) for bits in (8, 4, 3)] for name in axes}
    counted = operations(model, data[0][:1])
    return objective, offered, axes, {f"{name}.weight": count for name, count in counted.items()}


def test_omega_is_hawqs(setting):
    objective, offered, axes, work = setting
    found = mixed(objective, offered, axes, work, Budget("size", 4), samples=8, seed=2)
    traces = block_traces(objective, None, offered, samples=8, seed=2)
    values = objective.unpack(objective.theta)
    for index, name in enumerate(offered):
        for place, scheme in enumerate(offered[name]):
            delta = calibrate(values[name], scheme, axis=axes[name]).hard(values[name]) - values[name]
            omega = float(traces.trace[index] / traces.count[index]) * float(delta.double().square().sum())
            assert found.omega[index, place] == pytest.approx(omega, rel=1e-9)
    assert (found.omega_error > 0).all()
    np.testing.assert_array_equal(found.counted, np.maximum(found.omega, found.omega_error))


def test_an_allocation_meets_its_budget_and_is_the_best(setting):
    objective, offered, axes, work = setting
    for budget in (Budget("size", 4.1), Budget("bops", 0.6)):
        found = mixed(objective, offered, axes, work, budget, samples=8)
        count, widths = found.traces.count.numpy(), np.array([8, 4, 3])
        costs, limit = budget.costs(count, found.operations, widths), budget.limit(count, found.operations, widths)
        rows = np.arange(3)
        assert costs[rows, found.chosen].sum() <= limit
        assert found.counted[rows, found.chosen].sum() == pytest.approx(best(found.counted, costs, limit), rel=1e-6)
        assert (found.mean_bits <= 4.1) if budget.kind == "size" else (found.share <= 0.6)
        assert found.record()["tensors"]["0.weight"]["bits"] == found.width["0.weight"]


def test_sums(setting):
    objective, offered, axes, work = setting
    found = mixed(objective, offered, axes, work, Budget("size", 8), samples=4)
    assert (found.mean_bits, found.share) == (8.0, 1.0)
    assert set(found.width.values()) == {8}


def test_one_width_is_no_choice(setting):
    objective, _, axes, work = setting
    with pytest.raises(ValueError, match="several widths to choose from, got 1"):
        mixed(objective, {name: [Scheme(4)] for name in axes}, axes, work, Budget("size", 4))


def test_a_trace_that_is_not_known_counts_with_its_error():
    """A loss that bends down has negative traces; no tensor is then free to be rounded to the fewest bits."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    bent = Objective(
        model, (torch.randn(16, 4), torch.randn(16, 2)), lambda out, y: -((out - y) ** 2).sum(1), device="cpu",
        strategy="loop;retained,kept,examples=16",
    )  # fmt: skip
    axes = chosen(model)
    offered = {name: [Scheme(8), Scheme(4)] for name in axes}
    with pytest.warns(UserWarning, match="2.weight are below their standard errors, which they count with"):
        found = mixed(bent, offered, axes, dict.fromkeys(axes, 10), Budget("size", 6), samples=8)
    assert (found.omega[1] < 0).all()
    np.testing.assert_array_equal(found.counted[1], found.omega_error[1])
