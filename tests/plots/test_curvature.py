import numpy as np
import pytest
from matplotlib.patches import Rectangle

from landscape.plots import draw
from landscape.probes.curvature import Curvature


@pytest.fixture
def make():
    def made(**changes):
        a, b = np.linspace(-1, 1, 5), np.linspace(-0.5, 0.5, 3)
        grid = 3 * a[:, None] + b
        loss = np.stack([0.1 + grid**2, 0.5 + grid**2])
        large = 5 + grid
        arrays = {
            "split": ["train", "test"], "a": a, "b": b, "loss": loss, "loss_error": 0.1 * loss,
            "lambda_max": large, "lambda_max_residual": 0.01 * large, "lambda_max_converged": large > 0,
            "lambda_min": 0.2 * grid, "lambda_min_residual": 0.01 * large, "lambda_min_converged": large > 0,
            "ratio": np.abs(0.2 * grid / large), "ratio_residual": 0.01 * large,
            "products": np.full((5, 3), 20), "axis": ["first", "second"], "norm": [1.0, 2.0], "cosine": 0.0,
        }  # fmt: skip
        return Curvature(**(arrays | changes))

    return made


def lines(ax):
    return [c for c in ax.collections if getattr(c, "filled", None) is False]


def tiles(ax):
    """Hatched tiles of single points: their corner, width and height."""
    found = [patch for patch in ax.patches if isinstance(patch, Rectangle) and patch.get_hatch() == "xxx"]
    return [patch.get_bbox().bounds for patch in found]


@pytest.mark.parametrize("quantity", ["lambda_max", "lambda_min", "ratio", "products"])
def test_tiles_stand_at_their_coordinates_with_their_values(make, quantity):
    ax = draw(make(), quantity=quantity)
    np.testing.assert_allclose(ax.collections[0].get_array(), getattr(make(), quantity).T)
    edges = ax.collections[0].get_coordinates()
    np.testing.assert_allclose(edges[0, :, 0], np.linspace(-1.25, 1.25, 6))
    assert ax.get_xlabel() == "step along the first direction"
    ax.figure.draw_without_rendering()


def test_contours_of_the_loss_lie_where_the_loss_has_their_level(make):
    result = make(loss=np.stack([3 * make().a[:, None] + make().b + 4] * 2))
    contour = lines(draw(result))[0]
    for level, segments in zip(contour.levels, contour.allsegs, strict=True):
        x, y = np.concatenate(segments).T
        np.testing.assert_allclose(3 * x + y + 4, level)
    assert not lines(draw(result, contours=False))


def test_contours_are_those_of_the_split_that_is_asked_for(make):
    flat = make(loss=np.stack([np.full((5, 3), 1.0), make().loss[1]]))
    assert not lines(draw(flat))
    assert lines(draw(flat, split="test"))
    assert "test loss" in draw(flat, split="test").get_title()


def test_eigenvalues_of_both_signs_have_colours_centered_at_zero(make):
    norm = draw(make(), quantity="lambda_min").collections[0].norm
    assert norm.vmin == -norm.vmax
    assert norm.vmax >= 0.2 * 3.5
    assert draw(make(lambda_min=0.1 + np.abs(make().lambda_min)), quantity="lambda_min").collections[0].norm.vmin > 0


def test_points_that_have_not_converged_are_hatched_and_counted(make):
    waiting = make().lambda_min_converged.copy()
    waiting[0, 2] = waiting[3, 1] = False
    result = make(lambda_min_converged=waiting)
    ax = draw(result, quantity="ratio")
    np.testing.assert_allclose(sorted(tiles(ax)), [(-1.25, 0.25, 0.5, 0.5), (0.25, -0.25, 0.5, 0.5)])
    assert "2 of 15 points not converged" in ax.get_xlabel()
    assert not tiles(draw(result, quantity="lambda_max"))


def test_points_that_are_not_finite_stay_open(make):
    large = make().lambda_max.copy()
    large[0, 0] = np.nan
    ax = draw(make(lambda_max=large, lambda_max_converged=np.isfinite(large)))
    assert ax.collections[0].get_array().mask.sum() == 1
    assert not tiles(ax)
    assert "1 of 15 points not finite" in ax.get_xlabel()


def test_a_map_without_any_finite_value_is_still_a_figure(make):
    lost = np.full((5, 3), np.nan)
    draw(make(lambda_max=lost, loss=np.stack([lost, lost]))).figure.draw_without_rendering()


def test_unknown_quantities_are_refused(make):
    with pytest.raises(ValueError, match="one of lambda_max, lambda_min, ratio, products"):
        draw(make(), quantity="loss")
