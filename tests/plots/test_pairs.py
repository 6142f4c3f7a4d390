"""Matrices of barriers and trees of curves: what is written, coloured and laid out; interactive twins."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from landscape.plots import draw
from landscape.plots.figure import figure
from landscape.plots.interactive import interactive
from landscape.plots.tree import brief, layout
from landscape.probes.barriers import Barriers
from landscape.probes.tree import Tree

NAMES = ["a", "b", "c"]


def symmetric(*values):
    found = np.zeros((3, 3))
    found[0, 1], found[0, 2], found[1, 2] = values
    return found + found.T


@pytest.fixture
def barriers():
    values = np.stack([symmetric(0.5, 0.25, 2.0), symmetric(0.75, np.inf, np.nan)])
    return Barriers(
        split=["train", "test"], first=NAMES, second=NAMES, loss=np.ones((2, 3)), loss_error=np.ones((2, 3)),
        barrier=values, barrier_error=0.1 * np.ones_like(values) * (values != 0), t=np.full((2, 3, 3), 0.5),
        rise=values, rise_error=values, distance=symmetric(3.0, 4.0, 5.0),
    )  # fmt: skip


@pytest.fixture
def grown():
    t = np.linspace(0, 1, 5)
    loss = 0.1 + np.array([0.2, 0.3, 0.6])[:, None, None] * np.sin(np.pi * t) * np.ones((3, 2, 1))
    saddles = symmetric(0.3, 0.4, 0.4) + 0.1 * np.eye(3)
    return Tree(
        network=NAMES, other=NAMES, split=["train", "test"], loss=np.full((2, 3), 0.1), loss_error=np.ones((2, 3)),
        distance=symmetric(3.0, 4.0, 5.0), segment_saddle=symmetric(1.0, 2.0, 3.0), saddle=saddles,
        segment_saddle_error=0.01 * np.ones((3, 3)), saddle_error=0.01 * np.ones((3, 3)),
        edge=["a to b", "a to c", "b to c"], end=[[0, 1], [0, 2], [1, 2]], step=[0, 0, 1], kept=[True, True, False],
        edge_saddle=[0.3, 0.4, 0.7], edge_saddle_error=[0.01] * 3,
        edge_rise=[0.2, 0.3, 0.6], edge_rise_error=[0.01] * 3,
        length=[3.5, 4.5, 5.5], t=t, arc=np.array([3.5, 4.5, 5.5])[:, None] * t, edge_loss=loss,
        edge_loss_error=0.01 * loss, count=[3, 3, 3], control=np.zeros((3, 3, 2)),
        origin={"curves": {}},
    )  # fmt: skip


def words(ax):
    return [text.get_text() for text in ax.texts]


def test_every_split_has_a_panel_with_the_numbers_in_its_tiles(barriers):
    drawn = figure(barriers)
    panels = [ax for ax in drawn.axes if ax.images and ax.get_title()]
    assert [ax.get_title() for ax in panels] == ["train", "test"]
    assert words(panels[0]).count("0.5") == words(panels[0]).count("0.25") == words(panels[0]).count("2") == 2
    assert words(panels[0]).count("0") == 3  # the diagonal
    assert words(panels[0]).count("± 0.1") == 6
    assert "∞" in words(panels[1])
    assert "nan" in words(panels[1])
    assert panels[0].images[0].norm.vmax == panels[1].images[0].norm.vmax  # one scale


def test_colours_follow_the_values(barriers):
    ax = draw(barriers, split="train", log=True)
    shown = ax.images[0].get_array()
    assert np.ma.getmaskarray(shown).diagonal().all()
    assert shown[1, 2] == shown[2, 1] == 2.0
    assert ax.images[0].norm(0.5) == pytest.approx(ax.images[0].norm(np.sqrt(0.25 * 1.0)))


def test_one_pair_of_axes_among_others_shows_one_split(barriers):
    _, axes = plt.subplots(1, 2)
    draw(barriers, axes[0])
    assert axes[0].get_title() == "train"
    assert not axes[1].images


def test_what_was_not_measured_is_not_drawn(barriers):
    with pytest.raises(ValueError, match="drop to be measured"):
        draw(barriers, quantity="drop")
    with pytest.raises(ValueError, match="one of barrier, rise, drop, disagreement, distance, got 'height'"):
        draw(barriers, quantity="height")
    with pytest.raises(ValueError, match="one of train, test, got 'valid'"):
        draw(barriers, split="valid")


def test_the_plane_keeps_distances_of_a_triangle_and_tells_what_it_loses_of_a_simplex():
    triangle = symmetric(3.0, 4.0, 5.0)
    place, residual = layout(triangle)
    np.testing.assert_allclose(np.linalg.norm(place[:, None] - place, axis=-1), triangle, atol=1e-7)
    assert residual < 1e-7
    simplex = 1.0 - np.eye(6)
    place, residual = layout(simplex)
    apart = np.linalg.norm(place[:, None] - place, axis=-1)
    assert residual == pytest.approx(np.sqrt(((simplex - apart) ** 2).sum() / 30))
    assert residual > 0.3
    assert layout(np.array([[0.0, 2.0], [2.0, 0.0]]))[1] < 1e-7


def test_edges_are_drawn_between_their_networks(grown):
    ax = draw(grown, view="graph")
    place, _ = layout(grown.distance)
    dropped, kept = ax.collections[:2]
    np.testing.assert_allclose([s[[0, -1]] for s in kept.get_segments()], place[[[0, 1], [0, 2]]])
    np.testing.assert_allclose([s[[0, -1]] for s in dropped.get_segments()], place[[[1, 2]]])
    assert {"a", "b", "c", "0.3", "0.4"} <= set(words(ax))
    assert "off by" in ax.get_xlabel()


def test_the_matrix_has_segments_below_and_the_tree_above(grown):
    shown = draw(grown, view="matrix").images[0].get_array()
    assert (shown[1, 0], shown[2, 0], shown[2, 1]) == (1.0, 2.0, 3.0)
    assert (shown[0, 1], shown[0, 2], shown[1, 2]) == (0.3, 0.4, 0.4)


def test_the_loss_along_every_edge_is_drawn(grown):
    ax = draw(grown, view="loss", split="test")
    assert [line.get_label() for line in ax.lines] == ["a to b", "a to c", "b to c, dropped"]
    np.testing.assert_allclose(ax.lines[1].get_ydata(), grown.edge_loss[1, 1])
    np.testing.assert_allclose(ax.lines[1].get_xdata(), grown.t)
    assert ax.get_ylabel() == "test loss [nat]"


def test_the_whole_figure_has_the_graph_and_the_matrix(grown):
    titles = [ax.get_title() for ax in figure(grown).axes]
    assert "trained curves" in titles
    assert any("below" in title for title in titles)


def test_long_names_are_told_by_the_words_in_which_they_differ():
    assert brief(["digits-run-10.best", "digits-run-11.best"]) == ["10", "11"]
    assert brief(["a-1", "a-2"]) == ["a-1", "a-2"]
    assert brief(["experiment-1", "experiment-1-b"]) == ["1", "1-b"]
    assert brief(["experiment-", "experiment-2"]) == ["experiment-", "experiment-2"]


def test_long_names_of_many_networks_are_on_the_page():
    names = [f"experiment-{k}-of-a-long-study" for k in range(9)]
    values = np.ones((1, 9, 9)) - np.eye(9)
    found = Barriers(
        split=["train"], first=names, second=names, loss=np.ones((1, 9)), loss_error=np.ones((1, 9)), barrier=values,
        barrier_error=values, t=np.full((1, 9, 9), 0.5), rise=values, rise_error=values, distance=values[0],
    )
    drawn = figure(found)
    drawn.draw_without_rendering()
    for ax in drawn.axes:
        box = ax.get_tightbbox()
        assert box.y0 >= 0
        assert box.x0 >= 0


def test_unknown_views_and_splits_of_trees_are_refused(grown):
    with pytest.raises(ValueError, match="one of graph, matrix, loss"):
        draw(grown, view="forest")
    with pytest.raises(ValueError, match="one of train, test, got 'valid'"):
        draw(grown, view="loss", split="valid")


def test_interactive_twins_hold_the_values(barriers, grown, tmp_path):
    drawn = interactive(barriers, tmp_path / "x.html")
    first = [trace for trace in drawn.data if trace.visible]
    assert len(first) == 2
    np.testing.assert_allclose(first[0].z, barriers.barrier[0])
    names = [button.label for button in drawn.layout.updatemenus[0].buttons]
    assert names == ["barrier", "rise", "distance"]
    lines = [trace for trace in interactive(grown).data if trace.mode == "lines+markers"]
    np.testing.assert_allclose([trace.y for trace in lines], grown.edge_loss[:, 0], rtol=1e-6)


def test_both_panels_of_a_tree_have_one_scale_and_one_colour_bar(grown):
    drawn = figure(grown)
    graph, matrix = drawn.axes[:2]
    norms = [(c.norm.vmin, c.norm.vmax) for c in (*graph.collections[:2], matrix.images[0])]
    assert len(set(norms)) == 1
    assert norms[0][0] <= 0.3 <= 3.0 <= norms[0][1]
    bars = [child for ax in (graph, matrix) for child in ax.child_axes]
    assert len(bars) == 1


def test_no_name_of_a_tree_lies_on_a_number(grown):
    ax = figure(grown).axes[0]
    ax.figure.draw_without_rendering()
    shown = [text for text in ax.texts if text.get_text()]
    boxes = [text.get_window_extent() for text in shown]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[i + 1 :])
