"""Saddles of classes: closed forms on a made saddle, dense twins on a small network, resuming, bad input."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev, vmap

from landscape import operators
from landscape.objective import Objective
from landscape.parts import Parts
from landscape.probes.saddle import Saddle, cost, saddle
from landscape.result import load

CURVATURES = torch.tensor([[4.0, -1.0, 0.5], [2.0, 1.0, 3.0], [4.0, -0.02, 1.0]], dtype=torch.float64)


class Squares(nn.Module):
    """Outputs s u^2 for an input s and parameters u."""

    def __init__(self, at):
        super().__init__()
        self.u = nn.Parameter(torch.tensor(at, dtype=torch.float64))

    def forward(self, x):
        return x * self.u**2


def bent(outputs, targets):
    """Half of the squares, each times a curvature of the example's class: its Hessian is s diag(curvatures)."""
    return 0.5 * (CURVATURES[targets] * outputs).sum(1)


@pytest.fixture
def made():
    """Quadratic losses of three classes, of which the first is a saddle, the second is convex, the third nearly so."""
    scales = torch.rand(30, 1, dtype=torch.float64) + 0.5
    return Objective(Squares([1.0, 0, 0]), (scales, torch.arange(30) % 3), bent, precision="float64", device="cpu")


def classifier(counts=(20, 20, 20), classes=None, seed=0, **options):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, classes or len(counts))).double()
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    data = torch.randn(len(y), 3, dtype=torch.float64) + y[:, None].double() % 2, y
    return Objective(model, data, precision="float64", device="cpu", **options)


@pytest.fixture(scope="module")
def net():
    return classifier()


@pytest.fixture(scope="module")
def found(net):
    return saddle(net, steps=net.dim, tolerance=1e-10, resamples=400, decompose=True)


def dense(objective):
    return objective.hvp(objective.theta, torch.eye(objective.dim, dtype=torch.float64))


def test_the_made_saddle_is_told_in_closed_form(made):
    result = saddle(made, steps=3, step_sizes=(0.1, 0.5))
    scales = np.array([made.examples["train"].segments[0][0][made.labels == c].flatten().numpy() for c in range(3)])
    mean, error = scales.mean(1), scales.std(1, ddof=1) / np.sqrt(10)
    np.testing.assert_allclose(result.lambda_max, mean * [4, 3, 4], rtol=1e-10)
    np.testing.assert_allclose(result.lambda_min, mean * [-1, 1, -0.02], rtol=1e-9)
    np.testing.assert_allclose(result.lambda_max_error, error * [4, 3, 4], rtol=1e-9)
    np.testing.assert_allclose(result.ratio, [0.25, -1 / 3, 0.005], rtol=1e-9)
    np.testing.assert_allclose(result.ratio_error, 0, atol=1e-12)  # both ends grow with the same examples
    np.testing.assert_allclose(result.gradient_norm, mean * [4, 2, 4], rtol=1e-10)
    np.testing.assert_allclose(np.abs(result.gradient_cosine), 0, atol=1e-7)
    np.testing.assert_allclose(np.abs(result.direction_cosine), [[1, 1, 1], [1, 1, 1], [1, 1, 1]], atol=1e-7)
    change = 0.5 * result.step_length**2 * np.array([-1, 1, -0.02])[:, None]
    for sign in (0, 1):
        np.testing.assert_allclose(result.step_loss[:, sign], change * mean[:, None], rtol=1e-6)
    np.testing.assert_allclose(result.step_loss[:, 0], result.step_bend, rtol=1e-6)
    np.testing.assert_allclose(result.step_bend_error, np.abs(change) * error[:, None], rtol=1e-6)
    assert result.escape().tolist() == [True, False, True]
    assert result.escape_by_curvature(errors=5).tolist() == [True, False, True]


def test_certificates_are_given_where_nothing_lies_below(made):
    result = saddle(made, steps=3, tau=0.01)
    assert result.certified().tolist() == [False, True, True]
    np.testing.assert_array_equal(result.missed, [1, 0, 0])  # spaces of all dimensions miss nothing
    assert saddle(made, steps=3, tau=0.004).certified().tolist() == [False, True, False]
    few = saddle(made, steps=2, tau=0.01)
    assert 0 < few.missed[1] <= 1
    assert few.missed[0] == 1


