"""Interactive twins: each kind has the numbers of its result, and buttons that choose among them."""

import json

import numpy as np
import pytest

from landscape.plots.figure import figure, heading
from landscape.plots.interactive import interactive
from landscape.probes.curvature import Curvature
from landscape.probes.eigen import Eigen
from landscape.probes.spectrum import Spectrum


def origin(name="mlp"):
    return {"model": {"name": name}, "data": {"name": "digits"}, "split": "train",
            "splits": {"train": {"examples": 40}}}  # fmt: skip


@pytest.fixture
def make_spectrum():
    def made(shift=0.0, **changes):
        node = np.array([[-0.1, 0.0, 0.5, 2.0], [-0.2, 0.01, 0.4, 2.1]]) + shift
        arrays = {
            "node": node, "weight": np.tile([0.1, 0.7, 0.15, 0.05], (2, 1)), "node_residual": np.full((2, 4), 0.01),
            "smallest": -0.2 + shift, "smallest_residual": 0.001, "largest": 2.1 + shift, "largest_residual": 0.002,
            "trace": 3.0, "trace_error": 0.1, "square": 9.0, "square_error": 0.5, "dimension": 100,
        }  # fmt: skip
        return Spectrum(**arrays | {"origin": origin()} | changes)

    return made


@pytest.fixture
def eigen():
    value = np.array([3.0, 2.0, -0.1, -0.5])
    return Eigen(
        end=["largest", "largest", "smallest", "smallest"], value=value, residual=np.full(4, 0.01),
        converged=[True, True, False, True], participation=[5.0, 6.0, 7.0, 8.0], gradient_share=[0.1, 0.2, 0.2, 0.2],
        gradient_norm=0.3, dimension=100, origin=origin(),
    )  # fmt: skip


@pytest.fixture
def curvature():
    a, b = np.linspace(-1, 1, 5), np.linspace(-1, 1, 3)
    top = 1 + a[:, None] ** 2 + 0 * b
    low = b - 0.5 * a[:, None]
    return Curvature(
        split=["train"], a=a, b=b, loss=top[None], loss_error=0.1 * top[None], lambda_max=top,
        lambda_max_residual=0.01 * top, lambda_max_converged=top > 0, lambda_min=low, lambda_min_residual=0.02 * top,
        lambda_min_converged=top > 0, ratio=np.abs(low) / top, ratio_residual=0.01 * top,
        products=np.full(top.shape, 9), axis=["one", "two"], norm=[1.0, 1.0], cosine=0.0, origin=origin(),
    )  # fmt: skip


def traces(drawn, kind):
    return [trace for trace in drawn.data if trace.type == kind]


def test_a_density_is_that_of_the_result_with_its_error(make_spectrum):
    result = make_spectrum()
    drawn = interactive(result)
    curve = next(trace for trace in drawn.data if trace.customdata is not None and trace.mode != "markers")
    mean, error = result.density(np.asarray(curve.x, dtype=float))
    seen = mean > mean.max() * 1e-5
    np.testing.assert_allclose(np.asarray(curve.y)[seen], mean[seen], rtol=2e-3)
    np.testing.assert_allclose(np.asarray(curve.customdata)[seen], error[seen], rtol=2e-2, atol=1e-6)
    ends = next(trace for trace in drawn.data if trace.mode == "markers")
    np.testing.assert_allclose(ends.x, [-0.2, 2.1], rtol=1e-6)
    np.testing.assert_allclose(ends.error_x.array, [0.001, 0.002], rtol=1e-6)


def test_several_spectra_share_axes_under_their_names(make_spectrum):
    pair = {"flat": make_spectrum(), "sharp": make_spectrum(1.0)}
    drawn = interactive(pair)
    assert [trace.name for trace in drawn.data if trace.showlegend] == ["flat", "sharp"]
    assert not json.loads(drawn.to_json())["layout"].get("xaxis2")
    told = [trace.name for trace in interactive(list(pair.values())).data if trace.showlegend]
    assert told == ["mlp on digits (1)", "mlp on digits (2)"]
    words = [text.get_text() for text in figure(pair).axes[0].get_legend().get_texts()]
    assert [word.partition(":")[0] for word in words] == ["flat", "sharp"]


def test_several_spectra_are_smoothed_alike(make_spectrum):
    """One eigenvalue is as high in one as in the other, though one spectrum is wider."""
    wide = make_spectrum(node=10 * make_spectrum().node, smallest=-2.0, largest=21.0)
    drawn = interactive({"narrow": make_spectrum(), "wide": wide})
    curves = [trace for trace in drawn.data if trace.showlegend]
    for curve, result in zip(curves, (make_spectrum(), wide), strict=True):
        mean, _ = result.density(np.asarray(curve.x, dtype=float), wide.width)
        seen = mean > mean.max() * 1e-5
        np.testing.assert_allclose(np.asarray(curve.y)[seen], mean[seen], rtol=1e-2)


def test_only_kinds_that_can_be_laid_over_each_other_are(eigen, make_spectrum):
    with pytest.raises(ValueError, match="Spectrum, Surface, got 2 of Eigen"):
        figure({"one": eigen, "two": eigen})
    with pytest.raises(ValueError, match="got 2 of Eigen, Spectrum"):
        figure({"one": eigen, "two": make_spectrum()})
    with pytest.raises(ValueError, match="got none"):
        interactive([])


