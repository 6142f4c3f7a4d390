"""Bars and spectra of classes."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from landscape.plots import draw
from landscape.plots.figure import figure
from landscape.plots.saddle_grid import saddle_grid
from landscape.plots.style import BLUE, GREEN, ORANGE, VENUES
from landscape.plots.summary import summary
from landscape.probes.saddle import Saddle

TAIL = (200, 100, 60, 30, 12, 4)


def made(counts=TAIL, names=None, **changes):
    """A result whose classes are worse, the rarer they are."""
    counts = np.array(counts)
    size, random = len(counts), np.random.default_rng(0)
    here = np.where(counts > 0, 1.0, np.nan)
    low, high = -here * 3 / (2 + np.sqrt(counts)), here * np.linspace(20, 60, size)
    node = np.sort(random.normal(size=(size, 2, 30)), 2) * 0.1 * here[:, None, None]
    node[:, :, 0], node[:, :, -1] = low[:, None], high[:, None]
    names = [str(k) for k in range(size)] if names is None else names
    each = {
        "loss": here, "loss_error": here, "gradient_norm": here, "lambda_max": high, "lambda_min": low,
        "ratio": -low / high, "ratio_error": 0.1 * np.abs(low / high), "missed": here, "negative_mass": here,
        "negative_mass_error": here, "negative_trace": here, "negative_trace_error": here,
        "lambda_max_error": here, "lambda_min_error": here, "lambda_max_residual": here, "lambda_min_residual": here,
        "lambda_max_converged": counts > 0, "lambda_min_converged": counts > 0,
    }  # fmt: skip
    step, whole = np.zeros((size, 2, 3)), np.zeros((size, size))
    rest = {
        "tau": 0.01, "node": node, "weight": np.full(node.shape, 1 / 30), "dimension": 1000, "sign": [1, -1],
        "size": [0.01, 0.03, 0.1], "step_length": [1.0, 3.0, 10.0], "step_loss": step, "step_loss_error": step,
        "step_bend": step[:, 0], "step_bend_error": step[:, 0], "step_whole_loss": step, "step_whole_loss_error": step,
        "gradient_cosine": whole, "direction_cosine": whole,
        "origin": {"model": {"name": "resnet32"}, "data": {"name": "cifar10"}},
    }  # fmt: skip
    return Saddle(class_=names, other=names, count=counts, **(each | rest | changes))


def bars(ax):
    return [patch for patch in ax.patches if patch.get_height() != 0 and patch.get_hatch() is None]


def test_bars_stand_in_the_order_of_frequency_and_in_the_colours_of_groups():
    result = made(TAIL[::-1])
    ax = draw(result)
    found = sorted(bars(ax), key=lambda bar: bar.get_x())
    np.testing.assert_allclose([bar.get_height() for bar in found], result.ratio[::-1])
    assert [to_hex(bar.get_facecolor()).upper() for bar in found] == [BLUE] * 2 + [GREEN] * 2 + [ORANGE] * 2
    assert [t.get_text().split("\n") for t in ax.get_xticklabels()][0] == ["5", "200"]
    mean, error = result.by_group()["tail"]
    words = " ".join(text.get_text() for text in ax.get_legend().get_texts())
    assert f"tail: {mean:.2g}" in words
    band = ax.collections[0].get_paths()[0].get_extents()  # the tail's is the last one made
    assert len([c for c in ax.collections]) >= 3
    assert band.height > 0


def test_classes_keep_their_order_on_request():
    result = made(TAIL[::-1])
    found = sorted(bars(draw(result, sort=False)), key=lambda bar: bar.get_x())
    np.testing.assert_allclose([bar.get_height() for bar in found], result.ratio)


def test_error_bars_reach_as_far_as_the_errors():
    result = made()
    ax = draw(result)
    (segments,) = [c.get_segments() for c in ax.collections if hasattr(c, "get_segments")]
    np.testing.assert_allclose([s[:, 1] for s in segments], np.stack([result.ratio * 0.9, result.ratio * 1.1], 1))
    low, high = 0.5 * result.ratio, 3 * result.ratio
    ax = draw(made(ratio_low=low, ratio_high=high))
    (segments,) = [c.get_segments() for c in ax.collections if hasattr(c, "get_segments")]
    np.testing.assert_allclose([s[:, 1] for s in segments], np.stack([low, high], 1))
    assert not [c for c in draw(result, errors=False).collections if hasattr(c, "get_segments")]


def test_what_is_not_sure_is_marked():
    plain = draw(made())
    assert not [p for p in plain.patches if p.get_hatch()]
    done = np.arange(6) != 2
    ax = draw(made(lambda_min_converged=done, missed=np.where(np.arange(6) < 2, 1e-6, 1.0)))
    assert {p.get_x() + p.get_width() / 2 for p in ax.patches if p.get_hatch() and p.get_height()} == {2.0}
    (dots,) = [line for line in ax.lines if line.get_marker() == "o"]
    assert dots.get_xdata().tolist() == [0, 1]
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words[-1].startswith("none below")
    assert "an end has not converged" in words


def test_a_class_without_examples_is_named_and_balanced_classes_have_one_colour():
    ax = draw(made((50, 0, 50, 45)))
    assert len(bars(ax)) == 3
    assert {to_hex(bar.get_facecolor()).upper() for bar in bars(ax)} == {BLUE}
    assert [text.get_text() for text in ax.texts] == ["no examples"]
    assert ax.get_legend() is None


def inside(drawn):
    """Say whether all that is drawn lies on the page, to a hundredth of an inch."""
    drawn.draw_without_rendering()
    box, (width, height) = drawn.get_tightbbox(), drawn.get_size_inches()
    return min(box.x0, box.y0) > -0.01 and box.x1 < width + 0.01 and box.y1 < height + 0.01


@pytest.mark.parametrize(
    ("kind", "venue"), [*(("bars", name) for name in (None, *VENUES)), ("grid", None), ("grid", "slides")]
)
def test_nothing_is_cut(kind, venue):
    result = made((*TAIL, 0), names=["airplane", "automobile", "bird", "cat", "deer", "a $dollar", "dog_"])
    drawn = figure(result, venue=venue, classes=kind == "grid")
    assert inside(drawn)
    if kind == "bars":
        ax = drawn.axes[0]
        labels = [t.get_window_extent() for t in ax.get_xticklabels()]
        assert not any(one.overlaps(other) for one, other in zip(labels, labels[1:], strict=False))


@pytest.mark.parametrize("count", [30, 100])
def test_many_classes(count):
    result = made(np.geomspace(500, 5, count).astype(int))
    drawn = figure(result)
    assert len(bars(drawn.axes[0])) == count
    assert inside(drawn)


def test_small_panels_say_what_they_span():
    grid = figure(made(np.geomspace(500, 5, 21).astype(int)), classes=True)
    assert inside(grid)
    assert sum(ax.axison for ax in grid.axes) == 21
    assert "over its own spectrum" in grid.get_supxlabel()
    assert "logarithmic, from" in grid.get_supylabel()


@pytest.mark.parametrize("shared", [False, True])
def test_a_panel_for_every_class_with_both_ends_marked(shared):
    result = made((*TAIL, 0))
    drawn = saddle_grid(result, shared=shared)
    panels = [ax for ax in drawn.axes if ax.axison]
    assert [ax.get_title().split(" ")[0] for ax in panels] == result.class_.tolist()
    assert panels[0].get_title() == "0 (200, head)"
    for index, ax in enumerate(panels[:-1]):
        low, high = (line.get_xdata()[0] for line in ax.lines if line.get_marker() in "<>")
        assert (low, high) == (result.lambda_min[index], result.lambda_max[index])
        left, right = ax.get_xlim()
        assert left < low < high < right
        assert ax.get_yscale() == "log"
        grid, density = ax.lines[0].get_data()
        expected, _ = result.spectrum(index).density(grid)
        np.testing.assert_allclose(density, expected)
    assert len({ax.get_xlim() for ax in panels[:-1]}) == (1 if shared else 6)
    assert len({ax.get_ylim() for ax in panels}) == 1
    assert [text.get_text() for text in panels[-1].texts] == ["no examples"]


def test_the_grid_takes_a_width_and_a_title():
    result = made()
    drawn = saddle_grid(result, width=2.0, title="Spectra")
    assert drawn.get_suptitle() == "Spectra"
    grid, density = drawn.axes[0].lines[0].get_data()
    np.testing.assert_allclose(density, result.spectrum(0).density(grid, 2.0)[0])
    assert plt.get_fignums() == []


def test_the_words_beside_a_grid_of_many_stay_clear_of_it():
    grid = figure(made(np.geomspace(500, 5, 30).astype(int)), classes=True)
    grid.draw_without_rendering()
    assert grid._supylabel.get_window_extent().x1 < grid.axes[0].get_window_extent().x0
    assert "(examples)" not in grid.get_suptitle()


def test_a_class_without_examples_has_no_scale():
    grid = saddle_grid(made((*TAIL[:3], 0, *TAIL[3:])))
    grid.draw_without_rendering()
    assert not any(label.get_visible() for label in grid.axes[3].get_xticklabels())


def test_tiny_ratios_are_written_beside_the_axis():
    drawn = figure(made(ratio=np.full(6, 3e-6)))
    drawn.draw_without_rendering()
    assert not drawn.axes[0].yaxis.get_offset_text().get_text()


def test_what_the_numbers_of_classes_mean_is_said():
    told = summary(made((*TAIL, 0)))
    assert "head: mean ratio" in told
    assert "an eigenvalue below -0.01 lambda_max: class 3, 4, 5" in told
    assert "none below -0.01 lambda_max, but for a chance of 1 %: no class" in told
    assert "lowers the class's loss by 2 standard errors: no class" in told
    assert "an end has not converged" not in told
    late = made(TAIL, lambda_min_converged=np.array([True, False, True, True, False, True]))
    assert "an end has not converged: class 1, 4" in summary(late)
    sure = made(TAIL, missed=np.array([1e-3, 1, 1, 1, 1, 1]))
    assert "but for a chance of 1 %: class 0" in summary(sure)
