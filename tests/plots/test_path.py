"""Plots of paths: what is drawn is what was measured, in colours and dashes that tell curves and splits apart."""

import numpy as np
import pytest

from landscape.plots import draw
from landscape.plots.along import knots
from landscape.plots.export import csv, latex
from landscape.plots.figure import figure, heading
from landscape.plots.interactive import interactive
from landscape.plots.path import panels
from landscape.plots.path_barriers import ASIDE, EDGE
from landscape.plots.style import VENUES
from landscape.probes.connect import Connect
from landscape.probes.path import Path

T = np.linspace(0, 1, 9)
ORIGIN = {
    "model": {"name": "lenet"}, "data": {"name": "digits"}, "batchnorm": "refit",
    "splits": {"test": {"examples": 20}, "train": {"examples": 50}},
    "curves": {"segment": {"shape": "bezier", "points": 2}, "run": {"shape": "chain", "points": 5}},
}  # fmt: skip
CURVATURES = ("lambda_max", "lambda_max_residual", "lambda_min", "lambda_min_residual", "tangent_curvature")


def arrays(bent=True):
    hump = 4 * T * (1 - T)
    height = np.array([1.5, 0.2])[:, None, None] * hump * np.array([1, 0.8])[:, None]
    loss = 0.05 + 0.1 * np.arange(2)[:, None] + 0.02 * T + height
    found = {
        "curve": ["segment", "run"], "split": ["train", "test"], "t": T, "loss": loss, "loss_error": 0.05 * loss,
        "height": height, "height_error": 0.1 * height, "rise": height, "rise_error": 0.1 * height,
        "accuracy": np.exp(-loss), "accuracy_error": 0.01 * loss, "drop": 0.1 * height, "drop_error": 0.01 * height,
        "arc": np.outer([3, 4], T), "length": [3, 4], "distance": [3, 3], "origin": ORIGIN,
    }  # fmt: skip
    for end in ("first", "last"):
        found |= {f"disagreement_{end}": 0.2 * height, f"disagreement_{end}_error": 0.02 * height}
    if bent:
        s = np.linspace(0, 1, 3)
        found |= {name: np.outer([1, 2], s - 0.4) for name in CURVATURES if "residual" not in name}
        found |= {name: np.full((2, 3), 0.01) for name in CURVATURES if "residual" in name}
        found |= {f"{name}_converged": np.array([[1, 1, 0]] * 2, bool) for name in ("lambda_max", "lambda_min")}
        found |= {"s": s, "bend_arc": np.outer([3, 4], s), "products": np.full((2, 3), 20)}
    return found


@pytest.fixture
def make_path():
    return lambda bent=True, **changes: Path(**(arrays(bent) | changes))


@pytest.fixture
def make_connect():
    def make(**changes):
        trained = {"point": [0, 1, 2], "control": np.zeros((3, 4)), "epoch": [1, 2, 3], "objective": [3.0, 0.5, 0.4]}
        return Connect(**(arrays(bent=False) | trained | changes))

    return make


def lines(ax):
    return {line.get_label(): line for line in ax.lines}


def test_a_colour_for_each_curve_and_a_dash_for_each_split(make_path):
    result = make_path()
    drawn = lines(draw(result, log=False))
    for c, curve in enumerate(("segment", "run")):
        for s, part in enumerate(("train", "test")):
            np.testing.assert_allclose(drawn[f"{curve}, {part}"].get_ydata(), result.loss[c, s])
    looks = {(line.get_color(), line.get_linestyle()) for name, line in drawn.items() if "," in name}
    assert len(looks) == 4
    assert len({color for color, _ in looks}) == len({dash for _, dash in looks}) == 2


def test_accuracies_are_percent_and_lengths_may_be_the_axis(make_path):
    result = make_path()
    ax = draw(result, quantity="accuracy", view="arc", split="test")
    np.testing.assert_allclose(lines(ax)["run, test"].get_ydata(), 100 * result.accuracy[1, 1])
    np.testing.assert_allclose(lines(ax)["run, test"].get_xdata(), result.arc[1])
    assert ax.get_ylabel() == "accuracy [%]"
    assert ax.get_xlabel() == "length of the curve so far"
    assert "segment, train" not in lines(ax)


def test_the_barrier_is_marked_over_the_interpolation_of_the_ends(make_path):
    result = make_path()
    ax = draw(result, log=False)
    arrow, number = ax.texts[:2]
    assert arrow.xy == (0.5, result.loss[0, 0, 4])
    assert arrow.xyann == pytest.approx((0.5, result.loss[0, 0, 4] - 1.5))
    assert number.get_text().startswith("1.5 ")
    dotted = [line for line in ax.lines if line.get_linestyle() == ":"]
    np.testing.assert_allclose(dotted[0].get_ydata(), result.loss[0, 0] - result.height[0, 0])
    assert len(dotted) == 2  # the curves share their ends: one for each split
    assert not draw(result, barrier=False).texts


