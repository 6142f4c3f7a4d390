from typing import Any

import numpy as np
import pytest

from landscape.plots import draw
from landscape.plots.ensembling import VIEWS, WORDS
from landscape.plots.figure import figure
from landscape.plots.interactive import interactive
from landscape.probes.ensembling import Ensembling

SCORES = ("loss", "accuracy", "brier", "calibration", "entropy")
CONTRASTS = ["pair - alone", "all - alone", "pair_average - alone", "all_average - alone"]


@pytest.fixture
def make():
    def made(curves=("segment", "bezier"), splits=("train", "test"), points=6, **changes):
        random = np.random.default_rng(0)
        lead = (len(curves), len(splits))
        arrays: dict[str, Any] = {name: random.uniform(0.1, 0.9, (*lead, 5, points)) for name in SCORES}
        arrays |= {f"{name}_error": 0.1 * arrays[name] for name in SCORES}
        distance = np.linspace(0, 8, points) * np.ones((len(curves), 1))
        difference = random.standard_normal((*lead, len(CONTRASTS), len(SCORES), points))
        return Ensembling(
            **arrays | {
                "curve": list(curves), "split": list(splits), "t": np.linspace(0, 1, points), "way": list(WORDS),
                "contrast": CONTRASTS, "score": SCORES, "distance": distance, "arc": 1.5 * distance,
                "difference": difference, "difference_error": np.abs(difference) / 5,
                "disagreement": random.uniform(0, 1, (*lead, points)),
                "disagreement_error": random.uniform(0, 0.1, (*lead, points)),
            } | changes
        )  # fmt: skip

    return made


def drawn(ax):
    return {line.get_label(): line.get_xydata() for line in ax.lines}


@pytest.mark.parametrize(("view", "unit"), [("accuracy", 100), ("loss", 1), ("calibration", 100), ("brier", 1)])
def test_lines_are_ways_against_distance_with_their_errors(make, view, unit):
    result = make()
    ax = draw(result, view=view, curve="bezier", split="train")
    values, errors = (unit * getattr(result, name)[1, 0] for name in (view, f"{view}_error"))
    found = drawn(ax)
    assert list(found) == list(WORDS.values())
    for line, expected in zip(found.values(), values, strict=True):
        np.testing.assert_allclose(line, np.stack([result.distance[1], expected], 1))
    for w, band in enumerate(ax.collections):
        assert band.get_paths()[0].vertices[:, 1].max() == pytest.approx((values + errors)[w].max())
    assert ax.get_ylabel() == VIEWS[view]
    assert ax.get_xlabel() == "distance from the first network"
    assert ax.get_title() == "bezier, train"
    assert len({line.get_color() for line in ax.lines}) == 5


def test_the_test_split_of_the_first_curve_is_shown(make):
    result = make()
    np.testing.assert_allclose(draw(result).lines[2].get_ydata(), 100 * result.accuracy[0, 1, 2])
    assert draw(make(curves=("walk",), splits=("first",))).get_title() == ""


def test_a_chain_that_comes_back_is_drawn_over_its_length(make):
    back = np.array([[0, 1, 3, 2, 4, 5.0]])
    result = make(curves=("walk",), distance=back)
    ax = draw(result)
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), result.arc[0])
    assert ax.get_xlabel() == "length of the curve"
    np.testing.assert_array_equal(draw(result, along="distance").lines[0].get_xdata(), back[0])
    np.testing.assert_array_equal(draw(result, along="t").lines[0].get_xdata(), result.t)


def test_differences_are_paired_and_have_a_line_at_zero(make):
    result = make()
    ax = draw(result, view="difference")
    found = drawn(ax)
    difference, _ = result.compared("all - alone", "loss")
    np.testing.assert_array_equal(found["all so far"][:, 1], difference[0, 1])
    assert "alone" not in found
    assert ax.lines[-1].get_ydata() == [0, 0]


def test_disagreement_is_one_line(make):
    result = make()
    (line,) = draw(result, view="disagreement").lines
    np.testing.assert_allclose(line.get_ydata(), 100 * result.disagreement[0, 1])


def test_a_loss_over_decades_is_logarithmic(make):
    result = make(loss=np.full((2, 2, 5, 6), 0.01) * 10 ** np.linspace(0, 3, 6))
    assert draw(result, view="loss").get_yscale() == "log"
    assert draw(result, view="loss", log=False).get_yscale() == "linear"


def test_a_figure_has_a_row_for_each_curve(make):
    shown = figure(make())
    titles = [ax.get_title() for ax in shown.axes]
    assert titles == ["segment, test"] * 3 + ["bezier, test"] * 3
    assert [ax.get_ylabel() for ax in shown.axes[:3]] == [VIEWS[v] for v in ("accuracy", "loss", "calibration")]
    assert [text.get_text() for text in shown.legends[0].get_texts()] == list(WORDS.values())
    assert len(figure(make(), curve="bezier", split="train").axes) == 3
    assert len(figure(make(), view="difference").axes) == 1


def test_knobs_without_such_a_value_are_refused(make):
    for knobs, words in (
        ({"view": "heat"}, "view, one of loss, accuracy, .* got 'heat'"),
        ({"along": "a"}, "along, one of auto, distance, arc, t, got 'a'"),
        ({"curve": "chain"}, "curve, one of segment, bezier, got 'chain'"),
        ({"split": "other"}, "split, one of train, test, got 'other'"),
    ):
        with pytest.raises(ValueError, match=words):
            draw(make(), **knobs)


def test_the_interactive_twin_shows_one_curve_and_split_at_a_time(make):
    result = make()
    page = interactive(result)
    shown = [trace for trace in page.data if trace.visible]
    assert len(page.data) == 4 * len(shown) == 60
    np.testing.assert_allclose(shown[0].y, 100 * result.accuracy[0, 1, 0], rtol=1e-6)
    np.testing.assert_allclose(shown[14].y, 100 * result.calibration[0, 1, 4], rtol=1e-6)
    np.testing.assert_allclose(shown[5].error_y.array, result.loss_error[0, 1, 0], rtol=1e-6)
    buttons = page.layout.updatemenus[0].buttons
    assert [button.label for button in buttons] == ["segment, test", "segment, train", "bezier, test", "bezier, train"]
    chosen = [trace for trace, visible in zip(page.data, buttons[2].args[0]["visible"], strict=True) if visible]
    np.testing.assert_allclose(chosen[1].y, 100 * result.accuracy[1, 1, 1], rtol=1e-6)
    two = interactive({"one": result, "two": make(curves=("walk",))})
    assert two.layout.updatemenus[0].buttons[-1].label == "two, walk, train"
