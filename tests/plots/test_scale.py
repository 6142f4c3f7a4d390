import numpy as np
import pytest

from landscape.plots.field import logarithmic
from landscape.plots.scale import MOST, labelled, levels, shared_levels, ticks


@pytest.mark.parametrize(
    "span", [(0.01, 50), (1e-6, 10), (2.3, 2.4), (-3, 8), (0, 1), (0.1, 2.9), (1e-12, 1e30), (5, 5), (0, 0)]
)
def test_levels_enclose_the_values_and_are_few(span):
    steps = levels(np.array(span, dtype=float))
    assert (np.diff(steps) > 0).all()
    assert steps[0] <= span[0] <= span[1] <= steps[-1]
    assert 2 <= len(steps) <= MOST + 2
    assert set(ticks(steps)) <= set(steps)


def test_levels_are_logarithmic_from_a_factor_of_thirty():
    assert not logarithmic(np.array([1.0, 29.0]))
    assert logarithmic(np.array([1.0, 31.0, np.inf, np.nan]))
    assert not logarithmic(np.array([0.0, 31.0]))


def test_a_logarithm_of_zero_is_refused():
    with pytest.raises(ValueError, match="Expected positive values"):
        levels(np.array([0.0, 3.0]), log=True)


def test_clip_sets_the_highest_level():
    assert levels(np.array([0.0, 1.0, 5.0, 1e9]), log=False, clip=5.0)[-1] == 5.0


def test_infinity_does_not_stretch_the_levels():
    np.testing.assert_array_equal(levels(np.array([0.0, 1.0, np.inf, np.nan])), levels(np.array([0.0, 1.0])))


def test_shared_levels_cover_every_result(make_surface):
    small, large = make_surface(), make_surface(loss=10 * make_surface().loss)
    steps = shared_levels([small, large], "loss", ["train", "test"])
    assert steps[0] <= small.loss.min()
    assert steps[-1] >= large.loss.max()
    with pytest.raises(ValueError, match="at least one result"):
        shared_levels([])


def test_levels_of_accuracies_are_fractions(make_surface):
    from landscape.plots import draw

    surface = make_surface()
    steps = shared_levels([surface], "accuracy", "train")
    assert 0 <= steps[0] < steps[-1] <= 1
    drawn = draw(surface, quantity="accuracy", levels=steps).collections[0]
    np.testing.assert_allclose(drawn.levels, 100 * steps)


@pytest.mark.parametrize("span", [(9.84, 10.08), (1_238_000.0, 1_243_000.0), (2.3, 2.306), (0.02, 60.0), (1e-12, 1e30)])
def test_labels_tell_levels_apart(span):
    steps = levels(np.array(span))
    assert len(set(labelled(steps))) == len(steps)


def test_labels_are_as_short_as_they_can_be():
    assert labelled([1.0, 1.5, 2.0]) == ["1", "1.5", "2"]
    assert labelled([10.0, 10.25, 10.5]) == ["10", "10.25", "10.5"]
    assert labelled([1 / 3, 2 / 3]) == ["0.333", "0.667"]
