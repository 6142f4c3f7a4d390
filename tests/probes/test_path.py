"""Paths between networks: closed forms of barriers, twins of errors, every point as the objective measures it."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from landscape.curves import Curve, segment, straight
from landscape.objective import Objective
from landscape.parts import Parts
from landscape.probes.path import Path, cost, path
from landscape.result import load

WIDE = torch.float64
SIGNS = {"convex": (1.0, 1.0), "concave": (-1.0, -1.0), "indefinite": (1.0, -1.0)}


def signed_square(outputs, targets):
    return 0.5 * targets[:, 0] * outputs[:, 0] ** 2


def quadratic(signs=(1.0, -1.0), dim=5):
    """A quadratic loss of known Hessian on two splits, whose curvatures have certain signs."""
    x = torch.randn(24, dim, dtype=WIDE)
    s = torch.where(torch.arange(24) < 15, *(torch.tensor(sign, dtype=WIDE) for sign in signs))[:, None]
    model = nn.Linear(dim, 1, bias=False).double()
    data = {"train": (x, s), "test": (x[9:] + 0.1, s[9:])}
    hessians = np.stack([(x.T @ (s * x) / len(x)).numpy() for x, s in data.values()])
    return Objective(model, data, signed_square, precision="float64", device="cpu"), hessians


def mlp(norm=True, outputs=3):
    middle = [nn.BatchNorm1d(6)] if norm else []
    return nn.Sequential(nn.Linear(4, 6), *middle, nn.Tanh(), nn.Linear(6, outputs)).double()


def vectors(count=40):
    return torch.randn(count, 4, dtype=WIDE)


def tasks(name):
    """An objective of two splits, of every kind of targets."""
    if name == "language":
        model = nn.Sequential(nn.Embedding(5, 4), nn.Tanh(), nn.Linear(4, 5)).double()
        batches = [(torch.randint(5, (n, t)), torch.randint(5, (n, t))) for n, t in ((4, 5), (3, 7), (4, 5))]
        for _, targets in batches:
            targets[:, 1] = -100
            targets[0, 2:4] = -100
        return Objective(model, {"train": batches, "test": batches[:2]}, precision="float64", device="cpu")
    targets = {
        "classes": lambda n: torch.randint(3, (n,)), "refit": lambda n: torch.randint(3, (n,)),
        "bce": lambda n: torch.randint(2, (n, 3)).double(), "mse": lambda n: torch.randn(n, 3, dtype=WIDE),
    }[name]  # fmt: skip
    data = {part: (vectors(n), targets(n)) for part, n in (("train", 40), ("test", 13))}
    loss = name if name in ("bce", "mse") else "cross_entropy"
    return Objective(
        mlp(norm=name == "refit"), data, loss, batchnorm="refit", precision="float64", device="cpu",
        strategy="loop,examples=8;retained,kept,examples=16",
    )  # fmt: skip


def arch(objective, seed=1):
    """A Bezier curve from an objective's own parameters to others."""
    generator = torch.Generator().manual_seed(seed)
    theta = objective.theta
    bend, end = theta + torch.randn(2, objective.dim, generator=generator, dtype=theta.dtype)
    return Curve("bezier", torch.stack([theta, bend, end]))


