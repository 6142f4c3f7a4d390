"""Commands of probes at one point: what they tell, what they cost, how they stop, and that they can be reproduced."""

from __future__ import annotations

import pytest

from landscape.cli import _measure
from landscape.discovery import names
from landscape.probes import _contract
from landscape.probes._cost import Cost
from landscape.result import load

QUICK = ("--examples", "30", "--device", "cpu", "--plot", "none")
FEW = {
    "eigen": ("--largest", "2", "--smallest", "1"),
    "spectrum": ("--steps", "8", "--probes", "2"),
    "trace": ("--probes", "5"),
    "batchsize": ("--sizes", "8,16", "--batches", "2"),
}


@pytest.mark.parametrize("probe", FEW)
def test_a_result_is_told_and_reproduced(here, ask, probe):
    found = ask(probe, "a.pt", *FEW[probe], *QUICK)
    assert found.code == 0, found.err
    assert f"{probe.capitalize()} of the train split, 30 examples" in found.out
    result = load(f"a.{probe}.h5")
    assert list(result.origin["splits"]) == ["train"]
    assert result.origin["source"]["split"] == "first"
    again = ask("reproduce", f"a.{probe}.h5")
    assert again.out.endswith("reproduced\n"), again.out + again.err
    assert "there already" in ask(probe, "a.pt", *FEW[probe], *QUICK).out


def test_a_map_of_curvature_is_reproduced(here, ask):
    assert ask("curvature", "a.pt", "--points", "3", *QUICK).code == 0
    again = ask("reproduce", "a.curvature.h5")
    assert again.out.endswith("reproduced\n"), again.out + again.err


@pytest.mark.parametrize("probe", ["spectrum", "batchsize"])
def test_axes_are_logarithmic_on_request(here, ask, probe):
    assert ask(probe, "a.pt", *FEW[probe], *QUICK).code == 0
    plain, log, linear = (
        ask("plot", f"a.{probe}.h5", "-o", f"{name}.svg", *words)
        for name, words in (("plain", ()), ("log", ("--log",)), ("linear", ("--no-log",)))
    )
    assert [plain.code, log.code, linear.code] == [0, 0, 0], log.err + linear.err
    drawn = {name: (here / f"{name}.svg").read_bytes() for name in ("plain", "log", "linear")}
    assert drawn["plain"] == drawn["linear"] != drawn["log"]


def test_help_tells_strategies_of_products(ask):
    assert "retained,kept" in ask("spectrum", "--help").out
    assert "vmap,points=16" in ask("surface", "--help").out


def test_the_split_that_it_is_about_is_told(here, ask):
    assert "Trace of the test split" in ask("trace", "a.pt", *FEW["trace"], *QUICK, "--split", "test").out
    both = ask("trace", "a.pt", *FEW["trace"], *QUICK, "--split", "both", "-o", "both.h5")
    assert "Trace of the train split" in both.out
    assert set(load("both.h5").origin["splits"]) == {"train", "test"}


def test_a_list_and_a_grid_are_told_apart(here, ask):
    assert ask("batchsize", "a.pt", *FEW["batchsize"], *QUICK).code == 0
    assert load("a.batchsize.h5").size.tolist() == [8, 16]
    assert load("a.batchsize.h5").origin["knobs"]["sizes"] == [8, 16]


@pytest.mark.parametrize("probe", ["line", "surface", *FEW, "curvature"])
def test_a_dry_run_tells_the_cost_and_writes_nothing(here, ask, probe):
    words = FEW.get(probe, ("--points", "3"))
    before = sorted(here.rglob("*"))
    found = ask(probe, "a.pt", *words, *QUICK, "--dry-run")
    assert found.code == 0, found.err
    assert sorted(here.rglob("*")) == before
    assert "time:    about" in found.out
    assert "parameter vectors" in found.out
    at_points, has_products = probe in ("line", "surface", "curvature"), probe not in ("line", "surface")
    assert ("points, each" in found.out) == at_points
    assert ("products with train 30 examples" in found.out) == has_products
    assert ("gradients of" in found.out) == has_products


