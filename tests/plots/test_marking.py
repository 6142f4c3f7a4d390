"""Runs, single checkpoints and curves on a drawn plane."""

import numpy as np
import pytest

from landscape.plots import draw
from landscape.plots.figure import figure


def runs(count, **changes):
    """Arrays of several runs of three checkpoints, and one checkpoint on its own."""
    angle = np.linspace(0, 3, 3 * count + 1)
    return {
        "checkpoint": [*[f"epoch-{k}" for _ in range(count) for k in range(3)], "alone"],
        "checkpoint_run": [*(f"run {k}" for k in range(count) for _ in range(3)), ""],
        "checkpoint_a": 0.4 * np.cos(angle), "checkpoint_b": 0.4 * np.sin(angle),
        "checkpoint_residual": [*np.full(3 * count, 1.5), 0.0],
    } | changes  # fmt: skip


def curved():
    t = np.linspace(0, 1, 11)
    return {
        "curve": ["segment", "bezier"], "curve_t": t, "curve_a": np.stack([t, t]) - 0.5,
        "curve_b": np.stack([0 * t, t * (1 - t)]), "curve_residual": np.stack([0 * t, 0.3 * t]),
    }  # fmt: skip


def lines(ax):
    return {line.get_label(): line for line in ax.lines}


def test_every_run_has_its_own_colour_marks_and_name(make_surface):
    drawn = lines(draw(make_surface(**runs(6))))
    tracks = [drawn[f"run {k} (up to 1.5 off the plane)"] for k in range(6)]
    assert len({line.get_color() for line in tracks}) == 6
    ends = [line for line in draw(make_surface(**runs(6))).lines if line.get_label() == "_end"]
    assert len({line.get_marker() for line in ends}) == 6
    assert {"start", "end", "checkpoints"} <= set(drawn)
    np.testing.assert_allclose(tracks[1].get_xdata(), runs(6)["checkpoint_a"][3:6])


def test_more_than_six_runs_are_counted(make_surface):
    ax = draw(make_surface(**runs(9)))
    names = ax.get_legend_handles_labels()[1]
    assert sum(name.startswith("run ") for name in names) == 5
    assert names.count("4 more runs") == 1


def test_marks_beyond_the_grid_do_not_move_its_edges_and_are_told(make_surface):
    far = runs(2, checkpoint_a=[5.0, *np.zeros(6)])
    for view in ("contour", "heat"):
        plain, ax = draw(make_surface(), view=view, landmarks=False), draw(make_surface(**far), view=view)
        assert (ax.get_xlim(), ax.get_ylim()) == (plain.get_xlim(), plain.get_ylim())
        assert "1 of 7 checkpoints off the grid" in ax.get_legend_handles_labels()[1]
    relief = draw(make_surface(**far), view="3d")
    across = np.concatenate([line.get_data_3d()[0] for line in relief.lines])
    assert np.nanmax(across) <= 1
    assert "alone" not in {text.get_text() for text in draw(make_surface(**runs(1, checkpoint_a=[0, 0, 0, 9]))).texts}


def test_curves_are_lines_and_the_segment_is_dashed(make_surface):
    drawn = lines(draw(make_surface(**curved())))
    assert drawn["segment"].is_dashed()
    assert not drawn["bezier (up to 0.3 off the plane)"].is_dashed()
    np.testing.assert_allclose(drawn["segment"].get_xydata()[:, 1], 0)
    relief = draw(make_surface(**curved()), view="3d")
    assert [text.get_text() for text in relief.get_legend().get_texts()] == ["segment", "bezier"]


def test_a_folder_is_one_entry_and_single_checkpoints_say_how_far_off_they_are(make_surface):
    surface = make_surface(
        checkpoint=["a", "b", "fge/m1", "fge/m2"], checkpoint_run=[""] * 4, checkpoint_a=[0, 0.5, 0.2, 0.3],
        checkpoint_b=[0, 0, 0.4, 0.5], checkpoint_residual=[0, 2.5, 1.0, 4.0],
    )  # fmt: skip
    ax = draw(surface)
    assert {"checkpoints (off the plane: b by 2.5)", "fge: 2 checkpoints (up to 4 off the plane)"} <= set(lines(ax))
    assert {text.get_text() for text in ax.texts} >= {"a", "b"}
    assert not {text.get_text() for text in ax.texts} & {"fge/m1", "fge/m2"}


@pytest.mark.parametrize("venue", [None, "icml"])
def test_a_page_with_all_kinds_of_marks_is_not_cut(make_surface, venue):
    page = figure(make_surface(**runs(3), **curved()), venue=venue)
    page.draw_without_rendering()
    (legend,) = page.legends
    box, whole = legend.get_window_extent(), page.bbox
    assert whole.x0 <= box.x0 < box.x1 <= whole.x1
    assert whole.y0 <= box.y0 < box.y1 <= whole.y1


def test_names_with_dollars_are_names(make_surface):
    draw(make_surface(**runs(1, checkpoint_run=["$x^", "$x^", "$x^", ""]))).figure.draw_without_rendering()


@pytest.mark.parametrize("side", [-1, 1])
def test_names_stay_inside_the_axes_where_curves_lie_in_their_way(make_surface, side):
    t = np.linspace(0, 1, 200)
    single = {"checkpoint": ["a-rather-long-name"], "checkpoint_a": [side * 0.9], "checkpoint_b": [0.0]}
    ways = {"curve_a": side * np.stack([0.9 * t, 0.9 * t]), "curve_b": np.stack([1 - t, t - 1]) * 0.3}
    arrays = {"curve": ["up", "down"], "curve_t": t, "curve_residual": np.zeros((2, 200)), **ways}
    ax = draw(make_surface(**single, **arrays, checkpoint_residual=[0.0]))
    ax.figure.draw_without_rendering()
    (text,) = [t for t in ax.texts if t.get_text() == "a-rather-long-name"]
    box, whole = text.get_window_extent(), ax.get_window_extent()
    assert whole.x0 <= box.x0
    assert box.x1 <= whole.x1
