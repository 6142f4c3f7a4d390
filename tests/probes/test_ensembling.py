"""Networks along curves asked together: plain twins, closed forms, interruptions, what is refused."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from landscape import Objective, load
from landscape.curves import Curve, segment
from landscape.ensembles.ensemble import ensemble
from landscape.parts import Parts
from landscape.probes import _ensembling
from landscape.probes.ensembling import cost, ensembling

BINS = 6


def pair(count, seed):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    return inputs, torch.randint(0, 3, (count,), generator=generator)


DATA = {"train": pair(40, 1), "test": pair(17, 2)}


def network(*, norm=False):
    torch.manual_seed(0)
    middle = [nn.BatchNorm1d(5)] if norm else []
    return nn.Sequential(nn.Linear(4, 5), *middle, nn.Tanh(), nn.Linear(5, 3)).double()


def made(*, norm=False, data=None, loss="cross_entropy", **options):
    options = {"precision": "float64", "device": "cpu", "batchnorm": "refit" if norm else "frozen"} | options
    return Objective(network(norm=norm), data or DATA, loss, **options)


def chain(objective, corners, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(corners - 1, objective.dim, generator=generator, dtype=torch.float64) * scale
    points = objective.theta + torch.cat([torch.zeros_like(steps[:1]), steps.cumsum(0)]).to(objective.theta)
    return Curve("chain", points)


def line(objective, seed=0):
    return segment(*chain(objective, 2, seed).points)


def probabilities(objective, theta, split):
    """Softmax of the outputs, by torch itself."""
    return functional_call(network(), objective.unpack(theta), (DATA[split][0],)).detach().softmax(1).numpy()


def told(p, labels):
    """Scores of probabilities (N, C), example after example."""
    loss = np.mean([-np.log(row[y]) for row, y in zip(p, labels, strict=True)])
    accuracy = np.mean([row.argmax() == y for row, y in zip(p, labels, strict=True)])
    brier = np.mean([sum((row[c] - (c == y)) ** 2 for c in range(3)) for row, y in zip(p, labels, strict=True)])
    entropy = np.mean([-sum(q * np.log(q) for q in row) for row in p])
    gaps = np.zeros(BINS)
    for row, y in zip(p, labels, strict=True):
        gaps[min(int(row.max() * BINS), BINS - 1)] += (row.argmax() == y) - row.max()
    return {
        "loss": loss, "accuracy": accuracy, "brier": brier, "entropy": entropy,
        "calibration": np.abs(gaps).sum() / len(labels),
    }  # fmt: skip


def test_all_ways_are_those_of_plain_loops():
    objective = made()
    curve = chain(objective, 4)
    found = ensembling(objective, {"walk": curve}, bins=BINS)
    for s, split in enumerate(("train", "test")):
        labels = DATA[split][1].numpy()
        alone = [probabilities(objective, point, split) for point in curve.points]
        for k in range(4):
            ways = {
                "alone": alone[k],
                "pair": (alone[0] + alone[k]) / 2,
                "all": sum(alone[: k + 1]) / (k + 1),
                "pair_average": probabilities(objective, (curve.points[0] + curve.points[k]) / 2, split),
                "all_average": probabilities(objective, curve.points[: k + 1].mean(0), split),
            }
            assert found.way.tolist() == list(ways)
            for w, p in enumerate(ways.values()):
                for name, value in told(p, labels).items():
                    assert getattr(found, name)[0, s, w, k] == pytest.approx(value, rel=1e-10, abs=1e-12), name
            share = np.mean(alone[0].argmax(1) != alone[k].argmax(1))
            assert found.disagreement[0, s, k] == pytest.approx(share)


def test_errors_and_paired_differences_are_those_over_examples():
    objective = made()
    curve = chain(objective, 3)
    found = ensembling(objective, {"walk": curve})
    labels = DATA["test"][1].numpy()
    one, two, three = (probabilities(objective, p, "test")[np.arange(17), labels] for p in curve.points)
    middle = probabilities(objective, curve.points.mean(0), "test")[np.arange(17), labels]
    each = {
        "pair - alone": -np.log((one + three) / 2) + (np.log(one) + np.log(three)) / 2,
        "all - alone": -np.log((one + two + three) / 3) + (np.log(one) + np.log(two) + np.log(three)) / 3,
        "all_average - alone": -np.log(middle) + (np.log(one) + np.log(two) + np.log(three)) / 3,
        "all_average - all": -np.log(middle) + np.log((one + two + three) / 3),
    }
    for contrast, values in each.items():
        difference, error = found.compared(contrast, "loss")
        assert difference[0, 1, -1] == pytest.approx(values.mean(), rel=1e-10)
        assert error[0, 1, -1] == pytest.approx(values.std(ddof=1) / np.sqrt(17), rel=1e-9)
    assert found.loss_error[0, 1, 0, 2] == pytest.approx(np.log(three).std(ddof=1) / np.sqrt(17), rel=1e-9)


def test_all_together_are_the_ensemble_of_the_same_networks():
    objective = made()
    curve = chain(objective, 5)
    found = ensembling(objective, {"walk": curve})
    logs = [np.log(probabilities(objective, point, "train")) for point in curve.points]
    whole = ensemble(logs, DATA["train"][1].numpy())
    for name in found.score:
        for end in ("", "_error"):
            ours = getattr(found, f"{name}{end}")[0, 0]
            np.testing.assert_allclose(ours[2], getattr(whole, f"{name}{end}"), rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(ours[0], getattr(whole, f"member_{name}{end}"), rtol=1e-9, atol=1e-12)
    at = found.contrast.tolist().index("all - alone")
    np.testing.assert_allclose(found.difference[0, 0, at, :, -1], whole.difference, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.difference_error[0, 0, at, :, -1], whole.difference_error, rtol=1e-9, atol=1e-12)


def test_a_network_with_itself_is_itself():
    found = ensembling(made(), line(made()), points=3)
    for name in found.score:
        values = getattr(found, name)[..., 0]
        assert (values == values[:, :, :1]).all()
    assert (found.difference[..., 0] == 0).all()
    assert (found.difference_error[..., 0] == 0).all()
    assert (found.disagreement[..., 0] == 0).all()


def test_averaged_weights_on_a_segment_are_its_own_points():
    objective = made()
    curve = line(objective)
    found = ensembling(objective, curve, points=9)
    alone, pair_average, all_average = found.loss[0, :, 0], found.loss[0, :, 3], found.loss[0, :, 4]
    np.testing.assert_allclose(pair_average[:, ::2], alone[:, :5], rtol=1e-12)
    np.testing.assert_allclose(all_average, pair_average, rtol=1e-12)
    np.testing.assert_allclose(found.distance[0], np.linspace(0, curve.distance, 9), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.arc, found.distance, rtol=1e-12, atol=1e-12)


def test_means_of_probabilities_are_not_worse_than_the_mean():
    found = ensembling(made(), chain(made(), 6, scale=3.0))
    for contrast in ("pair - alone", "all - alone"):
        for score in ("loss", "brier"):
            difference, _ = found.compared(contrast, score)
            assert (difference[..., 1:] < 0).all()


def test_statistics_of_averages_are_refitted():
    objective = made(norm=True)
    curve = chain(objective, 3)
    found = ensembling(objective, curve)
    expected = objective.measure(torch.stack([curve.points[2], curve.points[[0, 2]].mean(0), curve.points.mean(0)]))
    np.testing.assert_allclose(found.loss[0, :, [0, 3, 4], 2].T, expected.loss, rtol=1e-10)
    np.testing.assert_allclose(found.accuracy[0, :, [0, 3, 4], 2].T, expected.accuracy, rtol=1e-10)


@pytest.mark.parametrize("strategy", ["auto", "loop,examples=7"])
def test_chunks_change_nothing(strategy):
    curve = line(made())
    found = ensembling(made(strategy=strategy), curve, points=3)
    np.testing.assert_allclose(found.loss, ensembling(made(), curve, points=3).loss, rtol=1e-12)


@pytest.mark.parametrize("corners", [2, 4, 7, 12, 50])
def test_networks_of_a_chain_are_its_corners_bit_for_bit(corners):
    curve = chain(made(precision="float32"), corners)
    t = _ensembling.positions({"walk": curve}, None)
    assert len(t) == corners
    assert all(bool((_ensembling.network(curve, x) == p).all()) for x, p in zip(t, curve.points, strict=True))


def test_how_many_networks_there_are():
    objective = made()
    straight = line(objective)
    assert len(_ensembling.positions({"segment": straight}, None)) == 11
    assert len(_ensembling.positions({"segment": straight, "walk": chain(objective, 5)}, None)) == 5
    assert len(_ensembling.positions({"one": chain(objective, 5), "other": chain(objective, 4)}, 3)) == 3
    found = ensembling(objective, {"segment": straight, "walk": chain(objective, 5, seed=3)}, points=3)
    assert found.loss.shape == (2, 2, 5, 3)
    np.testing.assert_array_equal(found.loss[0], ensembling(objective, straight, points=3).loss[0])


@pytest.mark.parametrize("at", [1, 4, 6, 9])
def test_an_interrupted_run_goes_on_with_the_same_bits(tmp_path, monkeypatch, at):
    monkeypatch.setattr("landscape.sweep.KEEP", 0.0)
    objective = made(norm=True)
    curves = {"one": chain(objective, 5), "other": chain(objective, 5, seed=4)}

    def store(plan):
        return Parts(tmp_path / "e.h5", {}, plan)

    def stop(done, total):
        assert total == 10
        if done == at:
            raise KeyboardInterrupt

    whole = ensembling(objective, curves)
    with pytest.raises(KeyboardInterrupt):
        ensembling(objective, curves, store=store, progress=stop)
    assert len(list(tmp_path.glob("e.h5.parts/part-*.npz"))) == at
    begun = []
    found = ensembling(objective, curves, store=store, progress=lambda done, _: begun.append(done))
    assert begun == list(range(at, 11))
    for name in found.quantities():
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    assert found.origin == whole.origin


def test_work_goes_on_by_the_plan_it_began_with(tmp_path):
    def store(plan):
        return Parts(tmp_path / "e.h5", {}, plan)

    def stop(done, _):
        if done == 2:
            raise KeyboardInterrupt

    curve = line(made())
    with pytest.raises(KeyboardInterrupt):
        ensembling(made(strategy="loop,examples=7"), curve, points=3, store=store, progress=stop)
    found = ensembling(made(strategy="loop,examples=5"), curve, points=3, store=store)
    assert found.origin["plan"]["examples"] == 7


def test_the_price_is_what_is_done(monkeypatch):
    asked = []

    def counted(objective, theta):
        asked.append(theta)
        return original(objective, theta)

    original = _ensembling.log_probabilities
    monkeypatch.setattr(_ensembling, "log_probabilities", counted)
    objective = made()
    found = ensembling(objective, line(objective), points=6)
    assert len(asked) == found.origin["evaluations"] == cost(objective, points=6).points == 15
    normed = made(norm=True)  # refitting is a part of a point
    assert cost(normed, points=6).points == ensembling(normed, line(normed), points=6).origin["evaluations"]


def test_a_network_that_overflows_leaves_gaps_where_it_takes_part():
    objective = made()
    points = chain(objective, 4).points.clone()
    points[2] = torch.inf
    found = ensembling(objective, Curve("chain", points))
    gaps = np.isnan(found.loss[0, 0])
    ways = dict(zip(found.way.tolist(), gaps.tolist(), strict=True))
    assert ways["alone"] == ways["pair"] == ways["pair_average"] == [False, False, True, False]
    assert ways["all"] == ways["all_average"] == [False, False, True, True]
    assert np.isnan(found.disagreement[0, 0]).tolist() == [False, False, True, False]
    assert np.isfinite(found.calibration[0, :, 0, [0, 1, 3]]).all()


def test_a_file_and_what_it_says(tmp_path):
    objective = made()
    found = ensembling(objective, {"walk": chain(objective, 3, scale=2.0)}, bins=4)
    found.save(tmp_path / "e.h5")
    again = load(tmp_path / "e.h5")
    np.testing.assert_array_equal(again.difference, found.difference)
    assert again.remarks() == found.remarks()
    numbers = found.figures()
    difference, error = found.compared("all - alone", "loss")
    assert numbers["walk_test_all_less_alone_loss"] == (difference[0, 1, -1], error[0, 1, -1])
    lines = found.remarks()
    assert len(lines) == 7
    assert lines[0].startswith(f"walk: ends at a distance of {found.distance[0, -1]:.4g} disagree on train ")
    told = f"loss better by {-difference[0, 1, -1]:.3g} \N{PLUS-MINUS SIGN} {error[0, 1, -1]:.2g} nat"
    assert f"walk, test: all 3 together against their mean alone: {told}" in "\n".join(lines)


def test_of_two_networks_the_ends_are_all():
    objective = made()
    found = ensembling(objective, chain(objective, 2))
    assert len(found.t) == 2
    np.testing.assert_allclose(found.loss[0, :, 1], found.loss[0, :, 2], rtol=1e-14)
    np.testing.assert_array_equal(found.loss[0, :, 3], found.loss[0, :, 4])
    assert not any("the two ends" in line for line in found.remarks())


def half_square(outputs, targets):
    return 0.5 * (outputs - nn.functional.one_hot(targets, 3)).square().sum(1)


@pytest.mark.parametrize(
    ("options", "knobs", "words"),
    [
        ({"loss": half_square}, {}, "loss cross_entropy, got half_square"),
        ({"data": {"all": (pair(9, 1)[0], torch.rand(9, 3).double())}}, {}, "one class an example, got other targets"),
        ({"data": {"one": pair(1, 1)}}, {}, "at least 2 examples of each split, got 1 of one"),
        ({"norm": True, "batchnorm": "frozen"}, {}, "statistics of every point"),
        ({}, {"points": 1}, "at least 2 points along a curve, got 1"),
        ({}, {"bins": 0}, "at least 1 bin, got 0"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_kept(options, knobs, words, tmp_path):
    objective = made(**options)
    with pytest.raises(ValueError, match=words):
        ensembling(objective, line(objective), store=lambda plan: Parts(tmp_path / "e.h5", {}, plan), **knobs)
    assert not list(tmp_path.iterdir())


def test_curves_that_do_not_fit_are_refused():
    objective = made()
    with pytest.raises(ValueError, match="equally many networks, got 3 and 4: pass points"):
        ensembling(objective, {"one": chain(objective, 3), "other": chain(objective, 4)})
    with pytest.raises(ValueError, match="belongs to another network"):
        ensembling(objective, segment(torch.zeros(3), torch.ones(3)))
    with pytest.raises(ValueError, match="one of loss, accuracy"):
        ensembling(objective, line(objective), points=2).compared("pair - alone", "size")