@pytest.mark.parametrize("signs", SIGNS.values(), ids=SIGNS)
def test_the_barrier_of_a_quadratic_is_that_of_its_curvature_along_the_segment(signs):
    objective, hessians = quadratic(signs)
    line = segment(objective.theta, objective.theta + torch.randn(5, dtype=WIDE))
    found = path(objective, line, points=9)
    d = (line.points[1] - line.points[0]).numpy()
    curvature = np.einsum("i,sij,j->s", d, hessians, d)
    expected = -found.t * (1 - found.t) / 2 * curvature[:, None]
    np.testing.assert_allclose(found.height[0], expected, rtol=1e-10, atol=1e-13)
    ends = np.stack([0.5 * np.einsum("i,sij,j->s", p, hessians, p) for p in line.points.numpy()])
    points = line(torch.tensor(found.t)).numpy()
    losses = 0.5 * np.einsum("ti,sij,tj->st", points, hessians, points)
    np.testing.assert_allclose(found.loss[0], losses, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(found.rise[0], losses - ends.max(0)[:, None], rtol=1e-10, atol=1e-12)
    height, error, where = found.barrier()
    np.testing.assert_allclose(height[0], np.maximum(-curvature / 8, 0), rtol=1e-10, atol=1e-13)
    np.testing.assert_array_equal(where[0], np.where(curvature < 0, 0.5, 0.0))
    assert (error[0] >= 0).all()
    higher = found.barrier("higher")[0][0]
    np.testing.assert_allclose(higher, losses.max(1) - ends.max(0), rtol=1e-9, atol=1e-12)
    assert (higher <= height[0] + 1e-12).all()


def test_errors_are_paired_over_examples():
    objective = tasks("classes")
    curve = arch(objective)
    found = path(objective, {"way": curve}, points=5)
    model = objective.network.model
    for s, examples in enumerate(objective.examples.values()):
        ((x, y),) = examples.segments
        each, right = [], []
        for t in found.t.tolist():
            outputs = functional_call(model, objective.unpack(curve(t)), (x,))
            each.append(nn.functional.cross_entropy(outputs, y, reduction="none").detach().numpy())
            right.append((outputs.argmax(1) == y).double().numpy())
        for k, t in enumerate(found.t):
            height = each[k] - (1 - t) * each[0] - t * each[-1]
            higher = each[0] if each[0].mean() > each[-1].mean() else each[-1]
            drop = (1 - t) * right[0] + t * right[-1] - right[k]
            for name, values in (("height", height), ("rise", each[k] - higher), ("drop", drop)):
                error = values.std(ddof=1) / np.sqrt(len(y))
                assert getattr(found, name)[0, s, k] == pytest.approx(values.mean(), rel=1e-9, abs=1e-13)
                assert getattr(found, f"{name}_error")[0, s, k] == pytest.approx(error, rel=1e-9, abs=1e-13)
    highest, error, where = found.error_barrier()
    np.testing.assert_array_equal(highest, found.drop.max(-1))
    top = found.drop.argmax(-1)
    np.testing.assert_array_equal(where, found.t[top])
    np.testing.assert_array_equal(error, np.take_along_axis(found.drop_error, top[..., None], -1)[..., 0])


@pytest.mark.parametrize("task", ["classes", "refit", "language", "bce", "mse"])
def test_every_point_is_what_the_objective_measures(task):
    objective = tasks(task)
    curve = arch(objective)
    found = path(objective, {"way": curve, "back": curve.reversed()}, points=5)
    expected = objective.measure(curve(torch.tensor(found.t)))
    for name, values in vars(expected).items():
        if values is None or name == "terms":
            assert getattr(found, name, None) is None
            continue
        measured = getattr(found, name)
        np.testing.assert_allclose(measured[0], values, rtol=1e-9, atol=1e-12, err_msg=name)
        np.testing.assert_allclose(measured[1], values[..., ::-1], rtol=1e-9, atol=1e-12, err_msg=name)
    assert (found.accuracy is None) == (task == "mse") == (found.drop is None) == (found.disagreement_last is None)
    assert (found.class_ is None) == (task in ("language", "bce", "mse"))


def test_disagreement_is_counted_one_answer_after_another():
    objective = tasks("language")
    curve = arch(objective)
    found = path(objective, curve, points=3)
    model = objective.network.model
    for s, examples in enumerate(objective.examples.values()):
        for k, t in enumerate(found.t.tolist()):
            apart = {"first": 0, "last": 0}
            tokens = 0
            for x, y in examples.segments:
                here = functional_call(model, objective.unpack(curve(t)), (x,)).argmax(-1)
                for name, end in (("first", 0.0), ("last", 1.0)):
                    there = functional_call(model, objective.unpack(curve(end)), (x,)).argmax(-1)
                    answers = zip(here.flatten(), there.flatten(), y.flatten(), strict=True)
                    apart[name] += sum(bool(a != b) for a, b, target in answers if target != -100)
                tokens += int((y != -100).sum())
            assert found.disagreement_first[0, s, k] == pytest.approx(apart["first"] / tokens, abs=1e-15)
            assert found.disagreement_last[0, s, k] == pytest.approx(apart["last"] / tokens, abs=1e-15)
    assert found.disagreement_last[0, :, 0].max() > 0


def test_statistics_of_batch_norm_are_refitted_to_the_first_split_at_every_point():
    objective = tasks("refit")
    curve = arch(objective)
    found = path(objective, curve, points=3)
    ((x, y),) = objective.examples["train"].segments
    ((x2, y2),) = objective.examples["test"].segments
    model = deepcopy(objective.network.model)
    functional = objective.unpack(curve(0.5))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(functional[name])
        hidden = model[0](x)
        model[1].running_mean.copy_(hidden.mean(0))
        model[1].running_var.copy_(hidden.var(0))
        expected = [nn.functional.cross_entropy(model.eval()(a), b).item() for a, b in ((x, y), (x2, y2))]
    np.testing.assert_allclose(found.loss[0, :, 1], expected, rtol=1e-10)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_lost_on_the_way_stays_lost(value):
    objective = tasks("classes")
    curve = arch(objective)
    curve.points[1, 0] = value
    found = path(objective, curve, points=5)
    assert np.isfinite(found.loss[..., [0, -1]]).all()
    lost = ~np.isfinite(found.loss[0])
    np.testing.assert_array_equal(np.isfinite(found.height[0]), ~lost)
    if value is np.nan:  # infinite weights may stand before a unit that saturates
        assert lost[:, 1:-1].all()
        assert np.isnan(found.barrier()[0]).all()
        np.testing.assert_array_equal(found.accuracy[0, :, 1:-1], 0)
        np.testing.assert_array_equal(found.disagreement_first[0, :, 1:-1], 1)


def on_heights(heights, **changes):
    """A path of one curve whose heights are given."""
    heights = np.array(heights, float)
    points = len(heights)
    rows = {
        name: heights[None, None] for name in ("loss", "loss_error", "height", "height_error", "rise", "rise_error")
    }
    given = {"curve": ["way"], "split": ["train"], "t": np.linspace(0, 1, points), "arc": np.zeros((1, points))}
    return Path(**(given | {"length": [2.0], "distance": [1.0]} | rows | changes))


def test_of_equally_high_points_the_first_is_the_barrier():
    assert on_heights([0, 2, 1, 2, 0]).barrier()[2] == 0.25
    flat = on_heights([0, 0, 0])
    assert flat.barrier()[0] == flat.barrier()[2] == 0
    with pytest.raises(ValueError, match="Expected accuracies along the curves, got none"):
        flat.error_barrier()


def test_a_loss_that_is_infinite_is_an_infinite_barrier():
    found = on_heights([0, np.inf, 1])
    assert found.barrier()[0] == np.inf
    assert found.barrier()[2] == 0.5
    assert "barrier train inf" in found.remarks()[0]
    assert np.isnan(on_heights([0, np.inf, np.nan]).barrier()[0])


def steep(outputs, targets):
    return torch.where(targets[:, 0] > 0, outputs[:, 0].exp(), outputs[:, 0] ** 2)


def test_losses_beyond_all_numbers_are_measured():
    model = nn.Linear(1, 1, bias=False).double()
    data = (torch.ones(3, 1, dtype=WIDE), torch.tensor([[1.0], [0.0], [0.0]], dtype=WIDE))
    objective = Objective(model, data, steep, precision="float64", device="cpu")
    high = Curve("bezier", torch.tensor([[0.0], [4000.0], [0.5]], dtype=WIDE))
    found = path(objective, high, points=5)
    assert found.barrier()[0] == np.inf
    assert np.isnan(found.height_error[0, 0, 2])
    ended = path(objective, Curve("bezier", torch.tensor([[0.0], [1000.0]], dtype=WIDE)), points=5)
    assert ended.loss[0, 0, -1] == np.inf
    assert np.isnan(ended.barrier()[0])


def test_figures_and_remarks_tell_barriers():
    objective = tasks("classes")
    curve = arch(objective)
    found = path(objective, {"way": curve, "line": segment(*curve.ends)}, points=5)
    told = found.figures()
    height, error, _ = found.barrier()
    assert told["line_test_barrier"] == (height[1, 1], error[1, 1])
    assert told["way_train_error_barrier"] == tuple(part[0, 0] for part in found.error_barrier()[:2])
    assert len(told) == 8
    assert [line.partition(":")[0] for line in found.remarks()] == ["way", "line"]
    assert "times straight" in found.remarks()[0]
    np.testing.assert_allclose(found.length, [curve.length, curve.distance], rtol=1e-10)
    np.testing.assert_allclose(found.arc[0], curve.arc(torch.tensor(found.t)), rtol=1e-10)
    assert "drop" not in path(tasks("mse"), arch(tasks("mse")), points=3).remarks()[0]


def parts_of(folder, stop=None):
    """A store in a folder; writing stops after some parts, as if the work were interrupted."""

    def opened(plan):
        parts = Parts(folder / "p.h5", {"work": 1}, plan)
        write = parts.write

        def counted(index, arrays):
            write(index, arrays)
            if stop is not None and len(parts.done()) >= stop:
                raise KeyboardInterrupt

        parts.write = counted
        return parts

    return opened


@pytest.mark.parametrize("curvature", [0, 3])
def test_interrupted_work_ends_with_the_same_bits(tmp_path, monkeypatch, curvature):
    monkeypatch.setattr("landscape.sweep.KEEP", 0.0)
    objective = tasks("refit")
    curves = {"way": arch(objective), "line": segment(*arch(objective).ends)}
    knobs = {"points": 5, "curvature": curvature}
    whole = path(objective, curves, **knobs)
    for stop in (2, 4, 7):
        with pytest.raises(KeyboardInterrupt):
            path(objective, curves, **knobs, store=parts_of(tmp_path, stop))
    told = []
    again = path(objective, curves, **knobs, store=parts_of(tmp_path), progress=lambda *now: told.append(now))
    assert told[0] == (7, 10 + 2 * curvature)
    assert told[-1] == (10 + 2 * curvature, 10 + 2 * curvature)
    for name in whole.quantities():
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name), err_msg=name)
    assert again.origin == whole.origin


