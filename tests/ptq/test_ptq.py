"""Whole networks: what is rounded, what statistics they have, what becomes of activations, and what is recorded."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from landscape.dataset import Dataset
from landscape.engine.moments import Measurement
from landscape.objective import Objective
from landscape.ptq.measured import examined, measured
from landscape.ptq.ptq import ptq, schemes
from landscape.ptq.size import relative_error, size
from landscape.quantize.activations import attached
from landscape.quantize.calibration import calibrate
from landscape.quantize.quantization import Quantization
from landscape.quantize.scheme import Scheme
from landscape.train.batches import Resident
from landscape.train.refresh import refresh


@pytest.fixture
def model():
    made = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Flatten(),
        nn.Linear(64, 3),
    )  # fmt: skip
    made(torch.randn(30, 1, 8, 8))
    return made.eval()


@pytest.fixture
def data():
    return Dataset("made", (np.random.default_rng(0).normal(size=(40, 1, 8, 8)).astype("f4"), np.arange(40) % 3))


def resident(data):
    return Resident(data.split("train"), torch.float32, torch.device("cpu"))


def test_nearest_rounds_each_weight_by_its_scheme(model):
    plan = {"0.weight": Scheme(8), "3.weight": Scheme(2), "6.weight": Scheme(3, "levels")}
    network, found = ptq(model, plan)
    assert found.bits == {"0.weight": 8, "3.weight": 2, "6.weight": 3}
    for name, tensor in model.state_dict().items():
        rounded = network.state_dict()[name]
        if name not in plan:
            assert torch.equal(rounded, tensor)
            continue
        assert torch.equal(rounded, calibrate(tensor, plan[name]).hard(tensor))
        assert torch.equal(found.latent[name], tensor)
        assert not torch.equal(rounded, tensor)
    found.require(network.state_dict(), "here")


def test_layers_are_skipped(model):
    assert list(schemes(model, Scheme(4), ["first", "last"])) == ["3.weight"]
    _, found = ptq(model, schemes(model, Scheme(4), ["6"]))
    assert list(found.grids) == ["0.weight", "3.weight"]


def test_the_network_is_not_touched(model, data):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    batches = [resident(data).batch(slice(0, 20)).inputs]
    knobs = {"rounding": "adaround", "iterations": 3, "act_bits": 4, "batchnorm": "recalibrate"}
    ptq(model, schemes(model, Scheme(3)), batches=batches, training=resident(data), **knobs)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not attached(model)


def test_statistics_are_kept_or_those_of_the_rounded_weights(model, data):
    plan = schemes(model, Scheme(2))
    kept, recorded = ptq(model, plan)
    fresh, renewed = ptq(model, plan, batchnorm="recalibrate", training=resident(data))
    assert (recorded.record["batchnorm"], renewed.record["batchnorm"]) == ("keep", "recalibrate")
    assert torch.equal(kept[4].running_mean, model[4].running_mean)
    refresh(kept, resident(data))
    assert torch.equal(fresh[4].running_mean, kept[4].running_mean)
    assert not torch.equal(fresh[4].running_mean, model[4].running_mean)


def test_a_network_without_statistics_has_nothing_to_keep():
    _, found = ptq(nn.Sequential(nn.Linear(3, 2)), {"0.weight": Scheme(4)}, batchnorm="recalibrate")
    assert found.record["batchnorm"] == "none"


def test_activations_of_the_rounded_layers_are_quantized(model, data):
    batches = [resident(data).batch(slice(0, 40)).inputs]
    network, found = ptq(model, schemes(model, Scheme(4), ["0"]), batches=batches, act_bits=5)
    assert {name: one.bits for name, one in found.activations.items()} == {"3": 5, "6": 5}
    assert {name: one.mode for name, one in attached(network).items()} == {"3": "hard", "6": "hard"}
    assert found.record["activations"] == {"bits": 5, "calibration": "auto", "percentile": 99.9}


def test_adaround_is_part_of_the_record(model, data):
    batches = [resident(data).batch(slice(0, 40)).inputs]
    network, found = ptq(model, schemes(model, Scheme(3)), rounding="adaround", batches=batches, iterations=20)
    assert found.record["rounding"] == "adaround"
    assert [one["layer"] for one in found.record["reconstruction"]] == ["0", "3", "6"]
    found.require(network.state_dict(), "here")


def test_records_are_plain(model):
    _, found = ptq(model, schemes(model, Scheme(3)))
    assert json.loads(json.dumps(found.record)) == found.record
    assert found.record["schemes"]["0.weight"] == Scheme(3).record()


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"rounding": "up"}, "rounding nearest or adaround, got 'up'"),
        ({"batchnorm": "refit"}, "batchnorm keep or recalibrate, got 'refit'"),
        ({"rounding": "adaround"}, "training inputs"),
        ({"act_bits": 8}, "training inputs"),
        ({"act_bits": 9}, "bits from 1 to 8, got 9"),
        ({"batchnorm": "recalibrate"}, "training split to recalibrate"),
    ],
)
def test_refused(model, knobs, words):
    with pytest.raises(ValueError, match=words):
        ptq(model, schemes(model, Scheme(4)), **knobs)


def test_weights_that_are_not_finite(model):
    model[0].weight.data[0, 0, 0, 0] = math.nan
    with pytest.raises(ValueError, match="finite weights in '0.weight'"):
        ptq(model, schemes(model, Scheme(4)))


def test_bytes():
    """By hand: codes packed, a scale for each unit, and what is not quantized as it is."""
    state = {"w": torch.randn(3, 5), "b": torch.randn(3), "n": torch.tensor(4)}
    assert size(state, {}) == 4 * 15 + 4 * 3 + 8
    assert size(state, {"w": calibrate(state["w"], Scheme(3))}) == math.ceil(45 / 8) + 4 * 3 + 12 + 8
    assert size(state, {"w": calibrate(state["w"], Scheme(3, channels=False))}) == math.ceil(45 / 8) + 4 + 12 + 8
    assert size(state, {"w": calibrate(state["w"], Scheme(4, symmetric=False))}) == math.ceil(72 / 8) + 12 + 12 + 8
    assert size(state, {"w": calibrate(state["w"], Scheme(2, "levels"))}) == math.ceil(30 / 8) + 4 * 12 + 12 + 8


def test_relative_errors():
    latent = {"a": torch.tensor([3.0, 0.0]), "b": torch.tensor([4.0])}
    found = Quantization({}, latent)
    assert relative_error({"a": torch.tensor([3.0, 1.0]), "b": torch.tensor([4.0])}, found) == pytest.approx(0.2)
    assert math.isnan(relative_error({}, Quantization({})))


def test_measurements_are_those_of_the_objective():
    model = nn.Linear(4, 3)
    splits = {name: (torch.randn(n, 4), torch.randint(0, 3, (n,))) for name, n in (("train", 30), ("test", 11))}
    objective = Objective(model, splits, device="cpu", strategy="loop,examples=8")
    known, found = objective.measure(objective.theta), examined(objective)
    assert isinstance(known, Measurement)
    for index, split in enumerate(objective.splits):
        one = measured(found[split])
        for name in ("loss", "loss_error", "accuracy", "accuracy_error"):
            assert getattr(one, name) == pytest.approx(float(getattr(known, name)[index]), rel=1e-6)
        assert (one.change, one.change_error) == (0, 0)


def test_the_error_of_a_change_is_that_of_paired_differences():
    model = nn.Linear(4, 3)
    data = (torch.randn(30, 4), torch.randint(0, 3, (30,)))
    networks = (model, ptq(model, {"weight": Scheme(4)})[0])
    before, after = (Objective(network, data, device="cpu", strategy="loop") for network in networks)
    first, second = examined(before)["train"], examined(after)["train"]
    found, difference = measured(second, first), second.loss - first.loss
    assert found.change == pytest.approx(found.loss - measured(first).loss, rel=1e-9)
    assert found.change_error == pytest.approx(difference.std(ddof=1) / math.sqrt(30), rel=1e-9)
    assert found.change_error < found.loss_error
