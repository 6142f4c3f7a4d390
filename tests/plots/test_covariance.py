import numpy as np
import pytest

from landscape.plots import draw
from landscape.probes.covariance import Covariance, compared

DIM = 60


@pytest.fixture
def make():
    def made(count=4, **changes):
        random = np.random.default_rng(0)
        one, other = (np.linalg.qr(random.standard_normal((DIM, count)))[0].T for _ in range(2))
        other[0] = one[0]
        values = np.geomspace(5, 0.01, count)
        arrays = {
            "value": values, "residual": 0.01 * values, "converged": values > 0, "trace": 7.0, "trace_error": 0.1,
            "hessian_value": np.linspace(3, -1, count), "hessian_residual": 0 * values,
            "hessian_converged": values > 0, "dimension": DIM, "origin": {"matrix": "gradient_covariance"},
        }  # fmt: skip
        return Covariance(**(arrays | compared(one, other, random.standard_normal(DIM)) | changes))

    return made


def test_rows_are_the_covariance_and_columns_the_hessian(make):
    result = make()
    ax = draw(result)
    np.testing.assert_allclose(ax.images[0].get_array(), result.overlap)
    assert "Hessian" in ax.get_xlabel()
    left, upper = (other for other in ax.figure.axes if other is not ax)
    assert "covariance" in left.get_ylabel()
    np.testing.assert_allclose([bar.get_width() for bar in left.patches], result.value)
    np.testing.assert_allclose([bar.get_height() for bar in upper.patches], result.hessian_value)
    assert left.get_xscale() == "log"
    assert upper.get_yscale() == "linear"
    assert left.get_ylim() == ax.get_ylim()
    ax.figure.draw_without_rendering()


def test_bars_that_have_not_converged_are_hatched(make):
    ax = draw(make(converged=[True, True, False, True]))
    hatched = [[bool(bar.get_hatch()) for bar in other.patches] for other in ax.figure.axes if other is not ax]
    assert hatched == [[False, False, True, False], [False] * 4]


def test_large_overlaps_are_written_into_their_tiles(make):
    result = make()
    texts = {text.get_position(): text.get_text() for text in draw(result).texts}
    assert texts[(0, 0)] == "1"
    assert all(result.overlap[i, j] >= 0.095 for j, i in texts)
    assert not draw(make(13)).texts


def test_logarithmic_colours_begin_at_what_random_vectors_have(make):
    image = draw(make(), log=True).images[0]
    assert type(image.norm).__name__ == "LogNorm"
    assert image.norm.vmin <= 1 / DIM < 2 * image.norm.vmin * 5
    assert image.norm.vmax == 1


@pytest.mark.parametrize("log", [False, True])
def test_subspaces_are_curves_over_their_dimension(make, log):
    result = make()
    ax = draw(result, view="subspace", log=log)
    curves = [line.get_ydata() for line in ax.lines]
    names = ("subspace_overlap", "random_overlap", "hessian_gradient_share", "gradient_share")
    for curve, name in zip(curves, names, strict=True):
        np.testing.assert_allclose(curve, getattr(result, name))
    assert "k/D" in ax.lines[1].get_label()
    ax.figure.draw_without_rendering()


def test_a_second_moment_is_called_so(make):
    ax = draw(make(origin={"matrix": "fisher"}))
    assert any("second moment" in other.get_ylabel() for other in ax.figure.axes)


def test_a_single_pair_is_a_figure(make):
    draw(make(1)).figure.draw_without_rendering()


def test_unknown_views_are_refused(make):
    with pytest.raises(ValueError, match="one of overlap, subspace"):
        draw(make(), view="heat")


def test_numbers_along_the_bars_stay_apart(make):
    ax = draw(make(value=np.array([0.022, 0.017, 0.0125, 0.0084])))
    ax.figure.draw_without_rendering()
    left = next(other for other in ax.figure.axes if other is not ax and "covariance" in other.get_ylabel())
    boxes = sorted(label.get_window_extent().intervalx.tolist() for label in left.get_xticklabels() if label.get_text())
    assert all(one[1] < other[0] for one, other in zip(boxes, boxes[1:], strict=False))
