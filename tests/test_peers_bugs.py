"""Bugs that were found in other landscape tools, each as a test of the right answer.

The numbers are those of our survey of peers (tomgoldstein/loss-landscape B1-B15, loss-landscapes B16-B23, Landscaper
B24-B29, loss-landscape-anim B30-B34, oxford-loss-landscapes B35, PascalSun/LossLandscape B36-B38, loss_landscape_3d
B39-B41). Each docstring says what they do wrong. Those that have no counterpart here:

- B15, losses reduced over MPI after every point, where NaN is undefined: there is no reduction over points; that NaN
  stays at its point is B27.
- B29, a quick start that does not run: the examples of README and docstrings are run by tests of their own.
- B31, a copy of all weights kept for every training step: the trainer keeps none in memory, it writes checkpoints.
"""

import copy
import importlib
import inspect
import pkgutil

import h5py
import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape import checkpoint, directions, weights
from landscape.frame import Frame
from landscape.objective import Objective
from landscape.parts import Parts
from landscape.plots import draw
from landscape.plots.export import csv
from landscape.probes.line import line
from landscape.probes.surface import surface
from landscape.sweep import sweep


def network(scale=1.0):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 3)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale)
    return model.double()


def images(count=24, classes=3):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, 1, 6, 6, dtype=torch.float64, generator=generator)
    return x, torch.randint(0, classes, (count,), generator=generator)


def convolutional(model=None, **options):
    knobs = {"precision": "float64", "device": "cpu", "strategy": "loop,examples=16"} | options
    return Objective(model or network(), images(), **knobs)


def linear(dim=6, outputs=1, scale=1.0):
    """Squared error of a linear map: losses in closed form."""
    torch.manual_seed(0)
    model = nn.Linear(dim, outputs, bias=False).double()
    with torch.no_grad():
        model.weight.mul_(scale)
    data = (torch.randn(20, dim, dtype=torch.float64), torch.randn(20, outputs, dtype=torch.float64))
    objective = Objective(model, data, "mse", precision="float64", device="cpu", strategy="vmap,points=4,examples=32")

    def closed(theta):
        maps = torch.as_tensor(theta).reshape(*np.shape(theta)[:-1], outputs, dim)
        return ((data[0] @ maps.mT - data[1]) ** 2).mean((-2, -1)).numpy()

    return objective, closed


def visited(objective, monkeypatch, **knobs):
    """Measure a surface, and return it with the points at which it was measured, in order."""
    seen = []
    measure = Objective.measure

    def watched(self, theta, **options):
        seen.append(theta)
        return measure(self, theta, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Objective, "measure", watched)
        found = surface(objective, **knobs)
    return found, torch.cat(seen)


def blocks(objective, vector):
    return {b.name: vector[b.slice].view(b.shape) for b in objective.blocks}


def cosine(one, other):
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))


def test_b01_default_directions_are_normalized_and_leave_biases_and_norms_alone():
    """By default their direction has the weights themselves as biases and norms, and raw noise elsewhere."""
    objective = convolutional()
    for vector in directions.random(objective).vectors:
        found, own = blocks(objective, vector), blocks(objective, objective.theta)
        for block in objective.blocks:
            if block.role != "weight":
                assert not found[block.name].any()
        torch.testing.assert_close(found["0.weight"].flatten(1).norm(dim=1), own["0.weight"].flatten(1).norm(dim=1))
    assert np.isfinite(surface(objective, points=3).loss).all()


def test_b02_one_direction_does_not_pass_for_two(tmp_path):
    """A plane after a line with the same file of directions loads a single one and fails later."""
    objective, _ = linear()
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["xdirection/0"] = np.ones((1, 6))
    assert len(directions.load(tmp_path / "d.h5", objective, 1).vectors) == 1
    with pytest.raises(ValueError, match="expected 2 directions, got 1"):
        directions.load(tmp_path / "d.h5", objective, 2)


def test_b03_rectangular_grids_are_in_order():
    """Arrays of shape (x, y) are filled in (y, x) order: scrambled rows where the grid is not square."""
    objective, closed = linear()
    frame = directions.random(objective)
    found = surface(objective, points=(3, 7))
    for i, a in enumerate(found.a):
        for j, b in enumerate(found.b):
            theta = frame.center + a * frame.vectors[0] + b * frame.vectors[1]
            assert found.loss[0, i, j] == pytest.approx(float(closed(theta)), rel=1e-12)


