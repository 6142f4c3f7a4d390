import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from landscape.plots import draw
from landscape.plots.spectrum import spectra
from landscape.plots.style import style
from landscape.probes.spectrum import Spectrum


@pytest.fixture
def make_spectrum():
    def make(probes=4, factor=1.0, **changes):
        steps = np.arange(probes)[:, None]
        node = factor * (np.array([-0.4, -0.01, 0.001, 0.3, 8.0, 90.0]) + 1e-4 * steps)
        weight = np.array([0.01, 0.4, 0.5, 0.0895, 4e-4, 1e-4]) * (1 + 0.01 * (steps - steps.mean()))
        arrays = {
            "node": node, "weight": weight, "node_residual": 0 * node, "dimension": 10_000,
            "smallest": node.min(), "largest": node.max(), "smallest_residual": 0.0, "largest_residual": 0.0,
            "trace": 1.0, "trace_error": 0.1, "square": 1.0, "square_error": 0.1,
        }  # fmt: skip
        return Spectrum(**(arrays | changes))

    return make


def marks(ax, gid):
    return [line for line in ax.lines if line.get_gid() == gid]


def test_the_curve_is_the_density_on_a_logarithmic_axis(make_spectrum):
    result = make_spectrum()
    ax = draw(result, width=2.0)
    x, y = ax.lines[0].get_data()
    known, error = result.density(x, 2.0)
    shown = np.isfinite(y)
    np.testing.assert_allclose(y[shown], known[shown])
    assert known[~shown].max() < ax.get_ylim()[0] * (1 + 1e-9) < known[shown].min() * (1 + 2e-9)
    assert ax.get_yscale() == "log"
    assert ax.get_xlabel() == "eigenvalue of the Hessian [nat]"
    assert ax.get_ylabel() == "density [1/nat]"
    edges = np.concatenate([path.vertices[:, 1] for path in ax.collections[0].get_paths()])
    assert edges.max() == pytest.approx((known + error).max())
    assert not draw(result, band=False).collections


def test_a_single_eigenvalue_is_above_the_foot(make_spectrum):
    result = make_spectrum(probes=1)
    ax = draw(result)
    assert ax.get_ylim()[0] == pytest.approx(0.05 * 1e-4 / (result.width * math.sqrt(2 * math.pi)))
    assert not ax.collections  # a single probe has no error


def test_both_ends_are_marked_and_written(make_spectrum):
    ax = draw(make_spectrum())
    assert [float(marks(ax, which)[0].get_xdata()[0]) for which in ("smallest", "largest")] == [-0.4, 90.0003]
    assert [text.get_text() for text in ax.texts] == ["\N{MINUS SIGN}0.4", "90"]
    ax = draw(make_spectrum(smallest_residual=0.1), ends=True)
    assert ax.texts[0].get_text() == "$\\leq$\N{MINUS SIGN}0.4"
    assert not draw(make_spectrum(), ends=False).texts


def test_ends_that_hardly_weigh_are_marked_clear_of_the_frame(make_spectrum):
    found = make_spectrum()
    weight = found.weight.copy()
    weight[:, [0, -1]] = 1e-9
    low, high = draw(make_spectrum(weight=weight)).get_xlim()
    assert low < float(found.smallest) - found.width
    assert high > float(found.largest) + found.width


def test_a_logarithmic_axis_has_a_branch_for_each_sign(make_spectrum):
    result = make_spectrum()
    ax = draw(result, scale="log")
    assert ax.get_xscale() == "symlog"
    assert ax.get_ylabel() == "density [1/decade]"
    for line, row, sign in zip(ax.lines[:2], (0, 1), (-1, 1), strict=True):
        x, y = line.get_data()
        assert (np.sign(x) == sign).all()
        known = result.log_density(np.abs(x))[0][row]
        np.testing.assert_allclose(y[np.isfinite(y)], known[np.isfinite(y)])
    ax.figure.draw_without_rendering()
    boxes = sorted(label.get_window_extent().intervalx.tolist() for label in ax.get_xticklabels())
    assert len(boxes) == 9
    assert all(one[1] < other[0] for one, other in zip(boxes, boxes[1:], strict=False))


@pytest.mark.parametrize("width", [0.9, 1.4, 2.0, 6.0])
def test_labels_of_a_logarithmic_axis_are_clear_of_each_other_at_any_width(make_spectrum, width):
    with style():
        drawn = Figure(figsize=(width, 1.5))
        draw(make_spectrum(), drawn.add_subplot(), scale="log")
        drawn.draw_without_rendering()
    (ax,) = drawn.axes
    low, high = ax.get_xlim()
    labels = [tick.label1 for tick in ax.xaxis.get_major_ticks() if low <= tick.get_loc() <= high]
    boxes = sorted(label.get_window_extent().intervalx.tolist() for label in labels)
    assert len(boxes) >= 3
    assert all(one[1] < other[0] for one, other in zip(boxes, boxes[1:], strict=False))


def test_without_negative_eigenvalues_there_is_no_negative_branch(make_spectrum):
    found = make_spectrum()
    ax = draw(make_spectrum(node=np.abs(found.node), smallest=0.001), scale="log")
    assert ax.get_xlim()[0] > -1e-3
    assert len([line for line in ax.lines if len(line.get_xdata()) > 2]) == 1


def test_outliers_are_ticks_at_the_foot(make_spectrum):
    ax = draw(make_spectrum(outlier=[95.0, 120.0], outlier_residual=[0.0, 0.0], largest=120.0))
    np.testing.assert_array_equal(marks(ax, "outliers")[0].get_xdata(), [95, 120])
    assert ax.get_xlim()[1] > 120


def test_several_models_share_their_axes_and_smoothing(make_spectrum):
    import matplotlib.pyplot as plt

    one, other = make_spectrum(), make_spectrum(factor=0.1, origin={"matrix": "hessian"})
    ax = spectra({"sgd": one, "sam": other}, plt.figure().add_subplot())
    told = [text.get_text() for text in ax.get_legend().get_texts()]
    assert told == ["sgd: \N{MINUS SIGN}0.4 to 90 nat", "sam: \N{MINUS SIGN}0.04 to 9 nat"]
    curves = [line for line in ax.lines if len(line.get_xdata()) > 2]
    np.testing.assert_allclose(np.nanmax(curves[1].get_ydata()), other.density([0.0], one.width)[0].max(), rtol=1e-2)
    assert len({line.get_color() for line in curves}) == len({line.get_linestyle() for line in curves}) == 2
    assert ax.get_xlim()[1] > 90
    with pytest.raises(ValueError, match="Expected 1 to 4 spectra on the same axes, got 0"):
        spectra({}, ax)


def test_errors_teach(make_spectrum):
    with pytest.raises(ValueError, match="Expected a scale, one of linear, log, got 'cubic'"):
        draw(make_spectrum(), scale="cubic")
