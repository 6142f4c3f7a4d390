"""Measures of sharpness: closed forms on bowls, twins of dense matrices, what reparametrizations leave alone."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from landscape import Objective
from landscape.probes.sharpness import FAMILIES, Sharpness, cost, sharpness
from landscape.result import load


@pytest.fixture
def bowl(quadratic):
    """The quadratic with all that closed forms need: theta, gradient, Hessian, loss and data."""
    quadratic.x, quadratic.y = (array.squeeze() for array in quadratic.data["train"])
    quadratic.theta = quadratic.objective.theta.numpy()
    quadratic.residual = quadratic.x @ quadratic.theta - quadratic.y
    quadratic.slope = quadratic.x.T @ quadratic.residual / len(quadratic.y)
    quadratic.base = 0.5 * (quadratic.residual**2).mean()
    data = tuple(map(torch.from_numpy, quadratic.data["train"]))
    loss, strategy = quadratic.objective.loss, "loop,examples=40"
    quadratic.objective = Objective(quadratic.model, data, loss, precision="float64", device="cpu", strategy=strategy)
    return quadratic


def rise(bowl, step):
    return bowl.slope @ step + 0.5 * step @ bowl.hessian() @ step


def network(*sizes, seed=0, count=24):
    """A ReLU network without biases, and its data."""
    torch.manual_seed(seed)
    pairs = zip(sizes, sizes[1:], strict=False)
    layers = [layer for pair in pairs for layer in (nn.Linear(*pair, bias=False), nn.ReLU())]
    model = nn.Sequential(*layers[:-1]).double()
    data = torch.randn(count, sizes[0], dtype=torch.float64), torch.randint(0, sizes[-1], (count,))
    return model, data


def dense(model, objective, data):
    def mean(theta):
        return cross_entropy(functional_call(model, objective.unpack(theta), (data[0],)), data[1])

    return torch.autograd.functional.hessian(mean, objective.theta)


def test_eigenvalues_of_a_bowl(bowl):
    found = sharpness(bowl.objective, families=("curvature",))
    eigenvalues = np.linalg.eigvalsh(bowl.hessian())[::-1]
    largest = found.row("lambda_max")
    assert largest["value"] == pytest.approx(eigenvalues[0], rel=1e-6)
    assert largest["error_kind"] == "residual"
    assert abs(largest["value"] - eigenvalues[0]) <= largest["error"] + 1e-12
    assert found.row("lambda_1/lambda_5")["value"] == pytest.approx(eigenvalues[0] / eigenvalues[4], rel=1e-5)
    scaled = found.row("lambda_max_scaled")["value"]
    assert scaled == pytest.approx(eigenvalues[0] * (bowl.theta**2).sum(), rel=1e-6)


def test_traces_and_relative_flatness_of_a_bowl(bowl):
    found = sharpness(bowl.objective, families=("curvature",), samples=200)
    trace, flatness = found.row("trace"), found.row("relative_flatness", "layer=weight")
    truth = np.trace(bowl.hessian())
    assert abs(trace["value"] - truth) < 3.5 * trace["error"]
    assert trace["error"] < 0.1 * truth
    truth *= (bowl.theta**2).sum()  # of one neuron: |w|^2 tr H, which ridge regression penalizes
    assert abs(flatness["value"] - truth) < 3.5 * flatness["error"]
    assert flatness["error"] < 0.2 * truth


@pytest.mark.parametrize("rho", [0.01, 0.2])
def test_sam_of_a_bowl(bowl, rho):
    found = sharpness(bowl.objective, families=("ascent",), rho=(rho,), adaptive_rho=(rho,), group=(0,), epsilon=())
    slope, theta = bowl.slope, bowl.theta
    unit = slope / np.linalg.norm(slope)
    steps = {
        "sam": rho * unit,
        "asam": rho * theta**2 * slope / np.linalg.norm(theta * slope),
        "asam_filter": rho * np.linalg.norm(theta) * unit,
    }
    for name, step in steps.items():
        row = found.row(name, f"rho={rho:g} m=all")
        assert row["value"] == pytest.approx(rise(bowl, step), rel=1e-9)
        assert (row["error"], row["error_kind"]) == (0, "exact")


def test_sam_of_groups_is_the_mean_over_examples(bowl):
    found = sharpness(bowl.objective, families=("ascent",), rho=(0.1,), adaptive_rho=(), group=(1, 999), groups=150)
    lengths = np.linalg.norm(bowl.x, axis=1)
    truth = (0.1 * np.abs(bowl.residual) * lengths + 0.5 * (0.1 * lengths) ** 2).mean()
    row = found.row("sam", "m=1")
    assert abs(row["value"] - truth) < 3.5 * row["error"]
    assert 0 < row["error"] < 0.15 * truth
    assert row["value"] > found.row("sam", "m=all")["value"]  # smaller groups, sharper


def test_a_point_without_slope_does_not_rise():
    model = nn.Linear(2, 1, bias=False).double()
    nn.init.zeros_(model.weight)
    data = torch.eye(2, dtype=torch.float64), torch.zeros(2, 1, dtype=torch.float64)
    bowl = Objective(model, data, "mse", precision="float64", device="cpu")
    found = sharpness(bowl, families=("ascent",), rho=(0.1,), adaptive_rho=(0.1,), group=(0,))
    assert [found.row(name)["value"] for name in ("sam", "asam", "asam_filter")] == [0, 0, 0]
    assert found.row("epsilon_sharpness", "epsilon=0.001")["value"] == pytest.approx(100 * 1e-6, rel=1e-6)


def test_the_box_of_a_separable_bowl():
    torch.manual_seed(2)
    scales = torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64)
    model = nn.Linear(4, 1, bias=False).double()
    data = torch.diag(scales), torch.zeros(4, 1, dtype=torch.float64)
    objective = Objective(model, data, lambda f, y: 0.5 * (f - y)[:, 0] ** 2, precision="float64", device="cpu")
    found = sharpness(objective, families=("ascent",), rho=(), adaptive_rho=(), epsilon=(0.1,))
    theta, curved = objective.theta.numpy(), (scales**2 / 4).numpy()
    far = np.abs(theta) + 0.1 * (np.abs(theta) + 1)
    base = 0.5 * (curved * theta**2).sum()
    row = found.row("epsilon_sharpness")
    assert row["value"] == pytest.approx(100 * (0.5 * (curved * far**2).sum() - base) / (1 + base), rel=1e-9)
    assert row["error_kind"] == "lower bound"
    assert np.isnan(row["error"])
    assert row["unit"] == "%"


def test_random_perturbations_of_a_bowl(bowl):
    found = sharpness(bowl.objective, families=("average",), radius=(0.5,), sigma=0.3, samples=150)
    trace, theta = np.trace(bowl.hessian()), bowl.theta
    truths = {
        "random_mean": 0.5**2 * trace / 12,
        "random_filter_mean": 0.5**2 * (theta**2).sum() * trace / 12,
        "low_pass": bowl.base + 0.3**2 * trace / 2,
    }
    wide = np.eye(6) + 0.3**2 * bowl.hessian()
    slope = bowl.slope
    truths["local_entropy"] = (
        bowl.base + 0.5 * np.linalg.slogdet(wide)[1] - 0.5 * 0.3**2 * slope @ np.linalg.solve(wide, slope)
    )
    for name, truth in truths.items():
        row = found.row(name)
        assert abs(row["value"] - truth) < 3.5 * row["error"], name
        assert row["error_kind"] == "standard error"
        assert row["error"] < 0.15 * truth
    worst = found.row("random_filter_worst")
    eigenvalue = np.linalg.eigvalsh(bowl.hessian())[-1]
    reach = 0.5 * np.linalg.norm(theta)
    assert found.row("random_filter_mean")["value"] < worst["value"]
    assert worst["value"] <= reach * np.linalg.norm(slope) + 0.5 * eigenvalue * reach**2


def test_standard_errors_of_random_perturbations_hold(bowl):
    truth = bowl.base + 0.3**2 * np.trace(bowl.hessian()) / 2
    rows = [
        sharpness(bowl.objective, families=("average",), radius=(), sigma=0.3, samples=10, seed=seed).row("low_pass")
        for seed in range(50)
    ]
    z = np.array([(row["value"] - truth) / row["error"] for row in rows])
    assert abs(z.mean()) < 4 / np.sqrt(50)
    assert 0.8 < z.std() < 1.35


def test_norms_of_a_bowl(bowl):
    found = sharpness(bowl.objective, families=("norms",))
    assert found.row("gradient_norm")["value"] == pytest.approx(np.linalg.norm(bowl.slope), rel=1e-12)
    squares = (bowl.residual * (bowl.x @ bowl.theta)) ** 2
    row = found.row("fisher_rao")
    assert row["value"] == pytest.approx(np.sqrt(squares.mean()), rel=1e-12)
    spread = squares.std(ddof=1) / np.sqrt(len(squares))
    assert row["error"] == pytest.approx(spread / (2 * row["value"]), rel=1e-10)
    assert "fisher_rao_model" not in found.measure.tolist()  # the loss is no likelihood of classes


def test_fisher_rao_norms_of_a_rectified_network_are_those_of_its_outputs():
    """Liang et al., theorem 3.1: without biases, theta' df/dtheta = layers * f."""
    model, data = network(4, 5, 3)
    objective = Objective(model, data, precision="float64", device="cpu")
    found = sharpness(objective, families=("norms",))
    outputs = model(data[0]).detach()
    shares = outputs.softmax(1)
    right = torch.nn.functional.one_hot(data[1], 3)
    given = (((shares - right) * outputs).sum(1) ** 2).mean()
    own = ((shares * outputs**2).sum(1) - (shares * outputs).sum(1) ** 2).mean()
    assert found.row("fisher_rao")["value"] == pytest.approx(2 * float(given) ** 0.5, rel=1e-10)
    assert found.row("fisher_rao_model")["value"] == pytest.approx(2 * float(own) ** 0.5, rel=1e-10)


