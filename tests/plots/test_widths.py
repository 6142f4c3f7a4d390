"""Surfaces across widths: panels on one scale, one page with a slider, and the plane through widths."""

import json

import matplotlib.text
import numpy as np
import pytest

from landscape.plots.figure import figure, heading
from landscape.plots.interactive import interactive

PLANE = {
    "checkpoint": ["w", "Q8", "Q4", "Q3", "Q2"], "checkpoint_a": [0.0, 0.0, 0.01, 0.1, 0.9],
    "checkpoint_b": [0.0, 0.001, 0.5, -0.05, 0.0], "checkpoint_residual": [0.0, 0.052, 1e-9, 1.88, 1e-9],
}  # fmt: skip


def origin(surface, bits, **more):
    return {
        "model": {"name": "lenet"}, "data": {"name": "digits"}, "view": {"surface": surface, **more},
        "quantized": {"quantized": surface}, "quantization": {"widths": {"bits": list(bits), "activation_bits": []}},
        "directions": {"kind": "random", "normalization": "filter", "seed": 0},
    }  # fmt: skip


@pytest.fixture
def across(make_surface):
    """Surfaces of 2, 8 and 3 bits, in that order, and of full precision."""
    made = {f"w{bits}": make_surface(origin=origin("latent", [bits])) for bits in (2, 8, 3)}
    made = {name: _raised(make_surface, surface, 0.1 * k) for k, (name, surface) in enumerate(made.items(), start=1)}
    return made | {"w": make_surface()}


def _raised(make, surface, by):
    return make(origin=surface.origin, loss=surface.loss * (1 + by))


def test_panels_are_sorted_share_levels_and_tell_their_centers(across):
    drawn = figure(across)
    panels = [ax for ax in drawn.axes if ax.get_title()]
    first = [ax.get_title().partition("\n")[0] for ax in panels]
    assert first == ["full precision", "8 bits", "3 bits", "2 bits"]
    for ax, name in zip(panels, ("w", "w8", "w3", "w2"), strict=True):
        assert f"center {across[name].loss[(0, *across[name].center)]:.3g} nat" in ax.get_title()
    levels = [next(c for c in ax.collections if c.get_array() is not None).levels for ax in panels]
    assert all(np.array_equal(one, levels[0]) for one in levels)
    assert drawn._suptitle.get_text().splitlines()[0] == "lenet on digits · latent weights"
    assert len(drawn.axes) == len(panels) + 1


@pytest.mark.parametrize("count", [2, 3, 5, 7])
def test_panels_fit_the_page(make_surface, count):
    shown = {f"w{bits}": make_surface(origin=origin("dequant", [bits])) for bits in range(1, count + 1)}
    drawn = figure(shown, quantity="accuracy", view="heat")
    drawn.draw_without_rendering()
    found = drawn.findobj(lambda a: isinstance(a, matplotlib.text.Text) and a.get_visible() and a.get_text())
    boxes = [text.get_window_extent() for text in found]
    assert all(drawn.bbox.x0 - 1 <= box.x0 and box.x1 <= drawn.bbox.x1 + 1 for box in boxes)
    assert all(drawn.bbox.y0 - 1 <= box.y0 and box.y1 <= drawn.bbox.y1 + 1 for box in boxes)
    titles = [ax.title.get_window_extent() for ax in drawn.axes if ax.get_title()]
    assert not any(one.overlaps(other) for i, one in enumerate(titles) for other in titles[i + 1 :])


def test_other_surfaces_stand_under_their_names(make_surface):
    drawn = figure({"sgd": make_surface(), "sam": make_surface()}, split="test", view="heat")
    assert [ax.get_title().partition("\n")[0] for ax in drawn.axes[:2]] == ["sgd", "sam"]
    with pytest.raises(ValueError, match="take .html to turn them"):
        figure({"sgd": make_surface(), "sam": make_surface()}, view="3d")


def test_one_page_has_a_slider_over_bits(across):
    page = json.loads(interactive(across).to_json())
    (slider,) = page["layout"]["sliders"]
    assert [step["label"] for step in slider["steps"]] == ["full precision", "8 bits", "3 bits", "2 bits"]
    assert [step["args"][0] for step in slider["steps"]] == [[frame["name"]] for frame in page["frames"]]
    assert len(page["data"]) == 2 * 4
    assert [trace["visible"] for trace in page["data"]] == [True, True] + 6 * [False]
    highest = max(surface.loss.max() for surface in across.values())
    assert 10 ** page["layout"]["scene"]["zaxis"]["range"][1] >= highest
    assert page["layout"]["scene"]["uirevision"]
    assert {(trace["cmin"], trace["cmax"]) for trace in page["data"][:1]} == {
        (trace["zmin"], trace["zmax"]) for trace in page["data"][1:2]
    }


def test_the_slider_shows_the_numbers_of_each_width_whatever_is_chosen(across):
    made = interactive(across)
    frame = made.frames[-1]
    assert list(frame.traces) == list(range(8))
    np.testing.assert_allclose(frame.data[0].z, across["w2"].loss[0].T, rtol=1e-6)
    np.testing.assert_allclose(frame.data[3].customdata, across["w2"].loss[1].T, rtol=1e-6)
    np.testing.assert_allclose(frame.data[4].z, 100 * across["w2"].accuracy[0].T, rtol=1e-6)
    assert "2 bits" in frame.layout.title.text
    assert all(trace.visible is None for trace in frame.data)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (origin("latent", [3]), "latent weights, 3 bits"),
        (origin("dequant", [2, 8]), "quantized weights, 2 to 8 bits"),
        (origin("soft", [1], temperature=0.1), "soft rounding (temperature 0.1), 1 bit"),
        (origin("smooth", [4], samples=16), "randomized rounding (16 samples), 4 bits"),
        (origin("lattice", [4]), "lattice of codes, 4 bits"),
        (origin("fp", [4]), "full precision"),
    ],
)
def test_a_heading_says_which_surface_it_is(make_surface, made, words):
    assert heading(make_surface(origin=made)).splitlines()[0] == f"lenet on digits · {words}"


def test_a_heading_says_how_activations_are_seen(make_surface):
    made = origin("dequant", [4]) | {"activations": "dither"}
    made["quantization"] = {"widths": {"bits": [4], "activation_bits": [4]}}
    assert "4-bit activations (dithered)" in heading(make_surface(origin=made))


def test_the_plane_names_every_width_without_overlap_and_what_lies_off_it(make_surface):
    made = origin("bitplane", [3]) | {"directions": {"kind": "bitplane"}}
    result = make_surface(origin=made, axis=["toward Q2", "toward Q4, orthogonalized"], **PLANE)
    drawn = figure(result)
    drawn.draw_without_rendering()
    for ax in drawn.axes[:3]:
        names = [text for text in ax.texts if text.get_text() in PLANE["checkpoint"]]
        assert sorted(text.get_text() for text in names) == sorted(PLANE["checkpoint"])
        boxes = [text.get_window_extent() for text in names]
        assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[i + 1 :])
    assert "off the plane: Q8 by 0.052, Q3 by 1.9" in [text.get_text() for text in drawn.legends[0].get_texts()]
    assert drawn.axes[0].get_xlabel() == "toward Q2"
