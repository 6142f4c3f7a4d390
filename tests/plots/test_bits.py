"""Networks across bit widths: curves and their bands, parts, weights, segments, tables."""

import copy

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

from landscape.plots import draw
from landscape.plots.bits import CURVES, MANY, ONE, VIEWS, panels, several
from landscape.plots.export import csv, table
from landscape.plots.figure import figure
from landscape.plots.interactive import interactive
from landscape.plots.style import BLUE, ORANGE
from landscape.probes.bits import Bits

# The first words of what may not be measured.
OPTIONAL = ("accuracy", "lambda_max", "trace", "scaled", "tensor_change", "spearman")


def made(widths=(8, 4, 2), scale=1.0, **changes):
    """A result with numbers of a likely size, of two splits and four weights."""
    random, n = np.random.default_rng(1), len(widths)
    sizes = {"split": 2, "bits": n, "tensor": 4, "segment": n, "t": 5, "ascent": 3}
    change = scale * 4.0 ** -np.array(widths) * np.array([[1.0], [0.5]])
    arrays = {}
    for name, meta in Bits.declared().items():
        value = random.uniform(0.5, 1, [sizes[dim] for dim in meta["dims"]])
        arrays[name] = 0.1 * value if name.endswith(("_error", "_residual")) else value
    arrays |= {
        "split": ["train", "test"], "bits": list(widths), "family": ["narrow"] * n, "calibration": ["mse"] * n,
        "tensor": [f"{k}.weight" for k in range(4)], "tensor_size": [10, 20, 30, 40], "flipped": 5,
        "segment": [f"{a} to {b}" for a, b in zip(["full", *widths], widths, strict=False)],
        "t": np.linspace(0, 1, 5), "ascent": [1, 2, 3], "taylor_valid": [b > 3 for b in widths],
        "lambda_max_converged": [True] * n, "lambda_max_full_converged": True,
        "loss_full": [0.01, 0.2], "loss": np.array([[0.01], [0.2]]) + change, "loss_change": change,
        "loss_error": 0.1 * (0.01 + change), "loss_change_error": 0.1 * change,
        "gradient_term": 0.2 * change[0], "curvature_term": 0.5 * change[0], "remainder": 0.3 * change[0],
        "barrier": np.zeros((2, n)), "barrier_error": np.zeros((2, n)), "origin": {
            "model": {"name": "mlp"}, "data": {"name": "digits"}, "split": "train", "batchnorm": "frozen",
            "splits": {"train": {"examples": 40}}, "products": 12, "spacing": 1e-5},
    }  # fmt: skip
    return Bits(**arrays | changes)


def without(result, *names):
    """The same result without some quantities and their errors."""
    bare = copy.copy(result)
    for name in result.declared():
        if name.startswith(names):
            object.__setattr__(bare, name, None)
    return bare


def bands(ax):
    return [c.get_paths()[0].vertices for c in ax.collections if c.get_paths() and not isinstance(c, PathCollection)]


def test_curves_stand_over_widths_with_two_errors_and_the_level_of_full_precision():
    result = made()
    ax = draw(result)
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["train"].get_ydata(), result.loss[0])
    np.testing.assert_allclose(lines["test"].get_xdata(), [0, 1, 2])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["8", "4", "2"]
    assert (to_hex(lines["train"].get_color()).upper(), to_hex(lines["test"].get_color()).upper()) == (BLUE, ORANGE)
    levels = [line.get_ydata()[0] for line in ax.lines if line.get_label().startswith("_")]
    np.testing.assert_allclose(levels, result.loss_full)
    first = bands(ax)[0]
    assert first[:, 1].max() == pytest.approx((result.loss[0] + 2 * result.loss_error[0]).max())
    assert ax.get_ylabel() == "loss [nat]"
    alone = draw(result, split="test")
    np.testing.assert_allclose(next(x for x in alone.lines if x.get_label() == "test").get_ydata(), result.loss[1])