def test_b04_zero_and_nan_are_finished_points(tmp_path):
    """A resumed run computes points of loss zero for ever, and takes NaN for a mark of its own."""
    data = (torch.zeros(4, 2, dtype=torch.float64), torch.zeros(4, 1, dtype=torch.float64))
    objective = Objective(nn.Linear(2, 1, bias=False), data, "mse", precision="float64", device="cpu")
    points = torch.zeros(5, 2, dtype=torch.float64)
    points[3] = torch.nan

    def store(plan):
        return Parts(tmp_path / "s.h5", {}, plan)

    first, _ = sweep(objective, 5, lambda index: points[index], store=store)
    assert np.array_equal(first["loss"][0], [0, 0, 0, np.nan, 0], equal_nan=True)
    again, _ = sweep(objective, 5, lambda index: pytest.fail("measured again"), store=store)
    assert np.array_equal(again["loss"], first["loss"], equal_nan=True)


def test_b05_a_knob_of_zero_is_a_knob():
    """A range that begins or ends at 0 is taken for one that was not given."""
    objective, _ = linear()
    assert surface(objective, points=3, stop_above=0.0).stopped.shape == (3, 3)
    assert surface(objective, points=3).stopped is None


def test_b06_counts_may_be_of_any_integer_type():
    """Numbers of points become floats, which NumPy refuses with a traceback."""
    objective, _ = linear()
    assert surface(objective, points=(np.int64(3), np.int32(5))).loss.shape == (1, 3, 5)
    with pytest.raises(ValueError, match="Expected a whole number"):
        surface(objective, points=5.0)


def test_b07_projection_divides_by_the_length_twice():
    """0.5 dx - 0.25 dy of directions of length 95 comes back as (43.9, -21.9), worse if they are not orthogonal."""
    objective, _ = linear(40)
    one, other = directions.random(objective, normalization="none").vectors
    vectors = 15 * torch.stack([one, other + 0.5 * one])
    frame = Frame(objective.theta, vectors, ("x", "y"))
    marks = frame.project(["p"], [objective.theta + 0.5 * vectors[0] - 0.25 * vectors[1]]).marks
    assert marks.coordinates[0] == pytest.approx([0.5, -0.25], rel=1e-10)
    assert marks.residual[0] == pytest.approx(0, abs=1e-10)


def test_b08_batches_are_averaged_not_added():
    """Four batches of the same data give four times the curvature; here: the same value and gradient."""
    x, y = images()
    knobs = {"precision": "float64", "device": "cpu", "strategy": "loop,examples=24"}
    one, four = (Objective(network(), (x.repeat(n, 1, 1, 1), y.repeat(n)), **knobs) for n in (1, 4))
    assert float(four.value(four.theta)) == pytest.approx(float(one.value(one.theta)), rel=1e-12)
    torch.testing.assert_close(four.gradient(four.theta), one.gradient(one.theta), rtol=1e-10, atol=1e-14)


def test_b09_repeats_are_different_draws():
    """Every "repeat" has the same seed: only the name of the file differs."""
    objective, _ = linear(60)
    found = surface(objective, points=3, draws=3)
    assert not np.allclose(found.draw_loss[0], found.draw_loss[1], rtol=1e-3)
    assert not np.allclose(found.draw_loss[1], found.draw_loss[2], rtol=1e-3)
    assert not np.allclose(surface(objective, points=3, seed=1).loss, found.loss, rtol=1e-3)


def test_b10_another_seed_is_another_subset():
    """The index of a part of the data is never used: always the same random subset."""
    objective = convolutional()
    first, again, other = (objective.subset(6, seed=seed) for seed in (0, 0, 1))
    assert first.record() == again.record()
    assert first.record()["splits"] != other.record()["splits"]


def test_b11_knobs_cannot_land_in_one_another():
    """``show`` is passed by position and lands in ``vmin``."""
    for function, mathematics in ((surface, 2), (line, 2), (draw, 2)):
        kinds = [p.kind for p in inspect.signature(function).parameters.values()][mathematics:]
        assert set(kinds) <= {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}


def test_b12_train_and_test_are_measured_together():
    """The test set is commented out, and a plot needs it."""
    x, y = images()
    data = {"train": (x[:16], y[:16]), "test": (x[16:], y[16:])}
    found = surface(Objective(network(), data, precision="float64", device="cpu"), points=3)
    assert found.split.tolist() == ["train", "test"]
    alone = surface(Objective(network(), data["test"], precision="float64", device="cpu"), points=3)
    np.testing.assert_allclose(found.loss[1], alone.loss[0], rtol=1e-12)