def test_interrupted_curvature_ends_with_the_same_bits(tmp_path, monkeypatch):
    objective = tasks("refit")
    curve, knobs = arch(objective), {"points": 3, "curvature": 4}
    whole, write = path(objective, curve, **knobs), Parts.write

    def twice(self, index, arrays):
        write(self, index, arrays)
        if "lambda_max" in arrays and index == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(Parts, "write", twice)
    with pytest.raises(KeyboardInterrupt):
        path(objective, curve, **knobs, store=parts_of(tmp_path))
    monkeypatch.undo()
    again = path(objective, curve, **knobs, store=parts_of(tmp_path))
    for name in whole.quantities():
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name), err_msg=name)


def test_curvature_along_a_quadratic_is_its_own():
    objective, hessians = quadratic()
    line = segment(objective.theta, objective.theta + torch.randn(5, dtype=WIDE))
    corner = straight("chain", *line.ends, 1)
    corner.points[1] += torch.randn(5, dtype=WIDE)
    found = path(objective, {"segment": line, "chain": corner}, points=3, curvature=4)
    values = np.linalg.eigvalsh(hessians[0])
    np.testing.assert_allclose(found.s, np.linspace(0, 1, 4))
    np.testing.assert_allclose(found.lambda_max, values[-1], rtol=1e-10)
    np.testing.assert_allclose(found.lambda_min, values[0], rtol=1e-10)
    assert found.lambda_max_converged.all()
    assert (found.lambda_min_residual < 1e-10).all()
    for c, curve in enumerate((line, corner)):
        for k, s in enumerate(found.s.tolist()):
            d = curve.derivative(s).numpy()
            assert found.tangent_curvature[c, k] == pytest.approx(d @ hessians[0] @ d / (d @ d), rel=1e-10)
    np.testing.assert_allclose(found.bend_arc[0], found.s * line.length, rtol=1e-12)


