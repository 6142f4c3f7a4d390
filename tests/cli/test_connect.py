"""``landscape connect``: two checkpoints in, a curve out; interrupted, refused, shown and computed again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from landscape import result

FEW = ("--points", "5", "--epochs", "2", "--batch", "20")
HEARD = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # background jobs are deaf to it


def load(path: str) -> Any:
    return result.load(path)


@pytest.fixture
def norms(here, ask) -> Path:
    """The current folder, with n1.pt and swa.pt: a network with batch norm from two seeds, the second averaged."""
    words = (
        "--model",
        "resnet",
        "--model-arg",
        "depth=8",
        "--model-arg",
        "width=2",
        "--epochs",
        "1",
        "--device",
        "cpu",
    )
    for name, more in (("n1", ()), ("swa", ("--method", "swa:start=0"))):
        answer = ask("train", *words, "--transform", "subset=60", *more, "--seed", str(len(name)), "-o", f"{name}.pt")
        assert answer.code == 0, answer.err
    return here


def test_a_curve_is_trained_shown_computed_again_and_gone_along(here, measure, ask):
    done = measure("connect", "a.pt", "b.pt", *FEW)
    assert done.code == 0, done.err
    assert "bezier: barrier" in done.out
    assert "epochs of training: 2" in done.out
    found = load("a.connect.h5")
    assert found.loss.shape == (2, 2, 5)
    assert "bezier: barrier" in ask("show", "a.connect.h5").out
    again = ask("reproduce", "a.connect.h5")
    assert again.code == 0, again.err
    assert "control: equal" in again.out
    assert "there already" in measure("connect", "a.pt", "b.pt", *FEW).out
    along = measure("path", "a.pt", "b.pt", "--curve", "a.connect.h5")
    assert along.code == 0, along.err
    assert load("a.path.h5").curve.tolist() == ["segment", "bezier"]
    assert sorted(p.name for p in here.iterdir() if ".parts" in p.name or p.name.endswith(".tmp")) == []


def test_the_size_of_batches_of_training_and_of_batch_norm_are_two_options(here, measure):
    done = measure("connect", "a.pt", "b.pt", *FEW, "--batch-size", "7")
    assert done.code == 0, done.err
    found = load("a.connect.h5").origin
    assert found["trained"]["settings"]["batch_size"] == 20
    assert found["source"]["batch_size"] == 7


def test_only_the_parameters_that_are_named_move(here, measure):
    with pytest.warns(UserWarning, match=r"b.pt: its parameters 1.bias, .* held fixed by --parameters"):
        done = measure("connect", "a.pt", "b.pt", *FEW, "--parameters", "*.weight")
    assert done.code == 0, done.err
    assert load("a.connect.h5").control.shape[1] < 8970


def test_a_dry_run_tells_the_price(here, ask):
    before = sorted(here.iterdir())
    answer = ask("connect", "a.pt", "b.pt", "--dry-run", "--device", "cpu", "--examples", "40")
    assert answer.code == 0, answer.err
    assert answer.out.startswith("connect: 122 points, each train 40 + test 40 examples; 30 gradients of training")
    assert "memory:" in answer.out
    assert sorted(here.iterdir()) == before


def test_ends_with_batch_norm_and_averages_have_their_statistics_refitted(norms, measure):
    done = measure("connect", "n1.pt", "swa.pt", *FEW)
    assert done.code == 0, done.err
    assert load("n1.connect.h5").origin["batchnorm"] == "refit"
    assert measure("connect", "n1.pt", "swa.pt", *FEW, "--batchnorm", "frozen", "--force").refused("refit")


def test_a_training_that_diverges_is_told_in_a_line_and_leaves_nothing(here, measure):
    before = sorted(here.iterdir())
    assert measure("connect", "a.pt", "b.pt", *FEW, "--lr", "1e6").refused("finite loss", "--clip")
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("a.pt",), "two checkpoints"),
        (("a.pt", "b.pt", "c.pt"), "two checkpoints"),
        (("a.pt", "a.pt"), "got the weights of a.pt"),
        (("a.pt", "missing.pt"), "no such file"),
        (("a.pt", "b.pt", "--bends", "0"), "1 bend or more"),
        (("a.pt", "b.pt", "--shape", "spline"), "shape among"),
        (("a.pt", "b.pt", "--batch", "39"), ""),
        (("a.pt", "b.pt", "--augment", "turn"), "turn"),
    ],
)
def test_bad_input_is_refused_in_a_line(here, measure, words, told):
    if not told:
        assert measure("connect", *words, "--epochs", "1").code == 0  # no batch norm: a last batch of one is no harm
        return
    assert measure("connect", *words, "--epochs", "1").refused(told)
    assert not list(here.glob("*.parts"))


def test_rounded_weights_have_no_derivatives(here, ask, measure):
    for name in "ab":
        assert ask("quantize", f"{name}.pt", "--bits", "4", "-o", f"{name}4.pt").code == 0
    assert measure("connect", "a4.pt", "b4.pt", *FEW, "--quantized", "latent").refused("derivatives")
    assert not list(here.glob("*.parts"))


@pytest.mark.skipif(sys.platform == "win32", reason="needs Ctrl-C")
def test_ctrl_c_keeps_the_training_and_the_same_command_goes_on(here, ask):
    words = ["connect", "a.pt", "b.pt", "--epochs", "100", "--batch", "20", "--examples", "40", "--points", "3"]
    words += ["--plot", "none", "--device", "cpu", "--strategy", "loop,examples=512"]
    assert ask(*words, "-o", "whole.h5").code == 0
    code = f"{HEARD}\nfrom landscape.cli import main\nmain({[*words, '-o', 'cut.h5']!r})"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    kept = here / "cut.h5.parts" / "curve.resume"
    for _ in range(3000):
        if kept.exists() or process.poll() is not None:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=50)
    assert process.returncode == 130, err
    assert "the same command" in err
    assert kept.is_file()
    assert ask(*words, "-o", "cut.h5").code == 0
    one, other = load("whole.h5"), load("cut.h5")
    for name in one.quantities():
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert not kept.parent.exists()
