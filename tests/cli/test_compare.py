"""``landscape compare`` from the command line: what it measures, what it takes from files, what it refuses."""

from __future__ import annotations

import shlex
from pathlib import Path

import h5py
import numpy as np
import pytest

from landscape.plots.page.command import command
from landscape.result import load

PROBES = ["--probe", "surface:points=3", "--probe", "eigen:largest=1,smallest=0"]
FEW = ["--without", "trace,sharpness,bits,barriers", *PROBES]
QUICK = ["--plot", "none", "--device", "cpu", "--examples", "40", "--strategy", "loop,examples=512"]


@pytest.fixture
def compare(ask):
    """Compare by few probes on few examples; files of a.pt and b.pt unless others are named."""

    def compared(*words: object):
        return ask("compare", *words, *QUICK)

    return compared


@pytest.fixture
def compared(here, compare):
    assert compare("a.pt", "b.pt", "--bits", "32,2", *FEW).code == 0
    return load("compare.h5")


def test_networks_and_widths_have_rows(here, compared):
    assert compared.rows == ["a/w32", "a/w2", "b/w32", "b/w2"]
    assert set(compared.of("surface")) == set(compared.rows)
    for suffix in (".csv", ".tex", ".md"):
        assert "test" in Path("compare").with_suffix(suffix).read_text()
    assert not Path("compare.h5.parts").exists()


def test_a_member_is_what_the_command_of_its_probe_measures(here, compared, ask):
    assert ask("surface", "a.pt", "--round", "2", "--points", "3", *QUICK, "-o", "alone.h5").code == 0
    np.testing.assert_array_equal(load("alone.h5").loss, compared.members["a/w2/surface"].loss)
    assert ask("quantize", "a.pt", "--bits", "2", "-o", "a.w2.pt").code == 0
    assert ask("eigen", "a.w2.pt", "--largest", "1", "--smallest", "0", *QUICK, "-o", "e.h5").code == 0
    np.testing.assert_array_equal(load("e.h5").value, compared.members["a/w2/eigen"].value)


def test_levels_may_change_with_the_width(here, ask):
    words = ["--bits", "4,2,1", "--without", "surface,eigen,trace,sharpness,bits,barriers"]
    with pytest.warns(UserWarning, match="hold one with --scheme family"):
        assert ask("compare", "a.pt", "b.pt", *words, *QUICK).code == 0
    assert load("compare.h5").rows == ["a/w4", "a/w2", "a/w1", "b/w4", "b/w2", "b/w1"]


def test_a_comparison_is_reproduced(here, compared, ask):
    answer = ask("reproduce", "compare.h5")
    assert answer.code == 0, answer.err
    assert "b/w2/eigen value: equal" in answer.out


def test_its_command_is_known(here, compare, ask, monkeypatch):
    words = ["--bits", "32,2", *FEW, "--scheme", "family=full"]
    assert compare("a.pt", "b.pt", *words).code == 0
    found = load("compare.h5")
    again = shlex.split(command(found.origin, "compare.h5"))
    assert again[:2] == ["landscape", "compare"]
    from landscape.cli._measure import Job

    monkeypatch.delattr(Job, "measure")
    assert ask(*again[1:], "--plot", "none").code == 0
    assert load("compare.h5").origin == found.origin


def test_what_is_there_is_not_measured_again(here, compare, monkeypatch):
    assert compare("a.pt", "--bits", "32,2", *FEW).code == 0
    from landscape.cli._measure import Job

    usual, measured = Job.measure, []

    def told(self, *rest):
        measured.append(self.checkpoints[0].name)
        return usual(self, *rest)

    monkeypatch.setattr(Job, "measure", told)
    assert compare("a.pt", "b.pt", "--bits", "32,2", *FEW).code == 0
    assert set(measured) == {"b.pt"}
    assert load("compare.h5").rows == ["a/w32", "a/w2", "b/w32", "b/w2"]
    measured.clear()
    assert compare("a.pt", "b.pt", "--bits", "32,2", *FEW).code == 0
    assert measured == []


