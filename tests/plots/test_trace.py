import numpy as np
import pytest

from landscape.plots import draw
from landscape.plots.figure import figure
from landscape.probes.trace import Trace


@pytest.fixture
def make_trace():
    def make(blocks=2, negative=False, layers=True, **changes):
        layer = [f"layer{i}.{word}" for i in range(blocks) for word in ("weight", "bias", "bn.weight")]
        values = np.logspace(0, 2, len(layer)) * np.tile([1.0, 0.1, 0.3], blocks)
        values[1] = -0.05 if negative else values[1]
        arrays = {"layer_trace": values, "layer_trace_error": 0.1 * np.abs(values)} if layers else {}
        arrays |= {
            "trace": values.sum(), "trace_error": 0.5, "layer": layer,
            "layer_role": ["weight", "bias", "norm"] * blocks,
            "layer_size": np.tile([100, 10, 10], blocks), "origin": {"matrix": "hessian"},
        }  # fmt: skip
        return Trace(**(arrays | changes))

    return make


def heights(ax):
    return [bar.get_height() for bar in ax.patches]


def test_a_bar_for_every_layer_with_one_standard_error(make_trace):
    found = make_trace()
    ax = draw(found, log=False)
    np.testing.assert_allclose(heights(ax), found.layer_trace)
    ends = np.array([segment[:, 1] for segment in ax.collections[0].get_segments()])
    np.testing.assert_allclose(ends.T, [0.9 * found.layer_trace, 1.1 * found.layer_trace])
    assert [label.get_text() for label in ax.get_xticklabels()] == found.layer.tolist()
    assert ax.get_ylabel() == "trace of a layer's Hessian block [nat]"


def test_the_mean_divides_by_the_size(make_trace):
    found = make_trace(origin={"matrix": "gauss_newton"})
    ax = draw(found, quantity="mean")
    np.testing.assert_allclose(heights(ax), found.layer_mean)
    assert ax.get_ylabel() == "mean eigenvalue of a layer's Gauss-Newton block [nat]"


def test_many_layers_are_named_by_group(make_trace):
    names = [*(f"a.{i}.weight" for i in range(40)), *(f"b.{i}.weight" for i in range(35)), "c.weight"]
    many = {"layer": names, "layer_role": ["weight"] * 76, "layer_size": np.ones(76), "layer_trace": np.ones(76)}
    ax = draw(make_trace(**many, layer_trace_error=np.zeros(76)))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b"]
    assert ax.get_xticks().tolist() == [19.5, 57]
    assert ax.get_legend() is None


@pytest.mark.parametrize(("negative", "scale"), [(False, "log"), (True, "symlog")])
def test_wide_ranges_are_logarithmic(make_trace, negative, scale):
    assert draw(make_trace(negative=negative)).get_yscale() == scale
    assert draw(make_trace(negative=negative), log=False).get_yscale() == "linear"


def test_roles_have_colours_and_the_title_tells_the_whole(make_trace):
    ax = draw(make_trace())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["weight", "bias", "norm"]
    assert len({bar.get_facecolor() for bar in ax.patches}) == 3
    assert ax.get_title() == f"whole trace ({float(make_trace().trace):.2f} ± 0.50) nat"
    assert "(exact)" in draw(make_trace(trace_error=0.0)).get_title()
    assert draw(make_trace(), legend=False).get_legend() is None


def test_without_layers_there_is_one_bar(make_trace):
    found = make_trace(layers=False)
    ax = draw(found)
    np.testing.assert_allclose(heights(ax), [found.trace])
    assert ax.get_ylabel() == "trace of the Hessian matrix [nat]"
    np.testing.assert_allclose(heights(draw(found, quantity="mean")), [float(found.trace) / 240])


@pytest.mark.parametrize("change", [{"negative": True}, {"layers": False}, {"layer_trace": np.full(6, np.nan)}])
def test_every_trace_is_drawn(make_trace, change):
    figure(make_trace(**change)).draw_without_rendering()


def test_unknown_quantities_are_refused(make_trace):
    with pytest.raises(ValueError, match="Expected a quantity, one of trace, mean, got 'size'"):
        draw(make_trace(), quantity="size")
