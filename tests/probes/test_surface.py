"""Surfaces: closed forms, grids, draws, marks, and what must never happen to the numbers or the model."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from landscape import directions
from landscape.frame import Frame
from landscape.objective import Objective
from landscape.parts import Parts
from landscape.probes import _grid
from landscape.probes.surface import Surface, surface
from landscape.result import load

# Theorems


def plane(frame, found):
    """The points of a surface (A, B, D), naively."""
    one, other = frame.vectors.numpy()
    return np.array([[frame.center.numpy() + a * one + b * other for b in found.b] for a in found.a])


@pytest.mark.parametrize("points", [(5, 9), (7, 3), 5])
def test_a_surface_of_a_quadratic_is_the_closed_form(planned, points):
    frame = directions.random(planned.objective, seed=4)
    found = surface(planned.objective, points=points, span=(0.5, 2.0), seed=4)
    expected = planned.loss(plane(frame, found))
    assert found.loss.shape == expected.shape == (2, *(points if isinstance(points, tuple) else (points, points)))
    np.testing.assert_allclose(found.loss, expected, rtol=1e-12)
    assert found.split.tolist() == ["train", "test"]


def test_second_differences_of_a_surface_are_the_hessian(quadratic):
    frame = directions.random(quadratic.objective, normalization="none")
    found = surface(quadratic.objective, frame, points=3, span=1.0)
    values, (one, other) = found.loss[0], frame.vectors.numpy()
    hessian = quadratic.hessian()
    assert values[2, 1] - 2 * values[1, 1] + values[0, 1] == pytest.approx(one @ hessian @ one, rel=1e-10)
    assert values[1, 2] - 2 * values[1, 1] + values[1, 0] == pytest.approx(other @ hessian @ other, rel=1e-10)
    mixed = (values[2, 2] - values[2, 0] - values[0, 2] + values[0, 0]) / 4
    assert mixed == pytest.approx(one @ hessian @ other, rel=1e-9)


def test_standard_errors_are_those_of_the_examples(quadratic):
    frame = directions.random(quadratic.objective)
    found = surface(quadratic.objective, points=3)
    theta = frame.point(torch.tensor([found.a[0], found.b[2]])).numpy()
    for split, (x, y) in enumerate(quadratic.data.values()):
        each = 0.5 * (x @ theta - y[:, 0]) ** 2
        assert found.loss_error[split, 0, 2] == pytest.approx(each.std(ddof=1) / np.sqrt(len(each)), rel=1e-10)


# The grid


@pytest.mark.parametrize("points", [3, 5, 21, (3, 7)])
def test_coordinates_are_symmetric_uniform_and_hold_zero(quadratic, points):
    found = surface(quadratic.objective, points=points, span=0.3)
    for axis in (found.a, found.b):
        assert np.array_equal(axis, -axis[::-1])
        assert axis[len(axis) // 2] == 0
        assert axis[-1] == pytest.approx(0.3, rel=1e-15)
        np.testing.assert_allclose(np.diff(axis), 0.6 / (len(axis) - 1), rtol=1e-12)
    assert found.center == (len(found.a) // 2, len(found.b) // 2)


def test_the_center_equals_the_value(classifier):
    found = surface(classifier, points=5)
    whole = classifier.measure(classifier.theta)
    assert found.loss[0][found.center] == pytest.approx(float(classifier.value(classifier.theta)), rel=1e-12)
    np.testing.assert_allclose(found.loss[(slice(None), *found.center)], whole.loss, rtol=1e-12)
    np.testing.assert_allclose(found.class_loss[(..., *found.center)], whole.class_loss, rtol=1e-12)


def test_the_center_of_one_plan_has_the_bits_of_the_value():
    torch.manual_seed(0)
    data = (torch.randn(50, 4), torch.randint(0, 3, (50,)))
    objective = Objective(nn.Linear(4, 3), data, device="cpu", strategy="loop,examples=16")
    found = surface(objective, points=5)
    assert found.loss[0][found.center] == float(objective.value(objective.theta))


def test_the_center_may_be_elsewhere(quadratic):
    center = quadratic.objective.theta + 1
    found = surface(quadratic.objective, center=center, points=3)
    assert found.loss[0, 1, 1] == pytest.approx(float(quadratic.objective.value(center)), rel=1e-12)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"points": 4}, r"odd number of points, so that the center is one of them, got 4: use 5"),
        ({"points": (3, 6)}, r"got 6: use 7"),
        ({"points": 1}, r"at least 3 points on an axis, got 1: use 21 or 51"),
        ({"points": 5.0}, r"Expected a whole number of at least 3 points"),
        ({"points": True}, r"Expected a whole number"),
        ({"points": (3, 3, 3)}, r"Expected numbers of points for 2 axes, got 3"),
        ({"span": 0}, r"Expected a positive span, got 0"),
        ({"span": -1.0}, r"Expected a positive span, got -1.0"),
        ({"span": float("nan")}, r"Expected a positive span, got nan"),
        ({"span": "wide"}, r"Expected a positive span, got wide: use 1.0 or 'auto'"),
        ({"span": "auto", "multiple": 1.0}, r"Expected a multiple above 1, got 1.0"),
        ({"draws": 0}, r"got draws=0"),
        ({"normalization": "l2"}, r"Expected a normalization"),
        ({"directions": torch.ones(1, 6)}, r"Expected directions of shape \(2, 6\), got \(1, 6\)"),
        ({"directions": torch.ones(2, 5)}, r"Expected directions of length D=6"),
        ({"directions": torch.zeros(2, 6)}, r"got zero or not finite numbers as direction 1"),
        ({"directions": torch.eye(2, 6), "draws": 2}, r"got draws=2"),
        ({"center": torch.ones(5)}, r"Expected a center of shape \(6,\), got \(5,\)"),
    ],
)
def test_what_cannot_be_meant_is_refused(quadratic, knobs, message):
    with pytest.raises(ValueError, match=message):
        surface(quadratic.objective, **knobs)


def test_a_frame_brings_its_own_center(quadratic):
    frame = directions.random(quadratic.objective)
    with pytest.raises(ValueError, match="Expected the center of the frame, got another one too"):
        surface(quadratic.objective, frame, center=quadratic.objective.theta)


def test_given_directions_are_drawn_as_they_are(quadratic):
    vectors = torch.stack([torch.full((6,), 100.0), torch.linspace(0, 1, 6)]).double()
    found = surface(quadratic.objective, vectors, points=3)
    frame = Frame(quadratic.objective.theta, vectors, ("a", "b"))
    np.testing.assert_allclose(found.loss, quadratic.loss(plane(frame, found)), rtol=1e-12)
    assert found.norm == pytest.approx(vectors.norm(dim=1).numpy())
    assert found.cosine == pytest.approx(frame.cosine[0, 1])
    assert found.origin["directions"]["kind"] == "given"


# The span


def test_an_automatic_span_ends_where_the_loss_has_risen(quadratic):
    objective = quadratic.objective
    found = surface(objective, points=3, span="auto", multiple=20.0)
    goal = max(20 * found.loss[0, 1, 1], found.loss[0, 1, 1] + 1)
    ends = np.mean([found.loss[0, 0, 1], found.loss[0, 2, 1], found.loss[0, 1, 0], found.loss[0, 1, 2]])
    assert goal * 0.99 <= ends <= goal * 1.3  # four bisections: a step within 1/16, a quadratic within 1/8
    assert found.a[-1] == found.b[-1]
    mixed = surface(objective, points=3, span=("auto", 0.5), multiple=20.0)
    assert mixed.a[-1] == found.a[-1]
    assert mixed.b[-1] == 0.5


def test_a_loss_that_never_rises_has_no_automatic_span():
    flat = Objective(nn.Linear(2, 1), (torch.zeros(4, 2), torch.zeros(4, 1)), "mse", device="cpu")
    with pytest.raises(ValueError, match="Expected the loss to rise to .* pass a span"):
        surface(flat, span="auto", points=3)


def test_a_center_that_is_not_finite_has_no_automatic_span():
    objective = Objective(nn.Linear(2, 1), (torch.full((4, 2), 1e30), torch.zeros(4, 1)), "mse", device="cpu")
    with pytest.raises(ValueError, match="Expected a finite loss at the center to find a span from, got inf"):
        surface(objective, span="auto", points=3)


# Draws


def test_draws_are_those_of_their_number(planned):
    found = surface(planned.objective, points=(3, 5), draws=3, seed=2)
    assert found.draw.tolist() == [0, 1, 2]
    assert found.draw_loss.shape == (3, 2, 3, 5)
    for draw in range(3):
        frame = directions.random(planned.objective, seed=2, draw=draw)
        np.testing.assert_allclose(found.draw_loss[draw], planned.loss(plane(frame, found)), rtol=1e-12)
    np.testing.assert_array_equal(found.draw_loss[0], found.loss)
    alone = surface(planned.objective, points=(3, 5), seed=2)
    np.testing.assert_allclose(alone.loss, found.loss, rtol=1e-12)
    assert found.origin["evaluations"] == 45


def test_median_and_band_are_over_draws(quadratic, classifier):
    found = surface(quadratic.objective, points=3, draws=5)
    np.testing.assert_allclose(found.median, np.sort(found.draw_loss, axis=0)[2])
    low, high = found.band(0, 1)
    np.testing.assert_array_equal(low, found.draw_loss.min(0))
    np.testing.assert_array_equal(high, found.draw_loss.max(0))
    alone = surface(classifier, points=3)
    assert alone.draw_loss is None
    np.testing.assert_array_equal(alone.median, alone.loss)
    np.testing.assert_array_equal(alone.band()[0], alone.loss)
    several = surface(classifier, points=3, draws=2)
    assert several.draw_accuracy.shape == (2, 2, 3, 3)
    np.testing.assert_array_equal(several.draw_accuracy[0], several.accuracy)


def test_only_one_frame_is_kept_for_many_draws(quadratic, monkeypatch):
    made = []

    def random(*args, draw, **knobs):
        made.append(draw)
        return directions.random(*args, draw=draw, **knobs)

    monkeypatch.setattr(_grid, "random", random)
    drawn = _grid.frames(
        quadratic.objective, 2, None, center=None, draws=4, normalization="filter", include=(), seed=0
    )
    for draw in (0, 0, 1, 1, 2, 3, 3):
        drawn(draw)
    assert made == [0, 1, 2, 3]


# Classes, terms, splits


def test_classes_make_up_the_whole(classifier):
    found = surface(classifier, points=3)
    labels = classifier.labels.numpy()
    share = np.bincount(labels, minlength=3) / len(labels)
    np.testing.assert_allclose(np.einsum("c,cab->ab", share, found.class_loss[0]), found.loss[0], rtol=1e-12)
    np.testing.assert_allclose(np.einsum("c,cab->ab", share, found.class_accuracy[0]), found.accuracy[0], rtol=1e-12)
    assert found.class_.tolist() == ["0", "1", "2"]


def test_terms_of_a_loss_are_kept_apart():
    def both(outputs, targets):
        return {"fit": (outputs - targets)[:, 0] ** 2, "size": outputs[:, 0].abs()}

    torch.manual_seed(0)
    objective = Objective(nn.Linear(2, 1), (torch.randn(9, 2), torch.randn(9, 1)), both, device="cpu")
    found = surface(objective, points=3)
    assert found.term.tolist() == ["fit", "size"]
    np.testing.assert_allclose(found.term_loss.sum(1), found.loss, rtol=1e-6)


def test_two_splits_in_one_pass_equal_each_alone(quadratic):
    both = surface(quadratic.objective, points=3)
    x, y = map(torch.from_numpy, quadratic.data["test"])
    alone = Objective(quadratic.model, {"test": (x, y)}, quadratic.objective.loss, precision="float64", device="cpu")
    np.testing.assert_allclose(surface(alone, points=3).loss[0], both.loss[1], rtol=1e-12)


# Checkpoints on the plane


def test_a_plane_between_checkpoints_reaches_them(quadratic):
    objective = quadratic.objective
    torch.manual_seed(5)
    thetas = [objective.theta, *(objective.theta + torch.randn(2, 6, dtype=torch.float64))]
    frame = directions.between(objective, thetas, ["a", "b", "c"])
    found = surface(objective, frame, points=(20, 21))
    assert found.checkpoint.tolist() == ["a", "b", "c"]
    assert found.a.min() < found.checkpoint_a.min()
    assert found.a.max() > found.checkpoint_a.max()
    assert found.b.max() > found.checkpoint_b.max()
    assert found.a[found.center[0]] == found.b[found.center[1]] == 0
    assert found.loss[0][found.center] == pytest.approx(float(objective.value(thetas[0])), rel=1e-12)
    np.testing.assert_allclose(np.diff(found.a), np.diff(found.a)[0], rtol=1e-10)
    for theta, a, b in zip(thetas, found.checkpoint_a, found.checkpoint_b, strict=True):
        np.testing.assert_allclose(frame.point(torch.tensor([a, b])), theta, atol=1e-10)
    np.testing.assert_allclose(found.loss, quadratic.loss(plane(frame, found)), rtol=1e-12)


def test_a_trajectory_carries_variance_and_residuals(quadratic):
    objective = quadratic.objective
    torch.manual_seed(6)
    thetas = list(objective.theta + torch.randn(5, 6, dtype=torch.float64).cumsum(0))
    frame = directions.principal(objective, thetas)
    found = surface(objective, frame, points=5)
    np.testing.assert_array_equal(found.explained, frame.explained)
    np.testing.assert_array_equal(found.checkpoint_residual, frame.marks.residual)
    assert found.axis.tolist() == ["principal direction 1", "principal direction 2"]
    assert found.loss[0][found.center] == pytest.approx(float(objective.value(thetas[-1])), rel=1e-12)


def test_a_marked_random_plane_keeps_its_span(quadratic):
    objective = quadratic.objective
    frame = directions.random(objective).project(["far"], [objective.theta + 10])
    found = surface(objective, frame, points=3)
    assert found.a.tolist() == [-1, 0, 1]
    assert found.checkpoint_residual[0] > 1


# What must not happen


def test_what_is_not_finite_stays():
    data = (torch.tensor([[1.0], [2.0]]), torch.zeros(2, 1))
    objective = Objective(nn.Linear(1, 1), data, lambda o, t: o[:, 0].mul(1e30) ** 2, device="cpu")
    found = surface(objective, torch.eye(2) * 1e10, points=3)
    assert np.isinf(found.loss).any()
    assert found.minimum is not None
    with np.errstate(invalid="ignore"):
        objective = Objective(nn.Linear(1, 1), data, lambda o, t: o[:, 0].sub(0.1).log(), device="cpu")
        found = surface(objective, torch.eye(2), points=3, span=5.0)
    assert np.isnan(found.loss).any()
    again = surface(objective, torch.eye(2), points=3, span=5.0)
    np.testing.assert_array_equal(again.loss, found.loss)


def test_all_nan_has_the_center_as_minimum(quadratic):
    found = surface(quadratic.objective, points=3)
    arrays = {name: getattr(found, name) for name in found.quantities()} | {"loss": np.full((2, 3, 3), np.nan)}
    assert Surface(**arrays).minimum == (1, 1)
    assert found.minimum == np.unravel_index(found.loss[0].argmin(), (3, 3))


def test_the_users_model_and_random_states_are_untouched():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3)).train()
    before = copy.deepcopy(model.state_dict())
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    data = (torch.randn(20, 4), torch.randint(0, 3, (20,)))
    state = torch.get_rng_state()
    surface(Objective(model, data, device="cpu"), points=3, draws=2)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())
    assert model.training
    assert torch.equal(state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("policy", ["frozen", "refit", "batch"])
def test_every_batch_norm_policy_has_its_center(policy):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)).double()
    data = (torch.randn(30, 4, dtype=torch.float64), torch.randint(0, 3, (30,)))
    objective = Objective(model, data, batchnorm=policy, precision="float64", device="cpu", batch_size=10)
    found = surface(objective, points=3)
    assert found.loss[0][found.center] == pytest.approx(float(objective.value(objective.theta)), rel=1e-12)
    assert found.origin["batchnorm"] == policy


# Files and interruptions


def test_a_surface_comes_back_from_its_file(classifier, tmp_path):
    found = surface(classifier, points=3, draws=2)
    found.save(tmp_path / "s.h5")
    again = load(tmp_path / "s.h5")
    assert isinstance(again, Surface)
    for name in found.quantities():
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert again.origin == found.origin
    assert found.origin["directions"]["normalization"] == "filter"


@pytest.mark.parametrize("at", [0, 4, 9, 17])
def test_an_interrupted_surface_is_the_uninterrupted_one(planned, tmp_path, at):
    def broken(done, total):
        if done >= at:
            raise KeyboardInterrupt

    def store(plan):
        return Parts(tmp_path / "s.h5", {}, plan)

    knobs = {"points": 3, "draws": 2, "store": store}
    with pytest.raises(KeyboardInterrupt):
        surface(planned.objective, progress=broken, **knobs)
    resumed, whole = surface(planned.objective, **knobs), surface(planned.objective, points=3, draws=2)
    for name in whole.quantities():
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))


def test_stopped_points_are_told():
    torch.manual_seed(0)
    objective = Objective(nn.Linear(3, 1), (torch.randn(40, 3), torch.zeros(40, 1)), "mse", device="cpu")
    frame = directions.given(objective, torch.eye(4)[[3, 0]] * torch.tensor([[100.0], [0.1]]))
    found = surface(objective, frame, points=3, stop_above=50.0)
    assert found.stopped.tolist() == [[True] * 3, [False] * 3, [True] * 3]
    assert surface(objective, frame, points=3).stopped is None
