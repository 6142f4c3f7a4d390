"""A lit relief: rounded between measured points for the eye only, turned, and cut off where it says."""

import numpy as np
import pytest

from landscape.plots import draw
from landscape.plots.figure import figure
from landscape.plots.relief import SIDE, between, rounded


@pytest.fixture
def rough():
    random = np.random.default_rng(0)
    return np.sort(random.uniform(-1, 1, 7)), np.linspace(0, 2, 5), random.standard_normal((7, 5))


def test_measured_points_keep_their_heights(rough):
    a, b, height = rough
    fine_a, fine_b, fine = rounded(a, b, height)
    at = np.ix_([int(np.abs(fine_a - x).argmin()) for x in a], [int(np.abs(fine_b - y).argmin()) for y in b])
    np.testing.assert_array_equal(fine[at], height)
    assert abs(max(fine.shape) - SIDE) <= 8


def test_nothing_is_made_up_between_the_corners_of_a_cell(rough):
    a, b, height = rough
    fine_a, fine_b, fine = rounded(a, b, height)
    i = np.clip(np.searchsorted(a, fine_a, side="right") - 1, 0, len(a) - 2)[:, None]
    j = np.clip(np.searchsorted(b, fine_b, side="right") - 1, 0, len(b) - 2)
    corners = np.stack([height[i + k, j + m] for k in (0, 1) for m in (0, 1)])
    assert (fine >= corners.min(0) - 1e-12).all()
    assert (fine <= corners.max(0) + 1e-12).all()


def test_nothing_is_drawn_up_to_a_point_that_is_missing(rough):
    a, b, height = rough
    height[3, 2] = np.nan
    fine_a, fine_b, fine = rounded(a, b, height)
    inside = (fine_a[:, None] > a[2]) & (fine_a[:, None] < a[4]) & (fine_b > b[1]) & (fine_b < b[3])
    assert np.isnan(fine[inside]).all()
    assert np.isfinite(fine[~inside]).all()


def test_straight_lines_stay_straight_and_cubics_are_monotone():
    x, at = np.array([0.0, 1.0, 4.0, 5.0]), np.linspace(0, 5, 41)
    np.testing.assert_allclose(between(x, 2 * x[:, None] - 1, at)[:, 0], 2 * at - 1, atol=1e-12)
    steps = between(x, np.array([0.0, 0.0, 1.0, 50.0])[:, None], at)[:, 0]
    assert (np.diff(steps) >= -1e-12).all()


def test_a_relief_is_turned_and_says_where_it_is_cut_off(make_surface):
    ax = draw(make_surface(), view="3d", elevation=50, azimuth=10, clip=2.0)
    assert (ax.elev, ax.azim) == (50, 10)
    assert "cut off at 2 nat" in ax.get_title()
    assert ax.get_zlim()[1] == pytest.approx(2.0)
    assert "cut off" not in draw(make_surface(), view="3d").get_title()


@pytest.mark.parametrize("knob", [{"elevation": 30}, {"azimuth": 3}, {"smooth": True}])
def test_only_reliefs_are_turned(make_surface, knob):
    with pytest.raises(ValueError, match=f"Expected {next(iter(knob))} of a relief, got view 'contour'"):
        figure(make_surface(), view="contour", **knob)
