"""Curvature over a plane: closed forms, a dense twin, chains of neighbours, interruptions, and points that overflow."""

import numpy as np
import pytest
import torch
from torch import nn

from landscape import directions, operators
from landscape.eigenpairs import eigenpairs
from landscape.objective import Objective
from landscape.parts import Parts
from landscape.probes.curvature import Curvature, cost, curvature
from landscape.result import load

DIM = 40
STIFF = torch.linspace(-1, 3, DIM, dtype=torch.float64)  # of the quartic: both signs


class Weights(nn.Module):
    """A network that answers with its own parameters, so that a loss is any function of them."""

    def __init__(self, theta):
        super().__init__()
        self.weight = nn.Parameter(theta[None])

    def forward(self, inputs):
        return self.weight + 0 * inputs


def quartic(outputs, targets):
    """Sum_i c_i theta_i^4 / 12, whose Hessian is diag(c_i theta_i^2)."""
    return (STIFF * outputs**4).sum(-1) / 12


def explosive(outputs, targets):
    """A quartic that overflows where the first parameter is large."""
    return quartic(outputs, targets) + torch.where(outputs[:, 0] > 1.5, torch.inf, 0.0)


def on_weights(loss):
    theta = torch.linspace(1, 2, DIM, dtype=torch.float64).flip(0).roll(7)
    data = (torch.zeros(3, DIM, dtype=torch.float64), torch.zeros(3, 1, dtype=torch.float64))
    return Objective(Weights(theta), data, loss, precision="float64", device="cpu", strategy="loop,examples=3")


@pytest.fixture
def network():
    """A network of 67 parameters on 30 examples, with curvature of both signs."""
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    x, y = torch.randn(45, 4, dtype=torch.float64), torch.randint(0, 3, (45,))
    splits = {"train": (x[:30], y[:30]), "test": (x[30:], y[30:])}
    return Objective(model, splits, precision="float64", device="cpu", strategy="vmap,points=2,examples=30")


def dense(objective, theta):
    """The Hessian at a point from products with all unit vectors."""
    matrix = operators.hessian(objective, theta)(torch.eye(objective.dim, dtype=torch.float64))
    return np.linalg.eigvalsh(matrix.numpy())


def plane(frame, found):
    return [[frame.point(torch.tensor([a, b])) for b in found.b] for a in found.a]


# Theorems


def test_a_quartic_has_the_curvature_of_the_closed_form():
    objective = on_weights(quartic)
    frame = directions.random(objective, normalization="none", seed=1)
    found = curvature(objective, frame, points=3, span=0.5, tolerance=1e-6)
    thetas = torch.stack([torch.stack(row) for row in plane(frame, found)])
    eigenvalues = STIFF * thetas**2
    np.testing.assert_allclose(found.lambda_max, eigenvalues.amax(-1), rtol=1e-9)
    np.testing.assert_allclose(found.lambda_min, eigenvalues.amin(-1), rtol=1e-9)
    np.testing.assert_allclose(found.ratio, -eigenvalues.amin(-1) / eigenvalues.amax(-1), rtol=1e-9)
    np.testing.assert_allclose(found.loss[0], (STIFF * thetas**4).sum(-1) / 12, rtol=1e-12)
    assert found.lambda_max_converged.all()
    assert found.lambda_min_converged.all()


def test_a_quadratic_is_curved_alike_everywhere(quadratic):
    found = curvature(quadratic.objective, points=3)
    expected = np.linalg.eigvalsh(quadratic.hessian())
    np.testing.assert_allclose(found.lambda_max, expected[-1], rtol=1e-10)
    np.testing.assert_allclose(found.lambda_min, expected[0], rtol=1e-10)
    np.testing.assert_allclose(found.loss[:, 1, 1], quadratic.loss(quadratic.objective.theta.numpy()), rtol=1e-12)


def test_a_smaller_tolerance_brings_smaller_residuals_and_the_dense_eigenvalues(network):
    frame = directions.random(network, seed=3)
    rough = curvature(network, frame, points=3, tolerance=1e-1)
    fine = curvature(network, frame, points=3, tolerance=1e-5)
    expected = np.array([[dense(network, theta) for theta in row] for row in plane(frame, fine)])
    np.testing.assert_allclose(fine.lambda_max, expected[..., -1], rtol=1e-8)
    np.testing.assert_allclose(fine.lambda_min, expected[..., 0], rtol=1e-8)
    assert (fine.lambda_max_residual < rough.lambda_max_residual).all()
    for end in ("lambda_max", "lambda_min"):
        distance = np.abs(expected - getattr(rough, end)[..., None]).min(-1)
        assert (distance <= getattr(rough, f"{end}_residual")).all()


