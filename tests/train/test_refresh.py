"""Fresh batch-norm statistics: those of the whole split, and what the probes refit."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from landscape.dataset import Dataset
from landscape.objective import BATCH, Objective
from landscape.train.augmentation import reference
from landscape.train.batches import Resident
from landscape.train.refresh import refresh
from landscape.train.run import train
from landscape.train.settings import Settings

CPU = torch.device("cpu")


@pytest.fixture
def deep():
    """A network with two batch norms, dropout between them, and an instance norm that tracks."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4),
            nn.InstanceNorm2d(4, track_running_stats=True), nn.Flatten(), nn.Linear(64, 2),
        )  # fmt: skip


@pytest.fixture
def images(pixels):
    return Resident(pixels.split("train"), torch.float64, CPU)


def test_the_first_layers_statistics_are_those_of_the_split_whatever_the_chunk(deep, images):
    with torch.no_grad():
        inputs = deep.double()[0](images.batch(slice(None)).inputs)
    for chunk in (3, 7, 40, 512):
        refresh(deep, images, chunk=chunk)
        assert deep[1].running_mean == pytest.approx(inputs.mean((0, 2, 3)), rel=1e-12)
        assert deep[1].running_var == pytest.approx(inputs.var((0, 2, 3), correction=1), rel=1e-12)


def test_later_layers_see_each_chunk_normalized_by_itself(deep, images):
    """So they equal those of the split in one chunk, and not in several."""
    with torch.no_grad():
        whole = images.batch(slice(None)).inputs
        front = copy.deepcopy(deep.double()[:5]).train()
        front[3].eval()
        inputs = front(whole)
    refresh(deep, images, chunk=40)
    assert deep[5].running_mean == pytest.approx(inputs.mean((0, 2, 3)), rel=1e-12)
    assert deep[5].running_var == pytest.approx(inputs.var((0, 2, 3), correction=1), rel=1e-12)
    refresh(deep, images, chunk=7)
    assert (deep[5].running_var - inputs.var((0, 2, 3), correction=1)).abs().max() > 1e-6


def test_nothing_else_changes(deep, images):
    deep.double().train()
    deep[5].eval()
    before = copy.deepcopy(deep.state_dict())
    modes, random = [m.training for m in deep.modules()], torch.get_rng_state()
    refresh(deep, images)
    changed = {name for name, tensor in deep.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {f"{layer}.running_{what}" for layer in (1, 5) for what in ("mean", "var")}
    assert [m.training for m in deep.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)


def test_a_model_without_batch_norm_or_without_statistics_stays(toy):
    data = Resident(toy.split("train"), torch.float32, CPU)
    for model in (nn.Linear(5, 3), nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3, track_running_stats=False))):
        before = copy.deepcopy(model.state_dict())
        refresh(model, data)
        assert before.keys() == model.state_dict().keys()
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_loss_at_refreshed_weights_is_the_loss_that_a_probe_refits(deep, images, pixels):
    """A probe that refits to the training split finds the very loss, and the stale one is another."""
    deep.double()
    split = {name: pixels.split(name) for name in ("train",)}
    given = {"precision": "float64", "device": "cpu", "strategy": "loop,examples=16"}

    def loss(policy):
        objective = Objective(deep, split, batchnorm=policy, **given)
        return objective.value(objective.theta).item()

    stale, refitted = loss("frozen"), loss("refit")
    refresh(deep, images)
    assert loss("frozen") == pytest.approx(refitted, rel=1e-12)
    assert abs(stale - refitted) > 1e-3


@pytest.mark.parametrize("augment", ["crop=2", "crop=2,flip"])
def test_augmented_statistics_are_those_that_a_probe_refits_from_images_augmented_so(deep, images, pixels, augment):
    deep.double()
    split = pixels.split("train")
    given: Any = {"precision": "float64", "device": "cpu", "strategy": "loop,examples=16"}
    f = Objective(deep, split, batchnorm="refit", reference=reference(split, augment), **given)
    refitted = f.value(f.theta).item()
    before = images.inputs.clone()
    refresh(deep, images, augment=augment)
    assert Objective(deep, split, **given).value(f.theta).item() == pytest.approx(refitted, rel=1e-12)
    assert torch.equal(images.inputs, before)
    again = copy.deepcopy(deep)
    refresh(again, images)
    assert (again[1].running_var - deep[1].running_var).abs().max() > 1e-3


