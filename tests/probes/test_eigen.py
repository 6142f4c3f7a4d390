"""Eigenpairs: dense Hessians of every family of networks, closed forms, and what has not converged."""

import numpy as np
import pytest
import torch
from torch import nn

from landscape.objective import Objective
from landscape.probes.eigen import Eigen, cost, eigen
from landscape.result import load

CASES = [
    ("mlp", "cross_entropy", "frozen"), ("mlp", "mse", "frozen"), ("lenet", "cross_entropy", "frozen"),
    ("resnet", "cross_entropy", "frozen"), ("resnet", "cross_entropy", "batch"), ("resnet", "mse", "batch"),
    ("vit", "cross_entropy", "frozen"), ("vit", "mse", "frozen"), ("gpt", "cross_entropy", "frozen"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_both_ends_are_those_of_the_dense_hessian(curved, case):
    objective, dense = curved(*case)
    found = eigen(objective, largest=3, smallest=2, tolerance=1e-6, vectors=True)
    known, rows = np.linalg.eigh(dense.numpy())
    np.testing.assert_allclose(found.value, known[[-1, -2, -3, 1, 0]], rtol=1e-8)
    assert found.converged.all()
    assert found.end.tolist() == ["largest"] * 3 + ["smallest"] * 2
    images = found.vector @ dense.numpy()
    residual = np.linalg.norm(images - found.value[:, None] * found.vector, axis=1)
    np.testing.assert_allclose(found.residual, residual, atol=1e-10)
    np.testing.assert_allclose(np.abs(found.vector @ rows[:, [-1, 0]])[[0, 4], [0, 1]], 1, rtol=1e-6)


@pytest.mark.parametrize("case", CASES[:2], ids="-".join)
def test_the_gradient_seen_from_the_eigenvectors(curved, case):
    objective, _ = curved(*case)
    theta = objective.theta + 0.1
    found = eigen(objective, theta=theta, largest=4, smallest=1, vectors=True)
    slope = objective.gradient(theta).numpy()
    assert found.gradient_norm == pytest.approx(np.linalg.norm(slope))
    along = found.vector @ slope
    assert (along <= 0).all()
    np.testing.assert_allclose(found.gradient_share, np.cumsum(along**2) / (slope @ slope), rtol=1e-6)
    assert 0 < found.gradient_share[-1] < 1
    np.testing.assert_allclose(found.participation, 1 / (found.vector**4).sum(1))
    assert (found.participation >= 1).all()
    assert (found.participation <= objective.dim).all()


def test_the_whole_spectrum_of_a_quadratic(quadratic):
    found = eigen(quadratic.objective, largest=4, smallest=2)
    np.testing.assert_allclose(found.value, np.linalg.eigvalsh(quadratic.hessian())[::-1], rtol=1e-12)
    assert found.gradient_share[-1] == pytest.approx(1)
    assert found.dimension == 6
    assert found.vector is None


def test_the_gauss_newton_matrix_of_a_linear_network_is_its_hessian(quadratic):
    one, other = (eigen(quadratic.objective, matrix=name, largest=2) for name in ("hessian", "gauss_newton"))
    np.testing.assert_allclose(one.value, other.value, rtol=1e-12)
    assert other.origin["matrix"] == "gauss_newton"


def test_no_gradient_has_no_share(quadratic):
    x, y = quadratic.data["train"]
    minimum = torch.from_numpy(np.linalg.lstsq(x, y[:, 0], rcond=None)[0])
    found = eigen(quadratic.objective, theta=minimum, largest=2, smallest=0)
    assert found.gradient_norm < 1e-12
    flat = Objective(nn.Linear(2, 1), (torch.zeros(3, 2), torch.zeros(3, 1)), lambda o, _: 0 * o[:, 0], device="cpu")
    assert eigen(flat, largest=1, smallest=1).gradient_share.tolist() == [0, 0]


def test_what_has_not_converged_is_marked_and_warned_of(curved):
    objective, _ = curved("vit")
    told = []
    with pytest.warns(UserWarning, match=r"of 13 eigenpairs above: they are marked; raise the limit"):
        found = eigen(objective, limit=40, tolerance=1e-6, progress=lambda *now: told.append(now))
    assert not found.converged.all()
    allowed = 1e-6 * np.maximum(1e-4 * found.value[0], abs(found.value))
    np.testing.assert_array_equal(found.converged, found.residual <= allowed)
    assert told[0] == (0, 40)
    assert told[-1] == (found.origin["products"], 40)


def test_eigenpairs_come_back_from_their_file(quadratic, tmp_path):
    found = eigen(quadratic.objective, largest=2, smallest=1, vectors=True)
    found.save(tmp_path / "e.h5")
    again = load(tmp_path / "e.h5")
    assert isinstance(again, Eigen)
    for name in found.quantities():
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert again.origin["seed"] == 0


def test_the_cost_is_an_upper_bound(curved):
    objective, _ = curved("mlp")
    told = cost(objective, largest=3, smallest=1, limit=200)
    assert eigen(objective, largest=3, smallest=1, limit=200).origin["products"] <= told.products
    assert told.vectors == 2 * 4 + 20 + 4


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"largest": 6, "smallest": 1}, "at least one and at most D=6 eigenvalues in all, got 6 and 1"),
        ({"largest": 0, "smallest": 0}, "at least one and at most D=6 eigenvalues in all, got 0 and 0"),
        ({"largest": 1, "smallest": 1, "limit": 0}, "Expected limit >= 1, got 0"),
        ({"largest": 1, "smallest": 1, "tolerance": 0.0}, "Expected tolerance > 0"),
        ({"matrix": "hesian", "largest": 1}, r"got 'hesian' \(did you mean 'hessian'"),
    ],
)
def test_errors_teach(quadratic, knobs, message):
    with pytest.raises(ValueError, match=message):
        eigen(quadratic.objective, **knobs)