@pytest.mark.parametrize("outputs", [1, 3, 17])
def test_b13_squared_errors_have_any_number_of_outputs(outputs):
    """The squared error takes a softmax without an axis over ten classes."""
    objective, closed = linear(6, outputs)
    assert float(objective.value(objective.theta)) == pytest.approx(closed(objective.theta), rel=1e-12)


def test_b14_principal_axes_have_length_one_and_pass_through_the_center():
    """Components set to zero leave axes that are not of length one; axes are about the mean, the surface is not."""
    objective, closed = linear(30)
    thetas = list(objective.theta + torch.randn(5, 30, dtype=torch.float64).cumsum(0))
    frame = directions.principal(objective, thetas)
    assert frame.norm == pytest.approx([1, 1], rel=1e-12)
    assert torch.equal(frame.center, thetas[-1])
    found = surface(objective, frame, points=5)
    assert found.loss[0][found.center] == pytest.approx(closed(thetas[-1]), rel=1e-12)
    assert (found.checkpoint_a[-1], found.checkpoint_b[-1]) == pytest.approx((0, 0), abs=1e-12)


def test_b16_every_row_visits_the_same_offsets(monkeypatch):
    """A serpentine walk visits 1..n on one row and 0..n-1 on the next: every picture has saw teeth."""
    objective, _ = linear()
    frame = directions.random(objective)
    found, points = visited(objective, monkeypatch, points=(5, 7))
    rows = frame.project([""] * 35, points).marks.coordinates.reshape(5, 7, 2)
    np.testing.assert_allclose(rows[..., 1], found.b[None].repeat(5, 0), atol=1e-12)
    np.testing.assert_allclose(rows[..., 0], found.a[:, None].repeat(7, 1), atol=1e-12)


def test_b17_the_users_model_is_left_as_it_was():
    """The model is left elsewhere, with all its gradients switched off."""
    model = network().train()
    before, ids = copy.deepcopy(model.state_dict()), [id(p) for p in model.parameters()]
    surface(convolutional(model), points=3)
    line(convolutional(model), points=3)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert ids == [id(p) for p in model.parameters()]
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert model.training


def test_b18_independent_directions_are_nearly_orthogonal():
    """Directions are uniform in [0, 1): two of them have a cosine of 0.955; vectors become |w| itself."""
    objective, _ = linear(400)
    one, other = directions.random(objective).vectors
    assert abs(cosine(one, other)) < 5 / np.sqrt(400)
    assert 0.4 < (one > 0).double().mean() < 0.6
    objective = convolutional()
    found = blocks(objective, directions.random(objective, include=("bias", "norm")).vectors[0])
    own = blocks(objective, objective.theta)
    for name in ("0.bias", "1.weight", "5.bias"):
        assert not torch.allclose(found[name].abs(), own[name].abs(), rtol=1e-2)


def test_b19_a_model_normalized_direction_is_as_long_as_the_model():
    """The norm is computed again while scaling: the ratio is 1.071."""
    objective = convolutional()
    frame = directions.random(objective, normalization="model")
    assert frame.norm == pytest.approx([float(objective.theta.norm())] * 2, rel=1e-12)


def test_b20_filters_of_zeros_are_no_division_by_zero():
    """A bias or norm of zeros, as in every fresh network, raises ZeroDivisionError."""
    objective = convolutional()
    assert not blocks(objective, objective.theta)["1.bias"].any()
    for normalization in directions.NORMALIZATIONS:
        frame = directions.random(objective, include=("bias", "norm"), normalization=normalization)
        assert frame.vectors.isfinite().all()


def test_b21_statistics_do_not_drift_over_the_grid():
    """A model in training mode moves its running statistics at every point."""
    objective = convolutional(network().train())
    first, again = (surface(objective, points=5) for _ in range(2))
    assert np.array_equal(first.loss, again.loss)
    assert np.array_equal(first.loss, surface(convolutional(network().eval()), points=5).loss)


def test_b22_every_module_can_be_imported():
    """Modules that the README names cannot be imported."""
    names = [m.name for m in pkgutil.walk_packages(landscape.__path__, "landscape.") if "__main__" not in m.name]
    assert len(names) > 30
    for name in names:
        importlib.import_module(name)


