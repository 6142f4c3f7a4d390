"""Straight-through estimator: one step by hand, grids that follow, activations, and how well binary to 4 bits train."""

import functools

import pytest
import torch
from torch import nn

from landscape.data.digits import digits
from landscape.quantize.calibration import calibrate
from landscape.quantize.parametrization import quantizers
from landscape.quantize.scheme import Scheme
from landscape.quantize.trained.inputs import inputs
from landscape.train.assembly import assembled
from landscape.train.batches import Resident
from landscape.train.composition import method
from landscape.train.fit import advance, fit
from landscape.train.run import train
from landscape.train.settings import Settings

SETTINGS = Settings(epochs=2, batch_size=16, lr=0.05, momentum=0.0, weight_decay=0.0, schedule="constant")


def run_of(toy, text, model, settings=SETTINGS):
    resident = Resident(toy.split("train"), torch.float64, torch.device("cpu"))
    return assembled(resident, model, settings, loss="cross_entropy", method=method(text))


@pytest.mark.parametrize("clip", [True, False])
def test_one_step_by_hand(toy, clip):
    model = nn.Linear(5, 3)
    run = run_of(toy, f"ste:bits=3,acts=3,clip={clip}", nn.Sequential(model))
    for see in run.observers:
        see(run)
    w, b = (p.detach().double() for p in (model.weight, model.bias))
    grid, (inside,) = calibrate(w, Scheme(3)), inputs(run.model).values()
    advance(run)
    batch = run.batches.take(0)
    q, h = grid.hard(w), inside.grid.hard(batch.inputs)
    p = torch.softmax(h @ q.T + b, 1)
    p[torch.arange(len(batch)), batch.targets] -= 1
    up = p.T @ h / len(batch)
    mask = grid.inside(w) if clip else torch.ones_like(w)
    ((_, latent),) = quantizers(run.model).values()
    assert (latent - (w - 0.05 * up * mask)).abs().max() < 1e-12


def test_grids_of_weights_and_activations_move_at_the_beginning_of_epochs_only(toy):
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))
    run = run_of(toy, "ste:acts=3", model, Settings(epochs=3, batch_size=16, lr=0.1))
    seen = []

    def watch(run):
        weights = [q.grid_at(w).sha256() for q, w in quantizers(run.model).values()]
        seen.append((run.clock.step, weights, inputs(run.model)["2"].grid.sha256()))

    run.observers = [*run.observers, watch]
    fit(run)
    for (_, before, one), (step, after, two) in zip(seen, seen[1:], strict=False):
        moves = step in (6, 11)  # after the first step of an epoch of 5; its end moves nothing
        assert (before != after) == moves
        assert (one != two) == moves


def test_a_layer_is_skipped_by_its_name(toy):
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 3))
    run = run_of(toy, "ste:acts=2,skip=first/4", model)
    assert quantizers(run.model).keys() == {"2.weight"}
    assert inputs(run.model).keys() == {"2"}


@functools.cache
def accuracy(text):
    """Test accuracy on digits of a network of 32 hidden units with batch norm behind every layer, after 6 epochs."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(),
        nn.Linear(32, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10), nn.BatchNorm1d(10),
    )  # fmt: skip
    return train(digits(), model, Settings(epochs=6, lr=0.05), method=text, device="cpu").final["test_accuracy"]


@pytest.mark.parametrize(
    ("text", "against"),
    [
        ("ste:bits=4,acts=4", "plain"), ("lsq:bits=2,acts=2", "ste:bits=2,acts=2"),
        ("lqnets:bits=2,acts=2", "ste:bits=2,acts=2"), ("irnet", "ste:bits=1"),
        ("bnn:scale=channel,acts=none", "ste:bits=1"), ("irnet:acts=1", "ste:bits=1,acts=1"),
    ],
)  # fmt: skip
def test_it_learns_digits_about_as_well_as_others_of_its_width(text, against):
    assert accuracy(text) > accuracy(against) - 0.05


def test_signs_without_a_scale_learn_digits_too():
    """Five times as well as by chance."""
    assert accuracy("bnn") > 0.5