@pytest.mark.parametrize("layer", ["0.weight", ""])
def test_relative_flatness_is_the_sum_over_pairs_of_neurons(layer):
    model, data = network(3, 4, 3)
    objective = Objective(model, data, precision="float64", device="cpu")
    block = objective.blocks[0 if layer else 1]
    matrix = dense(model, objective, data)[block.slice, block.slice].view(*block.shape, *block.shape)
    weight = objective.theta[block.slice].view(block.shape)
    truth = sum(
        float(weight[s] @ weight[t] * matrix[s, :, t].trace()) for s in range(len(weight)) for t in range(len(weight))
    )
    row = sharpness(objective, families=("curvature",), layer=layer, samples=400).row("relative_flatness")
    assert abs(row["value"] - truth) < 3.5 * row["error"]
    assert row["error"] < 0.15 * abs(truth)


def test_eigenvalues_are_those_of_the_dense_hessian():
    model, data = network(4, 8, 3)
    objective = Objective(model, data, precision="float64", device="cpu")
    eigenvalues = torch.linalg.eigvalsh(dense(model, objective, data)).flip(0)
    found = sharpness(objective, families=("curvature",), tolerance=1e-6)
    assert found.row("lambda_max")["value"] == pytest.approx(float(eigenvalues[0]), rel=1e-8)
    assert found.row("lambda_1/lambda_5")["value"] == pytest.approx(float(eigenvalues[0] / eigenvalues[4]), rel=1e-6)


