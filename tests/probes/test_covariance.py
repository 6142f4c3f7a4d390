"""The gradient covariance against dense matrices, its overlap with the Hessian, and what subspaces must satisfy."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from landscape.objective import Objective
from landscape.probes.covariance import Covariance, compared, cost, covariance
from landscape.result import load


@pytest.fixture
def network():
    """A network of 67 parameters on 40 examples."""
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    x, y = torch.randn(40, 4, dtype=torch.float64), torch.randint(0, 3, (40,))
    return Objective(model, (x, y), precision="float64", device="cpu")


def gradients(objective):
    """Gradients of single examples (N, D), one objective after another."""
    (inputs, targets), *_ = objective.examples[objective.splits[0]].segments
    found = []
    for x, y in zip(inputs, targets, strict=True):
        part = Objective(objective.network.model, (x[None], y[None]), precision="float64", device="cpu")
        found.append(part.gradient(objective.theta).numpy())
    return np.stack(found)


def descending(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return values[::-1], vectors[:, ::-1].T


# Theorems and twins


@pytest.mark.parametrize("centered", [True, False])
def test_a_linear_regression_has_the_dense_covariance(quadratic, centered):
    x, y = quadratic.data["train"]
    each = (x @ quadratic.objective.theta.numpy() - y[:, 0])[:, None] * x
    mean = each.mean(0)
    matrix = each.T @ each / len(x) - centered * np.outer(mean, mean)
    found = covariance(quadratic.objective, count=6, centered=centered)
    np.testing.assert_allclose(found.value, descending(matrix)[0], rtol=1e-10)
    np.testing.assert_allclose(found.hessian_value, descending(quadratic.hessian())[0], rtol=1e-10)
    np.testing.assert_allclose(
        found.overlap, (descending(matrix)[1] @ descending(quadratic.hessian())[1].T) ** 2, rtol=1e-8, atol=1e-12
    )
    assert found.trace == pytest.approx(np.trace(matrix), rel=1e-10)
    assert found.trace_error == 0
    assert found.gradient_norm == pytest.approx(np.linalg.norm(mean), rel=1e-12)


@pytest.mark.parametrize("centered", [True, False])
def test_a_network_has_the_covariance_of_its_single_gradients(network, centered):
    each = gradients(network)
    mean = each.mean(0)
    matrix = each.T @ each / len(each) - centered * np.outer(mean, mean)
    values, vectors = descending(matrix)
    found = covariance(network, count=4, centered=centered, tolerance=1e-8)
    np.testing.assert_allclose(found.value, values[:4], rtol=1e-10)
    np.testing.assert_allclose(found.gradient_share, np.cumsum((vectors[:4] @ mean) ** 2) / (mean @ mean), rtol=1e-6)
    assert found.converged.all()
    assert abs(found.trace - np.trace(matrix)) < 4 * found.trace_error
    assert found.trace_error < 0.2 * found.trace
    assert found.origin["matrix"] == ("gradient_covariance" if centered else "fisher")


def test_the_hessian_subspace_is_that_of_the_dense_matrix(network):
    dense = network.hvp(network.theta, torch.eye(network.dim, dtype=torch.float64)).numpy()
    values, vectors = descending(dense)
    found = covariance(network, count=3, tolerance=1e-8)
    np.testing.assert_allclose(found.hessian_value, values[:3], rtol=1e-10)
    mean = network.gradient(network.theta).numpy()
    expected = np.cumsum((vectors[:3] @ mean) ** 2) / (mean @ mean)
    np.testing.assert_allclose(found.hessian_gradient_share, expected, rtol=1e-6)


def test_subspaces_that_are_turned_by_known_angles():
    angles = np.array([0.1, 0.4, 1.2])
    one, other = np.zeros((2, 3, 8))
    for i, angle in enumerate(angles):
        one[i, i] = 1
        other[i, i], other[i, i + 3] = np.cos(angle), np.sin(angle)
    gradient = np.array([3.0, 0, 0, 0, 0, 0, 4.0, 0])
    found = compared(one, other, gradient)
    np.testing.assert_allclose(np.diag(found["overlap"]), np.cos(angles) ** 2)
    np.testing.assert_allclose(found["angle_cosine"][2], np.cos(angles))
    assert np.isnan(found["angle_cosine"][0, 1:]).all()
    np.testing.assert_allclose(found["subspace_overlap"], np.cumsum(np.cos(angles) ** 2) / [1, 2, 3])
    np.testing.assert_allclose(found["gradient_share"], 9 / 25)
    np.testing.assert_allclose(found["hessian_gradient_share"], (3 * np.cos(0.1)) ** 2 / 25)
    assert found["gradient_norm"] == 5


def test_bases_of_one_subspace_overlap_fully_however_they_are_turned():
    random = np.random.default_rng(0)
    one = np.linalg.qr(random.standard_normal((20, 4)))[0].T
    turned = np.linalg.qr(random.standard_normal((4, 4)))[0] @ one
    found = compared(one, turned, random.standard_normal(20))
    assert found["subspace_overlap"][-1] == pytest.approx(1)
    np.testing.assert_allclose(found["angle_cosine"][-1], 1)
    assert found["subspace_overlap"][0] < 0.99
    assert found["gradient_share"][-1] == pytest.approx(found["hessian_gradient_share"][-1])


def test_random_subspaces_overlap_by_their_share_of_the_dimension():
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(400):
        one, other = (np.linalg.qr(random.standard_normal((30, 3)))[0].T for _ in range(2))
        drawn.append(compared(one, other, np.ones(30))["subspace_overlap"])
    spread = np.std(drawn, axis=0) / np.sqrt(400)
    assert (np.abs(np.mean(drawn, axis=0) - compared(one, other, np.ones(30))["random_overlap"]) < 4 * spread).all()


# Contracts


def test_the_trace_is_covered_by_its_error(network):
    each = gradients(network)
    truth = (each**2).sum() / len(each) - (each.mean(0) ** 2).sum()
    found = [covariance(network, count=2, tolerance=0.1, probes=20, seed=seed) for seed in range(6)]
    z = np.array([(one.trace - truth) / one.trace_error for one in found])
    assert np.abs(z.mean()) < 4 / np.sqrt(6)
    assert np.abs(z).max() < 5


def test_more_vectors_than_parameters_are_refused(quadratic):
    with pytest.raises(ValueError, match="1 <= count <= D=6, got count=7"):
        covariance(quadratic.objective, count=7)


@pytest.mark.parametrize(
    ("knobs", "said"),
    [({"count": 0}, "1 <= count"), ({"tolerance": 0.0}, "tolerance > 0"), ({"probes": 1}, "probes >= 2")],
)
def test_knobs_out_of_range_are_refused(quadratic, knobs, said):
    with pytest.raises(ValueError, match=said):
        covariance(quadratic.objective, **({"count": 2} | knobs))


def test_more_vectors_than_examples_are_warned_of(network):
    with pytest.warns(UserWarning, match="at most 2 eigenvectors"):
        covariance(network.subset(3), count=3, tolerance=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        covariance(network.subset(3), count=2, tolerance=0.1)


def test_what_has_not_converged_is_warned_of_and_marked(network):
    with pytest.warns(UserWarning, match="eigenpairs above: they are marked"):
        found = covariance(network, count=3, limit=6, tolerance=1e-10)
    assert not found.converged.all()


def test_products_are_told_up_to_the_last(network):
    told = []
    found = covariance(network, count=2, tolerance=0.01, progress=lambda done, most: told.append((done, most)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == found.origin["products"]
    assert told[-1][1] == cost(network, count=2).products


def test_a_gradient_of_zero_has_no_share(quadratic):
    x, y = quadratic.data["train"]
    minimum = torch.from_numpy(np.linalg.lstsq(x, y, rcond=None)[0][:, 0])
    found = covariance(quadratic.objective, theta=minimum, count=2)
    assert found.gradient_norm < 1e-12
    flat = compared(np.eye(2, 4), np.eye(2, 4), np.zeros(4))
    assert np.isnan(flat["gradient_share"]).all()


def test_it_comes_back_from_its_file(network, tmp_path):
    found = covariance(network, count=2, tolerance=0.01)
    found.save(tmp_path / "c.h5")
    again = load(tmp_path / "c.h5")
    assert isinstance(again, Covariance)
    np.testing.assert_array_equal(again.angle_cosine, found.angle_cosine)
