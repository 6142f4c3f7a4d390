"""Elastic bands: saddles of known landscapes, what stays fixed, gradient evaluations, interruptions."""

import numpy as np
import pytest
import torch
from torch import nn

from landscape.connection import band as module
from landscape.connection.band import OnBand, band, energies, prepared
from landscape.connection.elastic import tangents
from landscape.curves import Curve
from landscape.objective import Objective
from landscape.train.fit import Interrupted, advance, fit
from landscape.train.settings import Settings

BEND, WALL, HEIGHT = 1.0, 4.0, 1.0


class Valley(nn.Module):
    """A double well along a curved valley y = BEND (1 - x²): minima at (±1, 0), a saddle of HEIGHT at (0, BEND)."""

    def __init__(self):
        super().__init__()
        self.place = nn.Parameter(torch.tensor([-1.0, 0.0], dtype=torch.float64))

    def forward(self, inputs):
        x, y = self.place
        energy = HEIGHT * (x**2 - 1) ** 2 + WALL * (y - BEND * (1 - x**2)) ** 2
        return energy.expand(len(inputs), 1)


def itself(outputs, targets):
    return outputs[:, 0]


@pytest.fixture
def valley():
    data = torch.zeros(4, 1, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    return Objective(Valley(), data, itself, precision="float64", device="cpu")


ENDS = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
STEADY = {"batch_size": 4, "weight_decay": 0.0, "schedule": "step", "lr": 0.05, "momentum": 0.5}


@pytest.fixture
def digits():
    """A small network with batch norm and dropout, and another one beside it."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.2), nn.Linear(6, 3)).double()
    x, y = torch.randn(24, 4, dtype=torch.float64), torch.randint(0, 3, (24,))
    how = {"precision": "float64", "batchnorm": "refit", "device": "cpu", "strategy": "loop,examples=24"}
    objective = Objective(model, (x, y), **how)
    return objective, objective.theta + torch.randn(objective.dim, dtype=torch.float64)


SHORT = Settings(epochs=4, batch_size=8, lr=0.05, precision="float64")


def test_the_highest_point_is_the_saddle(valley):
    found = band(valley, *ENDS, Settings(epochs=90, **STEADY), pivots=6, cycles=3).curve
    dense = found(torch.linspace(0, 1, 501, dtype=torch.float64))
    highest = float(valley.value(dense).max())
    spacing = float(found.points.diff(dim=0).norm(dim=1).max())
    sagitta = 2 * BEND * spacing**2 / 8  # of a chord in the valley, whose curvature is 2 BEND at the saddle
    straight = float(valley.value(torch.zeros(2).double()))
    missed = found.length / 500  # between dense points, one of which is that near to x = 0, where all is above HEIGHT
    assert highest >= HEIGHT * (1 - 2 * missed**2)
    assert highest <= HEIGHT + WALL * sagitta**2 + 1e-3
    assert highest < HEIGHT + 0.02 * (straight - HEIGHT)


def test_finer_bands_come_closer_to_the_saddle(valley):
    above = []
    for pivots in (2, 8):
        found = band(valley, *ENDS, Settings(epochs=60, **STEADY), pivots=pivots, cycles=1).curve
        dense = found(torch.linspace(0, 1, 501, dtype=torch.float64))
        above.append(float(valley.value(dense).max()) - HEIGHT)
    assert above[0] > 27 * above[1]  # a third of the spacing leaves a 27th of the excess, or less


def test_ends_stay_bit_for_bit_and_pivots_keep_their_distances(valley):
    found = band(valley, *ENDS, Settings(epochs=30, **STEADY), pivots=5, cycles=1).curve
    assert (found.points[[0, -1]] == ENDS).all()
    lengths = found.points.diff(dim=0).norm(dim=1)
    np.testing.assert_allclose(lengths / lengths.mean(), 1, atol=1e-3)


def test_pivots_are_added_between_cycles(valley):
    coarse = band(valley, *ENDS, Settings(epochs=40, **STEADY), pivots=2, cycles=1).curve
    fine = band(valley, *ENDS, Settings(epochs=40, **STEADY), pivots=2, cycles=4).curve
    assert len(coarse.points) == 4
    assert len(fine.points) > 4


def test_gradients_are_orthogonal_to_the_band(valley):
    points = torch.stack([torch.linspace(-1, 1, 7), torch.linspace(-1, 1, 7).cos() - np.cos(1)], 1).double()
    run = prepared(valley, points, torch.full((6,), 1 / 6).double(), Settings(epochs=1, precision="float64", **STEADY))
    assert isinstance(run.model, OnBand)
    seen = []
    run.optimizer.step = lambda *_: seen.append(run.model.bends.grad.clone())
    run.batches.shuffle()
    advance(run)
    heights = valley.value(points)
    along = tangents(points, heights)
    gradients = valley.gradient(points[1:-1])
    across = gradients - (gradients * along).sum(1, keepdim=True) * along
    torch.testing.assert_close(seen[0], across, rtol=1e-10, atol=1e-12)
    assert (seen[0] * along).sum(1).abs().max() <= 64 * np.finfo(float).eps * gradients.norm(dim=1).max()


def test_every_moving_pivot_counts_as_a_gradient_evaluation(digits):
    objective, end = digits
    found = band(objective, objective.theta, end, SHORT, pivots=3, cycles=1)
    assert [record["gradient_evaluations"] for record in found.history] == [9.0, 18.0, 27.0, 36.0]  # 3 batches each
    counted = band(objective, objective.theta, end, SHORT, pivots=3, cycles=2).history
    assert [record["epoch"] for record in counted] == [1, 2, 3, 4]
    assert counted[-1]["gradient_evaluations"] >= 36.0


def test_weight_decay_belongs_to_the_energy(digits):
    objective, end = digits
    points = Curve("chain", torch.stack([objective.theta, end])).points
    plain, heavy = (energies(objective, points, decay) for decay in (0.0, 0.5))
    along = torch.linspace(0, 1, 5).double()[:, None]
    squares = (torch.lerp(points[0], points[1], along) ** 2).sum(1)
    torch.testing.assert_close(heavy - plain, 0.25 * squares[None])


def test_coordinates_are_the_parameters_alone(digits):
    objective, end = digits
    found = band(objective, objective.theta, end, SHORT, pivots=2, cycles=2).curve
    assert found.points.shape[1] == sum(p.numel() for p in objective.network.model.parameters())


def test_rates_follow_one_schedule_through_all_cycles(digits):
    objective, end = digits
    once = band(objective, objective.theta, end, SHORT, pivots=1, cycles=1).history
    twice = band(objective, objective.theta, end, SHORT, pivots=1, cycles=2).history
    assert [record["lr"] for record in once] == [record["lr"] for record in twice]


@pytest.mark.parametrize("stop", [2, 7, 10])  # in the first cycle, at its last step, in the second
def test_an_interrupted_band_goes_on_to_the_same_bits(digits, tmp_path, monkeypatch, stop):
    objective, end = digits
    whole = band(objective, objective.theta, end, SHORT, pivots=2, cycles=2)
    steps = []

    def until(run):
        def see(run):
            steps.append(run.clock.step)
            run.interrupted = len(steps) == stop

        run.observers = [see, *run.observers]
        return run

    def stopped(*args, **kwargs):
        return until(prepared(*args, **kwargs))

    with monkeypatch.context() as patched:
        patched.setattr(module, "prepared", stopped)
        with pytest.raises(KeyboardInterrupt):
            band(objective, objective.theta, end, SHORT, pivots=2, cycles=2, keep=tmp_path / "band")
    again = band(objective, objective.theta, end, SHORT, pivots=2, cycles=2, keep=tmp_path / "band")
    assert (again.curve.points == whole.curve.points).all()
    assert again.history == whole.history
    kept = band(objective, objective.theta, end, SHORT, pivots=2, cycles=2, keep=tmp_path / "band")
    assert (kept.curve.points == whole.curve.points).all()
    assert kept.history == whole.history


def test_a_band_that_diverges_leaves_nothing(digits, tmp_path):
    objective, end = digits
    with pytest.raises(ValueError, match="finite"):
        band(objective, objective.theta, end, Settings(epochs=4, lr=1e300), pivots=2, keep=tmp_path / "band")
    assert not list(tmp_path.iterdir())


def test_no_epochs_leave_the_segment(valley):
    found = band(valley, *ENDS, Settings(epochs=0, **STEADY), pivots=3)
    torch.testing.assert_close(found.curve.points[:, 0], torch.linspace(-1, 1, 5).double())
    assert found.history == []


@pytest.mark.parametrize(
    ("knobs", "words"),
    [({"pivots": 0}, "at least 1 pivot"), ({"cycles": 0}, "at least 1 cycle"), ({"cycles": 9}, "for each of 9 cycles")],
)
def test_what_makes_no_band_is_refused(valley, knobs, words):
    with pytest.raises(ValueError, match=words):
        band(valley, *ENDS, Settings(epochs=8, **STEADY), **knobs)


def test_runs_stop_between_steps(digits):
    objective, end = digits
    points = torch.stack([objective.theta, torch.lerp(objective.theta, end, 0.5), end])
    run = prepared(objective, points, torch.full((2,), 0.5).double(), SHORT)
    run.interrupted = True
    with pytest.raises(Interrupted):
        fit(run)
    assert run.clock.step == 0