def test_curvature_at_a_point_is_that_of_the_objective_there():
    objective = tasks("refit")
    curve = arch(objective)
    found = path(objective, curve, points=3, curvature=3, tolerance=1e-6)
    theta = curve(0.5)
    dense = objective.hvp(theta, torch.eye(objective.dim, dtype=WIDE))
    values = torch.linalg.eigvalsh((dense + dense.T) / 2)
    assert found.lambda_max[0, 1] == pytest.approx(float(values[-1]), rel=1e-8)
    assert found.lambda_min[0, 1] == pytest.approx(float(values[0]), rel=1e-6)
    d = curve.derivative(0.5)
    assert found.tangent_curvature[0, 1] == pytest.approx(float(d @ dense @ d / (d @ d)), rel=1e-9)
    assert found.lambda_min[0, 1] <= found.tangent_curvature[0, 1] <= found.lambda_max[0, 1]
    assert found.origin["products"] >= found.products.sum()


def test_curvature_that_is_not_finite_is_nan():
    objective = tasks("classes")
    curve = arch(objective)
    curve.points[1, 0] = np.nan
    found = path(objective, curve, points=3, curvature=3)
    assert np.isnan(found.lambda_max[0, 1])
    assert np.isnan(found.tangent_curvature).all()  # the derivative sees the bend at the ends too
    assert found.lambda_max_converged.tolist() == [[True, False, True]]
    still = Curve("chain", torch.stack([objective.theta, objective.theta, objective.theta + 1]))
    assert np.isnan(path(objective, still, points=3, curvature=3).tangent_curvature[0]).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"points": 2}, "Expected at least 3 points along a curve, its ends included, got 2"),
        ({"curvature": 1}, "Expected curvature at 2 points or more, the ends included, or 0, got 1"),
        ({"curvature": -3}, "got -3"),
        ({"limit": 0}, "Expected limit >= 1, got 0"),
        ({"curvature": 2, "tolerance": 0.0}, "Expected tolerance > 0, got 0"),
    ],
)
def test_knobs_out_of_range(knobs, words):
    objective = tasks("classes")
    with pytest.raises(ValueError, match=words):
        path(objective, arch(objective), **({"points": 3} | knobs))


