import json
import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from landscape.dataset import Dataset, Split


def images(n=6, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 3, 4, 5), dtype=np.uint8)


def toy(**changes):
    fields = {
        "train": (images(6), [0, 1, 2, 0, 1, 2]),
        "test": (images(3, 1), np.array([2, 1, 0], np.int32)),
        "classes": ("a", "b", "c"),
    }
    return Dataset("toy", **{**fields, **changes})


def test_dataset_says_what_it_is():
    data = toy(mean=[0.1, 0.2, 0.3], std=(1, 1, 1))
    assert repr(data) == "Dataset(toy, train=6, test=3, shape=(3, 4, 5), classes=3)"
    assert (data.shape, data.size("train"), data.size("test"), data.splits) == ((3, 4, 5), 6, 3, ("train", "test"))
    split = data.split("test")
    assert split.name == "test"
    assert split.classes == ("a", "b", "c")
    assert split.mean == (0.1, 0.2, 0.3)
    assert split.std == (1.0, 1.0, 1.0)
    assert split.targets.dtype == np.int64
    assert len(split) == split.size == 3


def test_arrays_are_read_only_views_and_the_callers_stay_writable():
    mine, labels = images(), np.zeros(6, np.int64)
    split = Split(mine, labels)
    assert np.shares_memory(split.inputs, mine)
    assert np.shares_memory(split.targets, labels)
    with pytest.raises(ValueError, match="read-only"):
        split.inputs[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        split.targets[0] = 1
    mine[0], labels[0] = 7, 0
    with pytest.raises(FrozenInstanceError):
        split.name = "other"


def test_fingerprint_sees_every_number_and_no_name():
    data = toy()
    first = data.fingerprint("train")
    assert len(first) == 64
    assert first == replace(data, name="other", classes=("x", "y", "z")).fingerprint("train")
    assert first != data.fingerprint("test")
    changed = images(6)
    changed[-1, -1, -1, -1] ^= 1
    assert first != toy(train=(changed, [0, 1, 2, 0, 1, 2])).fingerprint("train")
    assert first != toy(train=(images(6), [0, 1, 2, 0, 1, 1])).fingerprint("train")
    # The same bytes in another shape are other data.
    assert first != toy(train=(images(6).reshape(6, 3, 5, 4), [0, 1, 2, 0, 1, 2]), test=None).fingerprint("train")


def test_fingerprint_ignores_memory_layout_byte_order_and_chunks(monkeypatch):
    numbers = np.random.default_rng(0).normal(size=(7, 3, 4, 4)).astype(np.float32)
    reference = Split(numbers, np.arange(7)).fingerprint()
    assert Split(np.asfortranarray(numbers), np.arange(7)).fingerprint() == reference
    assert Split(numbers.astype(">f4"), np.arange(7, dtype=">i2")).fingerprint() == reference
    monkeypatch.setattr("landscape.dataset.CHUNK", 200)
    assert Split(numbers, np.arange(7)).fingerprint() == reference


def test_either_split_may_be_missing_but_not_both():
    only = toy(train=None)
    assert only.splits == ("test",)
    assert repr(only) == "Dataset(toy, train=None, test=3, shape=(3, 4, 5), classes=3)"
    with pytest.raises(ValueError, match="Expected a train split in 'toy', got only test"):
        only.split("train")
    with pytest.raises(ValueError, match="got only train"):
        toy(test=None).fingerprint("test")
    with pytest.raises(ValueError, match="got neither"):
        toy(train=None, test=None)
    with pytest.raises(ValueError, match="named train or test, got 'valid'"):
        toy().split("valid")


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ((images(), [0, 1, 2, 0, 3, 9]), r"0 <= label < 3 .* got 3 at index 4"),
        ((images(), [0, 1, -1, 0, 1, 2]), r"got -1 at index 2"),
        ((images(), [0, 1]), "got 6 inputs and 2 targets"),
        ((images(0), []), r"got shape \(0, 3, 4, 5\)"),
        ((images(), np.zeros(6, np.float32)), "task='regression'"),
        ((images(), [0, 1, np.nan, 0, 1, 2]), "finite targets in train, got nan in example 2"),
        ((images(), np.zeros((6, 2), int)), r"targets of shape \(examples,\)"),
        ((images().astype(int), [0] * 6), "pixels as uint8 or float32"),
        ((np.array([["a"]] * 6), [0] * 6), "inputs of numbers"),
        ((np.zeros((6, 2), complex), [0] * 6), "inputs of numbers"),
        (images(), "give a pair of arrays"),
    ],
)
def test_wrong_data_is_refused_with_the_offender(train, message):
    with pytest.raises(ValueError, match=message):
        toy(train=train, test=None)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_example_that_is_not_finite_is_named(bad, monkeypatch):
    monkeypatch.setattr("landscape.dataset.CHUNK", 64)  # the offender lies in a later chunk
    inputs = np.zeros((50, 4), np.float32)
    inputs[37, 2] = inputs[41, 0] = bad
    with pytest.raises(ValueError, match=rf"finite inputs in test, got {bad} in example 37:"):
        Split(inputs, np.zeros(50, int), name="test")


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"mean": (0.5,) * 3}, "both mean and std"),
        ({"mean": (0.5,), "std": (0.5,)}, "of 3 channels, got 1 and 1"),
        ({"mean": (0.5,) * 3, "std": (0.5, 0.0, 0.5)}, "positive std"),
        ({"mean": (0.5, np.nan, 0.5), "std": (0.5,) * 3}, "finite mean"),
        ({"task": "regresion"}, "task among"),
        ({"test": (np.zeros((2, 3, 4, 4), np.uint8), [0, 1])}, "of one shape"),
    ],
)
def test_knobs_that_do_not_fit_are_refused(knobs, message):
    with pytest.raises(ValueError, match=message):
        toy(**knobs)


def test_tokens_and_regression():
    tokens = np.arange(12, dtype=np.int32).reshape(3, 4)
    split = Split(tokens, np.where(tokens > 9, -100, tokens), task="language")
    assert split.inputs.dtype == split.targets.dtype == np.int64
    with pytest.raises(ValueError, match="got -5 at index 0"):
        Split(tokens - 5, tokens, task="language")
    with pytest.raises(ValueError, match="for tokens"):
        Split(tokens, tokens, mean=(0.0,), std=(1.0,), task="language")
    real = Split(np.ones((3, 2)), np.ones((3, 1)), task="regression")
    assert real.inputs.dtype == np.float64
    assert real.targets.dtype == np.float32


def test_survives_pickling_and_origin_is_json():
    data = toy(origin={"name": "toy", "arguments": {}})
    again = pickle.loads(pickle.dumps(data))
    assert again.fingerprint("train") == data.fingerprint("train")
    assert json.loads(json.dumps(again.origin)) == data.origin