def test_every_probe_tells_its_cost(trained):
    from landscape.cli._source import Source

    objective = Source(examples=30, device="cpu").load(trained / "a.pt").objective
    for probe in names("landscape.probes"):
        found = _contract.cost(probe, objective, _contract.defaults(probe))
        assert isinstance(found, Cost), probe
        assert found.points + found.products > 0, probe


@pytest.mark.parametrize("probe", ["eigen", "spectrum"])
def test_an_interrupted_probe_says_what_is_kept(here, ask, monkeypatch, probe):
    from landscape import operators

    right, calls = operators.Operator.__call__, []

    def stopping(self, rows):
        calls.append(len(rows))
        if len(calls) == 12:
            raise KeyboardInterrupt
        return right(self, rows)

    monkeypatch.setattr(operators.Operator, "__call__", stopping)
    words = (probe, "a.pt", *FEW[probe], *QUICK)
    found = ask(*words)
    assert found.code == 130, found.out + found.err
    assert len(found.err.splitlines()) == 1
    assert ("nothing is kept" in found.err) == (not _contract.resumes(probe))
    assert "run the same command again" in found.err
    assert not (here / f"a.{probe}.h5").exists()
    assert ask(*words).code == 0
    load(f"a.{probe}.h5")
    assert not list(here.glob("*.parts"))


def test_work_that_goes_on_equals_work_in_one_go(here, ask, monkeypatch):
    from landscape.parts import Parts

    words = ("spectrum", "a.pt", "--steps", "8", "--probes", "3", "--together", "1", *QUICK)
    assert ask(*words, "-o", "whole.h5").code == 0
    write, calls = Parts.write, []

    def stopping(self, index, arrays):
        write(self, index, arrays)
        calls.append(index)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Parts, "write", stopping)
    found = ask(*words, "-o", "s.h5")
    assert found.code == 130
    assert "what was done is kept" in found.err
    assert (here / "s.h5.parts").is_dir()
    assert ask(*words, "-o", "s.h5").code == 0
    assert len(calls) == len(set(calls))
    assert load("s.h5").node.tolist() == load("whole.h5").node.tolist()
    assert not (here / "s.h5.parts").exists()


def test_several_spectra_in_one_figure(here, ask):
    for name in "ab":
        assert ask("spectrum", f"{name}.pt", *FEW["spectrum"], *QUICK).code == 0
    assert ask("plot", "a.spectrum.h5", "b.spectrum.h5", "-o", "both.pdf").code == 0
    assert (here / "both.pdf").read_bytes().startswith(b"%PDF")
    assert ask("plot", "a.spectrum.h5", "b.spectrum.h5", "-o", "both.html").code == 0
    assert "a.spectrum" in (here / "both.html").read_text()
    assert ask("plot").refused("Expected a result")
    assert ask("trace", "a.pt", *FEW["trace"], *QUICK).code == 0
    mixed = ("plot", "a.spectrum.h5", "a.trace.h5", "-o", "x.pdf")
    assert ask(*mixed).refused("one result, or several of Bits, Path, Spectrum, Surface")
    assert not (here / "x.pdf").exists()


def test_classes_as_saddles_are_told_and_drawn(here, ask):
    words = ("--labels", "0,1", "--steps", "6", "--probes", "1", *QUICK[:-2], "--plot", "html")
    found = ask("saddle", "a.pt", *words)
    assert found.code == 0, found.err
    assert "Saddle of the train split, 30 examples" in found.out
    from landscape.plots.interactive import interactive

    result = load("a.saddle.h5")
    drawn = interactive(result)
    assert list(drawn.data[0].x) == ["0", "1"]
    assert drawn.data[0].y.tolist() == pytest.approx(result.ratio.tolist(), rel=1e-5)
    assert [trace.name for trace in drawn.data if trace.showlegend] == ["0", "1"]
    assert (here / "a.saddle.html").stat().st_size > 1_000_000


def test_what_a_price_says():
    from landscape.cli import _price

    assert [_price._size(n) for n in (12, 3_500, 2_000_000, 5e9)] == ["12 bytes", "3.5 kB", "2 MB", "5 GB"]
    assert [_price._time(s) for s in (0.0123, 75.2)] == ["13 ms", "75 s"]
    assert _measure.STOPPED.startswith("interrupted")
