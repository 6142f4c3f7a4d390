"""Statistics are refitted from images augmented as in training: by default, and in what results and checkpoints say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from landscape import checkpoint
from landscape.cli import run
from landscape.cli._source import Source
from landscape.result import load

WORDS = ["--epochs", "3", "--seed", "1", "--device", "cpu", "--transform", "subset=200", "--augment", "crop=2,flip"]
AT = {"device": "cpu", "strategy": "loop,examples=128", "split": "train"}
REFIT = ["--batchnorm", "refit", "--points", "3"]


@pytest.fixture(scope="module")
def averaged(tmp_path_factory) -> Path:
    """A network with batch norm, the mean of a run with augmented images, and its moments."""
    path = tmp_path_factory.mktemp("averaged") / "norm.pt"
    model = ["--model", "resnet8", "--model-arg", "width=2", "--method", "swag:start=0.2"]
    assert run(["train", *model, *WORDS, "-o", str(path)]) == 0
    return path


@pytest.fixture
def there(averaged, tmp_path, monkeypatch) -> Path:
    """The current folder, with that network."""
    shutil.copy(averaged, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def value(path, **options):
    found = Source(**AT, **options).load(Path(path)).objective
    return float(found.value(found.theta))


def test_a_refit_finds_the_statistics_that_were_written(there, ask):
    frozen = value("norm.pt")
    assert value("norm.pt", batchnorm="refit") == pytest.approx(frozen, rel=1e-6)
    assert value("norm.pt", batchnorm="refit", refit_augment="crop=2,flip") == pytest.approx(frozen, rel=1e-6)
    assert abs(value("norm.pt", batchnorm="refit", refit_augment="none") - frozen) > 1e-3
    assert ask("swag", "norm.pt", "--samples", 1, "--device", "cpu").code == 0
    sample = "norm.samples/sample-01.pt"
    assert checkpoint.read(sample).training["sample"]["augment"] == "crop=2,flip"
    assert value(sample, batchnorm="refit") == pytest.approx(value(sample), rel=1e-6)


def test_recalibration_follows_the_same_rule(there, ask):
    words = ["quantize", "norm.pt", "--bits", "4", "--batchnorm", "recalibrate", "--device", "cpu"]
    assert ask(*words, "-o", "own.pt").code == 0
    assert ask(*words, "--refit-augment", "none", "-o", "bare.pt").code == 0
    assert value("own.pt", batchnorm="refit") == pytest.approx(value("own.pt"), rel=1e-6)
    assert value("bare.pt", batchnorm="refit", refit_augment="none") == pytest.approx(value("bare.pt"), rel=1e-6)
    told = [checkpoint.read(f"{name}.pt").quantization for name in ("own", "bare")]
    assert [one and one.record["recalibrated"].get("augment") for one in told] == ["crop=2,flip", None]
    kept = ask("quantize", "norm.pt", "--bits", "4", "--refit-augment", "flip")
    assert kept.refused("no --refit-augment with --batchnorm keep, got flip")


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_examples_that_are_measured_are_augmented_whichever_they_are(there, split):
    made = Source(**{**AT, "split": split}, batchnorm="refit", examples=30).load(Path("norm.pt")).objective
    assert made.record()["reference"]["examples"] == made.size == 30
    assert made.reference is not None
    (images, targets), (augmented, same) = (e.segments[0] for e in (made.examples[split], made.reference))
    assert (targets == same).all()
    changed = (images != augmented).flatten(1).any(1)
    assert changed.double().mean() > 0.8
    assert np.isin(augmented.numpy(), np.append(images.numpy(), 0)).all()


def test_the_default_is_recorded_and_reproduced(there, measure, ask):
    assert measure("surface", "norm.pt", *REFIT, "-o", "s.h5").code == 0
    origin = load("s.h5").origin
    assert origin["source"]["refit_augment"] == "crop=2,flip"
    assert origin["objective"]["reference"]["examples"] == 40
    assert ask("reproduce", "s.h5").out.endswith("s.h5: reproduced\n")
    again = measure("surface", "norm.pt", *REFIT, "--refit-augment", "crop=2,flip", "-o", "s.h5")
    assert "there already" in again.out
    assert measure("surface", "norm.pt", *REFIT, "--refit-augment", "none", "-o", "s.h5").refused("another origin")


def test_a_result_that_does_not_speak_of_it_is_of_the_images_as_they_are(there, measure, ask):
    assert measure("surface", "norm.pt", *REFIT, "--refit-augment", "none", "-o", "s.h5").code == 0
    with h5py.File("s.h5") as file:
        origin = json.loads(str(file.attrs["origin"]))
    assert "refit_augment" not in origin["source"]
    assert "reference" not in origin["objective"]
    assert ask("reproduce", "s.h5").out.endswith("s.h5: reproduced\n")
    assert measure("surface", "norm.pt", *REFIT, "-o", "s.h5").refused("another origin", "source")


def test_networks_that_were_trained_with_other_augmentations_are_told_apart(there, ask):
    words = ["train", "--model", "resnet8", "--model-arg", "width=2", *WORDS[:-2]]
    assert ask(*words, "-o", "other.pt").code == 0
    words = ["path", "norm.pt", "other.pt", "--points", "3", "--examples", "40", "--plot", "none", "--device", "cpu"]
    told = "other.pt was trained with augmentation none, norm.pt with crop=2,flip: batch-norm statistics are refitted"
    with pytest.warns(UserWarning, match=told):
        assert ask(*words).code == 0
    assert ask(*words, "--refit-augment", "crop=2,flip", "--force").code == 0


def test_what_is_not_refitted_is_not_augmented(there, measure):
    answer = measure("surface", "norm.pt", "--points", "3", "--refit-augment", "flip")
    assert answer.refused("no --refit-augment with --batchnorm frozen, got flip")
    assert measure("surface", "norm.pt", "--points", "3", "--refit-augment", "none", "-o", "s.h5").code == 0
    assert "refit_augment" not in load("s.h5").origin["source"]
    assert measure("surface", "norm.pt", *REFIT, "--refit-augment", "corp", "-o", "t.h5").refused("did you mean 'crop'")