def test_b23_points_do_not_depend_on_those_before_them():
    """Steps are added up in float32 and never anchored again."""
    torch.manual_seed(0)
    objective = Objective(nn.Linear(50, 3), (torch.randn(20, 50), torch.zeros(20, 3)), "mse", device="cpu")
    frame = directions.random(objective)
    found = surface(objective, frame, points=41, span=1.0)
    assert torch.equal(frame.point(torch.zeros(2)), objective.theta)
    corner = objective.measure(frame.point(torch.tensor([found.a[-1], found.b[-1]])))
    assert found.loss[0, -1, -1] == pytest.approx(corner.loss[0], rel=1e-6)


@pytest.mark.parametrize("points", [5, 7])
def test_b24_coordinates_are_where_the_points_are(monkeypatch, points):
    """linspace(-d, d) is claimed, but other offsets are visited, and an even grid is off its center."""
    objective, _ = linear()
    found, thetas = visited(objective, monkeypatch, points=points, span=0.1)
    marks = directions.random(objective).project([""] * points**2, thetas).marks
    np.testing.assert_allclose(marks.coordinates[:, 0].reshape(points, points)[:, 0], found.a, atol=1e-13)
    np.testing.assert_allclose(found.a, np.linspace(-0.1, 0.1, points), atol=1e-15)
    with pytest.raises(ValueError, match="odd number of points"):
        surface(objective, points=4)


def test_b25_given_directions_are_not_rescaled(monkeypatch):
    """Eigenvectors are rescaled layer by layer: they are none any more."""
    objective = convolutional()
    vectors = torch.linalg.qr(torch.randn(objective.dim, 2, dtype=torch.float64))[0].T
    found, thetas = visited(objective, monkeypatch, directions=vectors, points=3)
    torch.testing.assert_close(thetas[7] - objective.theta, vectors[0], rtol=0, atol=1e-14)
    assert found.norm == pytest.approx([1, 1])


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_b26_orthogonal_directions_are_orthogonal(scale):
    """The projection is not divided by the squared length: all "orthogonal" directions have a cosine of 1."""
    objective = convolutional(network(scale))
    others = [objective.theta, objective.theta + 1, objective.theta + torch.linspace(0, 2, objective.dim)]
    for frame in (directions.between(objective, others), directions.between(objective, others[:2])):
        assert abs(frame.cosine[0, 1]) < 1e-12
        assert frame.norm == pytest.approx([1, 1])


def test_b27_what_is_not_finite_stays_where_it_is():
    """NaN becomes the mean of the grid, infinity its maximum, and noise without a seed is added."""
    data = (torch.tensor([[1.0], [2.0]]), torch.zeros(2, 1))
    objective = Objective(nn.Linear(1, 1), data, lambda o, _: (o[:, 0] - 0.5).log(), device="cpu")
    first, again = (surface(objective, torch.eye(2), points=5, span=5.0) for _ in range(2))
    weight, bias = objective.theta.tolist()
    a, b = np.meshgrid(first.a, first.b, indexing="ij")
    negative = np.minimum(weight + a, 2 * (weight + a)) + bias + b - 0.5 < 0
    assert np.array_equal(np.isnan(first.loss[0]), negative)
    assert negative.any()
    assert not negative.all()
    assert np.array_equal(first.loss, again.loss, equal_nan=True)


def test_b28_the_first_axis_is_drawn_across(tmp_path):
    """The grid is indexed (first, second) and drawn (second, first)."""
    objective, closed = linear()
    frame = directions.random(objective)
    found = surface(objective, points=(3, 5), span=(0.5, 2.0))
    ax = draw(found)
    assert ax.get_xlim() == pytest.approx((-0.5, 0.5))
    assert ax.get_ylim() == pytest.approx((-2, 2))
    csv(found, tmp_path / "s.csv")
    rows = np.genfromtxt(tmp_path / "s.csv", delimiter=",", names=True, dtype=None, encoding=None)
    for row in rows:
        assert row["loss"] == pytest.approx(float(closed(frame.point(torch.tensor([row["a"], row["b"]])))))


def test_b30_only_one_chunk_of_points_exists_at_a_time():
    """All 10,000 weight vectors are built before the first is evaluated."""
    objective, _ = linear()
    sizes = []

    def point(index):
        sizes.append(len(index))
        return objective.theta.expand(len(index), -1)

    sweep(objective, 50, point)
    assert max(sizes) == objective.plan(50).points == 4


def test_b32_dropout_is_off():
    """No eval() and no no_grad(): values are random, memory grows."""
    objective = convolutional(network().train())
    assert float(objective.value(objective.theta)) == float(objective.value(objective.theta))
    found = objective.value(objective.theta.clone().requires_grad_(True))
    assert not found.requires_grad


