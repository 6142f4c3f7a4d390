"""Networks along curves asked together, from the command line to the file and back."""

import csv

import numpy as np
import pytest

from landscape import checkpoint, load
from landscape.cli import run


@pytest.fixture
def kept(here):
    """A run that has left its checkpoints, as the chain of `--trajectory`."""
    return sorted((here / "a.trajectory").glob("*.pt"))


def test_a_segment_and_a_trained_curve(here, ask, measure):
    quick = ["--plot", "none", "--device", "cpu", "--epochs", "1", "--points", "3"]
    assert ask("connect", "a.pt", "b.pt", *quick, "-o", "c.h5").code == 0
    answer = measure("ensembling", "a.pt", "b.pt", "--curve", "c.h5", "-o", "e.h5")
    assert answer.code == 0, answer.err
    assert "segment, test: all 3 together against their mean alone: loss better by" in answer.out
    found = load("e.h5")
    assert found.curve.tolist() == ["segment", "bezier"]
    assert found.split.tolist() == ["train", "test"]
    np.testing.assert_array_equal(found.loss[0, :, 1, -1], found.loss[1, :, 1, -1])
    assert found.origin["knobs"] == {"points": 3, "bins": 15}
    assert ask("plot", "e.h5", "-o", "e.png").code == 0
    assert ask("plot", "e.h5", "-o", "e.html").code == 0
    assert ask("show", "e.h5").code == 0
    assert ask("export", "e.h5", "-o", "e.csv").code == 0
    with open("e.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == found.loss.size
    last = {"curve": "bezier", "split": "test", "way": "all_average", "t": "1.0"}
    (row,) = (row for row in rows if last.items() <= row.items())
    assert float(row["loss_error"]) == found.loss_error[1, 1, 4, 2]
    assert ask("reproduce", "e.h5").out.splitlines()[-1] == "e.h5: reproduced"


def test_a_trajectory_is_asked_at_its_checkpoints(here, kept, ask):
    words = ["ensembling", "a.pt", "--trajectory", *kept, "--plot", "none", "--device", "cpu"]
    assert ask(*words, "-o", "e.h5").code == 0
    found = load("e.h5")
    assert len(found.t) == len(kept)
    for k, path in enumerate(kept):
        told = checkpoint.read(path).training
        if "test_loss" in told:
            assert found.loss[0, 1, 0, k] == pytest.approx(told["test_loss"], rel=1e-5)
    assert ask("ensemble", *kept, "--plot", "none", "--device", "cpu", "-o", "t.h5").code == 0
    whole = load("t.h5")
    np.testing.assert_allclose(found.loss[0, 1, 2], whole.loss, rtol=1e-6)
    np.testing.assert_allclose(found.calibration[0, 1, 0], whole.member_calibration, rtol=1e-5)
    assert ask(*words, "--points", 7, "-o", "e7.h5").code == 0
    assert len(load("e7.h5").t) == 7


def test_an_interrupted_command_goes_on(here, ask, measure, monkeypatch):
    from landscape.probes import _ensembling

    monkeypatch.setattr("landscape.sweep.KEEP", 0.0)
    assert measure("ensembling", "a.pt", "b.pt", "-o", "whole.h5").code == 0
    original, calls = _ensembling.log_probabilities, []

    def broken(objective, theta):
        calls.append(theta)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(objective, theta)

    monkeypatch.setattr(_ensembling, "log_probabilities", broken)
    assert measure("ensembling", "a.pt", "b.pt", "-o", "e.h5").code != 0
    assert (here / "e.h5.parts").is_dir()
    assert measure("ensembling", "a.pt", "b.pt", "-o", "e.h5").code == 0
    assert not (here / "e.h5.parts").exists()
    one, other = load("whole.h5"), load("e.h5")
    for name in one.quantities():
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_a_dry_run_tells_the_price(here, measure):
    answer = measure("ensembling", "a.pt", "b.pt", "--dry-run")
    assert answer.code == 0, answer.err
    assert "6 points" in answer.out
    assert not list(here.glob("*.ensembling.*"))


def test_bad_input_is_one_clear_line(here, ask, measure):
    assert measure("ensembling", "a.pt").refused("Expected a curve, got one checkpoint")
    assert measure("ensembling", "a.pt", "a.pt").refused("a.pt", "another network")
    (here / "mine.py").write_text("def half(outputs, targets):\n    return outputs.square().sum(1) / 2\n")
    assert measure("ensembling", "a.pt", "b.pt", "--loss", "mine.py:half").refused("loss cross_entropy", "mine.py:half")
    assert measure("ensembling", "a.pt", "b.pt", "--points", "1").refused("at least 2 points")
    assert measure("ensembling", "a.pt", "b.pt", "--bins", "0").refused("at least 1 bin")
    assert measure("ensembling", "a.pt", "b.pt", "--examples", "1").refused("at least 2 examples")
    assert not list(here.glob("*.ensembling.*"))


def test_statistics_of_one_end_are_refused(here, measure):
    for seed in (1, 2):
        words = ["--model", "resnet", "--model-arg", "depth=8", "--model-arg", "width=1", "--epochs", "1"]
        sizes = ["--transform", "subset=40", "--seed", str(seed), "--device", "cpu", "-o", f"r{seed}.pt"]
        assert run(["train", "--data", "digits", *words, *sizes]) == 0
    words = ["ensembling", "r1.pt", "r2.pt", "--strategy", "loop,examples=40"]
    assert measure(*words, "--batchnorm", "frozen").refused("batch-norm statistics", "--batchnorm refit")
    assert measure(*words).code == 0
    assert np.isfinite(load("r1.ensembling.h5").loss).all()
