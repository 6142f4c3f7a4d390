"""Drawings of topologies: what stands where, names the right numbers, and several share one scale."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from landscape.basins.topology import topology
from landscape.plots import draw, export
from landscape.plots.interactive import interactive
from landscape.plots.topology import VIEWS, band, several
from landscape.plots.topology_grid import topology_grid
from landscape.plots.topology_map import borders
from landscape.plots.topology_table import csv as write_csv
from landscape.plots.topology_table import latex, topology_table
from landscape.plots.topology_tree import branches
from landscape.probes.line import Line
from landscape.probes.surface import Surface


def wells(error=0.01, shift=0.0):
    a, b = np.linspace(-2, 2, 21), np.linspace(-1, 1, 11)
    loss = (a[:, None] ** 2 - 1) ** 2 + 0.1 * a[:, None] + b**2 + 1 + shift
    both = np.stack([loss, loss + 2 * a[:, None]])
    return Surface(
        split=["train", "test"], a=a, b=b, loss=both, loss_error=np.full(both.shape, error), axis=["x", "y"],
        norm=[3.0, 4.0], cosine=0.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def result():
    return topology(wells())


@pytest.fixture(scope="module")
def rough():
    values = np.random.default_rng(0).normal(size=(2, 40)) + 5
    errors = np.full(values.shape, 0.1)
    return topology(
        Line(split=["train", "test"], a=np.arange(40.0), loss=values, loss_error=errors, axis=["x"], norm=[1.0])
    )


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_of_planes_and_lines_is_drawn(result, rough, view):
    for one in (result, rough):
        draw(one, view=view, split="test").figure.draw_without_rendering()


def test_unknown_views_and_parts_are_refused(result):
    with pytest.raises(ValueError, match="Expected a view, one of basins, tree, diagram, survival, got 'heat'"):
        draw(result, view="heat")
    with pytest.raises(ValueError, match="Expected a split, one of train, test, got 'valid'"):
        draw(result, split="valid")


def test_branches_stand_apart_and_cross_none(rough):
    for part in ("train", "test"):
        found = branches(rough, part)
        assert sorted(branch.place for branch in found) == list(range(len(rough.rows(part))))
        for one in (branch for branch in found if branch.parent is not None):
            between = [other.row for other in found if one.parent < other.place < one.place]
            assert (rough.death[between] <= rough.death[one.row]).all()


def test_lines_between_basins_run_where_catchments_meet(result):
    x, y = borders(result, "train")
    known = ~np.isnan(x)
    assert (np.diff(result.catchment[0], axis=0) != 0).sum() * 2 == known.sum()
    assert np.abs(x[known]).max() < 0.3
    assert (y[known].min(), y[known].max()) == (-1, 1)
    assert borders(result, "test")[0].size == 0


def test_the_diagram_has_every_pair_over_its_birth(result):
    ax = draw(result, view="diagram")
    points = [line.get_xydata() for line in ax.lines if line.get_label() == "pair told from noise"]
    np.testing.assert_allclose(points[0], [[result.birth[1], result.death[1]]])
    level, rise = band(result, 0)
    np.testing.assert_allclose(rise, 2 * result.reach[0] * 0.01)
    assert level[0] == result.loss[0].min()


def test_survivors_of_several_share_axes(result, rough):
    ax = draw(rough, view="survival")
    several({"one": rough, "other": result}, ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()][-2:] == ["one", "other"]
    with pytest.raises(ValueError, match="Expected view 'survival' of several"):
        several({"one": result}, ax, view="tree")


def test_several_networks_share_levels_and_losses(result):
    other = topology(wells(shift=3.0))
    figure = topology_grid({"plain": result, "sam": other})
    figure.draw_without_rendering()
    panels = [ax for ax in figure.axes if ax.get_subplotspec() is not None]
    assert len(panels) == 6
    maps = [next(c for c in ax.collections if hasattr(c, "levels")) for ax in panels[:2]]
    np.testing.assert_array_equal(maps[0].levels, maps[1].levels)
    for pair in (panels[2:4], panels[4:6]):
        assert pair[0].get_ylim() == pair[1].get_ylim()
    assert [ax.get_title().splitlines()[0] for ax in panels[:2]] == ["plain", "sam"]
    assert len(topology_grid(result).legends) == 1


def test_the_table_tells_basins_with_their_errors(result):
    told = topology_table({"plain": result, "sam": result})
    assert "2 of 2 minima told from noise" in told
    assert "plain    train  2" in told
    assert export.table(result).startswith("Topology")
    tex = latex({"a_b": result})
    assert r"a\_b & train & 2 & 2 & " in tex
    assert tex.count(r"\\") == 3
    assert latex(result).startswith(r"\begin{tabular}{lrr")


def test_tables_read_back_as_the_same_numbers(result, tmp_path):
    write_csv({"plain": result}, tmp_path / "all.csv")
    rows = list(csv.DictReader((tmp_path / "all.csv").read_text().splitlines()))
    assert [row["part"] for row in rows] == ["train", "test"]
    assert float(rows[0]["smad"]) == result.smad[0]
    assert float(rows[0]["persistence_error"]) == result.persistence_error[1]
    export.csv(result, tmp_path / "one.csv")
    rows = list(csv.DictReader((tmp_path / "one.csv").read_text().splitlines()))
    assert [float(row["persistence"]) for row in rows] == result.persistence.tolist()


def test_the_interactive_twin_has_a_row_for_every_part(result, rough):
    for one in (result, rough):
        figure = interactive({"plain": one})
        axes = [name for name in figure.to_dict()["layout"] if name.startswith("xaxis")]
        assert len(axes) == 6
    assert "basin 1" in str(interactive(result).to_dict()["data"])
