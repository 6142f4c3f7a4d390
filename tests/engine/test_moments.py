"""Theorems about means and standard errors, and about numbers that are not finite."""

import numpy as np
import pytest
import torch

from landscape.engine.moments import measurement, sums
from landscape.losses import Scores


def scored(loss, weight=None, correct=None, terms=()):
    loss = torch.as_tensor(loss, dtype=torch.float64)[None]
    weight = torch.ones_like(loss) if weight is None else torch.as_tensor(weight, dtype=torch.float64)[None]
    correct = torch.full_like(loss, torch.nan) if correct is None else torch.as_tensor(correct).double()[None]
    apart = torch.tensor(terms, dtype=torch.float64).reshape(1, len(terms), loss.shape[1])
    return Scores(loss, weight, correct, apart)


def measured(scores, labels, classes=3, answers=True):
    groups = torch.nn.functional.one_hot(torch.as_tensor(labels), classes)
    return measurement([sums(scores, groups)], [groups.sum(0)], (), answers)


def test_errors_are_those_of_numpy():
    rng = np.random.default_rng(0)
    loss, correct, labels = rng.exponential(size=40), rng.random(40) < 0.6, rng.integers(3, size=40)
    found = measured(scored(loss, correct=correct), labels)
    assert found.loss[0] == pytest.approx(loss.mean(), rel=1e-13)
    assert found.loss_error[0] == pytest.approx(loss.std(ddof=1) / 40**0.5, rel=1e-12)
    assert found.accuracy_error[0] == pytest.approx(correct.std(ddof=1) / 40**0.5, rel=1e-12)
    for c in range(3):
        part = loss[labels == c]
        assert found.class_loss[0, c] == pytest.approx(part.mean(), rel=1e-13)
        assert found.class_loss_error[0, c] == pytest.approx(part.std(ddof=1) / len(part) ** 0.5, rel=1e-12)
        assert found.class_accuracy[0, c] == pytest.approx(correct[labels == c].mean(), rel=1e-13)


def test_the_error_of_a_weighted_mean_is_that_of_a_ratio():
    rng = np.random.default_rng(1)
    weight, each = rng.integers(1, 9, size=30), rng.exponential(size=30)
    found = measured(scored(each * weight, weight), np.zeros(30, int), 1)
    mean = (each * weight).sum() / weight.sum()
    spread = np.sqrt((weight**2 * (each - mean) ** 2).sum() * 30 / 29) / weight.sum()
    assert found.loss[0] == pytest.approx(mean, rel=1e-13)
    assert found.loss_error[0] == pytest.approx(spread, rel=1e-12)


def test_one_example_has_no_error_and_an_absent_class_no_mean():
    found = measured(scored([1.0, 2.0, 3.0], correct=[1, 0, 1]), [0, 0, 2])
    np.testing.assert_array_equal(found.class_loss[0], [1.5, np.nan, 3.0])
    np.testing.assert_array_equal(np.isnan(found.class_loss_error[0]), [False, True, True])
    np.testing.assert_array_equal(found.class_accuracy[0], [0.5, np.nan, 1.0])


@pytest.mark.parametrize(
    ("bad", "mean"),
    [
        ([np.nan], np.nan),
        ([np.inf], np.inf),
        ([-np.inf], -np.inf),
        ([np.inf, -np.inf], np.nan),
        ([np.inf, np.nan], np.nan),
    ],
)
def test_what_is_not_finite_stays_in_its_class(bad, mean):
    loss = [1.0, 2.0, 3.0, *bad]
    found = measured(scored(loss), [0, 0, 1, *[2] * len(bad)], answers=False)
    np.testing.assert_array_equal(found.class_loss[0], [1.5, 3.0, mean])
    np.testing.assert_array_equal(found.loss, [mean])
    assert np.isnan(found.loss_error[0])
    assert np.isnan(found.class_loss_error[0, 2])
    assert found.class_loss_error[0, 0] == pytest.approx(0.5)
    assert found.accuracy is None
    assert found.class_accuracy is None


def test_what_is_not_finite_stays_in_its_term():
    one, two, three = [1.0, 3.0], [np.nan, 1.0], [2.0, np.inf]
    found = measured(scored(np.sum([one, two, three], 0), terms=(one, two, three)), [0, 1], 2, answers=False)
    np.testing.assert_array_equal(found.terms[0], [2.0, np.nan, np.inf])
    np.testing.assert_array_equal(found.loss, [np.nan])