def test_barriers_at_one_place_stand_side_by_side(make_path):
    base = arrays()["loss"][:1] - arrays()["height"][:1]
    height = np.array([1.5, 1.2])[:, None, None] * 4 * T * (1 - T) * np.ones((2, 1))
    ax = draw(make_path(loss=base + height, height=height), log=False)
    one, other = (arrow for arrow in ax.texts if not arrow.get_text())
    assert one.xy[0] == other.xy[0] == 0.5
    apart = one.xycoords.transform((0.5, 1))[0] - other.xycoords.transform((0.5, 1))[0]
    assert apart == pytest.approx(ASIDE / 72 * ax.figure.dpi)
    assert [text.get_ha() for text in ax.texts if text.get_text()] == ["left", "right"]


@pytest.mark.parametrize(("peak", "side"), [(1, "left"), (7, "right")])
def test_numbers_stand_on_the_inner_side_of_arrows_near_an_edge(make_path, peak, side):
    height = np.zeros((2, 2, 9))
    height[:, :, peak] = 1.5
    ax = draw(make_path(loss=0.1 + height, height=height), log=False)
    numbers = [text.get_ha() for text in ax.texts if text.get_text()]
    assert numbers == [side, side]
    assert min(T[peak], 1 - T[peak]) < EDGE


def test_barriers_of_several_curves_are_told_below_and_of_one_inside(make_path):
    drawn = figure(make_path())
    words = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert words[0].startswith("segment (train barrier 1.5 ")
    assert words[0].endswith(" %)")
    assert not any(text.get_text() for ax in drawn.axes for text in ax.texts)
    assert any(text.get_text().startswith("1.5 ") for ax in figure(make_path(), numbers=True).axes for text in ax.texts)


def test_the_interpolation_of_the_ends_is_not_lost_under_huge_losses(make_path):
    height = np.zeros((2, 2, 9))
    height[1, :, 1:-1] = 1e38  # next to which the ends are less than rounding
    loss = np.linspace(0.1, 0.3, 9) + height
    ax = draw(make_path(loss=loss, height=height))
    assert ax.get_yscale() == "log"
    arrow = next(text for text in ax.texts if not text.get_text())
    assert arrow.xyann[1] == pytest.approx(0.1 + 0.2 * arrow.xyann[0])


def test_a_low_barrier_is_not_marked(make_path):
    flat = make_path(height=np.zeros((2, 2, 9)))
    assert not draw(flat).texts


def test_the_band_is_one_standard_error(make_path):
    result = make_path()
    ax = draw(result, split="train", log=False)
    edges = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert edges.max() == pytest.approx(1.05 * result.loss[0, 0].max())
    assert not draw(result, band=False).collections


def test_checkpoints_of_a_chain_are_marked(make_path, make_connect):
    result = make_path()
    np.testing.assert_array_equal(knots(result, "run"), [0, 0.25, 0.5, 0.75, 1])
    assert knots(result, "segment") is None
    assert knots(make_connect(origin=ORIGIN | {"trained": {"shape": "chain"}}), "run") is None
    marks = [line for line in draw(result, view="arc").lines if line.get_marker() == "|"]
    np.testing.assert_allclose(marks[0].get_xdata(), [0, 1, 2, 3, 4])


def test_what_has_not_converged_is_hollow(make_path):
    ax = draw(make_path(), quantity="curvature")
    hollow = [line for line in ax.lines if line.get_markerfacecolor() == "white" and line.get_marker() in "^v"]
    assert [list(line.get_xdata()) for line in hollow] == [[1.0]] * 4


@pytest.mark.parametrize("quantity", ["loss", "accuracy", "disagreement", "curvature"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_lost_is_a_gap(make_path, quantity, value):
    names = ("loss", "height", "height_error", "loss_error", "accuracy", "drop", "lambda_max", "lambda_min")
    given = {name: array for name, array in arrays().items() if name in names}
    for array in given.values():
        array[..., 1] = value
    draw(make_path(**given), quantity=quantity).figure.draw_without_rendering()
    figure(make_path(**{name: np.full_like(array, value) for name, array in given.items()})).draw_without_rendering()


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"quantity": "height"}, "Expected a quantity, one of loss, accuracy, .*, got 'height'"),
        ({"quantity": "training"}, "Expected a result with training, got one without: choose loss, accuracy"),
        ({"view": "s"}, "Expected a view, t or arc, got 's'"),
        ({"split": "dev"}, "Expected a split, one of train, test, got 'dev'"),
    ],
)
def test_knobs_that_do_not_fit(make_path, knobs, words):
    with pytest.raises(ValueError, match=words):
        draw(make_path(), **knobs)


