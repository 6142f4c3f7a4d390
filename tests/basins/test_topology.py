"""The topology of measured losses: surfaces, lines and paths with known basins, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import landscape
from landscape.basins.topology import topology
from landscape.persistence.noise import band_width
from landscape.probes.line import Line
from landscape.probes.path import Path
from landscape.probes.surface import Surface


def double_well(tilt=0.1, points=(41, 21)):
    a, b = np.linspace(-2, 2, points[0]), np.linspace(-1, 1, points[1])
    return a, b, (a[:, None] ** 2 - 1) ** 2 + tilt * a[:, None] + b**2 + 1


def surface(a, b, *losses, error=0.01, **changes):
    loss = np.stack(losses)
    arrays = {
        "split": ["train", "test"][: len(loss)], "a": a, "b": b, "loss": loss, "loss_error": np.full(loss.shape, error),
        "axis": ["x", "y"], "norm": [3.0, 4.0], "cosine": 0.0,
    }  # fmt: skip
    return Surface(**(arrays | changes))


def line(values, error=0.1, **changes):
    values = np.atleast_2d(np.asarray(values, dtype=float))
    arrays = {
        "split": ["train", "test"][: len(values)], "a": np.arange(values.shape[1]), "loss": values,
        "loss_error": np.full(values.shape, error), "axis": ["x"], "norm": [1.0],
    }  # fmt: skip
    return Line(**(arrays | changes))


def path(curves, values):
    values = np.asarray(values, dtype=float)
    like = {name: values for name in ("loss", "height", "rise")}
    like |= {f"{name}_error": np.full(values.shape, 0.01) for name in like}
    size = values.shape[-1]
    return Path(
        curve=curves, split=["train", "test"], t=np.linspace(0, 1, size), **like, arc=np.zeros((len(curves), size)),
        length=np.ones(len(curves)), distance=np.ones(len(curves)),
    )  # fmt: skip


def test_a_double_well_has_two_basins_of_the_depth_between_them():
    a, b, loss = double_well()
    found = topology(surface(a, b, loss, loss + 1 + 2 * a[:, None]))
    assert found.part.tolist() == ["train", "train", "test"]
    np.testing.assert_allclose(found.minimum_a[:2], [-1, 1], atol=1e-9)
    np.testing.assert_allclose(found.minimum_b, 0, atol=1e-9)
    assert found.told.tolist() == [True] * 3
    assert found.basins.tolist() == [2, 1]
    assert found.parent.tolist() == [-1, 0, -1]
    np.testing.assert_allclose(found.persistence[1], loss[20, 10] - loss[30, 10], atol=1e-2)
    np.testing.assert_allclose(found.persistence_error[1], 0.02)
    np.testing.assert_allclose(found.relative[1], found.persistence[1] / np.ptp(loss))
    np.testing.assert_allclose(found.death[0], np.inf)


def test_the_depth_of_a_basin_is_where_it_first_spills():
    a, b, loss = double_well()
    found = topology(surface(a, b, loss))
    np.testing.assert_allclose(found.depth[0], 1)  # over the edge at b = 1, before the saddle
    np.testing.assert_allclose(abs(found.spill_b[0]), 1)
    np.testing.assert_allclose(found.depth[1], found.persistence[1])
    alone = topology(line([5.0, 1, 0, 2, 9]))
    assert alone.depth.tolist() == [5]
    assert alone.depth_error.tolist() == [0.2]
    assert topology(line([0.0, 1, 2])).depth.tolist() == [0]


def test_areas_are_shares_of_the_domain():
    a, b, loss = double_well(tilt=0.0)
    found = topology(surface(a, b, loss))
    assert found.area.sum() == pytest.approx(1)
    np.testing.assert_allclose(found.area, 0.5, atol=0.02)
    deep = topology(surface(a, b, loss), threshold=5.0)
    np.testing.assert_allclose(deep.told_area, [1, np.nan])
    assert set(np.unique(deep.catchment)) == {0}
    uneven = topology(line([1.0, 0, 1, 3, 0.5, 1], a=np.array([0.0, 1, 2, 4, 8, 10])))
    np.testing.assert_allclose(uneven.area, [0.3, 0.7])


def test_shallow_basins_are_not_told_from_noise():
    wells = [5.0, 0, 1, 0.5, 5, 1, 5]
    sure, unsure = topology(line(wells, 0.05)), topology(line(wells, 0.9))
    assert sure.basins.tolist() == [3]
    assert unsure.basins.tolist() == [1]
    assert unsure.minima.tolist() == [3]
    assert topology(line(wells, 0.5), z=0.4).basins.tolist() == [3]
    assert topology(line(wells, 0.5), z=1.5).basins.tolist() == [2]
    assert topology(line(wells, 0.5), threshold=0.6).basins.tolist() == [2]


def test_without_errors_nothing_is_told_and_that_is_said():
    unknown = topology(line([5.0, 0, 3, 1, 5], np.nan))
    assert unknown.basins.tolist() == [1]
    assert any("standard errors are not known" in line for line in unknown.remarks())
    assert topology(line([5.0, 0, 3, 1, 5], np.nan), threshold=0).basins.tolist() == [2]


def test_a_line_is_a_grid_with_one_axis():
    found = topology(line([[9.0, 2, 3, 1, 5, 0, 8], [1, 1, 1, 0, 1, 1, 2]]))
    assert found.minimum_a.tolist() == [5, 3, 1, 3]
    assert found.minimum_b.tolist() == [0] * 4
    assert found.parent.tolist() == [-1, 0, 1, -1]
    assert found.catchment.shape == (2, 7, 1)
    assert found.catchment[1].ravel().tolist() == [3] * 7
    assert found.smad[0] == pytest.approx(np.mean([5, 2, 1]))
    steps, count = found.surviving()
    assert steps.tolist() == [0, 1, 4]
    assert count.tolist() == [3, 2, 1]


def test_every_curve_of_a_path_is_flooded_by_itself():
    values = [[[0, 2, 0.5], [1, 3, 0]], [[0, 1, 2], [0, 0, 0]]]
    found = topology(path(["segment", "bezier"], values))
    assert found.split.tolist() == ["segment train", "segment test", "bezier train", "bezier test"]
    assert found.minima.tolist() == [2, 2, 1, 1]
    np.testing.assert_allclose(found.minimum_a[:4], [0, 1, 1, 0])
    assert topology(path(["segment"], values[:1])).split.tolist() == ["train", "test"]


def test_missing_points_and_walls_are_told():
    a, b, loss = double_well()
    loss = loss.copy()
    loss[20] = np.inf
    loss[0, 0] = np.nan
    found = topology(surface(a, b, loss))
    assert np.isinf(found.persistence).tolist() == [True, True]
    assert found.missing.tolist() == [1]
    assert found.walls.tolist() == [21]
    assert (found.catchment[0, 20] == -1).all()
    assert found.area.sum() < 1  # walls are in the domain, and in no basin
    assert any("1 points are NaN, 21 are infinite walls" in line for line in found.remarks())
    assert found.figures()["train_basins"][0] == 2


def test_the_band_knows_how_many_examples_there_are():
    a, b, loss = double_well()
    origin = {"splits": {"train": {"examples": 400}}}
    few = np.zeros(loss.shape, bool)
    few[0] = True
    for known, count in (({}, None), ({"origin": origin}, 400), ({"origin": origin, "stopped": few}, 40)):
        found = topology(surface(a, b, loss, **known))
        assert found.reach[0] == band_width(loss.size, examples=count)
        assert any("21 points were given up" in line for line in found.remarks()) == ("stopped" in known)


def test_the_error_of_what_is_relative_has_that_of_the_range():
    found = topology(line([0.0, 3, 1, 4], error=0.1))
    value, error = found.figures()["train_relative_smad"]
    other = topology(line([0.1, 2.9, 1.1, 3.9], error=0.1)).relative_smad[0]
    assert value == pytest.approx(0.625)
    assert error == pytest.approx((0.2 + 0.625 * 0.2) / 4)
    assert abs(other - value) <= error


def test_a_minimum_on_the_edge_is_told():
    found = topology(line([0.0, 1, 2, 3]))
    assert found.edge.tolist() == [True]
    assert any("edge of the grid" in line for line in found.remarks())


def test_nothing_depends_on_which_axis_is_first():
    random = np.random.default_rng(0)
    loss = random.normal(size=(12, 9))
    a, b = np.arange(12.0), np.arange(9.0)
    one, other = topology(surface(a, b, loss, error=0.2)), topology(surface(b, a, loss.T, error=0.2))
    for name in ("birth", "death", "told", "parent", "area", "depth"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), err_msg=name)
    np.testing.assert_array_equal(one.minimum_a, other.minimum_b)
    for name, (value, error) in one.figures().items():
        np.testing.assert_allclose(other.figures()[name], (value, error), err_msg=name)


def test_units_do_not_change_what_merges_with_what():
    random = np.random.default_rng(1)
    loss = random.normal(size=(8, 8))
    a = np.arange(8.0)
    one, other = topology(surface(a, a, loss), threshold=0), topology(surface(a, a, np.exp(loss)), threshold=0)
    np.testing.assert_allclose(np.sort(np.exp(one.birth)), np.sort(other.birth))
    np.testing.assert_allclose(np.sort(np.exp(one.death)), np.sort(other.death))
    halved = topology(surface(a, a, loss / 2, error=0.005))
    np.testing.assert_array_equal(halved.told, topology(surface(a, a, loss)).told)
    np.testing.assert_allclose(halved.relative_smad, one.relative_smad)


def test_loops_lie_around_hills():
    pytest.importorskip("gudhi")
    a = np.linspace(-1, 1, 21)
    radius = a[:, None] ** 2 + a**2
    found = topology(surface(a, a, (radius - 0.4) ** 2), loops=True)
    assert found.loop_persistence.max() == pytest.approx(0.16 - found.loop_birth[0], abs=1e-9)
    assert (found.summit_a[0], found.summit_b[0]) == pytest.approx((0, 0))
    assert topology(line([0.0, 1, 0]), loops=True).loop_birth.size == 0


def test_a_topology_comes_back_from_its_file(tmp_path):
    pytest.importorskip("gudhi")
    a, b, loss = double_well()
    measured = surface(a, b, loss, origin={"model": {"name": "mlp"}, "checkpoint": {"sha256": "abc"}})
    found = landscape.topology(measured, loops=True)
    found.save(tmp_path / "found.h5")
    again = landscape.load(tmp_path / "found.h5")
    for name in found.quantities():
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name), err_msg=name)
    assert again.figures().keys() == found.figures().keys()
    assert again.origin["surface"]["origin"]["checkpoint"] == {"sha256": "abc"}
    assert again.origin["surface"]["sha256"] == topology(measured).origin["surface"]["sha256"]
    changed = topology(surface(a, b, loss + 1e-6))
    assert changed.origin["surface"]["sha256"] != found.origin["surface"]["sha256"]


@pytest.mark.parametrize(
    ("measured", "knobs", "words"),
    [
        (line([1.0, 0, 1]), {"neighbours": 5}, "Expected 4 or 8 neighbours"),
        (line([1.0, 0, 1]), {"z": -1.0}, "Expected z and threshold of 0 or more, got z=-1.0"),
        (line([1.0, 0, 1]), {"z": 1.0, "threshold": 1.0}, "Expected z or a threshold, got both"),
        (line([np.nan, np.inf]), {}, "Expected a finite train loss somewhere, got none"),
        (line([0.0]), {}, "Expected two points or more, got 1"),
        (landscape.Result(), {}, "Expected a Surface, a Line or a Path, got a Result"),
    ],
)
def test_what_has_no_topology_is_refused(measured, knobs, words):
    with pytest.raises(ValueError, match=words):
        topology(measured, **knobs)
