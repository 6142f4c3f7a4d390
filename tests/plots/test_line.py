import numpy as np
import pytest

from landscape.plots import draw


def curves(ax):
    return {line.get_label(): line.get_ydata() for axes in ax.figure.axes for line in axes.lines}


def test_loss_on_the_left_and_accuracy_in_percent_on_the_right(make_line):
    line = make_line()
    ax = draw(line)
    drawn = curves(ax)
    np.testing.assert_allclose(drawn["train loss"], line.loss[0])
    np.testing.assert_allclose(drawn["test accuracy"], 100 * line.accuracy[1])
    assert [a.get_ylabel() for a in ax.figure.axes] == ["loss [nat]", "accuracy [%]"]
    assert ax.get_yscale() == "log"


def test_the_band_is_one_standard_error(make_line):
    line = make_line(splits=("train",))
    ax = draw(line, quantity="loss")
    edges = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert edges.max() == pytest.approx(1.1 * line.loss.max())
    assert not draw(line, quantity="loss", band=False).collections


def test_draws_show_the_median_and_the_middle_eighty_percent(make_line):
    line = make_line(draws=11, splits=("train",))
    ax = draw(line, quantity="loss", log=False)
    np.testing.assert_allclose(curves(ax)["train loss"], line.loss[0] + 5)
    edges = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert edges.max() == pytest.approx(line.loss.max() + 9)


def test_lost_points_are_gaps_hatched_and_counted(make_line):
    loss = make_line().loss.copy()
    loss[:, -1], loss[0, 3] = np.inf, np.nan
    ax = draw(make_line(loss=loss))
    assert np.isnan(curves(ax)["train loss"][[3, -1]]).all()
    assert "3 of 18 points not finite" in ax.get_xlabel()
    assert sum(bool(patch.get_hatch()) for patch in ax.patches) == 2


@pytest.mark.parametrize("quantity", ["both", "loss", "accuracy"])
@pytest.mark.parametrize(
    "change", [{}, {"points": 2}, {"loss": np.full((2, 9), 2.3)}, {"loss": np.full((2, 9), np.nan)}]
)
def test_every_quantity_of_every_line(make_line, quantity, change):
    draw(make_line(**change), quantity=quantity).figure.draw_without_rendering()


def test_without_accuracy_the_loss_stands_alone(make_line):
    ax = draw(make_line(accuracy=None, accuracy_error=None))
    assert len(ax.figure.axes) == 1
    with pytest.raises(ValueError, match="Expected a result with `accuracy`"):
        draw(make_line(accuracy=None, accuracy_error=None), quantity="accuracy")


def test_checkpoints_are_named(make_line):
    ax = draw(make_line(checkpoint=["sgd", "sam"], checkpoint_a=[0.0, 1.0], checkpoint_residual=[0.0, 0.0]))
    assert {text.get_text() for text in ax.texts} == {"sgd", "sam"}