@pytest.mark.parametrize("venue", [None, *VENUES])
def test_a_whole_figure_has_every_panel_on_the_page(make_path, venue):
    drawn = figure(make_path(), venue=venue)
    drawn.draw_without_rendering()
    assert len([ax for ax in drawn.axes if ax.axison]) == 4
    for text in [*drawn.texts, *drawn.legends, *(ax.yaxis.label for ax in drawn.axes)]:
        box = text.get_window_extent()
        assert drawn.bbox.x0 - 1 <= box.x0 <= box.x1 <= drawn.bbox.x1 + 1
        assert drawn.bbox.y0 - 1 <= box.y0 <= box.y1 <= drawn.bbox.y1 + 1


def test_panels_are_those_that_were_measured(make_path, make_connect):
    assert panels(make_path()) == ["loss", "accuracy", "disagreement", "curvature"]
    assert panels(make_connect()) == ["loss", "accuracy", "disagreement", "training"]
    nothing = dict.fromkeys(["accuracy", "accuracy_error", "drop", "drop_error"])
    nothing |= {f"disagreement_{end}{e}": None for end in ("first", "last") for e in ("", "_error")}
    bare = make_path(bent=False, **nothing)
    assert panels(bare) == ["loss"]
    assert len(figure(bare).axes) == 1
    figure(make_connect(), view="arc", split="test").draw_without_rendering()
    assert len(figure(make_connect(), quantity="training").axes) == 1


def test_classes_have_a_panel_each(make_path):
    losses = arrays()["loss"][:, :, None] * np.arange(1, 4)[:, None]
    given = {"class_": ["cat", "dog", "hen"], "class_loss": losses, "class_accuracy": np.exp(-losses)}
    drawn = figure(make_path(**given), classes=True, split="test")
    drawn.draw_without_rendering()
    titled = [ax for ax in drawn.axes if ax.get_title()]
    assert [ax.get_title() for ax in titled] == ["cat", "dog", "hen"]
    np.testing.assert_allclose(titled[1].lines[1].get_ydata(), losses[1, 1, 1])
    assert titled[1].lines[1].get_label() == "run, test"
    figure(make_path(**given), classes=True, quantity="accuracy").draw_without_rendering()


def test_the_heading_tells_points_examples_and_batch_norm(make_path):
    words = heading(make_path()).replace("\u00a0", " ")
    assert words == "lenet on digits\n9 points · train 50, test 20 examples · batch norm refitted at every point"
    assert heading(make_path(origin={})).replace("\u00a0", " ") == "9 points"


def test_the_interactive_twin_has_the_same_numbers(make_path, make_connect):
    result = make_path()
    page = interactive(result)
    by_name = [trace for trace in page.data if trace.name == "segment" and trace.line.dash == "solid"]
    np.testing.assert_allclose(by_name[0].y, result.loss[0, 0], rtol=1e-6)
    assert [trace.name for trace in page.data if trace.showlegend] == ["segment", "run"]
    ways = page.layout.updatemenus[0].buttons
    np.testing.assert_allclose(ways[1].args[0]["x"][0], result.arc[0], rtol=1e-6)
    both = interactive({"a": make_connect(), "b": make_connect()})
    assert {trace.name for trace in both.data if trace.showlegend} == {
        "a: segment", "a: run", "b: segment", "b: run",
    }  # fmt: skip


def test_a_path_is_a_table(make_path, tmp_path):
    result = make_path()
    csv(result, tmp_path / "p.csv")
    rows = (tmp_path / "p.csv").read_text().splitlines()
    assert rows[0].startswith("curve,split,t,loss,loss_error,height")
    assert len(rows) == 1 + 2 * 2 * 9
    latex(result, tmp_path / "p.tex")
    text = (tmp_path / "p.tex").read_text()
    assert r"segment & 3 & $1.5 \pm 0.15$ & $1.2 \pm 0.12$ & $15 \pm 1.5$ & $12 \pm 1.2$ \\" in text
    odd = make_path(curve=["a_b", "c%"], drop=None, drop_error=None)
    latex(odd, tmp_path / "p.tex")
    assert r"a\_b & 3 & $1.5 \pm 0.15$ & $1.2 \pm 0.12$ \\" in (tmp_path / "p.tex").read_text()
