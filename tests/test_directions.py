"""Directions: theorems on filters and frames, twins of projection and principal components, files of every format."""

import importlib
import io
import pkgutil
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from landscape import directions, models
from landscape.curves import Curve
from landscape.engine.network import Network
from landscape.frame import Frame
from landscape.objective import Objective

SMALL = {"vgg": {"depth": 11, "width": 8}, "resnet": {"depth": 8}, "wideresnet": {"depth": 10, "widen": 1}}
LAYERS = {
    "linear": nn.Linear(5, 7),
    "conv1d": nn.Conv1d(4, 6, 3, groups=2),
    "conv2d": nn.Conv2d(4, 6, 3, groups=2),
    "conv3d": nn.Conv3d(2, 6, (1, 2, 3)),
    "transposed1d": nn.ConvTranspose1d(4, 6, 3, groups=2),
    "transposed2d": nn.ConvTranspose2d(6, 9, 2, groups=3),
    "transposed3d": nn.ConvTranspose3d(4, 3, 2),
    "embedding": nn.Embedding(11, 4, padding_idx=0),
    "attention": nn.MultiheadAttention(8, 2),
    "lstm": nn.LSTM(3, 4, num_layers=2),
}


def parameters_of(model, precision=torch.float32, parameters="*"):
    """What directions know of an objective: its parameters."""
    network = Network(model, parameters, precision, torch.device("cpu"))
    return SimpleNamespace(theta=network.pack(network.model), dim=network.dim, blocks=network.blocks, pack=network.pack)


def built(name):
    function = getattr(importlib.import_module(f"landscape.models.{name}"), name)
    torch.manual_seed(1)
    return function(**SMALL.get(name, {}))


def filters(module, weight):
    """Naive twin: the numbers that feed each output unit."""
    if isinstance(module, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        into, out = weight.shape[0] // module.groups, weight.shape[1]
        return [weight[g * into : (g + 1) * into, o].flatten() for g in range(module.groups) for o in range(out)]
    return [row.flatten() for row in weight]


def named(objective, vector):
    return {b.name: vector[b.slice].view(b.shape) for b in objective.blocks}


def network(seed=0, precision=torch.float64):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)).to(precision)


@pytest.fixture
def objective():
    return parameters_of(network(), torch.float64)


# Theorems: random directions


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_every_filter_of_a_direction_is_as_long_as_that_of_the_layer(name):
    module = LAYERS[name]
    objective = parameters_of(module)
    frame = directions.random(objective, 2)
    for vector in frame.vectors:
        for block in objective.blocks:
            own, drawn = (named(objective, v)[block.name] for v in (objective.theta, vector))
            if own.ndim < 2:
                assert not drawn.any()
                continue
            ours = torch.stack([f.double().norm() for f in filters(module, drawn)])
            theirs = torch.stack([f.double().norm() for f in filters(module, own)])
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    assert frame.record["ratio"] == pytest.approx([1, 1], abs=1e-6)


@pytest.mark.parametrize("name", [i.name for i in pkgutil.iter_modules(models.__path__) if not i.name.startswith("_")])
def test_filter_ratios_of_every_model_are_one(name):
    frame = directions.random(parameters_of(built(name)), 2)
    assert frame.record["ratio"] == pytest.approx([1, 1], abs=1e-6)
    assert abs(frame.record["cosine"]) < 0.1


def test_a_transposed_filter_is_what_feeds_its_output_channel():
    layer = nn.ConvTranspose2d(4, 6, 2, groups=2, bias=False)
    block = parameters_of(layer).blocks[0]
    x = torch.randn(1, 4, 3, 3)
    before = layer(x)
    rows = block.filters(layer.weight.detach())
    rows[3] = 0
    with torch.no_grad():
        layer.weight.copy_(block.unfiltered(rows))
    changed = (layer(x) - before).abs().amax((0, 2, 3)) > 0
    assert changed.tolist() == [False, False, False, True, False, False]


