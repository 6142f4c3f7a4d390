"""Loss and accuracy where a network stands: what is drawn at which place, and for which part of the data."""

import numpy as np
import pytest

from landscape.plots import draw
from landscape.plots.figure import figure
from landscape.probes.evaluate import Evaluate


@pytest.fixture
def make_evaluate():
    def make(classes=3, **changes):
        values = np.arange(2.0 * classes).reshape(2, classes) / 8
        arrays = {
            "split": ["train", "test"], "size": [40, 20], "loss": [0.25, 0.5], "loss_error": [0.01, 0.02],
            "accuracy": [0.9, 0.8], "accuracy_error": [0.05, 0.1], "class_": [f"a_{k}" for k in range(classes)],
            "class_loss": values, "class_loss_error": values / 4, "class_accuracy": 1 - values,
            "class_accuracy_error": values / 8,
        }  # fmt: skip
        return Evaluate(**(arrays | changes))

    return make


def points(ax):
    return {container.get_label(): container[0] for container in ax.containers}


def test_all_examples_stand_before_the_classes(make_evaluate):
    result = make_evaluate()
    ax = draw(result, quantity="accuracy")
    found = points(ax)
    assert list(found) == ["train", "test"]
    np.testing.assert_allclose(found["test"].get_ydata(), [80, *100 * result.class_accuracy[1]])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["all", "a_0", "a_1", "a_2"]
    apart = found["test"].get_xdata() - found["train"].get_xdata()
    assert ((apart > 0.1) & (apart < 0.5)).all()
    assert found["train"].get_marker() != found["test"].get_marker()


def test_bars_are_one_standard_error(make_evaluate):
    result = make_evaluate()
    ax = draw(result, split="test")
    (bars,) = (container[2][0] for container in ax.containers)
    heights = [np.ptp(segment[:, 1]) / 2 for segment in bars.get_segments()]
    np.testing.assert_allclose(heights, [0.02, *result.class_loss_error[1]])
    assert ax.get_ylabel() == "test loss [nat]"
    assert ax.get_ylim()[0] <= 0


def test_a_figure_has_a_panel_for_what_was_measured(make_evaluate):
    assert [ax.get_title() for ax in figure(make_evaluate()).axes] == ["loss", "accuracy"]
    bare = dict.fromkeys(name for name in make_evaluate().declared() if name.startswith(("accuracy", "class")))
    result = make_evaluate(**{f"{name}_" if name == "class" else name: None for name in bare})
    assert [len(ax.get_xticks()) for ax in figure(result).axes] == [1]
    with pytest.raises(ValueError, match="Expected a quantity, one of loss, got 'accuracy'"):
        draw(result, quantity="accuracy")


def test_of_many_classes_some_are_named(make_evaluate):
    ax = draw(make_evaluate(100))
    assert len(points(ax)["train"].get_xdata()) == 101
    assert 10 < len(ax.get_xticks()) <= 16
