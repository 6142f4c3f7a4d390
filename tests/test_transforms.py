import json

import numpy as np
import pytest

from landscape.dataset import Dataset
from landscape.transforms import TRANSFORMS, classes, label_noise, longtail, subset, transform

FROZEN = [0.0, 10.0, 11.0, 12.0, 20.0, 21.0]


def balanced(per_class=50, count=10, task="classification"):
    """Inputs that are their own index, so that every example can be followed."""
    labels = np.arange(per_class * count) % count
    rows = np.arange(len(labels), dtype=np.float32)[:, None]
    names = tuple(f"c{label}" for label in range(count))
    test = (rows[:30] + 0.5, labels[:30])
    return Dataset("toy", (rows, labels), test, classes=names, task=task, origin={"name": "toy", "arguments": {}})


def untouched(before, after, split="test"):
    return before.fingerprint(split) == after.fingerprint(split)


def test_longtail_has_the_published_class_counts():
    # CIFAR-10-LT with imbalance 100, as in Cao et al. 2019, from 5,000 images per class.
    published = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    data = balanced(5000)
    tail = longtail(100)(data)
    assert np.bincount(tail.split("train").targets).tolist() == published
    assert untouched(data, tail)
    rows = tail.split("train").inputs[:, 0]
    assert (np.diff(rows) > 0).all()
    assert (data.split("train").targets[rows.astype(int)] == tail.split("train").targets).all()


def test_longtail_keeps_one_of_each_class_and_never_more_than_there_are():
    assert np.bincount(longtail(1e6)(balanced(20)).split("train").targets).min() == 1
    assert longtail(1)(balanced()).fingerprint("train") == balanced().fingerprint("train")
    lopsided = classes(0, 1, 2)(longtail(100)(balanced(200)))
    again = np.bincount(longtail(2)(lopsided).split("train").targets)
    assert (again <= np.bincount(lopsided.split("train").targets)).all()


@pytest.mark.parametrize("fraction", [0.0, 0.2, 0.333, 1.0])
def test_label_noise_moves_exactly_that_share_to_other_classes(fraction):
    data = balanced(50)
    noisy = label_noise(fraction, seed=1)(data)
    moved = noisy.split("train").targets != data.split("train").targets
    assert moved.sum() == round(fraction * 500)
    assert untouched(data, noisy)
    assert (noisy.split("train").inputs == data.split("train").inputs).all()


def test_label_noise_is_uniform_over_the_other_classes():
    data = balanced(2000, 5)
    shift = (label_noise(1.0)(data).split("train").targets - data.split("train").targets) % 5
    counts = np.bincount(shift, minlength=5)
    assert counts[0] == 0
    assert np.abs(counts[1:] - 2500).max() < 5 * np.sqrt(2500 * 0.75)


def test_subset_takes_the_first_n_or_all():
    data = subset(40)(balanced())
    assert (data.split("train").inputs[:, 0] == np.arange(40)).all()
    assert data.size("test") == 30


def test_seeded_subset_keeps_the_shares_of_the_classes():
    data = subset(250, seed=3)(longtail(100)(balanced(200)))
    full = np.bincount(longtail(100)(balanced(200)).split("train").targets)
    counts = np.bincount(data.split("train").targets, minlength=10)
    assert counts.sum() == 250
    assert np.abs(counts - 250 * full / full.sum()).max() < 1
    assert len(np.unique(data.split("train").inputs)) == 250


def test_subset_of_a_regression_needs_no_classes():
    rows = np.arange(20, dtype=np.float32)[:, None]
    data = Dataset("line", (rows, rows), task="regression")
    assert subset(5, seed=0)(data).size("train") == 5
    with pytest.raises(ValueError, match="class labels for label_noise"):
        label_noise(0.5)(data)


