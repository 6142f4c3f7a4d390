"""A connection: its curve against the path that measures it, what it promises, and what it says."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from landscape.curves import segment
from landscape.engine.plan import Plan
from landscape.objective import Objective
from landscape.parts import Parts
from landscape.probes.connect import Connect, connect, cost
from landscape.probes.path import path
from landscape.result import load

QUICK: dict[str, Any] = {"epochs": 4, "batch": 16, "points": 5}


@pytest.fixture
def ends():
    """An objective at one network on three classes, with batch norm, trained a little; and another network."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)).double()
    centers = 2 * torch.randn(3, 4, dtype=torch.float64)
    y = torch.arange(60) % 3
    x = centers[y] + torch.randn(60, 4, dtype=torch.float64)
    data = {"train": (x[:40], y[:40]), "test": (x[40:], y[40:])}
    objective = Objective(
        model, data, precision="float64", batchnorm="refit", device="cpu", strategy="loop,examples=64"
    )
    return objective, objective.theta + torch.randn(objective.dim, dtype=torch.float64)


@pytest.mark.parametrize("shape", ["bezier", "chain"])
def test_the_curve_is_measured_as_a_path_is(ends, shape):
    objective, end = ends
    found = connect(objective, end, shape=shape, bends=2, **QUICK)
    curve = found.trained()
    again = path(objective, {"segment": segment(objective.theta, end), shape: curve}, points=5)
    for name in again.quantities():
        np.testing.assert_array_equal(getattr(found, name), getattr(again, name))
    assert curve.shape == shape
    assert torch.equal(curve.ends, torch.stack([objective.theta, end]))
    assert found.control.shape == (4, objective.dim)
    assert found.point.tolist() == [0, 1, 2, 3]
    assert found.curve.tolist() == ["segment", shape]


def test_training_lowers_what_is_minimized(ends):
    objective, end = ends
    found = connect(objective, end, epochs=40, batch=20, points=11, weight_decay=0.0)
    assert found.epoch.tolist() == list(range(1, 41))
    assert found.objective[-5:].mean() < found.objective[:5].mean()
    assert found.loss[1, 0].mean() < found.loss[0, 0].mean()


def test_no_epochs_leave_the_segment(ends, tmp_path):
    found = connect(*ends, **QUICK | {"epochs": 0})
    np.testing.assert_allclose(found.loss[1], found.loss[0], rtol=1e-9)
    assert found.length[1] == pytest.approx(found.length[0])
    assert len(found.epoch) == len(found.objective) == 0
    found.save(tmp_path / "none.h5")
    assert load(tmp_path / "none.h5").remarks() == found.remarks()


def test_a_result_keeps_its_curve(ends, tmp_path):
    found = connect(*ends, bends=3, **QUICK)
    found.save(tmp_path / "c.h5")
    again = load(tmp_path / "c.h5")
    assert isinstance(again, Connect)
    assert torch.equal(again.trained().points, found.trained().points)
    assert again.trained().record() == found.origin["curves"]["bezier"]
    assert again.remarks()[-1].startswith("epochs of training: 4; mean of what was minimized")
    assert set(found.figures()) >= {f"{c}_{s}_barrier" for c in ("segment", "bezier") for s in ("train", "test")}
    with pytest.raises(ValueError, match="origin that tells the shape"):
        replace(again, origin={}).trained()


def test_reading_a_connection_needs_no_torch(ends, tmp_path):
    connect(*ends, **QUICK).save(tmp_path / "c.h5")
    code = f"""
import sys
from landscape.result import load
found = load({str(tmp_path / "c.h5")!r})
found.remarks(), found.figures()
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


@pytest.mark.parametrize("at", [3, 8, 13, 21])
def test_an_interrupted_connection_goes_on_bit_for_bit(ends, tmp_path, at):
    """Of twelve steps, and ten points that are worth two steps each."""
    whole = connect(*ends, **QUICK)
    told = []

    def stop(done, total, label=""):
        told.append(total)
        if done >= at:
            raise KeyboardInterrupt

    def store(plan):
        return Parts(tmp_path / "c.h5", {"work": "this"}, plan)

    with pytest.raises(KeyboardInterrupt):
        connect(*ends, **QUICK, store=store, progress=stop)
    assert set(told) == {12 + 2 * 10}
    steps = []
    again = connect(*ends, **QUICK, store=store, progress=lambda done, total, label="": steps.append(done))
    for name in whole.quantities():
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))
    assert again.origin == whole.origin
    assert steps == sorted(steps)
    assert steps[-1] == 32
    if at > 12:
        assert steps[0] > 12


def test_progress_says_how_training_goes(ends):
    told = []
    connect(*ends, **QUICK, progress=lambda done, total, label: told.append((done, total, label)))
    assert told[0][:2] == (0, 32)
    assert told[-1] == (32, 32, "connect: path")
    assert any("loss" in label for *_, label in told)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"bends": 0}, "1 bend or more"),
        ({"bends": -1}, "at least 0 bends|1 bend or more"),
        ({"shape": "spline"}, "shape among"),
        ({"sampling": "speed"}, "sampling among"),
        ({"optimizer": "sgdd"}, "optimizer among"),
        ({"schedule": "cosin"}, "schedule among"),
        ({"epochs": -1}, "epochs at least 0"),
        ({"batch": 0}, "batch_size at least 1|batch at least 1"),
        ({"batch": 39}, "batches of two examples or more"),
        ({"lr": -1.0}, "lr positive"),
        ({"augment": "flip"}, "images to augment"),
        ({"points": 2}, "at least 3 points"),
        ({"lr": 1e200}, "finite loss"),
    ],
)
def test_bad_knobs_are_refused_and_leave_nothing(ends, tmp_path, knobs, message):
    from landscape.cli._output import Store

    store = Store(tmp_path / "c.h5", {"work": "this"})
    with pytest.raises(ValueError, match=message):
        connect(*ends, **QUICK | knobs, store=store)
    store.sweep()
    assert list(tmp_path.iterdir()) == []


def test_networks_that_cannot_be_connected_are_refused(ends):
    objective, end = ends
    with pytest.raises(ValueError, match="points are all the same"):
        connect(objective, objective.theta, **QUICK)
    with pytest.raises(ValueError, match=r"refit"):
        model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
        frozen = Objective(model, (torch.randn(9, 4), torch.arange(9) % 3), device="cpu")
        connect(frozen, frozen.theta + 1, **QUICK)


def test_cost(ends):
    objective, _ = ends
    told = cost(objective, bends=2, epochs=7, batch=5, points=9)
    assert (told.points, told.gradients, told.batch, told.vectors) == (2 * 9, 7, 5, 12)
    assert told.alone
    band = cost(objective, shape="neb", pivots=3, cycles=2, epochs=6)
    assert band.gradients == pytest.approx(6 * 3 + (2 * 6 + 4 * 4) / 3)


def test_work_goes_on_by_the_plan_it_was_begun_with(ends, tmp_path):
    """Energies of a band decide where pivots go, so that they too are computed as before an interruption."""
    objective, end = ends
    begun = Parts(tmp_path / "c.h5", {"work": "this"}, lambda: Plan(examples=7).record())
    asked = []

    def watched(strategy):
        asked.append(strategy)
        return objective

    objective.using, begun_with = watched, begun.plan
    found = connect(objective, end, **QUICK, store=lambda plan: Parts(tmp_path / "c.h5", {"work": "this"}, plan))
    assert asked[0] == "loop,examples=7"
    assert found.origin["plan"] == begun_with