def test_b33_networks_with_batch_norm_load(tmp_path):
    """Buffers are left out of what is loaded strictly: networks with batch norm fail."""
    source, target = network(), network(2.0)
    with torch.no_grad():
        source[1].running_mean += 3
    torch.save(source.state_dict(), tmp_path / "net.pt")
    checkpoint.fitted(checkpoint.read(tmp_path / "net.pt"), target)
    assert torch.equal(target[1].running_mean, source[1].running_mean)
    assert np.isfinite(surface(convolutional(target), points=3).loss).all()


def test_b34_a_pickled_model_is_refused_in_words(tmp_path):
    """A whole pickled model is loaded by default, which fails, or runs what it carries."""
    torch.save(network(), tmp_path / "net.pt")
    with pytest.raises(ValueError, match="would run code of its own .*Sequential.* or pass --trust"):
        weights.read(tmp_path / "net.pt")
    assert isinstance(weights.read(tmp_path / "net.pt", trust=True), nn.Sequential)


def test_b35_every_point_lies_in_the_plane(monkeypatch, tmp_path):
    """Rows that are farmed out are counted from their start: they lie hundreds of steps outside of the plane."""
    objective, _ = linear(20)
    frame = directions.random(objective)

    def store(plan):
        return Parts(tmp_path / "s.h5", {}, plan)

    found, thetas = visited(objective, monkeypatch, points=(5, 3), store=store)
    marks = frame.project([""] * 15, thetas).marks
    assert marks.residual == pytest.approx(0, abs=1e-12)
    assert np.abs(marks.coordinates).max() == pytest.approx(1)


def test_b36_filter_normalization_is_by_filter():
    """"Filter-wise" scales the whole parameter: single filters are off by factors."""
    model = network()
    with torch.no_grad():
        model[0].weight[0] *= 20
    objective = convolutional(model)
    found, own = blocks(objective, directions.random(objective).vectors[0]), blocks(objective, objective.theta)
    for name in ("0.weight", "5.weight"):
        ratio = found[name].flatten(1).norm(dim=1) / own[name].flatten(1).norm(dim=1)
        torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=1e-6, atol=0)
    layer = blocks(objective, directions.random(objective, normalization="layer").vectors[0])["0.weight"]
    ratio = layer.flatten(1).norm(dim=1) / own["0.weight"].flatten(1).norm(dim=1)
    assert ratio.max() > 5 * ratio.min()


def test_b37_axes_of_long_weights_do_not_collapse():
    """For |w| = 47 the second direction is the first one reversed: a plane becomes a line."""
    objective, _ = linear(200, scale=80)
    assert objective.theta.norm() > 40
    assert abs(directions.random(objective).cosine[0, 1]) < 5 / np.sqrt(200)
    assert abs(directions.gradient(objective).cosine[0, 1]) < 1e-12


def test_b38_the_smallest_grid_is_uniform_and_told():
    """Three points divide by zero in the progress; grids with an even number of points are not uniform."""
    objective, _ = linear()
    told = []
    found = surface(objective, points=3, progress=lambda *now: told.append(now))
    assert found.a.tolist() == [-1, 0, 1]
    assert told[-1] == (9, 9)


def test_b39_the_center_does_not_follow_the_model():
    """The center is an alias of the live weights: every point starts from the one before."""
    model = network()
    objective = convolutional(model)
    first = surface(objective, center=objective.pack(model.state_dict()), points=3)
    center = objective.theta
    before = center.clone()
    again = surface(objective, center=center, points=3)
    assert torch.equal(center, before)
    assert np.array_equal(first.loss, again.loss)
    with torch.no_grad():
        model[5].weight.zero_()
    assert np.array_equal(surface(objective, points=3).loss, first.loss)
    assert torch.equal(objective.theta, before)


def test_b40_running_statistics_are_no_direction():
    """Directions include the running variance, which turns negative: NaN at 14 of 25 points."""
    model = network()
    objective = convolutional(model)
    assert objective.dim == sum(p.numel() for p in model.parameters())
    found = surface(objective, points=5, span=3.0, include=("bias", "norm"))
    assert np.isfinite(found.loss).all()


def test_b41_gradient_directions_work_with_batch_norm():
    """Directions from derivatives lack the buffers of batch norm: missing keys."""
    objective = convolutional()
    frame = directions.gradient(objective)
    found = surface(objective, frame, points=3, span=1e-3)
    assert found.loss[0, 2, 1] > found.loss[0, 1, 1] > found.loss[0, 0, 1]
