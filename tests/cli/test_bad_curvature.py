"""Bad input to probes of curvature: one line that says what is wrong, exit code 1, nothing written."""

from __future__ import annotations

import numpy as np
import pytest
import torch

NETS = """
import torch
from torch import nn

class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x):
        return self.layer(nn.functional.dropout(x.flatten(1), 0.5, training=True))

class Sharp(nn.Module):
    '''A square root at zero: the loss is finite, and no derivative is.'''

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x):
        return self.layer(x.flatten(1)).abs().sqrt()

def noisy():
    return Noisy()

def sharp():
    return Sharp()
"""
AT_ONE_POINT = ("eigen", "spectrum", "trace", "saddle")
ZERO = {"layer.weight": torch.zeros(10, 64), "layer.bias": torch.zeros(10)}


@pytest.fixture
def curve(here, ask):
    """Ask for curvature of a few examples, without figures; nothing may be written if it is refused."""
    (here / "nets.py").write_text(NETS)
    torch.save(ZERO, "zero.pth")
    torch.save({"layer.weight": torch.eye(10, 64), "layer.bias": torch.zeros(10)}, "one.pth")

    def asked(probe, *words, checkpoint="a.pt", examples=30):
        found = ask(probe, checkpoint, *words, "--examples", examples, "--plot", "none", "--device", "cpu")
        if found.code:
            assert not list(here.glob("*.h5*")), [path.name for path in here.glob("*.h5*")]
        return found

    return asked


@pytest.mark.parametrize("probe", AT_ONE_POINT)
def test_a_network_that_is_random(curve, probe):
    found = curve(probe, "--model", "nets.py:noisy", "--data", "digits", checkpoint="one.pth")
    assert found.refused("answers the same twice", "random in evaluation mode")


@pytest.mark.parametrize("probe", AT_ONE_POINT)
def test_a_product_that_is_not_finite_names_the_examples(curve, probe):
    found = curve(probe, "--model", "nets.py:sharp", "--data", "digits", checkpoint="zero.pth")
    assert found.refused("finite", "examples 0 to")


@pytest.mark.parametrize(
    ("probe", "words", "told"),
    [
        ("spectrum", ["--steps", "651", "--parameters", "5.*"], ["steps <= 650", "parameters", "got steps=651"]),
        ("saddle", ["--steps", "651", "--parameters", "5.*"], ["650", "651"]),
        ("spectrum", ["--steps", "0"], ["1 <= steps", "got steps=0"]),
        ("spectrum", ["--probes", "0"], ["probes >= 1"]),
        ("spectrum", ["--steps", "many"], ["--steps", "many"]),
        ("spectrum", ["--matrix", "hesian"], ["hesian", "did you mean 'hessian'"]),
        ("eigen", ["--largest", "651", "--parameters", "5.*"], ["650", "651"]),
        ("eigen", ["--largest", "0", "--smallest", "0"], ["at least one"]),
        ("eigen", ["--tolerance", "0"], ["tolerance > 0", "got 0"]),
        ("trace", ["--method", "exakt"], ["exact", "exakt"]),
        ("trace", ["--probes", "0"], ["0"]),
        ("saddle", ["--labels", "3,eleven"], ["classes among 0, 1", "got eleven"]),
        ("saddle", ["--step-sizes", "0.1,-1"], ["positive step sizes", "-1"]),
        ("saddle", ["--step-sizes", "0.1x0.2"], ["--step-sizes", "expected numbers", "got 0.1x0.2"]),
        ("batchsize", ["--sizes", "8,x"], ["--sizes", "expected whole numbers, as in 8,16,32", "got 8,x"]),
        ("batchsize", ["--sizes", "0,8"], ["0"]),
        ("curvature", ["--points", "4"], ["odd", "use 5"]),
        ("curvature", ["--limit", "0"], ["limit >= 1", "got 0"]),
        ("eigen", ["--points", "5"], ["--points"]),
        ("eigen", ["--directions", "random"], ["--directions"]),
    ],
    ids=lambda value: " ".join(value).replace("--", "") if isinstance(value, list) else value,
)
def test_knobs_that_do_not_fit(curve, probe, words, told):
    assert curve(probe, *words).refused(*told)


@pytest.mark.parametrize(
    ("probe", "words", "told"),
    [
        ("spectrum", ["--steps", "99999"], ["1 <= steps", "99999"]),
        ("spectrum", ["--probes", "0"], ["probes >= 1"]),
        ("spectrum", ["--together", "0"], ["together >= 1"]),
        ("eigen", ["--largest", "-5"], ["at least one", "got -5"]),
        ("eigen", ["--limit", "0"], ["limit >= 1", "got 0"]),
        ("trace", ["--method", "exakt"], ["exact", "exakt"]),
        ("trace", ["--matrix", "fisher"], ["hessian, gauss_newton", "fisher"]),
        ("trace", ["--probes", "0"], ["probes >= 1", "got 0"]),
        ("saddle", ["--steps", "0"], ["1 <= steps", "steps=0"]),
        ("saddle", ["--limit", "-1"], ["limit >= 0", "got -1"]),
        ("saddle", ["--resamples", "-1"], ["resamples >= 0", "got -1"]),
        ("saddle", ["--together", "0"], ["together >= 1", "got 0"]),
        ("sharpness", ["--families", "curvatures"], ["families", "got curvatures"]),
        ("sharpness", ["--sigma", "0"], ["sigma > 0", "got 0"]),
        ("curvature", ["--points", "0"], ["at least 3 points", "got 0"]),
        ("curvature", ["--limit", "0"], ["limit >= 1", "got 0"]),
        ("covariance", ["--count", "0"], ["1 <= count", "count=0"]),
        ("covariance", ["--count", "99999"], ["count <= D", "count=99999"]),
        ("covariance", ["--limit", "0"], ["limit >= 1", "got 0"]),
        ("batchsize", ["--batches", "1"], ["batches >= 2", "got 1"]),
        ("surface", ["--points", "1"], ["at least 3 points", "got 1"]),
    ],
    ids=lambda value: " ".join(value).replace("--", "") if isinstance(value, list) else value,
)
def test_a_dry_run_refuses_what_a_run_refuses(curve, probe, words, told):
    assert curve(probe, *words, "--dry-run").refused(*told)
    assert curve(probe, *words).refused(*told)


def test_a_class_without_examples(here, curve):
    rng = np.random.default_rng(0)
    np.savez(
        here / "gap.npz", train_x=rng.random((12, 64), dtype=np.float32), train_y=np.arange(12) % 3 * 4,
        test_x=rng.random((10, 64), dtype=np.float32), test_y=np.arange(10),
    )  # fmt: skip
    given = ("--model", "mlp", "--model-arg", "shape=64,", "--model-arg", "classes=10", "--data", "gap.npz")
    assert curve("saddle", *given, "--labels", "0,1,4").refused("classes with examples in train", "got none of 1")


def test_a_loss_without_classes(curve):
    given = ("--loss", "nets.py:loss", "--model", "mlp")
    with open("nets.py", "a") as file:
        file.write("\ndef loss(outputs, targets):\n    return (outputs ** 2).mean(1)\n")
    assert curve("trace", "--probes", "3", *given).code == 0


@pytest.mark.parametrize("probe", [*AT_ONE_POINT, "batchsize"])
def test_a_second_checkpoint(curve, probe):
    assert curve(probe, "b.pt").refused("Expected one checkpoint, got 2", f"{probe} looks at one at a time")
