"""Traces: closed forms on bowls, twins of dense matrices on networks, and what is told beside the number."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from landscape import Objective
from landscape.probes.trace import Trace, cost, trace
from landscape.result import load


@pytest.fixture
def network():
    """A ReLU network with its dense Hessian, by autograd in float64."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).double()
    x, y = torch.randn(30, 4, dtype=torch.float64), torch.randint(0, 3, (30,))
    objective = Objective(model, (x, y), precision="float64", device="cpu")

    def mean(theta):
        return cross_entropy(functional_call(model, objective.unpack(theta), (x,)), y)

    return objective, torch.autograd.functional.hessian(mean, objective.theta)


def blocks(objective, matrix):
    return np.array([float(matrix[block.slice, block.slice].trace()) for block in objective.blocks])


@pytest.mark.parametrize("method", ["hutchinson", "hutchpp", "xtrace", "exact"])
def test_the_trace_of_a_bowl(quadratic, method):
    truth = np.trace(quadratic.hessian())
    found = trace(quadratic.objective, method=method, probes=400 if method == "hutchinson" else 30)
    assert abs(float(found.trace) - truth) <= 3 * float(found.trace_error) + 1e-10
    assert found.layer.tolist() == ["weight"]
    assert found.layer_size.tolist() == [6]


def test_the_frobenius_norm_of_a_bowl(quadratic):
    found = trace(quadratic.objective, probes=400)
    truth = (quadratic.hessian() ** 2).sum()
    assert abs(float(found.square) - truth) < 3 * float(found.square_error)
    assert float(found.square_error) < 0.1 * truth


@pytest.mark.parametrize("matrix", ["hessian", "gauss_newton"])
def test_exact_traces_equal_the_dense_matrix_by_layer(network, matrix):
    objective, dense = network
    if matrix == "gauss_newton":
        dense = objective.ggnvp(objective.theta, torch.eye(objective.dim, dtype=torch.float64))
    found = trace(objective, matrix=matrix, method="exact")
    assert float(found.trace) == pytest.approx(float(dense.trace()), rel=1e-10)
    np.testing.assert_allclose(found.layer_trace, blocks(objective, dense), rtol=1e-10)
    assert float(found.trace_error) == 0
    assert not found.layer_trace_error.any()
    assert found.sample is None
    assert found.origin["products"] == 0


def test_layers_are_within_their_errors_and_add_up(network):
    objective, dense = network
    found = trace(objective, probes=300)
    z = (found.layer_trace - blocks(objective, dense)) / found.layer_trace_error
    assert (np.abs(z) < 3.5).all()
    assert float(found.layer_trace.sum()) == pytest.approx(float(found.trace), rel=1e-10)
    assert found.layer.tolist() == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert found.layer_role.tolist() == ["weight", "bias"] * 2
    assert found.layer_size.tolist() == [24, 6, 18, 3]
    np.testing.assert_allclose(found.layer_mean * found.layer_size, found.layer_trace)
    np.testing.assert_allclose(found.layer_mean_error * found.layer_size, found.layer_trace_error)
    assert float(found.square) == pytest.approx(float((dense**2).sum()), abs=3.5 * float(found.square_error))


def test_what_was_measured_is_stored(network):
    found = trace(network[0], probes=20)
    assert found.layer_sample.shape == (20, 4)
    np.testing.assert_allclose(found.layer_sample.sum(1), found.sample, rtol=1e-10)
    assert float(found.trace) == pytest.approx(found.sample.mean())
    assert float(found.trace_error) == pytest.approx(found.sample.std(ddof=1) / np.sqrt(20))
    assert float(found.square) == pytest.approx(found.square_sample.mean())


def test_stops_on_the_standard_error(network):
    found = trace(network[0], probes=2000, tolerance=0.05)
    assert 8 < len(found.sample) < 2000
    assert float(found.trace_error) <= 0.05 * abs(float(found.trace))
    assert found.origin["converged"]
    assert found.origin["products"] == len(found.sample)
    assert not trace(network[0], probes=16, tolerance=1e-6).origin["converged"]


def test_at_a_point_and_by_seed(network):
    objective, _ = network
    elsewhere = trace(objective, theta=objective.theta * 1.1, method="exact")
    assert float(elsewhere.trace) != float(trace(objective, method="exact").trace)
    one, other = (trace(objective, probes=8, seed=seed) for seed in (1, 2))
    assert float(one.trace) == float(trace(objective, probes=8, seed=1).trace) != float(other.trace)


@pytest.mark.parametrize("method", ["hutchinson", "hutchpp", "xtrace", "exact"])
def test_comes_back_from_its_file_and_counts(network, method, tmp_path):
    told = []
    found = trace(network[0], method=method, probes=20, progress=lambda *now: told.append(now))
    assert told[-1] == ((30, 30) if method == "exact" else (found.origin["products"], 20))
    assert told == sorted(told)
    found.save(tmp_path / "t.h5")
    again = load(tmp_path / "t.h5")
    assert isinstance(again, Trace)
    for name in found.quantities():
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert again.origin["method"] == method
    assert found.layer_mean is None if method in ("hutchpp", "xtrace") else len(found.layer_mean) == 4


def test_cost_is_told_beforehand(network):
    objective, _ = network
    assert cost(objective, probes=50).products == 50
    assert cost(objective, method="xtrace", probes=30).vectors == 60
    assert cost(objective, method="exact").products == 2


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"matrix": "fisher"}, "Expected a matrix, one of hessian, gauss_newton, got 'fisher'"),
        ({"method": "power"}, "Expected a method, one of hutchinson"),
        ({"tolerance": -0.1}, "Expected a tolerance >= 0"),
        ({"tolerance": 0.1, "method": "xtrace"}, "got 0.1 with xtrace"),
        ({"probes": 0}, "Expected probes >= 1"),
    ],
)
def test_errors_teach(network, knobs, message):
    with pytest.raises(ValueError, match=message):
        trace(network[0], **knobs)


def test_exact_traces_of_curved_networks_are_refused():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    objective = Objective(model, (torch.randn(6, 3), torch.tensor([0, 1] * 3)), device="cpu")
    with pytest.raises(ValueError, match="Expected a piecewise linear network"):
        trace(objective, method="exact")
    assert float(trace(objective, matrix="gauss_newton", method="exact").trace) > 0