def test_what_scaling_layers_against_each_other_leaves_alone():
    """Dinh et al. 2017: the same function, other weights. Adaptive measures stay, plain ones do not."""
    model, data = network(4, 6, 3)
    objective = Objective(model, data, precision="float64", device="cpu")
    scale = torch.cat([torch.full((24,), 10.0), torch.full((18,), 0.1)]).double()
    one, other = (
        sharpness(objective, theta=objective.theta * by, families=("ascent", "average", "norms"), group=(0,), samples=4)
        for by in (torch.ones_like(scale), scale)
    )
    assert one.setting.tolist() == other.setting.tolist()
    changed = {}
    for i, name in enumerate(one.measure):
        same = np.isclose(one.value[i], other.value[i], rtol=1e-8)
        changed.setdefault(str(name), set()).add(not same)
    kept = {name for name, any_ in changed.items() if any_ == {False}}
    adaptive = {"asam", "asam_filter", "random_filter_mean", "random_filter_worst"}
    assert kept == adaptive | {"fisher_rao", "fisher_rao_model"}


@pytest.mark.parametrize("families", [FAMILIES, ("norms",), ("ascent", "curvature")])
def test_comes_back_from_its_file_and_counts(classifier, families, tmp_path):
    told = []
    found = sharpness(
        classifier, families=families, group=(0, 8), groups=3, samples=3, progress=lambda *now: told.append(now)
    )
    assert told == sorted(told)
    assert told[0][0] == 0
    assert told[-1][0] == found.origin["calls"] <= told[-1][1]
    if "curvature" not in families:
        assert told[-1] == (3, 3)
    found.save(tmp_path / "s.h5")
    again = load(tmp_path / "s.h5")
    assert isinstance(again, Sharpness)
    for name in found.quantities():
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert all("arXiv:" in paper for paper in again.paper)
    assert np.isfinite(again.value).all()
    assert np.array_equal(np.isnan(again.error), again.error_kind == "lower bound")


