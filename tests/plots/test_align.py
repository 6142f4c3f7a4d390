import numpy as np
import pytest
from matplotlib.colors import to_hex

from landscape.plots import draw
from landscape.plots.figure import figure
from landscape.plots.interactive import interactive
from landscape.plots.style import BLUE, GREEN, ORANGE
from landscape.probes.align import Align


def aligned(curves=("before", "after", "repaired"), splits=("train", "test"), accuracy=True, **changes):
    t = np.linspace(0, 1, 7)
    hump = (t * (1 - t))[None, None] * np.arange(1, len(curves) + 1)[::-1, None, None] ** 3
    loss = 0.02 + hump + 0.01 * np.arange(len(splits))[:, None]
    line = {"loss": loss, "height": hump + 0 * loss, "rise": hump + 0 * loss, "arc": np.tile(t, (len(curves), 1))}
    line |= {f"{name}_error": 0.1 * np.abs(loss) for name in ("loss", "height", "rise")}
    if accuracy:
        line |= {"accuracy": np.exp(-loss), "accuracy_error": 0.01 * loss}
    ones = np.ones(len(curves))
    units = {
        "group": ["a", "b"], "size": [2, 1], "moved": [1.0, 0.0], "order": ["before", "after"],
        "similarity": [[0.1, 0.2], [0.6, 0.2]], "permutation": [1, 0, 0],
    }  # fmt: skip
    origin = {"model": {"name": "lenet"}, "data": {"name": "digits"}}
    made = {"curve": list(curves), "split": list(splits), "t": t, "length": ones, "distance": ones, "origin": origin}
    return Align(**(made | line | units | changes))


def test_permutations_are_told_by_group():
    found = aligned().permutations()
    assert {name: order.tolist() for name, order in found.items()} == {"a": [1, 0], "b": [0]}


@pytest.mark.parametrize(("view", "factor"), [("loss", 1), ("accuracy", 100)])
def test_every_segment_on_every_split_has_a_line(view, factor):
    result = aligned()
    ax = draw(result, view=view)
    drawn = {line.get_label(): line for line in ax.lines}
    assert len(drawn) == 6
    for c, name in enumerate(result.curve):
        for s, part in enumerate(result.split):
            np.testing.assert_allclose(drawn[f"{name}, {part}"].get_ydata(), factor * getattr(result, view)[c, s])
    colors = [to_hex(drawn[f"{name}, train"].get_color()).upper() for name in result.curve]
    assert colors == [ORANGE, BLUE, GREEN]
    assert {drawn["after, train"].get_linestyle(), drawn["after, test"].get_linestyle()} == {"-", "--"}


def test_bands_are_one_standard_error():
    result = aligned(curves=("before",), splits=("train",))
    edges = draw(result).collections[0].get_paths()[0].vertices[:, 1]
    assert edges.max() == pytest.approx(1.1 * result.loss.max())
    assert not draw(result, band=False).collections


def test_one_split_alone():
    assert len(draw(aligned(), split="test").lines) == 3


def test_the_figure_has_loss_and_accuracy_side_by_side():
    drawn = figure(aligned())
    assert [ax.get_ylabel() for ax in drawn.axes] == ["loss [nat]", "accuracy [%]"]
    drawn.draw_without_rendering()


def test_what_was_not_measured_cannot_be_drawn():
    with pytest.raises(ValueError, match="Expected a result with `accuracy`"):
        draw(aligned(accuracy=False), view="accuracy")
    with pytest.raises(ValueError, match="one of loss, accuracy, got 'depth'"):
        draw(aligned(), view="depth")
    with pytest.raises(ValueError, match="Expected a split"):
        draw(aligned(), split="valid")


def test_losses_that_are_not_finite_are_gaps():
    loss = aligned().loss.copy()
    loss[0, 0, 3] = np.nan
    line = draw(aligned(loss=loss)).lines[0]
    assert np.isnan(line.get_ydata()[3])
    draw(aligned(loss=np.full_like(loss, np.nan))).figure.draw_without_rendering()


@pytest.mark.parametrize("accuracy", [True, False])
def test_the_page_has_the_same_lines(accuracy):
    result = aligned(accuracy=accuracy)
    drawn = interactive(result)
    assert len(drawn.data) == 6 * (1 + accuracy)
    np.testing.assert_allclose(drawn.data[0].y, result.loss[0, 0], rtol=1e-6)
    assert drawn.data[0].name == "before, train"
    several = interactive({"one": result, "two": result})
    assert len(several.data) == 2 * len(drawn.data)