def test_both_ends_are_those_of_the_dense_hessian(net, found):
    for index in range(3):
        values, vectors = torch.linalg.eigh(dense(net.restrict(index)))
        assert found.lambda_min[index] == pytest.approx(float(values[0]), rel=1e-8)
        assert found.lambda_max[index] == pytest.approx(float(values[-1]), rel=1e-8)
        assert found.ratio[index] == pytest.approx(float(-values[0] / values[-1]), rel=1e-8)
        slope = net.restrict(index).gradient(net.theta)
        cosine = vectors[:, 0] @ slope / slope.norm()
        assert found.gradient_cosine[index, index] == pytest.approx(-abs(float(cosine)), abs=1e-7)
        assert found.gradient_norm[index] == pytest.approx(float(slope.norm()), rel=1e-12)
        trace = found.dimension * (found.weight[index] * found.node[index]).sum(1)
        assert trace.mean() == pytest.approx(float(values.sum()), abs=5 * trace.std() + 1e-9)
    assert found.lambda_min_converged.all()
    assert (found.lambda_max_residual < 1e-9).all()


def test_ends_go_on_until_they_converge(net):
    short = saddle(net, steps=4, probes=1, tolerance=1e-9, limit=0, top=0)
    assert not short.lambda_min_converged.all()
    assert (short.lambda_min_residual > 1e-6).any()
    longer = saddle(net, steps=4, probes=1, tolerance=1e-9, limit=500, top=0)
    assert longer.lambda_min_converged.all()
    for index in range(3):
        assert longer.lambda_min[index] == pytest.approx(float(torch.linalg.eigvalsh(dense(net.restrict(index)))[0]))
    assert longer.origin["class_products"] > short.origin["class_products"]
    assert (longer.lambda_min <= short.lambda_min + 1e-12).all()


@pytest.mark.parametrize("kind", [operators.hessian, operators.gauss_newton])
def test_class_matrices_weighted_by_frequency_are_the_whole_one(kind):
    objective = classifier((9, 14, 30))
    by = operators.by_class(objective, kind=kind)
    rows = torch.randn(2, objective.dim, dtype=torch.float64)
    shares = torch.tensor(by.counts, dtype=torch.float64) / objective.size
    parts = by(rows.repeat(3, 1)).reshape(3, 2, -1)
    torch.testing.assert_close((shares[:, None, None] * parts).sum(0), kind(objective)(rows), rtol=1e-10, atol=1e-13)


def test_curvature_along_shared_directions_adds_up(net, found):
    values, _ = torch.linalg.eigh(dense(net))
    np.testing.assert_allclose(found.top_value, values.flip(0)[:2], rtol=1e-8)
    shares = found.count / found.count.sum()
    np.testing.assert_allclose(shares @ found.top_curvature, found.top_value, rtol=1e-8)