def test_the_same_seed_gives_the_same_table(classifier):
    knobs = {"samples": 3, "groups": 2, "group": (4,), "epsilon": (1e-3,)}
    one, again, other = (sharpness(classifier, seed=seed, **knobs).value for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("policy", ["refit", "batch"])
def test_every_policy_of_batch_norm(policy):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    data = torch.randn(24, 4), torch.randint(0, 3, (24,))
    objective = Objective(model, data, batchnorm=policy, batch_size=12, device="cpu")
    found = sharpness(objective, families=("ascent", "norms"), group=(0, 12), groups=2)
    assert np.isfinite(found.value).all()
    assert "fisher_rao" not in found.measure.tolist()


def test_cost_is_told_beforehand(classifier):
    whole = cost(classifier)
    assert whole.products >= 200
    assert cost(classifier, families=("norms",)).points == 0
    some = cost(classifier, families=("average",), radius=(0.1,), samples=10)
    found = sharpness(classifier, families=("average",), radius=(0.1,), samples=10)
    assert some.points == found.origin["calls"]


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"families": ("flat",)}, "Expected families of measures among curvature, .* got flat"),
        ({"families": ()}, "got none"),
        ({"samples": 1}, "Expected samples >= 2 and groups >= 2, got 1 and 16"),
        ({"rho": (0.1, -0.1)}, "Expected rho > 0, got 0.1, -0.1"),
        ({"sigma": 0.0}, "Expected sigma > 0"),
        ({"group": (-3,)}, "Expected group sizes m >= 1, or 0 for all examples, got -3"),
        ({"layer": "conv"}, "Expected a weight of the network as layer .*0.weight"),
    ],
)
def test_errors_teach(classifier, knobs, message):
    with pytest.raises(ValueError, match=message):
        sharpness(classifier, **knobs)


def test_a_measure_that_is_not_there_is_told(classifier):
    found = sharpness(classifier, families=("norms",))
    with pytest.raises(ValueError, match="Expected a measure, one of gradient_norm, .* got 'sam'"):
        found.row("sam")