def test_levels_of_different_splits_are_not_named_after_one():
    first, second = made(), made(split=["test", "train"])
    drawn = several({"a": first, "b": second}, draw(first).figure.add_subplot(), view="loss")
    assert drawn.get_legend_handles_labels()[1][-1] == "full precision, first split"


def test_accuracies_are_percentages():
    result = made()
    ax = draw(result, view="accuracy")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 100 * result.accuracy[0])
    assert ax.get_ylabel() == "accuracy [%]"


def test_several_networks_share_widths_and_have_a_colour_each():
    first, second = made(), made(widths=(8, 3, 2), scale=3)
    ax = several({"a": first, "b": second}, draw(first).figure.add_subplot(), view="change")
    lines = {line.get_label(): line for line in ax.lines}
    assert [t.get_text() for t in ax.get_xticklabels()] == ["8", "4", "3", "2"]
    assert lines["b train"].get_xdata().tolist() == [0, 2, 3]
    assert lines["a train"].get_color() == lines["a test"].get_color() != lines["b train"].get_color()
    np.testing.assert_allclose(lines["b test"].get_ydata(), second.loss_change[1])


def test_any_measure_over_widths():
    result = made()
    ax = draw(result, quantity="bin_sharpness")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), result.bin_sharpness)
    assert "bin sharpness" in ax.get_ylabel()
    assert draw(result, view="measure", quantity="clipped").get_ylabel().startswith("share of weights")


def test_parts_stand_side_by_side_and_are_hatched_where_the_expansion_fails():
    result = made()
    bars = [p for p in draw(result, view="parts").patches if p.get_height() != 0]
    assert len(bars) == 9
    heights = np.array([p.get_height() for p in bars]).reshape(3, 3)
    np.testing.assert_allclose(heights, [result.gradient_term, result.curvature_term, result.remainder])
    hatched = np.array([p.get_hatch() is not None for p in bars]).reshape(3, 3)
    assert hatched.tolist() == [[False, False, True]] * 3
    sure = made(taylor_valid=[True] * 3)
    assert not [p for p in draw(sure, view="parts").patches if p.get_hatch()]


def test_negative_changes_have_bars_below_zero():
    flipped = made(gradient_term=[-0.1, 0.1, 0.2])
    ax = draw(flipped, view="parts")
    assert min(p.get_height() for p in ax.patches) == pytest.approx(-0.1)
    assert ax.get_ylim()[0] < -0.1


def test_weights_on_logarithmic_axes_hollow_where_one_is_negative():
    result = made()
    change = result.tensor_change.copy()
    change[0, 1] *= -1
    ax = draw(made(tensor_change=change), view="layers")
    points = [c for c in ax.collections if isinstance(c, PathCollection)]
    drawn = np.concatenate([np.asarray(c.get_offsets()) for c in points if len(c.get_offsets())])
    expected = np.stack([result.tensor_predicted.ravel(), np.abs(change).ravel()], 1)
    np.testing.assert_allclose(drawn[np.lexsort(drawn.T)], expected[np.lexsort(expected.T)])
    hollow = [c for c in points if len(c.get_facecolors()) and to_hex(c.get_facecolors()[0]) == "#ffffff"]
    assert sum(len(c.get_offsets()) for c in hollow) == 1
    assert (ax.get_xscale(), ax.get_xlim()) == ("log", ax.get_ylim())
    words = [t.get_text() for t in ax.get_legend().get_texts()]
    assert f"8 bits, $\\rho_S$ = {result.spearman[0]:.2f}" in words
    assert "one is negative" in words


def test_segments_follow_each_other_and_barriers_that_stand_out_are_marked():
    barrier = np.zeros((2, 3))
    barrier[0] = 0.5, 0.05, 0.0
    result = made(barrier=barrier, barrier_error=np.full((2, 3), 0.1), barrier_t=np.full((2, 3), 0.5))
    ax = draw(result, view="segments", split="train")
    ways = [line for line in ax.lines if len(line.get_xdata()) == 5]
    for index, line in enumerate(ways):
        np.testing.assert_allclose(line.get_xdata(), index + result.t)
        np.testing.assert_allclose(line.get_ydata(), result.segment_loss[0, index])
    assert [t.get_text() for t in ax.texts] == ["+0.5"]
    marks = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "^"]
    assert marks == [0.5]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["full", "8", "4", "2"]


