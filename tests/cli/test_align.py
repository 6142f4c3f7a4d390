"""``landscape align``: what it writes, and what it refuses."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from landscape import checkpoint, result

QUICK = ("--points", "3", "--plot", "none", "--strategy", "loop,examples=512", "--device", "cpu", "--examples", "60")


@pytest.fixture
def align(ask):
    """Align quickly."""
    return lambda *words: ask("align", *words, *QUICK)


def test_the_aligned_checkpoint_is_the_second_network_in_another_order(here, align):
    assert align("a.pt", "b.pt").code == 0
    found, made, second = result.load("a.align.h5"), checkpoint.read("b.aligned.pt"), checkpoint.read("b.pt")
    first, last = (torch.tensor(order) for order in found.permutations().values())
    torch.testing.assert_close(made.state["1.weight"], second.state["1.weight"][first])
    torch.testing.assert_close(made.state["3.weight"], second.state["3.weight"][last][:, first])
    torch.testing.assert_close(made.state["5.weight"], second.state["5.weight"][:, last])
    record = made.training["alignment"]
    assert (record["to"], record["of"]) == (checkpoint.read("a.pt").sha256, second.sha256)
    assert made.model.name == "mlp"
    assert {name: value for name, value in made.training.items() if name != "alignment"} == second.training


def test_the_way_to_the_aligned_one_is_the_one_after(here, align, ask):
    assert align("a.pt", "b.pt").code == 0
    assert ask("path", "a.pt", "b.aligned.pt", *QUICK).code == 0
    np.testing.assert_array_equal(result.load("a.path.h5").loss[0], result.load("a.align.h5").loss[1])


def test_the_same_command_again_draws_again(here, align):
    assert align("a.pt", "b.pt").code == 0
    before = (here / "b.aligned.pt").read_bytes()
    again = align("a.pt", "b.pt")
    assert "was there already" in again.out
    assert (here / "b.aligned.pt").read_bytes() == before
    (here / "b.aligned.pt").unlink()
    assert align("a.pt", "b.pt").code == 0
    assert (here / "b.aligned.pt").read_bytes() == before


def test_it_is_reproduced(here, align, ask):
    assert align("a.pt", "b.pt", "--matching", "activations").code == 0
    assert "reproduced" in ask("reproduce", "a.align.h5").out


def test_a_declared_structure_is_a_file_of_the_work(here, align, ask):
    (here / "units.json").write_text(json.dumps({"only": [["1.weight", 0], ["1.bias", 0], ["3.weight", 1]]}))
    assert align("a.pt", "b.pt", "--structure", "units.json").code == 0
    assert result.load("a.align.h5").group.tolist() == ["only"]
    assert "reproduced" in ask("reproduce", "a.align.h5").out
    (here / "units.json").write_text(json.dumps({"only": [["3.weight", 0], ["3.bias", 0], ["5.weight", 1]]}))
    assert align("a.pt", "b.pt", "--structure", "units.json").refused("another origin")


def test_moments_move_along(here, align):
    found = checkpoint.read("b.pt")
    parameters = dict(found.state)
    moments = {"variance": {name: t.abs() for name, t in parameters.items()},
               "deviation": {name: torch.stack([t, 2 * t]) for name, t in parameters.items()}}  # fmt: skip
    checkpoint.write(replace(found, moments=moments), "b.pt")
    assert align("a.pt", "b.pt").code == 0
    made = checkpoint.read("b.aligned.pt")
    for name, tensor in made.state.items():
        torch.testing.assert_close(made.moments["variance"][name], tensor.abs())
        torch.testing.assert_close(made.moments["deviation"][name], torch.stack([tensor, 2 * tensor]))


def test_a_dry_run_writes_nothing(here, align):
    before = set(here.iterdir())
    assert "points" in align("a.pt", "b.pt", "--dry-run").out
    assert set(here.iterdir()) == before


def test_files_of_others_are_left_alone(here, align):
    (here / "b.aligned.pt").write_text("mine")
    assert align("a.pt", "b.pt").refused("b.aligned.pt", "--force")
    assert (here / "b.aligned.pt").read_text() == "mine"
    assert not (here / "a.align.h5").exists()
    assert align("a.pt", "b.pt", "--aligned", "b.pt", "--force").refused("one of the networks")
    assert align("a.pt", "b.pt", "--aligned", "new.txt").refused(".pt")
    assert align("a.pt", "b.pt", "--force").code == 0
    assert align("a.pt", "c.pt", "--aligned", "b.aligned.pt", "-o", "c.h5").refused("another file")


def test_another_permutation_of_the_same_networks_is_not_written_over(here, align):
    assert align("a.pt", "b.pt").code == 0
    before = (here / "b.aligned.pt").read_bytes()
    (here / "units.json").write_text(json.dumps({"only": [["1.weight", 0], ["1.bias", 0], ["3.weight", 1]]}))
    assert align("a.pt", "b.pt", "--structure", "units.json", "-o", "c.h5").refused("another permutation")
    assert (here / "b.aligned.pt").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a.pt", "a.pt"], ["another network"]), (["a.pt", "none.pt"], ["none.pt", "no such file"]),
        (["a.pt", "b.pt", "--matching", "names"], ["weights, activations, straight_through"]),
        (["a.pt", "b.pt", "--structure", "none.json"], ["none.json", "no such file"]),
        (["a.pt", "b.pt", "--parameters", "1.*"], ["leave --parameters out"]),
        (["a.pt", "b.pt", "--tries", "0"], ["at least 1 try"]),
        (["a.pt", "wide.pt"], ["wide.pt", "of another shape", "1.weight"]),
        (["flat.pt", "flat2.pt"], ["may change places, got none"]),
        (["a.pt", "b.w4.pt"], ["b.w4.pt", "full precision"]),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_leaves_nothing(here, ask, align, words, told):
    short = ("--data", "digits", "--epochs", "1", "--device", "cpu")
    if "wide.pt" in words:
        assert ask("train", "--model", "mlp", "--model-arg", "width=8", *short, "-o", "wide.pt").code == 0
    for number, name in enumerate(("flat.pt", "flat2.pt")):
        if name in words:
            more = ("--model-arg", "depth=0", "--seed", number)
            assert ask("train", "--model", "mlp", *more, *short, "-o", name).code == 0
    if "b.w4.pt" in words:
        assert ask("quantize", "b.pt", "--bits", "4").code == 0
    before = set(here.iterdir())
    assert align(*words).refused(*told)
    assert set(here.iterdir()) == before
