"""Panels in words: what may be said, where panels stand, what they share."""

import numpy as np
import pytest

from landscape.plots.figure import figure
from landscape.plots.panel import Layout, abreast, choices, knobs, places, read
from landscape.plots.style import VENUES, venue


def titles(drawn):
    return [ax.get_title() for ax in drawn.axes]


def test_layouts_are_read():
    assert read("2x3") == Layout((2, 3), [])
    assert read(" 1 x 2 : train loss, 3d") == Layout((1, 2), [["train loss", "3d"]])
    assert read("a, b / c") == Layout(None, [["a", "b"], ["c"]])


@pytest.mark.parametrize("text", ["", " ", "a,,b", "a /", "0x2", "2x2: a / b", "/"])
def test_layouts_that_cannot_be_read(text):
    with pytest.raises(ValueError, match="Expected (panels|rows)"):
        read(text)


def test_words_are_knobs_in_any_order(make_surface):
    surface = make_surface()
    assert knobs(surface, "train loss") == {"split": "train", "quantity": "loss"}
    assert knobs(surface, "3d  test") == {"view": "3d", "split": "test"}
    assert knobs(surface, "accuracy_error") == {"quantity": "accuracy_error"}
    assert choices(surface)["split"] == ["train", "test"]


@pytest.mark.parametrize(("words", "wrong"), [("train los", "'los'"), ("train test", "a second split"), ("x", "'x'")])
def test_words_that_mean_nothing_are_named_with_those_that_do(make_surface, words, wrong):
    told = "view: contour, 3d, heat; quantity: loss, .*; split: train, test"
    with pytest.raises(ValueError, match=f"{told}.*got {wrong}"):
        figure(make_surface(), panels=words)


def test_panels_stand_where_they_were_put(make_surface):
    drawn = figure(make_surface(), panels="train loss, test loss / accuracy, 3d", venue="neurips")
    assert titles(drawn) == ["train loss", "test loss", "train accuracy", "train loss"]
    cells = [ax.get_subplotspec() for ax in drawn.axes]
    assert [(cell.rowspan.start, cell.colspan.start) for cell in cells] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [ax.name for ax in drawn.axes] == ["rectilinear"] * 3 + ["3d"]
    train, test = (next(c for c in ax.collections if c.get_array() is not None) for ax in drawn.axes[:2])
    np.testing.assert_array_equal(train.levels, test.levels)
    assert drawn.get_figwidth() == 5.5


def test_several_results_have_a_row_each_or_a_place_each(make_surface):
    several = {"sgd": make_surface(), "sam": make_surface()}
    drawn = figure(several, panels="loss, accuracy")
    assert titles(drawn) == ["sgd\ntrain loss", "sgd\ntrain accuracy", "sam\ntrain loss", "sam\ntrain accuracy"]
    assert [ax.get_subplotspec().rowspan.start for ax in drawn.axes] == [0, 0, 1, 1]
    assert len(figure(several, panels="2x1", split="test").axes) == 2


def test_results_of_different_kinds_stand_side_by_side(make_surface, make_line):
    drawn = figure({"plane": make_surface(), "line": make_line()}, panels="1x2")
    assert titles(drawn)[0] == "plane\ntrain loss"
    assert titles(drawn)[1].startswith("line")
    assert len(drawn.axes[1].lines) >= 2


def test_a_single_row_is_broken_where_the_page_ends(make_surface):
    assert places([4], None, VENUES["neurips"])[:2] == (2, 2)
    assert places([3], None, VENUES["neurips"])[:2] == (1, 3)
    assert places([3], None, venue("icml", width="column"))[:2] == (2, 2)
    assert places([2, 1], None, VENUES["icml"]) == (2, 2, [0, 1, 2])
    assert abreast(VENUES["slides"]) == 3


@pytest.mark.parametrize("shape", ["1x2", "3x3", "4x1"])
def test_shapes_that_panels_do_not_fill(make_surface, shape):
    with pytest.raises(ValueError, match=f"Expected {shape} panels, got 3: choose rows and columns"):
        figure(make_surface(), panels=shape)


def test_panels_and_classes_exclude_each_other(make_surface):
    with pytest.raises(ValueError, match="panels or classes, got both"):
        figure(make_surface(), panels="1x3", classes=True)


def test_paths_of_several_files_lie_over_each_other():
    from landscape.probes.path import Path

    def made(points, height):
        t = np.linspace(0, 1, points)
        hump = height * 4 * t * (1 - t) * np.ones((1, 2, 1))
        loss = 0.1 + hump
        return Path(
            curve=["segment"], split=["train", "test"], t=t, loss=loss, loss_error=0.05 * loss, height=hump,
            height_error=0.01 * hump, rise=hump, rise_error=hump, accuracy=np.exp(-loss), accuracy_error=0.01 * loss,
            drop=hump, drop_error=hump, arc=3 * t[None], length=[3], distance=[3],
            **{f"disagreement_{end}{e}": hump for end in ("first", "last") for e in ("", "_error")},
        )  # fmt: skip

    drawn = figure({"sgd": made(9, 1.5), "sam": made(5, 0.5)})
    loss, accuracy = drawn.axes
    assert (loss.get_title(), accuracy.get_title()) == ("loss", "accuracy")
    lines = {line.get_label(): line for line in loss.lines}
    assert len(lines["sgd, train"].get_xdata()) == 9
    assert len(lines["sam, test"].get_xdata()) == 5
    words = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert "sgd (barrier 1.5 ± 0.015 nat)" in words
    assert "sam (barrier 0.5 ± 0.005 nat)" in words