def test_measures_that_are_not_positive_have_no_mark():
    ax = draw(made(flip_mean=[-0.1, 0.2, 0.3]), view="sharpness")
    drawn = {c.get_label(): c.lines[0].get_ydata() for c in ax.containers}
    assert drawn["random code flips"].tolist() == [0.2, 0.3]
    assert len(drawn) == 6
    assert len(draw(without(made(), "scaled"), view="sharpness").containers) == 4


@pytest.mark.parametrize("view", [v for v in VIEWS if v != "measure"])
def test_every_view_draws_without_numbers_that_are_finite(view):
    result = made()
    broken = {
        name: np.full_like(getattr(result, name), np.nan)
        for name in result.quantities()
        if getattr(result, name).dtype.kind == "f" and name not in ("t", "barrier", "barrier_error", "barrier_t")
    }
    draw(made(**broken), view=view).figure.draw_without_rendering()


@pytest.mark.parametrize(
    ("style", "words"),
    [
        ({"view": "3d"}, "a view, one of loss"), ({"view": "measure"}, "--quantity"),
        ({"quantity": "best"}, "got 'best'"), ({"quantity": "family"}, "got 'family'"),
        ({"split": "dev"}, "one of train, test"), ({"view": "segments", "split": "dev"}, "one of train, test"),
    ],
)  # fmt: skip
def test_bad_knobs(style, words):
    with pytest.raises(ValueError, match=words):
        draw(made(), **style)


def test_views_of_one_network_refuse_several_and_what_was_not_measured():
    with pytest.raises(ValueError, match="one network for the view parts"):
        several({"a": made(), "b": made()}, draw(made()), view="parts")
    with pytest.raises(ValueError, match="without --no-layers"):
        draw(without(made(), "tensor_change", "tensor_predicted"), view="layers")
    with pytest.raises(ValueError, match="got 'accuracy'"):
        draw(without(made(), "accuracy"), view="accuracy")


@pytest.mark.parametrize("venue", [None, "icml", "slides"])
def test_the_whole_figure_has_a_panel_for_everything(venue):
    drawn = figure(made(), venue=venue)
    assert len([ax for ax in drawn.axes if ax.axison]) == len(ONE) == 6
    assert "mlp on digits" in drawn.get_suptitle()
    bare = figure(without(made(), *OPTIONAL), venue=venue)
    assert [ax.get_title() for ax in bare.axes if ax.axison] == [
        "loss", "parts of the change", "sharpness", "from width to width"]  # fmt: skip


def test_one_view_and_several_results():
    assert len(figure(made(), view="parts").axes) == 1
    pair = {"a": made(), "b": made(scale=2)}
    drawn = figure(pair)
    assert [ax.get_title() for ax in drawn.axes if ax.axison][0] == "loss"
    assert len([ax for ax in drawn.axes if ax.axison]) == len(MANY)
    assert panels({"a": made(), "b": without(made(), "scaled", "accuracy")}) == [
        "loss", "loss_change", "bin_sharpness", "flip_mean"]  # fmt: skip
    assert len(figure(pair, view="change").axes) == 1
    assert set(CURVES) < set(VIEWS)


def test_the_table_has_a_row_for_each_width():
    result = made()
    told = table(result)
    lines = told.splitlines()
    assert lines[0] == "Bits of the train split, 40 examples, 12 products, batch norm frozen"
    for width in (8, 4, 2):
        assert sum(line.split()[:1] == [str(width)] for line in lines) == 7
    assert f"{result.loss[0, 0]:.4g} ± {result.loss_error[0, 0]:.2g}" in told
    assert "fails" in told
    assert "holds" in told
    assert "the expansion at w leaves over" in told
    bare = table(without(result, *OPTIONAL))
    assert "lambda" not in bare
    assert "eigenvalue" not in bare
    assert "accuracy %" not in bare