def test_results_beside_checkpoints_and_given_ones_are_taken(here, ask, compare, monkeypatch):
    assert ask("surface", "a.pt", "--points", "3", *QUICK).code == 0
    assert ask("surface", "b.pt", "--points", "3", *QUICK, "-o", "elsewhere.h5").code == 0
    from landscape.cli._measure import Job

    usual, measured = Job.measure, []

    def told(self, *rest):
        measured.append(self.probe)
        return usual(self, *rest)

    monkeypatch.setattr(Job, "measure", told)
    assert compare("a.pt", "b.pt", "elsewhere.h5", *FEW).code == 0
    assert measured == ["evaluate", "eigen"] * 2


def test_what_was_done_before_an_interruption_is_kept(here, compare, monkeypatch):
    from landscape.cli._measure import Job

    usual, measured = Job.measure, []

    def some(self, *rest):
        if len(measured) == 3:
            raise KeyboardInterrupt
        measured.append(self)
        return usual(self, *rest)

    monkeypatch.setattr(Job, "measure", some)
    answer = compare("a.pt", "b.pt", *FEW)
    assert answer.code == 130
    assert "go on" in answer.err
    assert not Path("compare.h5").exists()
    measured.clear()
    assert compare("a.pt", "b.pt", *FEW).code == 0
    assert len(measured) == 3
    assert not Path("compare.h5.parts").exists()


def test_results_alone_are_put_together(here, ask, compare):
    for name in "ab":
        assert ask("surface", f"{name}.pt", "--points", "3", *QUICK).code == 0
        assert ask("evaluate", f"{name}.pt", *QUICK).code == 0
    files = [f"{name}.{probe}.h5" for name in "ab" for probe in ("surface", "evaluate")]
    answer = ask("compare", *files, "--plot", "none", "-o", "both.h5")
    assert answer.code == 0, answer.err
    found = load("both.h5")
    assert found.rows == ["a/w32", "b/w32"]
    np.testing.assert_array_equal(found.members["b/w32/surface"].loss, load("b.surface.h5").loss)


def test_results_with_nothing_in_common_are_refused(here, ask):
    assert ask("surface", "a.pt", "--points", "3", *QUICK).code == 0
    assert ask("evaluate", "b.pt", *QUICK).code == 0
    answer = ask("compare", "a.surface.h5", "b.evaluate.h5", "--plot", "none")
    assert answer.refused("nothing that two have in common")
    assert not Path("compare.h5").exists()


def test_quantized_checkpoints_are_their_network_at_another_width(here, ask, compare):
    assert ask("quantize", "a.pt", "--bits", "4,2", "--family", "full").code == 0
    answer = compare("a.pt", "a.w4.pt", "a.w2.pt", "--without", "surface,trace,sharpness,eigen")
    assert answer.code == 0, answer.err
    found = load("compare.h5")
    assert found.rows == ["a/w32", "a/w4", "a/w2"]
    files = [Path(found.members[f"{row}/evaluate"].origin["checkpoint"]["path"]).name for row in found.rows]
    assert files == ["a.pt", "a.w4.pt", "a.w2.pt"]


def test_a_quantized_checkpoint_stands_beside_what_is_rounded(here, ask, compare):
    assert ask("quantize", "a.pt", "--bits", "4", "--family", "full").code == 0
    few = ["--without", "surface,trace,sharpness,eigen"]
    assert compare("a.pt", "a.w4.pt", "--bits", "32,2", "--scheme", "family=full", *few).code == 0
    found = load("compare.h5")
    assert found.rows == ["a/w32", "a/w2", "a/w4"]
    assert found.members["a/w32/bits"].bits.tolist() == [2]
    assert Path(found.members["a/w4/evaluate"].origin["checkpoint"]["path"]).name == "a.w4.pt"
    assert found.members["a/w2/evaluate"].origin["quantized"]["round"] == "2:family=full"