@pytest.mark.parametrize("method", ["swa:start=0.5", "ema:decay=0.9", "noise:sigma=0.3+snapshot:cycles=2"])
def test_runs_end_with_the_statistics_of_their_own_augmentation(deep, pixels, method):
    settings = Settings(epochs=2, batch_size=16, augment="crop=2,flip")
    trained = train(pixels, deep, settings, method=method)
    states = [trained.checkpoint.state, *(state for name, state in trained.kept.items() if name != "last")]
    assert len(states) == (3 if "snapshot" in method else 1)
    for state in states:
        again = copy.deepcopy(trained.model)
        again.load_state_dict(state)
        refresh(again, Resident(pixels.split("train"), torch.float32, CPU), augment="crop=2,flip")
        assert torch.equal(again[1].running_var, state["1.running_var"])
        assert torch.equal(again[5].running_mean, state["5.running_mean"])
    again = copy.deepcopy(trained.model)
    refresh(again, Resident(pixels.split("train"), torch.float32, CPU), augment="crop=2,flip")
    stale = replace(trained.checkpoint, batchnorm="stale")
    begun = train(pixels, deep, replace(settings, epochs=0), init=stale).model
    assert torch.equal(begun[5].running_var, again[5].running_var)


@pytest.mark.parametrize("count", [BATCH, BATCH + 1, 2 * BATCH + 30])
def test_a_last_chunk_of_one_example_joins_the_one_before(count):
    inputs = torch.randn(count, 5, generator=torch.Generator().manual_seed(0))
    points = Dataset("points", train=(inputs.numpy(), np.zeros(count, int)), classes=("a",))
    data = Resident(points.split("train"), torch.float32, CPU)
    model = nn.Sequential(nn.BatchNorm1d(5))
    refresh(model, data)
    assert model[0].running_mean == pytest.approx(inputs.mean(0), abs=1e-6)
    assert model[0].running_var == pytest.approx(inputs.var(0, correction=1), rel=1e-5)


def test_mixed_precision_ends_with_the_statistics_of_its_weights(toy, noisy_network):
    trained = train(toy, noisy_network, Settings(epochs=3, batch_size=16, precision="bfloat16"), method="swa:start=0.5")
    again = copy.deepcopy(trained.model)
    refresh(again, Resident(toy.split("train"), torch.float32, CPU))
    assert torch.equal(again[1].running_mean, trained.model[1].running_mean)
    assert torch.equal(again[1].running_var, trained.model[1].running_var)
    assert again[1].running_var.dtype == torch.float32


class Held(nn.Module):
    """A network whose own `train` leaves one of its batch norms in evaluation mode, as when it is tuned further."""

    def __init__(self):
        super().__init__()
        self.first, self.held, self.free, self.last = (
            nn.Linear(5, 8), nn.BatchNorm1d(8), nn.BatchNorm1d(8), nn.Linear(8, 3),
        )  # fmt: skip

    def train(self, mode=True):
        super().train(mode)
        self.held.eval()
        return self

    def forward(self, inputs):
        return self.last(self.free(self.held(self.first(inputs))))


@pytest.mark.parametrize("method", ["swa:start=0.5", "noise"])
def test_statistics_that_training_holds_fixed_stay(toy, method):
    model = Held()
    model.held.running_mean += 0.3
    trained = train(toy, model, Settings(epochs=2, batch_size=16), method=method).model
    assert torch.equal(trained.held.running_mean, model.held.running_mean)
    assert torch.equal(trained.held.running_var, model.held.running_var)
    data = Resident(toy.split("train"), torch.float32, CPU)
    with torch.no_grad():
        seen = trained.held(trained.first(data.batch(slice(None)).inputs))
    assert trained.free.running_mean == pytest.approx(seen.mean(0), abs=1e-5)
    assert trained.free.running_var == pytest.approx(seen.var(0, correction=1), rel=1e-4)