def test_the_table_fits_a_terminal_and_says_where_there_is_no_barrier():
    result = made(barrier=np.array([[0.0, 0.25, 0.0], [0.5, 0.5, 0.5]]), barrier_error=np.full((2, 3), 0.125))
    lines = table(result).splitlines()
    assert max(len(line) for line in lines if line[:1].isdigit() or "bits " in line[:5]) <= 100
    start = next(i for i, line in enumerate(lines) if "barrier before" in line)
    assert [line.split("  ")[-1].strip() for line in lines[start + 1 : start + 4]] == ["none", "0.25 ± 0.12", "none"]


def test_it_is_said_where_the_weights_come_from_and_how_they_are_rounded():
    origin = made().origin
    assert "before the rounding" not in table(made())
    known = {"rounding": "adaround", "widths": {"bits": [3]}}
    latent = table(made(origin=origin | {"quantization": known, "quantized": {"quantized": "fp"}}))
    assert "w are the weights from before the rounding of a checkpoint of 3 bits: all Q(w) are made anew" in latent
    again = table(made(origin=origin | {"quantization": known, "quantized": {"quantized": "dequant"}}))
    assert "w are the weights of a checkpoint that is rounded to 3 bits already" in again


def test_remarks_tell_of_slopes_and_of_refitted_statistics():
    steep = made(gradient_norm=np.array([1.0, 1.0, 9.0]), gradient_norm_full=1.0)
    assert "at 2 bits" in table(steep)
    assert "those of a slope" in table(steep)
    assert "at w.\n" in table(without(steep, "lambda_max", "scaled")) + "\n"
    assert "refitted" not in table(steep)
    assert "is in the remainder" in table(made(origin=steep.origin | {"batchnorm": "refit"}))


def test_it_is_exported(tmp_path):
    csv(made(), tmp_path / "b.csv")
    head, *rows = (tmp_path / "b.csv").read_text().splitlines()
    assert {"bits", "split", "tensor", "loss", "loss_change_error", "tensor_change"} <= set(head.split(","))
    assert len(rows) == 3 * (1 + 2 + 3 + 4)  # over all, by split, by step of ascent, by weight


def test_the_interactive_twin_has_all_numbers_and_a_list_to_choose_from(tmp_path):
    result = made()
    drawn = interactive(result, tmp_path / "b.html")
    shown = [trace for trace in drawn.data if trace.visible is True and trace.xaxis == "x"]
    np.testing.assert_allclose(shown[0].y, result.loss[0].astype("f4"))
    choices = [button["label"] for button in drawn.layout.updatemenus[0].buttons]
    assert choices[:3] == ["loss", "accuracy", "loss_change"]
    assert {"bin_sharpness", "scaled", "clipped", "spearman"} <= set(choices)
    for index, button in enumerate(drawn.layout.updatemenus[0].buttons):
        count = sum(button["args"][0]["visible"])
        lower = len([t for t in drawn.data if t.xaxis != "x"])
        assert count - lower in (1, 2), choices[index]
    weights = [trace for trace in drawn.data if trace.xaxis == "x2" and trace.mode == "markers"]
    np.testing.assert_allclose(weights[0].y, result.tensor_change[0].astype("f4"))
    assert weights[0].customdata[1][0] == "1.weight"


def test_the_interactive_twin_of_several(tmp_path):
    drawn = interactive({"a": made(), "b": without(made(widths=(8, 3)), *OPTIONAL)}, tmp_path / "b.html")
    assert drawn.layout.xaxis.categoryarray == ("8", "4", "3", "2")
    assert {trace.name for trace in drawn.data if trace.xaxis == "x3"} == {"a train on the way", "a test on the way"}