class Conv1D(nn.Module):
    """As transformers has it, of GPT-2: a linear layer whose weight is (inputs, outputs)."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 5))

    def forward(self, x):
        return x @ self.weight


def test_a_filter_of_a_linear_layer_that_is_stored_by_inputs_feeds_its_output():
    found = parameters_of(nn.Sequential(Conv1D()))
    row = directions.random(found, 1).vectors[0].view(3, 5)
    torch.testing.assert_close(row.norm(dim=0), found.theta.view(3, 5).norm(dim=0))


def test_layer_normalization_gives_every_tensor_its_length(objective):
    found = named(objective, directions.random(objective, 1, normalization="layer").vectors[0])
    own = named(objective, objective.theta)
    for name in ("0.weight", "3.weight"):
        assert float(found[name].norm()) == pytest.approx(float(own[name].norm()), rel=1e-12)
        assert not torch.allclose(found[name].norm(dim=1), own[name].norm(dim=1), rtol=1e-3)


def test_model_normalization_gives_the_vector_its_length(objective):
    frame = directions.random(objective, 2, normalization="model")
    assert frame.norm == pytest.approx([float(objective.theta.norm())] * 2, rel=1e-12)


def test_weight_normalization_multiplies_by_every_weight(objective):
    raw = directions.random(objective, 2, normalization="none").vectors
    found = directions.random(objective, 2, normalization="weight").vectors
    torch.testing.assert_close(found, raw * objective.theta.abs())


def test_directions_are_gaussian_not_uniform():
    objective = parameters_of(nn.Linear(500, 400, bias=False), torch.float64)
    drawn = directions.random(objective, 1, normalization="none").vectors[0].numpy()
    count = len(drawn)
    assert abs(drawn.mean()) < 5 / np.sqrt(count)
    assert abs(drawn.var() - 1) < 5 * np.sqrt(2 / count)
    assert abs((drawn**3).mean()) < 5 * np.sqrt(15 / count)
    assert abs((drawn**4).mean() - 3) < 5 * np.sqrt(96 / count)  # a uniform distribution has 1.8
    assert drawn.max() > 4


def test_biases_and_norms_are_left_alone_unless_included(objective):
    roles = {b.name: b.role for b in objective.blocks}
    assert set(roles.values()) == {"weight", "bias", "norm"}

    def moved(include):
        found = named(objective, directions.random(objective, 1, include=include).vectors[0])
        return {roles[name] for name, tensor in found.items() if tensor.any()}

    with torch.no_grad():
        objective.theta.abs_().add_(0.1)  # a fresh shift of zero has no scale of its own
    assert moved(()) == {"weight"}
    assert moved(("bias",)) == moved("bias") == {"weight", "bias"}
    assert moved(("norm", "bias")) == {"weight", "bias", "norm"}


def test_an_included_bias_is_a_single_filter(objective):
    frame = directions.random(objective, 1, include=("bias",))
    found, own = named(objective, frame.vectors[0]), named(objective, objective.theta)
    assert float(found["0.bias"].norm()) == pytest.approx(float(own["0.bias"].norm()), rel=1e-12)
    assert not torch.allclose(found["0.bias"].abs(), own["0.bias"].abs(), rtol=1e-3)


def test_the_same_seed_is_the_same_direction_in_every_precision():
    low, high = (directions.random(parameters_of(network(), t)).vectors for t in (torch.float32, torch.float64))
    torch.testing.assert_close(low.double(), high, rtol=1e-6, atol=0)
    again = directions.random(parameters_of(network())).vectors
    assert torch.equal(low, again)


def test_the_same_seed_is_the_same_direction_of_a_selected_part():
    whole, part = parameters_of(network()), parameters_of(network(), parameters="3.*")
    ours, theirs = (named(o, directions.random(o, 1).vectors[0])["3.weight"] for o in (whole, part))
    assert torch.equal(ours, theirs)


def test_the_draw_leaves_the_random_state_alone(objective):
    before = torch.get_rng_state()
    directions.random(objective)
    assert torch.equal(before, torch.get_rng_state())


def test_seeds_draws_and_axes_are_nearly_orthogonal():
    objective = parameters_of(nn.Linear(300, 100, bias=False))
    rows = [directions.random(objective, 2, seed=s, draw=d).vectors for s in (0, 1) for d in (0, 1)]
    units = torch.nn.functional.normalize(torch.cat(rows).double(), dim=1)
    cosines = (units @ units.T).fill_diagonal_(0)
    assert float(cosines.abs().max()) < 5 / np.sqrt(objective.dim)


def test_filters_of_zero_length_stay_zero():
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight[0] = 0
    frame = directions.random(parameters_of(layer), 1)
    assert not frame.vectors[0][:3].any()
    assert frame.vectors.isfinite().all()
    assert frame.record["ratio"] == pytest.approx([1, 1])


def test_another_center_sets_the_scale(objective):
    frame = directions.random(objective, 1, center=3 * objective.theta)
    torch.testing.assert_close(frame.vectors, 3 * directions.random(objective, 1).vectors)
    assert torch.equal(frame.center, 3 * objective.theta)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"normalization": "filters"}, "Expected a normalization among filter, layer, weight, model, none, got 'filt"),
        ({"include": ("biases",)}, "Expected include among bias, norm, got biases"),
        ({"center": torch.full((63,), torch.nan)}, "Expected finite weights, got NaN or infinite ones"),
        ({"center": torch.zeros(3)}, r"Expected a center of shape \(\d+,\), got \(3,\)"),
    ],
)
def test_wrong_knobs_are_named(objective, knobs, message):
    with pytest.raises(ValueError, match=message):
        directions.random(objective, **knobs)


def test_nothing_to_perturb_is_an_error():
    with pytest.raises(ValueError, match="got only biases and norms: pass include"):
        directions.random(parameters_of(nn.BatchNorm1d(3)))
    with pytest.raises(ValueError, match="all zero: pass normalization='none'"):
        directions.random(parameters_of(_zeroed()))


def _zeroed():
    layer = nn.Linear(2, 2)
    nn.init.zeros_(layer.weight)
    return layer


def test_weights_of_zero_can_be_perturbed_without_normalization():
    frame = directions.random(parameters_of(_zeroed()), normalization="none")
    assert frame.vectors.any()


# Theorems: frames


def checkpoints(objective, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(count, objective.dim, dtype=torch.float64, generator=generator).cumsum(0)
    return [(objective.theta + step).to(objective.theta) for step in steps]


def test_points_are_the_same_bits_in_any_company():
    objective = parameters_of(nn.Linear(64, 33))
    frame = directions.random(objective)
    steps = torch.randn(50, 2, dtype=torch.float64)
    together = frame.point(steps)
    alone = torch.stack([frame.point(step) for step in steps])
    assert torch.equal(together, alone)
    assert torch.equal(frame.point(torch.zeros(2)), objective.theta)


@pytest.mark.parametrize("count", [2, 3])
def test_a_plane_between_checkpoints_is_orthonormal_and_reproduces_them(objective, count):
    thetas = checkpoints(objective, count)
    frame = directions.between(objective, thetas, ["a", "b", "c"][:count])
    gram = frame.vectors @ frame.vectors.T
    torch.testing.assert_close(gram, torch.eye(2, dtype=torch.float64), rtol=0, atol=1e-12)
    found = frame.point(torch.from_numpy(frame.marks.coordinates))
    torch.testing.assert_close(found, torch.stack(thetas), rtol=0, atol=1e-10)
    assert frame.marks.residual == pytest.approx(0, abs=1e-10)
    assert frame.marks.names == ("a", "b", "c")[:count]
    assert frame.marks.coordinates[0] == pytest.approx(0, abs=1e-12)


def test_a_segment_goes_from_nought_to_one(objective):
    thetas = checkpoints(objective, 2)
    frame = directions.between(objective, thetas, count=1)
    assert frame.marks.coordinates[:, 0] == pytest.approx([0, 1], abs=1e-12)
    torch.testing.assert_close(frame.point(torch.ones(1)), thetas[1], rtol=1e-14, atol=1e-14)
    low, high = frame.extent()[0]
    assert low < 0
    assert high > 1


def test_checkpoints_that_span_no_plane_are_refused():
    objective = parameters_of(nn.Linear(40, 30))  # float32: the third lies on the line up to rounding
    first, second = checkpoints(objective, 2)
    with pytest.raises(ValueError, match="three on one line: checkpoint 1, checkpoint 2, checkpoint 3"):
        directions.between(objective, [first, second, first + (second - first) / 3])
    with pytest.raises(ValueError, match="the same weights in checkpoint 1 and checkpoint 2"):
        directions.between(objective, [first, first.clone()])
    with pytest.raises(ValueError, match="Expected 2 or 3 checkpoints, got 1"):
        directions.between(objective, [first])
    with pytest.raises(ValueError, match="Expected 2 checkpoints, got 3"):
        directions.between(objective, [first, second, first], count=1)
    with pytest.raises(ValueError, match="Expected a name for each of 2"):
        directions.between(objective, [first, second], ["only"])


@pytest.mark.parametrize("columns", [7, 2**16])
def test_principal_directions_equal_a_singular_value_decomposition(objective, columns, monkeypatch):
    monkeypatch.setattr("landscape.directions.through.COLUMNS", columns)
    thetas = checkpoints(objective, 6)
    frame = directions.principal(objective, thetas)
    stacked = torch.stack(thetas).numpy()
    about = stacked - stacked.mean(0)
    _, singular, right = np.linalg.svd(about, full_matrices=False)
    assert frame.explained == pytest.approx(singular[:2] ** 2 / (singular**2).sum(), rel=1e-10)
    found = frame.vectors.numpy()
    np.testing.assert_allclose(np.abs(found @ right[:2].T), np.eye(2), atol=1e-9)
    np.testing.assert_allclose(found @ found.T, np.eye(2), atol=1e-12)
    assert all(max(row, key=abs) > 0 for row in (about @ found.T).T)
    offsets = stacked - stacked[-1]
    solution, *_ = np.linalg.lstsq(found.T, offsets.T, rcond=None)
    np.testing.assert_allclose(frame.marks.coordinates, solution.T, atol=1e-10)
    left = np.linalg.norm(offsets - solution.T @ found, axis=1)
    np.testing.assert_allclose(frame.marks.residual, left, atol=1e-10)
    assert frame.marks.coordinates[-1] == pytest.approx(0, abs=1e-12)
    assert frame.marks.residual[:-1].max() > 0.1


def test_principal_directions_of_small_variance_are_orthonormal(objective):
    base, across = checkpoints(objective, 2)
    steps = [(0.0, 0.0), (1.0, 1e-5), (2.0, -1e-5), (3.0, 1e-5)]
    frame = directions.principal(objective, [objective.theta + a * base + b * across for a, b in steps])
    np.testing.assert_allclose(frame.vectors @ frame.vectors.T, np.eye(2), atol=1e-12)
    assert frame.marks.residual == pytest.approx(0, abs=1e-9)


def test_a_trajectory_too_short_or_straight_is_refused():
    objective = parameters_of(nn.Linear(40, 30))
    first, second = checkpoints(objective, 2)
    with pytest.raises(ValueError, match="Expected at least 3 checkpoints of a trajectory, got 2"):
        directions.principal(objective, [first, second])
    with pytest.raises(ValueError, match="spans 2 directions, got one that spans fewer"):
        directions.principal(objective, [first + t * (second - first) for t in (0, 0.3, 0.7, 1)])
    assert directions.principal(objective, [first, second], count=1).explained == pytest.approx([1])


def test_projection_on_oblique_axes_is_exact(objective):
    first, second = checkpoints(objective, 2)
    vectors = torch.stack([90 * first, 30 * first + 0.1 * second])
    theta = objective.theta + 0.5 * vectors[0] - 0.25 * vectors[1]
    frame = Frame(objective.theta, vectors, ("a", "b")).project(["p"], [theta])
    assert frame.marks.coordinates[0] == pytest.approx([0.5, -0.25], rel=1e-7)
    assert frame.marks.residual[0] < 1e-6 * frame.norm[0]


def test_the_residual_is_the_distance_from_the_plane(objective):
    first, second, third = (v.double() for v in directions.random(objective, 3, normalization="none").vectors)
    plane, _ = torch.linalg.qr(torch.stack([first, second]).T)
    out = third - plane @ (plane.T @ third)
    frame = Frame(objective.theta, torch.stack([first, second]), ("a", "b"))
    frame = frame.project(["p"], [objective.theta + first + out])
    assert frame.marks.residual[0] == pytest.approx(float(out.norm()), rel=1e-12)
    assert frame.marks.coordinates[0] == pytest.approx([1, 0], abs=1e-12)


def least_squares(frame, thetas):
    """Naive twin: coordinates (n, k) and residuals (n,), by NumPy in float64."""
    vectors, offsets = frame.vectors.numpy(), torch.stack(thetas).numpy() - frame.center.numpy()
    solution, *_ = np.linalg.lstsq(vectors.T, offsets.T, rcond=None)
    return solution.T, np.linalg.norm(offsets - solution.T @ vectors, axis=1)


def test_marks_of_runs_are_least_squares_on_axes_that_are_not_orthonormal(objective):
    one, other, *thetas = checkpoints(objective, 7)
    frame = Frame(objective.theta, torch.stack([3 * one, one + 0.5 * other]), ("a", "b"))
    marked = frame.project(["s", "t"], thetas[:2], ["run", "run"]).project(["u", "v", "w"], thetas[2:])
    coordinates, residual = least_squares(frame, thetas)
    np.testing.assert_allclose(marked.marks.coordinates, coordinates, rtol=1e-9)
    np.testing.assert_allclose(marked.marks.residual, residual, rtol=1e-9)
    assert marked.marks.names == ("s", "t", "u", "v", "w")
    assert marked.marks.runs == ("run", "run", "", "", "")
    with pytest.raises(ValueError, match="a name and a run for each of 1 checkpoints, got 1 and 2"):
        frame.project(["s"], thetas[:1], ["run", "run"])


def test_principal_directions_of_several_runs_are_those_of_all_their_checkpoints(objective):
    thetas, runs = checkpoints(objective, 7), ["first"] * 3 + ["second"] * 4
    frame = directions.principal(objective, thetas, runs=runs, center=thetas[2])
    together = directions.principal(objective, thetas)
    assert torch.equal(frame.vectors, together.vectors)
    np.testing.assert_array_equal(frame.explained, together.explained)
    assert frame.record["runs"] == 2
    assert frame.marks.runs == tuple(runs)
    coordinates, residual = least_squares(frame, thetas)
    np.testing.assert_allclose(frame.marks.coordinates, coordinates, atol=1e-10)
    np.testing.assert_allclose(frame.marks.residual, residual, atol=1e-10)
    assert frame.marks.coordinates[2] == pytest.approx(0, abs=1e-12)


def test_a_curve_of_one_bend_lies_in_the_plane_of_its_ends_and_bend(objective):
    first, bend, last, *_ = points = checkpoints(objective, 4)
    curves = {"bezier": Curve("bezier", torch.stack([first, bend, last])), "chain": Curve("chain", torch.stack(points))}
    frame = directions.between(objective, [first, last, bend]).traced(curves, points=9)
    assert frame.traces.names == ("bezier", "chain")
    assert frame.traces.residual[0] == pytest.approx(0, abs=1e-10)
    assert frame.traces.residual[1].max() > 1
    for index, curve in enumerate(curves.values()):
        coordinates, residual = least_squares(frame, list(curve(torch.from_numpy(frame.traces.t))))
        np.testing.assert_allclose(frame.traces.coordinates[index], coordinates, atol=1e-10)
        np.testing.assert_allclose(frame.traces.residual[index], residual, atol=1e-10)
    with pytest.raises(ValueError, match="Expected curves of at least 2 points, got 0 of 101"):
        frame.traced({})


def test_a_grid_reaches_what_is_marked_and_traced(objective):
    first, last, far, *_ = checkpoints(objective, 3)
    plane = directions.between(objective, [first, last])
    wide = plane.project(["far"], [3 * far - 2 * first])
    bowed = plane.traced({"bow": Curve("bezier", torch.stack([first, first + 9 * (far - first), last]))})
    for found, seen in ((wide, wide.marks.coordinates), (bowed, bowed.traces.coordinates.reshape(-1, 2))):
        low, high = np.array(found.extent()).T
        assert (low < seen.min(0)).all()
        assert (high > seen.max(0)).all()
    close = plane.project(["close"], [first + 1e-3 * plane.vectors[1]])
    assert close.extent() == plane.extent()  # a mark near the line through both does not make the plane a strip
    assert Frame(first, plane.vectors, ("a", "b")).project(["far"], [far]).extent() is None


def test_a_bare_frame_has_no_extent(objective):
    frame = Frame(objective.theta, checkpoints(objective, 1)[0][None], ("a",))
    assert frame.extent() is None
    assert frame.project(["p"], [objective.theta]).extent() is None


def test_the_gradient_frame_points_uphill():
    data = (torch.randn(20, 4), torch.randint(0, 3, (20,)))
    objective = Objective(network(), data, precision="float64", device="cpu")
    frame = directions.gradient(objective, 2)
    slope = objective.gradient(objective.theta)
    torch.testing.assert_close(frame.vectors[0], slope / slope.norm())
    assert abs(frame.record["cosine"]) < 1e-12
    assert objective.value(frame.point(torch.tensor([1e-3, 0]))) > objective.value(objective.theta)
    with pytest.raises(ValueError, match="Expected 1 or 2 directions with the gradient, got 3"):
        directions.gradient(objective, 3)


def bowl(values):
    """An objective whose Hessian is diagonal, with these values."""
    model = nn.Linear(len(values), 1, bias=False).double()
    data = (torch.eye(len(values)).double(), len(values) * torch.as_tensor(values)[:, None])
    return Objective(model, data, lambda y, t: (t * y**2)[:, 0] / 2, precision="float64", device="cpu")


BOWL = np.linspace(9, -3, 13)


def test_eigenvectors_of_the_largest_eigenvalues():
    frame = directions.eigen(bowl(BOWL), 2)
    np.testing.assert_allclose(frame.vectors.abs(), np.eye(13)[:2], atol=1e-9)
    assert frame.record["value"] == pytest.approx([9, 8])
    assert max(frame.record["residual"]) < 1e-9
    assert frame.record["cosine"] == pytest.approx(0, abs=1e-9)
    assert frame.labels == ("eigenvector of 9 nat", "eigenvector of 8 nat")


def test_eigenvectors_of_both_ends():
    frame = directions.eigen(bowl(BOWL), 3, which="both")
    np.testing.assert_allclose(frame.vectors.abs(), np.eye(13)[[0, 1, 12]], atol=1e-9)
    assert frame.record["value"] == pytest.approx([9, 8, -3])


def test_curvature_along_eigenvectors_is_their_eigenvalue():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    data = (torch.randn(20, 6, dtype=torch.float64), torch.randint(3, (20,)))
    objective = Objective(model, data, precision="float64", device="cpu")
    center = objective.theta + 0.1
    frame = directions.eigen(objective, 2, center=center, tolerance=1e-6)
    for vector, value in zip(frame.vectors, frame.record["value"], strict=True):
        ahead, here, behind = objective.value(torch.stack([center + 1e-3 * vector, center, center - 1e-3 * vector]))
        assert float(ahead - 2 * here + behind) / 1e-6 == pytest.approx(value, rel=1e-4)


def test_eigenvectors_that_were_measured_are_directions(tmp_path):
    from landscape.probes.eigen import eigen

    torch.manual_seed(0)
    data = (torch.randn(9, 4, dtype=torch.float64), torch.randint(3, (9,)))
    objective = Objective(nn.Linear(4, 3), data, precision="float64", device="cpu")
    measured = eigen(objective, largest=3, smallest=1, vectors=True)
    measured.save(tmp_path / "e.h5")
    frame = directions.load(tmp_path / "e.h5", objective)
    np.testing.assert_array_equal(frame.vectors, measured.vector[:2])
    eigen(objective, largest=3, smallest=1).save(tmp_path / "e.h5")
    with pytest.raises(ValueError, match="e.h5: expected eigenvectors, got a result without: measure it"):
        directions.load(tmp_path / "e.h5", objective)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"which": "smallest"}, "Expected which among largest, both, got 'smallest'"),
        ({"count": 14}, "Expected at most D=13 eigenpairs"),
        ({"tolerance": 0}, "Expected tolerance > 0"),
    ],
)
def test_eigenvectors_that_cannot_be(knobs, message):
    with pytest.raises(ValueError, match=message):
        directions.eigen(bowl(BOWL), **knobs)


def test_eigenvectors_that_do_not_converge_are_no_directions():
    with pytest.raises(ValueError, match="Expected residuals of at most 1e-06 within 20 products"):
        directions.eigen(bowl(np.linspace(0, 1, 500)), tolerance=1e-6, limit=20)


def test_given_directions_are_taken_as_they_are(objective):
    vectors = np.random.default_rng(0).standard_normal((2, objective.dim))
    frame = directions.given(objective, vectors)
    assert torch.equal(frame.vectors, torch.from_numpy(vectors))
    one, other = vectors
    assert frame.record["cosine"] == pytest.approx(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
    assert frame.norm == pytest.approx(np.linalg.norm(vectors, axis=1))
    vectors[1] = np.nan
    with pytest.raises(ValueError, match="span a plane, got parallel ones"):
        directions.given(objective, np.stack([one, -2 * one]))
    with pytest.raises(ValueError, match="got zero or not finite numbers as direction 2"):
        directions.given(objective, vectors)
    with pytest.raises(ValueError, match="Expected directions of length D="):
        directions.given(objective, vectors[:, 1:])


# Files


@pytest.fixture
def vectors(objective):
    return torch.randn(2, objective.dim, dtype=torch.float64)


def states(objective, vectors):
    return [{name: tensor.clone() for name, tensor in named(objective, vector).items()} for vector in vectors]


def write_npy(path, objective, vectors):
    np.save(path, vectors.numpy())


def write_npz(path, objective, vectors):
    np.savez(path, first=vectors[0].numpy(), second=vectors[1].numpy())


def write_tensor(path, objective, vectors):
    torch.save(vectors, path)


def write_list(path, objective, vectors):
    torch.save(list(vectors), path)


def write_states(path, objective, vectors):
    torch.save(states(objective, vectors), path)


def write_safetensors(path, objective, vectors):
    from safetensors.torch import save_file

    save_file({"directions": vectors}, path)


def write_goldstein(path, objective, vectors):
    with h5py.File(path, "w") as file:
        for group, vector in zip(("xdirection", "ydirection"), vectors, strict=True):
            for index, tensor in enumerate(named(objective, vector).values()):
                file.create_dataset(f"{group}/{index}", data=tensor.numpy())


@pytest.mark.parametrize(
    ("suffix", "write"),
    [
        (".npy", write_npy), (".npz", write_npz), (".pt", write_tensor), (".pt", write_list), (".pt", write_states),
        (".safetensors", write_safetensors), (".h5", write_goldstein),
    ],
)  # fmt: skip
def test_every_format_is_read(tmp_path, objective, vectors, suffix, write):
    path = tmp_path / f"directions{suffix}"
    write(path, objective, vectors)
    frame = directions.load(path, objective)
    assert torch.equal(frame.vectors, vectors)
    assert frame.record["kind"] == "file"
    assert len(frame.record["sha256"]) == 64
    one = directions.load(path, objective, 1)
    assert torch.equal(one.vectors, vectors[:1])


def test_a_state_dict_is_one_direction(tmp_path, objective, vectors):
    torch.save({"state_dict": states(objective, vectors)[0]}, tmp_path / "d.pt")
    assert torch.equal(directions.load(tmp_path / "d.pt", objective, 1).vectors, vectors[:1])
    with pytest.raises(ValueError, match=r"d\.pt: expected 2 directions, got 1"):
        directions.load(tmp_path / "d.pt", objective)


def test_files_that_hold_no_directions_are_refused(tmp_path, objective):
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "text.npy", np.array(["a"]))
    np.save(tmp_path / "short.npy", np.ones((2, 3)))
    (tmp_path / "junk.npz").write_bytes(b"PK\x03\x04junk")
    (tmp_path / "empty.npy").write_bytes(b"")
    torch.save([1, 2], tmp_path / "numbers.pt")
    with h5py.File(tmp_path / "outside.h5", "w") as file:
        file["xdirection"] = h5py.ExternalLink("other.h5", "/x")
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["xdirection/0"] = h5py.SoftLink("/x")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(ValueError, match=path.name) as caught:
            directions.load(path, objective, 1)
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="expected a file of directions, got no such file"):
        directions.load(tmp_path / "absent.npy", objective)


def test_the_record_is_plain_json(objective):
    import json

    frame = directions.random(objective)
    assert json.loads(json.dumps(frame.record)) == frame.record
    buffer = io.BytesIO()
    torch.save(frame.record, buffer)
    buffer.seek(0)
    assert torch.load(buffer, weights_only=True) == frame.record