def test_lockstep_is_one_class_after_another(net, found):
    alone = saddle(net, steps=net.dim, tolerance=1e-10, resamples=400, decompose=True, together=1)
    assert alone.origin["lockstep"]["classes"] == 1
    assert found.origin["lockstep"]["classes"] == 3
    for name in ("lambda_max", "lambda_min", "ratio", "ratio_error", "step_loss", "top_curvature", "missed", "g12"):
        np.testing.assert_allclose(getattr(alone, name), getattr(found, name), rtol=1e-8, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(alone.node[:, :, 0], found.node[:, :, 0], rtol=1e-8)


def test_probes_in_turn_where_memory_is_short(net, monkeypatch):
    monkeypatch.setattr("landscape.probes._saddle_ends.free_memory", lambda where: 0)
    short, usual = saddle(net, steps=8, top=0), None
    monkeypatch.undo()
    usual = saddle(net, steps=8, top=0)
    assert [short.origin["lockstep"][name] for name in ("classes", "probes")] == [1, 1]
    np.testing.assert_allclose(short.node, usual.node, rtol=1e-7, atol=1e-10)


def test_errors_over_examples_are_those_of_resampled_eigenvalues():
    objective = classifier((80, 80))
    result = saddle(objective, steps=objective.dim, tolerance=1e-8, resamples=2000)
    part = objective.restrict(0)
    inputs, targets = part.examples["train"].segments[0]
    model = part.network.model

    def one(theta, x, y):
        return nn.functional.cross_entropy(functional_call(model, part.unpack(theta), x[None]), y[None])

    each = vmap(jacrev(jacrev(one)), (None, 0, 0))(part.theta, inputs, targets)
    draws = np.random.default_rng(0).multinomial(80, np.full(80, 1 / 80), size=500) / 80
    values = torch.linalg.eigvalsh(torch.einsum("rn,nij->rij", torch.from_numpy(draws), each))
    ratio = -values[:, 0] / values[:, -1]
    assert result.lambda_max_error[0] == pytest.approx(float(values[:, -1].std()), rel=0.25)
    assert result.lambda_min_error[0] == pytest.approx(float(values[:, 0].std()), rel=0.3)
    assert result.ratio_error[0] == pytest.approx(float(ratio.std()), rel=0.3)
    half = (result.ratio_high - result.ratio_low) / 2
    np.testing.assert_allclose(half, 1.96 * result.ratio_error, rtol=0.15)


def test_losses_and_steps_are_those_of_the_objective(net, found):
    measured = net.measure(net.theta)
    for name in ("loss", "loss_error", "accuracy", "accuracy_error"):
        np.testing.assert_allclose(getattr(found, name), getattr(measured, f"class_{name}")[0], rtol=1e-10, atol=1e-14)
    values, vectors = torch.linalg.eigh(dense(net.restrict(1)))
    assert values[0] < 0
    slope = net.restrict(1).gradient(net.theta)
    way = -vectors[:, 0] if vectors[:, 0] @ slope > 0 else vectors[:, 0]
    np.testing.assert_allclose(found.step_length, found.size * float(net.theta.norm()), rtol=1e-12)
    for sign in (0, 1):
        moved = net.measure(net.theta + found.sign[sign] * found.step_length[-1] * way)
        change = moved.class_loss[0, 1] - measured.class_loss[0, 1]
        assert found.step_loss[1, sign, -1] == pytest.approx(change, rel=1e-5)
        assert found.step_whole_loss[1, sign, -1] == pytest.approx(moved.loss[0] - measured.loss[0], rel=1e-5)
        answers = moved.class_accuracy[0, 1] - measured.class_accuracy[0, 1]
        assert found.step_accuracy[1, sign, -1] == pytest.approx(answers, abs=1e-12)
    np.testing.assert_allclose(found.step_bend, found.step_loss.mean(1), rtol=1e-9, atol=1e-15)


def test_negative_mass_and_trace(net, found):
    values = torch.linalg.eigvalsh(dense(net.restrict(0))).numpy()
    share = (values < -0.01 * values.max()).mean()
    assert found.negative_mass[0] == pytest.approx(share, abs=4 * found.negative_mass_error[0])
    expected = -values[values < 0].sum() / np.abs(values).sum()
    assert found.negative_trace[0] == pytest.approx(expected, abs=4 * found.negative_trace_error[0])
    assert found.spectrum(0).mass_below(-0.01 * found.lambda_max[0])[0] == pytest.approx(found.negative_mass[0])


def test_groups_by_frequency():
    result = saddle(classifier((40, 3, 20, 12, 6, 5)), steps=5, top=0, limit=0)
    assert result.group.tolist() == ["head", "tail", "head", "medium", "medium", "tail"]
    by = result.by_group("lambda_min")
    tail = result.lambda_min[[1, 5]]
    assert by["tail"] == pytest.approx((tail.mean(), tail.std(ddof=1) / np.sqrt(2)))
    assert set(by) == {"head", "medium", "tail"}
    with pytest.raises(ValueError, match="Expected a number for each class, such as ratio or lambda_min, got 'node'"):
        result.by_group("node")


def test_balanced_classes_have_no_groups(found):
    assert found.group is None
    assert found.by_group() == {}


def test_a_class_without_examples_is_reported():
    result = saddle(classifier((10, 0, 15), classes=3), steps=5, limit=0)
    assert result.class_.tolist() == ["0", "1", "2"]
    assert result.count.tolist() == [10, 0, 15]
    assert np.isnan(result.ratio).tolist() == [False, True, False]
    assert np.isnan(result.gradient_cosine).sum() == 5
    assert np.isnan(result.node[1]).all()
    assert result.top_value.shape == (1,)
    assert result.certified()[1] == result.escape()[1] == result.lambda_min_converged[1] == False  # noqa: E712


def test_one_example_of_a_class_and_one_class_alone():
    result = saddle(classifier((1, 12)), steps=6, labels=("0",), probes=1, limit=0)
    assert result.class_.tolist() == ["0"]
    assert np.isnan(result.lambda_max_error).all()
    assert np.isfinite(result.ratio).all()
    assert result.top_value is None
    assert np.isnan(result.negative_mass_error).all()


def test_a_loss_without_curvature_is_no_saddle():
    flat = Objective(
        nn.Linear(3, 3).double(), (torch.randn(12, 3).double(), torch.arange(12) % 3), lambda o, t: o.sum(1),
        precision="float64", device="cpu",
    )  # fmt: skip
    result = saddle(flat, steps=5, top=0)
    np.testing.assert_array_equal(result.lambda_max, 0)
    assert np.isnan(result.ratio).all()
    assert not result.escape_by_curvature(errors=10).any()


def test_an_interrupted_run_goes_on(net, tmp_path):
    knobs = {"steps": 8, "together": 1, "limit": 0, "step_sizes": (0.01, 0.1)}
    expected = saddle(net, **knobs)

    def store(plan):
        return Parts(tmp_path / "s.h5", {"what": "test"}, plan)

    def stop(done, total):
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        saddle(net, **knobs, store=store, progress=stop)
    kept = store(dict).done()
    assert 0 < len(kept) < 7
    result = saddle(net, **knobs, store=store)
    assert len(store(dict).done()) == 3 + 1 + 3  # groups, top directions, steps
    again = saddle(net, **knobs, store=store)
    for name in expected.quantities():
        np.testing.assert_array_equal(getattr(again, name), getattr(result, name), err_msg=name)
        if getattr(expected, name).dtype.kind == "f":
            np.testing.assert_allclose(getattr(result, name), getattr(expected, name), rtol=1e-6, atol=1e-9)


def test_progress_and_cost(net):
    told = []
    knobs = {"steps": 8, "probes": 2, "limit": 50}
    result = saddle(net, **knobs, progress=lambda *now: told.append(now))
    assert told[0][0] == 0
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    price = cost(net, **knobs)
    assert price.products * 3 == told[-1][1]
    assert 8 * 2 < result.origin["class_products"] / 3 < result.origin["products"] <= price.products
    assert price.points == 1 + 2 * 6 * 3 == result.origin["evaluations"]
    assert set(inspect.signature(cost).parameters) - {"objective", "_"} <= set(inspect.signature(saddle).parameters)


def test_it_comes_back_from_its_file(found, tmp_path):
    found.save(tmp_path / "s.h5")
    again = load(tmp_path / "s.h5")
    assert isinstance(again, Saddle)
    for name in found.quantities():
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert again.origin["split"] == "train"
    assert replace(again, top_value=None, top_residual=None, top_curvature=None).escape().shape == (3,)


def test_gauss_newton_parts_are_there_on_request(net, found):
    assert found.g0.shape == found.g1.shape == (3,)
    assert found.g2.shape == found.g12.shape == (6,)
    assert found.g12.sum() == pytest.approx(found.g1.sum() + found.g2.sum())
    assert saddle(net, steps=3, limit=0, top=0).g0 is None


def test_batches_of_one_class_are_told():
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 2)).double()
    data = torch.randn(20, 4, dtype=torch.float64), torch.arange(20) % 2
    objective = Objective(model, data, batchnorm="batch", batch_size=5, precision="float64", device="cpu")
    with pytest.warns(UserWarning, match="do not add up to the whole one"):
        saddle(objective, steps=3, probes=1, limit=0, top=0)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"labels": ("7",)}, "Expected classes among 0, 1, 2, got 7"),
        ({"labels": ("1",)}, "Expected classes with examples in train, got none of 1"),
        ({"steps": 1000}, "Expected 1 <= steps <= D="),
        ({"probes": 0}, "Expected probes >= 1, got 0"),
        ({"tau": 0.0}, "Expected tau > 0, got 0.0"),
        ({"step_sizes": (0.1, -0.1)}, "Expected positive step sizes"),
        ({"top": 1000, "steps": 5}, "top eigenvectors, got 1000"),
    ],
)
def test_bad_input_is_one_clear_line(knobs, message):
    with pytest.raises(ValueError, match=message) as told:
        saddle(classifier((10, 0, 15), classes=3), **knobs)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("integers", [False, True])
def test_regression_has_no_classes(integers):
    targets = torch.randint(0, 3, (8, 1)) if integers else torch.randn(8, 1)
    objective = Objective(nn.Linear(2, 1), (torch.randn(8, 2), targets), "mse", device="cpu")
    with pytest.raises(ValueError, match="Expected a loss over classes, got other targets"):
        saddle(objective)
