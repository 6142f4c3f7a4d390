import itertools

import numpy as np
import pytest

from landscape.plots import draw
from landscape.plots.field import field
from landscape.plots.surface import VIEWS


def segments(contour, level):
    return np.concatenate(contour.allsegs[list(contour.levels).index(level)])


def test_contours_lie_where_the_loss_has_their_level(make_surface):
    # peers exchange the axes of asymmetric surfaces; a contour that is a known straight line shows which way is up
    surface = make_surface((7, 4), splits=("train",))
    a, b = np.meshgrid(surface.a, surface.b, indexing="ij")
    tilted = make_surface((7, 4), splits=("train",), loss=(3 * a + b)[None], accuracy=None, accuracy_error=None)
    ax = draw(tilted, levels=[-3.0, 0.0, 3.0], log=False)
    lines = next(c for c in ax.collections if getattr(c, "filled", None) is False)
    x, y = segments(lines, 0.0).T
    np.testing.assert_allclose(3 * x + y, 0, atol=1e-12)
    assert ax.get_xlabel() == "step along the first direction"
    assert ax.get_ylabel() == "step along the second direction"


def test_heat_tiles_stand_at_their_coordinates(make_surface):
    surface = make_surface((7, 4))
    ax = draw(surface, view="heat", quantity="accuracy", split="test")
    tiles = ax.collections[0]
    np.testing.assert_allclose(tiles.get_array(), 100 * surface.accuracy[1].T)
    edges = tiles.get_coordinates()
    assert edges[..., 0].min() < surface.a[0] < edges[0, 1, 0]
    assert edges.shape == (5, 8, 2)


def test_relief_puts_each_height_over_its_own_point(make_surface, monkeypatch):
    from mpl_toolkits.mplot3d import Axes3D

    surface, seen = make_surface((6, 4), splits=("train",)), []
    monkeypatch.setattr(Axes3D, "plot_surface", lambda self, *grids, **look: seen.extend(grids))
    draw(surface, view="3d", log=False, smooth=False)
    for a, b, height in zip(*(grid.ravel() for grid in seen), strict=True):
        i, j = np.abs(surface.a - a).argmin(), np.abs(surface.b - b).argmin()
        assert height == pytest.approx(surface.loss[0, i, j])


def test_accuracy_is_linear_unless_asked_otherwise(make_surface):
    accuracy = make_surface().accuracy * np.linspace(1e-4, 1, 9)[:, None]
    low = make_surface(accuracy=accuracy)
    assert type(draw(low, view="heat", quantity="accuracy").collections[0].norm).__name__ == "Normalize"
    assert type(draw(low, view="heat", quantity="accuracy", log=True).collections[0].norm).__name__ == "LogNorm"


@pytest.mark.parametrize(
    ("view", "quantity"), list(itertools.product(VIEWS, ("loss", "accuracy", "loss_error", "accuracy_error", "spread")))
)
def test_every_view_draws_every_quantity(make_surface, view, quantity):
    surface = make_surface(draws=3, trajectory=True)
    ax = draw(surface, view=view, quantity=quantity, split="test")
    ax.figure.draw_without_rendering()
    assert ax.get_title().startswith("test ")


@pytest.mark.parametrize("view", VIEWS)
def test_values_that_are_not_finite_stay_blank_and_are_counted(make_surface, view):
    loss = make_surface().loss.copy()
    loss[:, -2:, -2:], loss[:, 0, 0] = np.nan, np.inf
    ax = draw(make_surface(loss=loss), view=view)
    ax.figure.draw_without_rendering()
    said = ax.get_title() if view == "3d" else ax.get_xlabel()
    assert "5 of 54 points not finite" in said
    assert view == "3d" or any(patch.get_hatch() for patch in ax.patches)