def test_curves_that_are_none_of_the_objective():
    objective = tasks("classes")
    with pytest.raises(ValueError, match=r"Expected curves of 51 parameters, got 'bent' of 52: it belongs to another"):
        path(objective, {"bent": segment(torch.zeros(52), torch.ones(52))})
    with pytest.raises(ValueError, match="Expected a curve between different networks, got 'segment' whose points"):
        path(objective, segment(objective.theta, objective.theta.clone()))


def test_the_statistics_of_one_end_are_refused_with_the_reason():
    model, pair = mlp(), (vectors(), torch.randint(3, (40,)))
    frozen = Objective(model, pair, precision="float64", device="cpu")
    with pytest.raises(ValueError, match="batch-norm statistics of every point between the networks, got the frozen"):
        path(frozen, arch(frozen))
    batch = Objective(model, pair, batchnorm="batch", batch_size=10, precision="float64", device="cpu")
    found = path(batch, arch(batch), points=3)
    np.testing.assert_allclose(found.loss[0], batch.measure(arch(batch)(torch.tensor([0, 0.5, 1]))).loss, rtol=1e-9)


def test_a_path_comes_back_from_its_file(tmp_path):
    objective = tasks("classes")
    found = path(objective, arch(objective), points=3, curvature=2)
    found.save(tmp_path / "p.h5")
    again = load(tmp_path / "p.h5")
    assert isinstance(again, Path)
    for name in found.quantities():
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert replace(again, origin={}).barrier()[0].shape == (1, 2)


def test_the_cost_is_an_upper_bound():
    objective = tasks("refit")
    curves = {"way": arch(objective), "line": segment(*arch(objective).ends)}
    told = cost(objective, curves=2, points=5, curvature=3, limit=60)
    found = path(objective, curves, points=5, curvature=3, limit=60)
    assert found.origin["products"] <= told.products == 2 * 3 * 61
    assert told.points == found.origin["evaluations"] == 10
    assert told.alone
    assert cost(objective).products == 0
