"""``landscape path`` from the command line: what it goes along, what it refuses, and that it can be done again."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from landscape.cli import run
from landscape.result import load


@pytest.fixture(scope="session")
def connected(trained, tmp_path_factory):
    """A folder of its own, with a curve between a.pt and b.pt: the folder of networks is everybody's."""
    folder = tmp_path_factory.mktemp("connected")
    words = ["--epochs", "1", "--points", "3", "--examples", "60", "--plot", "none", "--device", "cpu"]
    place = ["-o", str(folder / "a.connect.h5")]
    assert run(["connect", str(trained / "a.pt"), str(trained / "b.pt"), *words, *place]) == 0
    return folder


@pytest.fixture
def there(connected, here):
    """The current folder, with the curve and two runs of training."""
    shutil.copy(connected / "a.connect.h5", here)
    for name in ("a", "b"):
        shutil.copytree(here / f"{name}.trajectory", here / f"run-{name}")
    return here


def test_a_segment_between_two_networks(there, measure):
    answer = measure("path", "a.pt", "b.pt", "--points", "5")
    assert answer.code == 0, answer.err
    assert "segment: barrier train" in answer.out
    found = load("a.path.h5")
    assert found.curve.tolist() == ["segment"]
    assert found.split.tolist() == ["train", "test"]


def test_curves_and_several_runs_at_once(there, measure):
    words = ["--curve", "a.connect.h5", "--trajectory", "run-a", "run-b"]
    assert measure("path", "a.pt", "b.pt", *words).code == 0
    found = load("a.path.h5")
    assert found.curve.tolist() == ["segment", "bezier", "run-a", "run-b"]
    told = found.origin["curves"]
    assert (told["run-a"]["shape"], told["run-a"]["points"]) == ("chain", len(list(there.glob("run-a/*.pt"))))
    assert told["run-a"]["sha256"] != told["run-b"]["sha256"]
    np.testing.assert_array_equal(found.loss[0][:, [0, -1]], found.loss[1][:, [0, -1]])


def test_a_curve_is_followed_from_either_end(there, measure):
    for first, last in (("a.pt", "b.pt"), ("b.pt", "a.pt")):
        assert measure("path", first, last, "--curve", "a.connect.h5", "-o", f"{first}.h5").code == 0
    one, other = load("a.pt.h5"), load("b.pt.h5")
    np.testing.assert_allclose(one.loss, other.loss[..., ::-1], rtol=1e-5)
    assert measure("path", "a.pt", "--curve", "a.connect.h5", "-o", "alone.h5").code == 0
    np.testing.assert_array_equal(load("alone.h5").loss[0], one.loss[1])


def test_several_curves_bear_the_names_of_their_files(there, measure):
    shutil.copy("a.connect.h5", "other.h5")
    assert measure("path", "a.pt", "--curve", "a.connect.h5", "other.h5", "--points", "3").code == 0
    assert load("a.path.h5").curve.tolist() == ["a.connect", "other"]


def test_an_edge_of_a_tree_is_a_curve(there, measure):
    words = ["--epochs", "1", "--points", "3", "--examples", "60"]
    assert measure("tree", "a.pt", "b.pt", "c.pt", *words).code == 0
    tree = load("a.tree.h5")
    stems = [name.split(" to ") for name in tree.edge.tolist()]
    for k, (one, other) in enumerate(stems):
        ends = (f"{other}.pt", f"{one}.pt")  # turned around
        assert measure("path", *ends, "--curve", "a.tree.h5", "--points", "3", "-o", f"{k}.h5").code == 0
        found = load(f"{k}.h5")
        assert found.curve.tolist() == ["segment", "bezier"]
        assert found.length[1] == pytest.approx(tree.length[k], rel=1e-9)
    (middle,) = set(stems[0]) & set(stems[1])
    answer = measure("path", f"{middle}.pt", "--curve", "a.tree.h5", "-o", "both.h5")
    assert answer.refused("a.tree.h5", *tree.edge.tolist(), "give the other network too")
    ends = [name for pair in stems for name in pair if name != middle]
    answer = measure("path", *(f"{name}.pt" for name in ends), "--curve", "a.tree.h5", "-o", "none.h5")
    assert answer.refused("a.tree.h5", *tree.edge.tolist())


def test_an_end_that_differs_in_what_is_held_fixed_is_told(there, measure):
    with pytest.warns(UserWarning, match=r"b.pt: its parameters .*3.weight.* are not those of a.pt and held fixed"):
        assert measure("path", "a.pt", "b.pt", "--parameters", "1.*", "--points", "3").code == 0


def test_what_was_measured_can_be_measured_again(there, measure, ask):
    words = ["--curve", "a.connect.h5", "--trajectory", "run-a", "--curvature", "2", "--limit", "20"]
    assert measure("path", "a.pt", "b.pt", *words).code == 0
    answer = ask("reproduce", "a.path.h5")
    assert answer.code == 0, answer.err
    assert "a.path.h5: reproduced" in answer.out
    assert "lambda_max: equal" in answer.out
    shutil.copy("run-b/epoch-0001.pt", "run-a/epoch-0001.pt")
    assert ask("reproduce", "a.path.h5").refused("run-a/epoch-0001.pt", "changed since")


def test_results_are_shown_exported_and_drawn(there, measure, ask):
    assert measure("path", "a.pt", "b.pt").code == 0
    shown = ask("show", "a.path.h5")
    assert shown.code == 0
    assert "segment: barrier train" in shown.out
    for name in ("t.csv", "t.tex"):
        assert ask("export", "a.path.h5", "-o", name).code == 0
        assert "segment" in (there / name).read_text()
    for words in (["-o", "f.png"], ["--view", "arc", "-o", "arc.pdf"], ["-o", "f.html"], ["--quantity", "accuracy"]):
        answer = ask("plot", "a.path.h5", *words)
        assert answer.code == 0, answer.err