def test_eigenvalues_are_ranked_from_their_end(eigen):
    (bars,) = interactive(eigen).data
    assert list(bars.x) == ["largest 1", "largest 2", "smallest 2", "smallest 1"]
    np.testing.assert_allclose(bars.y, eigen.value, rtol=1e-6)
    np.testing.assert_allclose(bars.error_y.array, eigen.residual, rtol=1e-6)
    assert list(bars.marker.opacity) == [1.0, 1.0, 0.35, 1.0]


def test_a_map_has_its_axes_the_right_way_round_and_buttons(curvature):
    drawn = interactive(curvature)
    maps = traces(drawn, "heatmap")
    np.testing.assert_allclose(np.asarray(maps[1].z), curvature.lambda_min.T, atol=1e-6)
    assert [trace.visible for trace in drawn.data] == [True, False, False, False, True]
    third = drawn.layout.updatemenus[0].buttons[2]
    assert third.label.startswith("|smallest|")
    assert third.args[0]["visible"] == [False, False, True, False, True]
    assert maps[1].zmid == 0
    assert maps[0].zmid is None


def test_any_other_result_is_drawn_by_its_dimensions(make_spectrum, tmp_path):
    from dataclasses import dataclass

    from landscape.result import Result, quantity

    @dataclass(frozen=True, eq=False, repr=False)
    class Other(Result):
        size: np.ndarray = quantity("batch size", "size")
        plain: np.ndarray = quantity("plain", "size")
        mean: np.ndarray = quantity("mean", "size", unit="nat")
        mean_error: np.ndarray = quantity("its error", "size", unit="nat")
        table: np.ndarray = quantity("table", "size", "name")
        name: np.ndarray = quantity("name", "name")

    try:
        other = Other(size=[8, 16], plain=[1, 2], mean=[3.0, 4.0], mean_error=[0.5, 0.25], table=[[1, 2, 3], [4, 5, 6]],
                      name=["x", "y", "z"])  # fmt: skip
        drawn = interactive([other, other], tmp_path / "page.html")
        assert [b.label for b in drawn.layout.updatemenus[0].buttons] == ["mean", "plain", "table"]
        assert [trace.visible for trace in drawn.data] == [True, False, False, True, False]
        np.testing.assert_array_equal(drawn.data[0].error_y.array, [0.5, 0.25])
        np.testing.assert_array_equal(drawn.data[0].x, [8, 16])
        assert drawn.data[2].y == ("x", "y", "z")
        assert drawn.layout.yaxis.title.text == "mean [nat]"
        assert (tmp_path / "page.html").stat().st_size > 1_000_000
    finally:
        Result.kinds.pop("Other")


def test_a_heading_says_which_split_and_how_many_steps(make_spectrum, eigen):
    assert heading(make_spectrum()).replace("\u00a0", " ").splitlines() == [
        "mlp on digits", "train split, 40 examples · 2 probes of 4 steps",
    ]  # fmt: skip
    assert heading(eigen).replace("\u00a0", " ").splitlines()[1] == "train split, 40 examples"


def test_an_outlier_far_away_is_a_peak(make_spectrum):
    result = make_spectrum(outlier=[5000.0], outlier_residual=[0.1], largest=5000.0)
    curve = next(trace for trace in interactive(result).data if trace.showlegend)
    there = np.asarray(curve.x) > 4000
    expected = float(result.density(np.array([5000.0]))[0][0])
    assert np.asarray(curve.y)[there].max() == pytest.approx(expected, rel=1e-2)


def test_a_surface_with_runs_has_a_slider_over_their_checkpoints(make_surface):
    surface = make_surface(
        checkpoint=["epoch-0", "epoch-1", "epoch-2", "epoch-0", "epoch-2", "swa"],
        checkpoint_a=np.linspace(-0.8, 0.8, 6),
        checkpoint_run=["r1", "r1", "r1", "r2", "r2", ""], checkpoint_b=np.linspace(0.9, 0, 6),
        checkpoint_residual=np.arange(6.0),
    )  # fmt: skip
    page = interactive(surface)
    (slider,) = page.layout.sliders
    assert [step.label for step in slider.steps] == ["epoch 0", "epoch 1", "epoch 2"]
    assert [step.args[0] for step in slider.steps] == [(frame.name,) for frame in page.frames]
    for frame, counts in zip(page.frames, ([1, 1], [2, 1], [3, 2]), strict=True):
        for index, state in zip(frame.traces, frame.data, strict=True):
            trace = page.data[index]
            run, between = trace.meta
            assert len(state.x) == (counts[run] - 1) * between + 1
            np.testing.assert_array_equal(state.z, trace.z[: len(state.z)])
    moving = set(page.frames[0].traces)
    assert {trace.name for trace in page.data if trace.type == "scatter3d"} == {"r1", "r2", "checkpoints"}
    assert all(page.data[index].name in ("r1", "r2") for index in moving)
    dots = next(trace for trace in page.data if trace.name == "r2" and trace.mode == "markers")
    assert list(dots.text) == ["r2 epoch-0<br>3 off the plane", "r2 epoch-2<br>4 off the plane"]
    assert not interactive(make_surface()).layout.sliders
    assert not interactive([surface, surface]).layout.sliders