@pytest.mark.parametrize("view", VIEWS)
def test_a_surface_without_any_finite_value_is_still_a_figure(make_surface, view):
    lost = np.full((2, 9, 6), np.nan)
    draw(make_surface(loss=lost), view=view).figure.draw_without_rendering()


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("value", [0.0, 2.3, -1.0])
def test_constant_surfaces_and_the_smallest_grid(make_surface, view, value):
    draw(make_surface((2, 2), loss=np.full((2, 2, 2), value)), view=view).figure.draw_without_rendering()


def test_the_minimum_is_marked_when_it_is_not_the_center(make_surface):
    low = make_surface((5, 4), splits=("train",))
    named = {line.get_label() for line in draw(low).lines}
    loss = low.loss.copy()
    loss[0, 4, 0] = 0.001
    marks = {
        line.get_label(): line.get_xydata()[0]
        for line in draw(make_surface((5, 4), splits=("train",), loss=loss)).lines
    }
    assert "center" in named
    np.testing.assert_allclose(marks["minimum 0.001"], [low.a[4], low.b[0]])


def test_a_trajectory_shows_its_ends_its_residual_and_its_variance(make_surface):
    ax = draw(make_surface(trajectory=True))
    lines = {line.get_label(): line for line in ax.lines}
    assert {"trajectory (up to 2.5 off the plane)", "start", "end"} <= set(lines)
    np.testing.assert_allclose(lines["start"].get_xydata(), [[-0.8, 0.6]])
    np.testing.assert_allclose(lines["end"].get_xydata(), [[0.0, 0.0]])
    assert "63.1 % of variance" in ax.get_xlabel()
    assert "20 % of variance" in ax.get_ylabel()


def test_checkpoints_that_span_a_plane_are_named_and_not_joined(make_surface):
    surface = make_surface(
        trajectory=True, checkpoint=["sgd", "sam", "swa"], origin={"directions": {"kind": "between"}}
    )
    ax = draw(surface)
    points = next(line for line in ax.lines if line.get_label().startswith("checkpoints"))
    assert points.get_linestyle() == "None"
    assert {"sgd", "sam", "swa"} <= {text.get_text() for text in ax.texts}


def test_several_draws_are_drawn_as_their_median(make_surface):
    surface = make_surface(draws=5)
    np.testing.assert_allclose(field(surface, "loss", "test"), surface.loss[1] + 2)
    np.testing.assert_allclose(field(surface, "spread"), 3.2)
    assert draw(surface).get_title() == "train loss, median of 5 draws"


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"view": "4d"}, "Expected a view, one of contour, 3d, heat, got '4d'"),
        ({"quantity": "hat"}, "Expected a quantity, one of loss, .*got 'hat'"),
        ({"split": "dev"}, "Expected a split, one of train, test, got 'dev'"),
        ({"quantity": "spread"}, "Expected several draws"),
        ({"levels": [2, 1]}, "Expected at least two increasing levels"),
        ({"log": "often"}, "Expected log to be True, False or 'auto'"),
    ],
)
def test_errors_say_what_to_do(make_surface, knobs, message):
    with pytest.raises(ValueError, match=message):
        draw(make_surface(), **knobs)


def test_a_relief_needs_axes_in_three_dimensions(make_surface):
    flat = draw(make_surface())
    with pytest.raises(ValueError, match="projection='3d'"):
        draw(make_surface(), flat, view="3d")


def test_a_row_of_points_is_no_surface(make_surface):
    with pytest.raises(ValueError, match="measure a line"):
        draw(make_surface((5, 1)))


def test_drawing_changes_no_setting_of_the_user(make_surface):
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw(make_surface())
    assert dict(matplotlib.rcParams) == before


def test_a_relief_drops_the_trajectory_on_its_floor(make_surface):
    ax = draw(make_surface(trajectory=True), view="3d")
    a, b, height = ax.lines[-1].get_data_3d()
    np.testing.assert_allclose([a, b], [[-0.8, -0.3, 0.0], [0.6, 0.4, 0.0]])
    assert set(height) == {ax.get_zlim()[0]}
    assert not draw(make_surface(trajectory=True), view="3d", landmarks=False).lines