# Neighbours


@pytest.fixture
def wide():
    """Two hundred parameters: enough for warm starts to pay."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 6)).double()
    x, y = torch.randn(60, 6, dtype=torch.float64), torch.randint(0, 6, (60,))
    return Objective(model, (x, y), precision="float64", device="cpu", strategy="loop,examples=60")


def test_a_neighbour_saves_products_and_changes_no_eigenvalue(wide):
    frame = directions.random(wide)
    warm = curvature(wide, frame, points=(3, 5), span=0.2)
    cold = []
    for theta in (theta for row in plane(frame, warm) for theta in row):
        operator = operators.hessian(wide, theta)
        cold.append(eigenpairs(operator, wide.dim, count=(1, 1), tolerance=1e-2, like=operator.like))
    assert warm.origin["products"] < 0.9 * sum(found.products for found in cold)
    values = np.array([found.values.numpy() for found in cold]).reshape(3, 5, 2)
    np.testing.assert_allclose(warm.lambda_max, values[..., 0], rtol=1e-2)
    np.testing.assert_allclose(warm.lambda_min, values[..., 1], rtol=1e-2)


def test_products_are_counted(network, monkeypatch):
    seen = []
    times = operators.Operator.__call__
    monkeypatch.setattr(operators.Operator, "__call__", lambda self, rows: seen.append(len(rows)) or times(self, rows))
    found = curvature(network, points=3)
    assert found.origin["products"] == sum(seen)
    assert (found.products > 0).all()
    assert found.origin["products"] <= cost(network, points=3).products


def test_what_has_not_converged_says_so(wide):
    found = curvature(wide, points=3, limit=4)
    assert not found.lambda_min_converged.any()
    assert (found.products <= 4 + 2).all()
    assert (found.lambda_min_residual > 1e-2 * np.abs(found.lambda_min)).all()


# Interruptions


@pytest.mark.parametrize("at", [3, 6, 9])
def test_an_interrupted_map_goes_on_with_the_same_bits(wide, tmp_path, at):
    def store(plan):
        return Parts(tmp_path / "c.h5", {}, plan)

    class Stop(Exception):
        pass

    def stop(done, total):
        assert total == 9
        if done == at:
            raise Stop

    with pytest.raises(Stop):
        curvature(wide, points=3, store=store, progress=stop)
    counted = []
    resumed = curvature(wide, points=3, store=store, progress=lambda done, total: counted.append(done))
    whole = curvature(wide, points=3)
    assert counted == [*range(at, 9, 3), 9]
    for name in whole.quantities():
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))
    assert resumed.origin == whole.origin


# What must not stop a map


def test_points_that_overflow_are_nan_and_the_others_are_measured():
    objective = on_weights(explosive)
    first = torch.zeros(2, DIM, dtype=torch.float64)
    first[0, 0], first[1, 1] = 1.0, 1.0
    found = curvature(objective, first, points=3, span=0.5)
    lost = np.isinf(found.loss[0])
    assert lost.any()
    assert not lost.all()
    for values in (found.lambda_max, found.lambda_min, found.ratio):
        np.testing.assert_array_equal(np.isnan(values), lost)
    assert not found.lambda_max_converged[lost].any()
    assert (found.products[lost] == 0).all()


def test_a_flat_objective_has_no_ratio():
    objective = on_weights(lambda outputs, targets: (0 * outputs).sum(-1))
    found = curvature(objective, points=3)
    assert (found.lambda_max == 0).all()
    assert np.isnan(found.ratio).all()


# Contracts


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"points": 4}, "odd number of points"),
        ({"points": 1}, "at least 3 points"),
        ({"limit": 0}, "limit >= 1"),
        ({"tolerance": 0.0}, "tolerance > 0"),
        ({"span": -1.0}, "positive span"),
    ],
)
def test_knobs_out_of_range_are_refused(network, knobs, said):
    with pytest.raises(ValueError, match=said):
        curvature(network, **({"points": 3} | knobs))


def test_a_map_comes_back_from_its_file(network, tmp_path):
    found = curvature(network, points=3)
    found.save(tmp_path / "c.h5")
    again = load(tmp_path / "c.h5")
    assert isinstance(again, Curvature)
    np.testing.assert_array_equal(again.lambda_min, found.lambda_min)
    assert again.origin == found.origin
