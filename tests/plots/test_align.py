import matplotlib.pyplot as plt
import numpy as np
import pytest

from landscape.plots import draw
from landscape.plots.figure import figure
from landscape.plots.interactive import interactive
from landscape.plots.path import path
from landscape.probes.align import Align


def aligned(curves=("before", "after", "repaired"), splits=("train", "test"), accuracy=True, **changes):
    t = np.linspace(0, 1, 7)
    hump = (t * (1 - t))[None, None] * np.arange(1, len(curves) + 1)[::-1, None, None] ** 3
    loss = 0.02 + hump + 0.01 * np.arange(len(splits))[:, None]
    line = {"loss": loss, "height": hump + 0 * loss, "rise": hump + 0 * loss, "arc": np.tile(t, (len(curves), 1))}
    line |= {f"{name}_error": 0.1 * np.abs(loss) for name in ("loss", "height", "rise")}
    if accuracy:
        line |= {"accuracy": np.exp(-loss), "accuracy_error": 0.01 * loss, "drop": hump + 0 * loss}
        line |= {"drop_error": 0.01 * loss}
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


@pytest.mark.parametrize(("quantity", "factor"), [("loss", 1), ("accuracy", 100)])
def test_every_segment_on_every_split_has_a_line(quantity, factor):
    result = aligned()
    drawn = [line.get_ydata() for line in draw(result, quantity=quantity, barrier=False).lines]
    for values in getattr(result, quantity).reshape(6, -1):
        assert any(len(y) == len(values) and np.allclose(y, factor * values) for y in drawn)


def test_it_is_drawn_as_paths_are():
    result = aligned()
    ax, twin = draw(result), path(result, plt.figure().add_subplot())
    assert [line.get_color() for line in ax.lines] == [line.get_color() for line in twin.lines]
    assert [text.get_text() for text in ax.texts] == [text.get_text() for text in twin.texts]
    assert ax.get_ylabel() == twin.get_ylabel() == "loss [nat]"


def test_the_figure_has_loss_and_accuracy_side_by_side():
    drawn = figure(aligned())
    assert {"loss [nat]", "accuracy [%]"} <= {ax.get_ylabel() for ax in drawn.axes}
    names = {text.get_text().partition(" (")[0] for legend in drawn.legends for text in legend.get_texts()}
    assert {"before", "after", "repaired"} <= names
    drawn.draw_without_rendering()


def test_what_was_not_measured_cannot_be_drawn():
    with pytest.raises(ValueError, match="accuracy"):
        draw(aligned(accuracy=False), quantity="accuracy")


@pytest.mark.parametrize("accuracy", [True, False])
def test_the_page_has_the_losses(accuracy):
    result = aligned(accuracy=accuracy)
    drawn = [np.asarray(trace.y, float) for trace in interactive(result).data if trace.y is not None]
    for values in result.loss.reshape(6, -1):
        assert any(y.shape == values.shape and np.allclose(y, values, rtol=1e-6) for y in drawn)