def test_settings_that_differ_are_named(here, ask):
    assert ask("surface", "a.pt", "--points", "3", *QUICK).code == 0
    assert ask("surface", "b.pt", "--points", "5", *QUICK).code == 0
    answer = ask("compare", "a.surface.h5", "b.surface.h5", "--plot", "none")
    assert answer.refused("knob points 3 of a/w32/surface and 5 of b/w32/surface")
    assert not Path("compare.h5").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], ["Expected checkpoints or results"]),
        (["no.pt"], ["no.pt", "no such file"]),
        (["a.pt", "./a.pt"], ["every file once"]),
        (["a.pt", "--bits", "9"], ["--bits such as"]),
        (["a.pt", "--bits", "x"], ["--bits such as"]),
        (["a.pt", "--probe", "nothing"], ["Expected a probe among"]),
        (["a.pt", "--without", "nothing"], ["leave out some of"]),
        (["a.pt", "--bits", "4", "--scheme", "nothing=1"], ["knobs among", "nothing"]),
        (["a.pt", "b.pt", "--models", "mlp"], ["--models to name 2 networks"]),
        (["a.pt", "-o", "c.txt"], [".h5"]),
        (["a.pt", "--plot", "gif"], ["--plot among"]),
        (["a.pt", "--scheme", "narrow", "--bits", "4"], ["--scheme such as family=narrow"]),
        (["a.pt", "--probe", "surface:points=0"], ["points"]),
        (["a.pt", "-o", "folder.h5"], ["a folder"]),
    ],
)
def test_bad_input_gets_one_line(here, ask, words, told):
    Path("folder.h5").mkdir()
    before = sorted(Path().rglob("*"))
    assert ask("compare", *words).refused(*told)
    assert sorted(Path().rglob("*")) == before


def test_networks_of_other_data_are_refused_before_anything_is_measured(here, ask, compare):
    words = ["--model", "mlp", "--epochs", "1", "--transform", "longtail=5", "--device", "cpu"]
    assert ask("train", *words, "-o", "d.pt").code == 0
    before = sorted(Path().iterdir())
    assert ask("compare", "a.pt", "d.pt", "--plot", "none").refused("train examples", "a.pt", "d.pt")
    assert sorted(Path().iterdir()) == before


def test_networks_with_batch_norm_have_barriers(here, ask):
    for seed in "12":
        words = ["--model", "resnet8", "--model-arg", "width=2", "--epochs", "1", "--seed", seed, "--device", "cpu"]
        assert ask("train", *words, "-o", f"n{seed}.pt").code == 0
    words = ["--probe", "barriers:points=3", "--without", "surface,eigen,trace,sharpness,bits"]
    answer = ask("compare", "n1.pt", "n2.pt", *words, *QUICK)
    assert answer.code == 0, answer.err
    found = load("compare.h5")
    assert found.members["between/w32/barriers"].origin["batchnorm"] == "refit"
    assert found.members["n2/w32/evaluate"].origin["batchnorm"] == "frozen"


def test_basins_of_a_comparison(here, compared, ask):
    answer = ask("topology", "compare.h5", "--plot", "none")
    assert answer.code == 0, answer.err
    assert "b/w2/surface" in Path("topology.csv").read_text()
    assert ask("topology", "compare.h5", "compare.h5").refused("every surface once")


def test_other_results_are_not_overwritten(here, compared, compare, ask):
    before = Path("compare.h5").read_bytes()
    assert compare("a.pt", *FEW).refused("compare.h5", "holds", "--force")
    assert compare("a.pt", "b.pt", "--bits", "32,2", *FEW, "--data-arg", "normalize=none").code == 1
    assert Path("compare.h5").read_bytes() == before
    assert ask("evaluate", "a.pt", *QUICK, "-o", "e.h5").code == 0
    assert compare("a.pt", *FEW, "-o", "e.h5").refused("e.h5", "Evaluate")


def test_files_that_are_no_results_are_named(here, ask):
    Path("text.h5").write_text("hello")
    assert ask("compare", "text.h5", "a.pt").refused("text.h5")
    with h5py.File("other.h5", "w") as file:
        file["x"] = 1
    assert ask("compare", "other.h5").refused("other.h5", "expected a result of landscape")


def test_a_dry_run_writes_nothing(here, ask):
    before = sorted(Path().iterdir())
    answer = ask("compare", "a.pt", "b.pt", "--bits", "32,4", "--dry-run")
    assert answer.code == 0, answer.err
    assert "a/w4/surface: " in answer.out
    assert "between/w4/barriers: " in answer.out
    assert sorted(Path().iterdir()) == before
