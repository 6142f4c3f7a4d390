"""``landscape topology``: from measured surfaces to basins, tables and figures, and what it refuses."""

from __future__ import annotations

import csv

import h5py
import numpy as np
import pytest

import landscape
from landscape.probes.line import Line
from landscape.probes.surface import Surface


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with two surfaces, a line, a surface of Li et al.'s scripts, and a result that is none of these."""
    monkeypatch.chdir(tmp_path)
    a, b = np.linspace(-2, 2, 11), np.linspace(-1, 1, 7)
    for name, tilt in (("one", 0.1), ("two", 2.0)):
        loss = ((a[:, None] ** 2 - 1) ** 2 + tilt * a[:, None] + b**2 + 3)[None]
        errors = np.full(loss.shape, 0.01)
        Surface(
            split=["train"], a=a, b=b, loss=loss, loss_error=errors, axis=["x", "y"], norm=[1.0, 1.0], cosine=0.0
        ).save(f"{name}.surface.h5")
    wells = {"loss": [[1, 2, 0]], "loss_error": [[0.1] * 3]}
    Line(split=["train"], a=[0, 1, 2], axis=["x"], norm=[1.0], **wells).save("l.line.h5")
    landscape.topology(landscape.load("l.line.h5")).save("none.h5")
    with h5py.File("theirs.h5", "w") as file:
        file["xcoordinates"], file["ycoordinates"], file["train_loss"] = a, a, np.add.outer(a**2, a**2)
    return tmp_path


def test_one_surface_leaves_its_topology_and_figure(here, ask):
    answer = ask("topology", "one.surface.h5", "--plot", "png")
    assert answer.code == 0, answer.err
    assert "2 of 2 minima told from noise" in answer.out
    found = landscape.load("one.topology.h5")
    assert found.basins.tolist() == [2]
    assert (here / "one.topology.png").stat().st_size > 10_000
    again = ask("topology", "one.surface.h5", "--plot", "none")
    assert "(as it was)" in again.out
    assert ask("topology", "one.surface.h5", "--plot", "none", "--z", 1).refused("another origin", "--force")
    assert ask("topology", "one.surface.h5", "--plot", "none", "--z", 1, "--force").code == 0
    assert ask("show", "one.topology.h5").code == 0


def test_several_leave_one_table_and_each_its_topology(here, ask):
    answer = ask("topology", "one.surface.h5", "two.surface.h5", "-o", "both.csv", "--plot", "none")
    assert answer.code == 0, answer.err
    rows = list(csv.DictReader((here / "both.csv").read_text().splitlines()))
    assert [(row["network"], row["basins"]) for row in rows] == [("one.surface", "2.0"), ("two.surface", "1.0")]
    assert "toprule" in (here / "both.tex").read_text()
    assert landscape.load("two.topology.h5").basins.tolist() == [1]
    refused = ask("topology", "one.surface.h5", "two.surface.h5", "-o", "both.csv", "--plot", "none")
    assert refused.refused("both.csv", "--force")


def test_lines_and_surfaces_of_other_programs_are_taken(here, ask):
    assert "1 of 2 minima" in ask("topology", "l.line.h5", "--plot", "none", "--threshold", 9).out
    theirs = ask("topology", "theirs.h5", "--plot", "none")
    assert "standard errors are not known" in theirs.out
    assert landscape.load("theirs.topology.h5").minima.tolist() == [1]


def test_what_is_no_surface_is_refused_in_a_line(here, ask):
    assert ask("topology").refused("Expected a surface")
    assert ask("topology", "none.h5").refused("none.h5", "Expected a Surface, a Line or a Path, got a Topology")
    assert ask("topology", "absent.h5").refused("absent.h5", "no such file")
    assert ask("topology", "one.surface.h5", "-o", "x.png").refused("ends in .h5")
    assert ask("topology", "one.surface.h5", "--neighbours", 5).refused("one.surface.h5", "4 or 8")
    assert not (here / "none.topology.h5").exists()