def test_a_dry_run_counts_the_curves_and_writes_nothing(there, measure):
    before = sorted(there.iterdir())
    answer = measure("path", "a.pt", "b.pt", "--curve", "a.connect.h5", "--curvature", "4", "--limit", "9", "--dry-run")
    assert answer.code == 0, answer.err
    assert "6 points" in answer.out
    assert "at most 80 products" in answer.out
    assert sorted(there.iterdir()) == before


def test_curves_of_others_are_refused(there, measure, ask):
    def refused(*words, checkpoints=("a.pt", "b.pt")):
        answer = measure("path", *checkpoints, *words)
        assert not (there / "a.path.h5").exists()
        return answer.refused

    assert refused("--curve", "a.connect.h5", checkpoints=("a.pt", "c.pt"))("a.connect.h5", "between others")
    assert refused("--curve", "a.connect.h5", checkpoints=("c.pt",))("a.connect.h5", "between others")
    assert refused("--curve", "none.h5")("none.h5", "no such file")
    assert refused("--curve", "run-a")("run-a", "a folder")
    assert refused("--curve", "a.pt")("a.pt")
    assert measure("line", "a.pt", "-o", "line.h5").code == 0
    assert refused("--curve", "line.h5")("line.h5", "landscape connect", "got a line")
    assert refused("--trajectory", "nowhere")("nowhere", "no such file")
    assert refused("--trajectory", "run-a/epoch-0001.pt")("epoch-0001.pt", "several checkpoints")
    found = load("a.connect.h5")
    wide = np.concatenate([found.control, found.control], 1)
    replace(found, control=wide).save("wide.h5")
    assert refused("--curve", "wide.h5")("wide.h5", "another network", str(wide.shape[1]))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a.pt"], ["got one checkpoint", "--curve or --trajectory"]),
        (["a.pt", "a.pt"], ["another network", "a.pt"]),
        (["a.pt", "copy.pt"], ["copy.pt", "the weights of a.pt", "give two minima"]),
        (["a.pt", "b.pt", "c.pt"], ["two checkpoints at most, got 3"]),
        (["a.pt", "gone.pt"], ["gone.pt", "no such file"]),
        (["a.pt", "run-a"], ["run-a", "a folder"]),
        (["a.pt", "b.pt", "--points", "2"], ["at least 3 points", "got 2"]),
        (["a.pt", "b.pt", "--curvature", "1"], ["2 points or more", "got 1"]),
        (["a.pt", "b.pt", "--directions", "random"], ["--directions"]),
        (["a.pt", "wide.pt"], ["wide.pt", "1.weight"]),
    ],
    ids=lambda value: " ".join(value) if value[0].endswith(".pt") else "",
)
def test_bad_input_in_one_line(there, measure, words, told):
    shutil.copy("a.pt", "copy.pt")
    if "wide.pt" in words:
        wide = ["--data", "digits", "--model", "mlp", "--model-arg", "width=5", "--epochs", "1", "--device", "cpu"]
        assert run(["train", *wide, "-o", "wide.pt"]) == 0
    assert measure("path", *words).refused(*told)
    assert not list(there.glob("a.path*"))


def test_frozen_statistics_are_refused_with_the_reason(tmp_path, monkeypatch, measure):
    monkeypatch.chdir(tmp_path)
    words = ["--data", "digits", "--model", "resnet", "--model-arg", "depth=8", "--model-arg", "width=1"]
    for seed in (0, 1):
        assert run(["train", *words, "--epochs", "0", "--seed", str(seed), "--device", "cpu", "-o", f"{seed}.pt"]) == 0
    refused = measure("path", "0.pt", "1.pt", "--batchnorm", "frozen").refused
    assert refused("batch-norm statistics of every point", "--batchnorm refit")
    assert measure("path", "0.pt", "1.pt").code == 0
    assert load("0.path.h5").origin["batchnorm"] == "refit"


def test_a_chain_goes_through_its_checkpoints(there, measure):
    files = sorted(there.glob("run-a/*.pt"))
    count = 2 * len(files) - 1
    assert measure("path", "a.pt", "--trajectory", "run-a", "--points", str(count)).code == 0
    found = load("a.path.h5")
    assert measure("line", str(files[1]), "-o", "one.h5").code == 0
    middle = load("one.h5")
    assert found.loss[0, 0, 2] == pytest.approx(float(middle.loss[0, 1]), rel=1e-4)


def test_buffers_that_do_not_move_are_told(here, ask):
    code = (
        "import torch\nfrom torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.layer = nn.Linear(2, 2)\n"
        "        self.register_buffer('shift', torch.zeros(2))\n"
        "    def forward(self, x):\n"
        "        return self.layer(x - self.shift)\n"
        "def build():\n    return Net()\n"
        "def load():\n    return torch.randn(20, 2, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 2\n"
    )
    (here / "net.py").write_text(code)
    for name, shift in (("x.pt", 0.0), ("y.pt", 1.0)):
        weight = torch.randn(2, 2, generator=torch.Generator().manual_seed(int(shift)))
        state = {"layer.weight": weight, "layer.bias": torch.zeros(2), "shift": torch.full((2,), shift)}
        torch.save(state, here / name)
    net = ("--model", "net.py:build", "--data", "net.py:load", "--points", "3", "--plot", "none")
    with pytest.warns(UserWarning, match="y.pt: its buffers shift are not those of x.pt"):
        assert ask("path", "x.pt", "y.pt", *net).code == 0
