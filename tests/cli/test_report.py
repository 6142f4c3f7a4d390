"""A page from results, the commands that it names, and what it refuses."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import replace

import h5py
import pytest

from landscape.plots.page.command import command
from landscape.result import load

WORK = {
    "surface": ["surface", "a.pt", "--normalization", "layer", "--seed", "3", "--split", "train"],
    "plane": ["surface", "a.pt", "b.pt", "--trajectory", "a.trajectory"],
    "line": ["line", "a.pt", "b.pt", "--precision", "float64"],
    "eigen": ["eigen", "a.pt", "--largest", "2", "--smallest", "1"],
    "bits": ["bits", "a.pt", "--bits", "4,2", "--no-layers", "--no-curvature"],
    "path": ["path", "a.pt", "b.pt"],
    "ensemble": ["ensemble", "a.pt", "b.pt", "--bins", "7"],
}  # fmt: skip
QUICK = ["--plot", "none", "--device", "cpu", "--examples", "40"]
STRATEGY = ["--strategy", "loop,examples=512"]
POINTS = ["--points", "3"]


def words(name):
    strategy = STRATEGY if name in ("surface", "plane", "line", "path") else []
    points = POINTS if name in ("surface", "plane", "line", "path") else []
    return [*WORK[name], *QUICK, *strategy, *points, "-o", f"{name}.h5"]


@pytest.mark.parametrize("name", WORK)
def test_the_command_of_a_result_leads_to_the_same_result(here, ask, name):
    assert ask(*words(name)).code == 0
    line = shlex.split(command(load(f"{name}.h5").origin, f"{name}.h5"))
    assert line[0] == "landscape"
    again = ask(*line[1:], "--plot", "none")
    assert again.code == 0, again.err
    assert "was there already, with this very origin" in again.out


def test_a_page_of_several_kinds_names_their_commands(here, ask):
    for name in ("surface", "eigen"):
        assert ask(*words(name)).code == 0
    answer = ask("report", "surface.h5", "eigen.h5", "-o", "page.html", "--title", "Two kinds")
    assert answer.code == 0
    assert answer.out == "page:    page.html\n"
    text = (here / "page.html").read_text()
    assert "<title>Two kinds</title>" in text
    assert "landscape reproduce eigen.h5" in text
    assert f"landscape eigen {here / 'a.pt'}" in text
    assert ask("report", "surface.h5", "-o", "page.html").code == 0  # a page of ours is written anew


def test_what_cannot_be_told_of_is_refused_in_one_line(here, ask):
    assert ask(*words("eigen")).code == 0
    shutil.copy("eigen.h5", "newer.h5")
    with h5py.File("newer.h5", "r+") as file:
        file.attrs["format"] = 99
    (here / "damaged.h5").write_bytes((here / "eigen.h5").read_bytes()[:900])
    (here / "page.html").write_text("<p>of somebody else</p>")
    assert ask("report").refused("Expected a result")
    assert ask("report", "newer.h5").refused("newer.h5", "update landscape")
    assert ask("report", "eigen.h5", "damaged.h5").refused("damaged.h5")
    assert ask("report", "a.pt").refused("a.pt")
    assert ask("report", "none.h5").refused("none.h5", "no such file")
    assert ask("report", "a.trajectory").refused("a.trajectory", "a folder")
    assert ask("report", "eigen.h5", "./eigen.h5").refused("eigen.h5", "once")
    assert ask("report", "eigen.h5", "-o", "page.pdf").refused(".html", "page.pdf")
    assert ask("report", "eigen.h5", "-o", "page.html").refused("page.html", "--force")
    assert (here / "page.html").read_text() == "<p>of somebody else</p>"
    assert ask("report", "eigen.h5", "-o", "page.html", "--force").code == 0


def test_a_name_that_would_be_a_script_is_escaped(here, ask):
    assert ask(*words("eigen")).code == 0
    found = load("eigen.h5")
    replace(found, origin=found.origin | {"model": {"name": "<script>alert(1)</script>"}}).save("<b>x.h5")
    assert ask("report", "<b>x.h5", "-o", "page.html").code == 0
    text = (here / "page.html").read_text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert "<b>x" not in text


@pytest.mark.parametrize("origin", [{}, *({"command": name} for name in ("surface", "train", "ensemble", 7))])
def test_an_origin_that_is_not_whole_has_no_command(origin):
    assert command(origin) == ""