def test_classes_keep_order_and_are_relabelled():
    data = classes(5, "c0")(balanced())
    split = data.split("train")
    assert data.classes == ("c5", "c0")
    rows = split.inputs[:, 0].astype(int)
    assert set(rows % 10) == {0, 5}
    assert (split.targets == np.where(rows % 10 == 5, 0, 1)).all()
    assert data.size("test") == 6


def test_names_that_look_like_numbers_are_names_first():
    labels = np.array([0, 1, 2])
    data = Dataset("folders", (np.eye(3, dtype=np.float32), labels), classes=("1", "10", "2"))
    chosen = transform("classes=2,10")(data)
    assert chosen.classes == ("2", "10")
    again = transform(chosen.origin["transforms"][0])(data)  # the record holds labels, which cannot be mistaken
    assert again.fingerprint("train") == chosen.fingerprint("train")


@pytest.mark.parametrize(
    "text",
    [
        "longtail=10",
        "longtail=10.5:seed=3",
        "label_noise=0.2:seed=4",
        "subset=60",
        "subset=60:seed=1",
        "classes=0,3,c5",
    ],
)
def test_every_text_is_repeatable_and_comes_back_from_its_record(text):
    data = balanced()
    before = data.fingerprint("train")
    once, twice = transform(text)(data), transform(text)(data)
    record = json.loads(json.dumps(once.origin["transforms"]))
    assert once.fingerprint("train") == twice.fingerprint("train") == transform(record[0])(data).fingerprint("train")
    assert transform(record[0])(data).origin == once.origin
    assert data.fingerprint("train") == before
    assert "transforms" not in data.origin


def test_transforms_are_written_down_in_order():
    data = label_noise(0.1)(subset(100)(classes(0, 1)(balanced())))
    assert [record["name"] for record in data.origin["transforms"]] == ["classes", "subset", "label_noise"]
    assert data.origin["name"] == "toy"


def test_seeds_matter_and_streams_are_frozen():
    data = balanced()
    prints = {label_noise(0.5, seed=seed)(data).fingerprint("train") for seed in range(4)}
    assert len(prints) == 4
    # NumPy promises this stream for ever; if this changes, old results cannot be reproduced.
    assert longtail(50, seed=7)(data).split("train").inputs[:6, 0].tolist() == FROZEN


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("longtial=100", r"classes, label_noise, longtail, subset, got 'longtial' \(did you mean longtail\?\)"),
        ("longtail=100:sed=3", r"options of longtail among seed, got 'sed' \(did you mean seed\?\)"),
        ("longtail=100:3", "option=value after the colon"),
        ("longtail=0.5", "imbalance ratio >= 1, got 0.5"),
        ("longtail=many", "numbers that fit longtail"),
        ("longtail=1,2", "numbers that fit longtail"),
        ("longtail=nan", "got nan"),
        ("label_noise=1.5", "between 0 and 1, got 1.5"),
        ("label_noise", "numbers that fit label_noise"),
        ("subset=0", "examples >= 1, got 0"),
        ("subset=2.5", "got 2.5"),
        ("subset=5:seed=-1", "seed from 0"),
        ("classes=", "at least one class"),
        ("classes=0:seed=1", "options of classes among none"),
        ({"name": "subset"}, "record with name, values and options"),
    ],
)
def test_wrong_texts_teach(text, message):
    with pytest.raises(ValueError, match=message):
        transform(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes=c11", r"did you mean c1\?"),
        ("classes=10", "from 0 to 9"),
        ("classes=1,c1", "each class once"),
    ],
)
def test_wrong_classes_teach(text, message):
    with pytest.raises(ValueError, match=message):
        transform(text)(balanced())


@pytest.mark.parametrize("name", ["longtail", "label_noise"])
def test_training_transforms_need_a_training_split(name):
    data = Dataset("toy", None, balanced().test)
    with pytest.raises(ValueError, match="Expected a train split"):
        TRANSFORMS[name](*([0.5] if name == "label_noise" else []))(data)
