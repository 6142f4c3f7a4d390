"""Which value of a comparison is marked, and how sure a difference is: against naive versions in float64."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from landscape.comparison.comparison import Comparison, gathered
from landscape.probes.barriers import Barriers
from landscape.probes.evaluate import Evaluate

SIZES = (40, 25)  # examples of both splits


def evaluated(seed, *, weight=None, single=True, shift=0.0):
    """Make the losses of single examples, as of networks that find the same examples hard."""
    hard = np.random.default_rng(0).gamma(1.0, size=sum(SIZES))
    noise = np.random.default_rng(seed)
    loss = hard + 0.1 * noise.standard_normal(len(hard)) + shift
    correct = (loss < 1.5).astype(float)
    weight = np.ones(len(hard)) if weight is None else weight
    parts = [slice(0, SIZES[0]), slice(SIZES[0], None)]
    sums, rights = loss * weight, correct * weight

    def means(values):
        pairs = [naive(values[p], weight[p]) for p in parts]
        return [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    arrays = {} if not single else {"example_loss": sums, "example_weight": weight, "example_correct": rights}
    return Evaluate(
        split=["train", "test"], size=list(SIZES), loss=means(sums)[0], loss_error=means(sums)[1],
        accuracy=means(rights)[0], accuracy_error=means(rights)[1], **arrays,
    )  # fmt: skip


def naive(sums, weight):
    """Return a ratio of means and its standard error, example by example."""
    total, count = 0.0, len(sums)
    mean = sum(map(float, sums)) / sum(map(float, weight))
    for value, w in zip(sums, weight, strict=True):
        total += (float(value) - float(w) * mean) ** 2
    return mean, (total * count / (count - 1)) ** 0.5 / sum(map(float, weight))


def table(value, error, *, bits=None, better="lower", apart=None):
    """Make a comparison of one measure, its errors independent unless told otherwise."""
    value, error = np.asarray(value, float), np.asarray(error, float)
    count = len(value)
    apart = np.hypot(error[:, None], error[None]) * (1 - np.eye(count)) if apart is None else np.asarray(apart, float)
    return Comparison(
        network=[f"n{k}" for k in range(count)], bits=np.full(count, 32.0) if bits is None else bits,
        measure=["test_loss"], unit=["nat"], better=[better], value=value[:, None], error=error[:, None],
        apart=apart[..., None],
    )  # fmt: skip


def marked(result):
    """Mark by the definition, cell by cell."""
    found = np.zeros(result.value.shape, bool)
    for i, j in product(*map(range, found.shape)):
        value, side = float(result.value[i, j]), str(result.better[j])
        rivals = 0
        ahead = side in ("lower", "higher") and value == value
        for k in range(len(found)):
            same = result.bits[k] == result.bits[i] or (np.isnan(result.bits[k]) and np.isnan(result.bits[i]))
            other = float(result.value[k, j])
            if k == i or not same or other != other:
                continue
            rivals += 1
            gap = other - value if side == "lower" else value - other
            apart = float(result.apart[i, k, j])
            rounding = 16 * 2.0**-23 * max(abs(value), abs(other))
            ahead = ahead and apart == apart and gap > 2 * apart and gap > rounding
        found[i, j] = ahead and rivals > 0
    return found


@pytest.mark.parametrize("seed", range(20))
def test_best_is_what_its_definition_says(seed):
    random = np.random.default_rng(seed)
    rows, measures = 7, 12
    value = random.integers(0, 4, (rows, measures)) / 2.0
    error = random.choice([0.0, 0.1, 0.4, np.nan], (rows, measures))
    value[random.random(value.shape) < 0.15] = np.nan
    apart = np.hypot(error[:, None], error[None])
    bits = random.choice([32.0, 4.0, np.nan], rows)
    better = random.choice(["lower", "higher", ""], measures)
    result = Comparison(
        network=[f"n{k}" for k in range(rows)], bits=bits, measure=[f"m{j}" for j in range(measures)],
        unit=[""] * measures, better=better, value=value, error=error, apart=apart,
    )  # fmt: skip
    np.testing.assert_array_equal(result.best, marked(result))


def test_one_in_every_width_is_marked_at_most():
    result = table([1.0, 2.0, 1.0, 2.0], [0.1] * 4, bits=[32, 32, 4, 4])
    assert result.best[:, 0].tolist() == [True, False, True, False]


def test_a_difference_within_its_error_is_not_marked():
    assert not table([1.0, 1.5], [0.2, 0.2]).best.any()
    assert table([1.0, 1.6], [0.2, 0.2]).best[:, 0].tolist() == [True, False]


def test_a_difference_that_single_precision_makes_is_not_marked():
    """One function by other arithmetic: exact to rounding, and not better."""
    near = np.float32(0.7)
    result = table([near, np.nextafter(near, np.float32(1))], [0.0, 0.0])
    assert not result.best.any()
    assert table([0.7, 0.701], [0.0, 0.0]).best[:, 0].tolist() == [True, False]


def test_errors_that_nobody_knows_and_networks_alone_are_not_marked():
    assert not table([1.0, 9.0], [np.nan, 0.1]).best.any()
    assert not table([1.0], [0.1]).best.any()
    assert not table([1.0, np.nan], [0.1, np.nan]).best.any()
    assert not table([1.0, 2.0], [0.1, 0.1], better="").best.any()


def test_what_was_not_measured_is_no_rival():
    assert table([1.0, np.nan, 2.0], [0.1, np.nan, 0.1]).best[:, 0].tolist() == [True, False, False]


@pytest.mark.parametrize("weighted", [False, True])
def test_losses_and_accuracies_are_paired_over_examples(weighted):
    weight = np.random.default_rng(5).integers(1, 9, sum(SIZES)).astype(float) if weighted else None
    ones = {"a": evaluated(1, weight=weight), "b": evaluated(2, weight=weight, shift=0.05)}
    result = gathered({f"{name}/w32/evaluate": one for name, one in ones.items()})
    names = result.measure.tolist()
    w = np.ones(sum(SIZES)) if weight is None else weight
    for k, split in enumerate(("train", "test")):
        part = slice(0, SIZES[0]) if k == 0 else slice(SIZES[0], None)
        for kind, field in (("loss", "example_loss"), ("accuracy", "example_correct")):
            sums = getattr(ones["a"], field)[part] - getattr(ones["b"], field)[part]
            expected = naive(sums, w[part])[1]
            column = names.index(f"{split}_{kind}")
            assert result.apart[0, 1, column] == pytest.approx(expected, rel=1e-12)
            assert result.apart[0, 1, column] == result.apart[1, 0, column]
            assert result.apart[0, 0, column] == 0
    column = names.index("train_loss")
    assert result.apart[0, 1, column] < 0.5 * np.hypot(*result.error[:, column])  # hard examples are hard for both


@pytest.mark.parametrize("other", [{"single": False}, {"weight": np.full(sum(SIZES), 2.0)}])
def test_differences_that_cannot_be_paired_are_as_of_independent_numbers(other):
    result = gathered({"a/w32/evaluate": evaluated(1), "b/w32/evaluate": evaluated(2, **other)})
    expected = np.hypot(result.error[0], result.error[1])
    np.testing.assert_allclose(result.apart[0, 1], expected, rtol=1e-12)


def test_pairs_hold_across_widths_too():
    result = gathered({"a/w32/evaluate": evaluated(1), "a/w4/evaluate": evaluated(2)})
    assert result.apart[0, 1, result.measure.tolist().index("train_loss")] < result.error[:, 0].min()


def test_a_barrier_to_a_network_without_a_row_of_its_own_is_passed_over():
    square = np.zeros((1, 2, 2))
    arrays = dict.fromkeys(
        ("barrier", "barrier_error", "t", "rise", "rise_error", "drop", "drop_error", "disagreement",
         "disagreement_error"), square,
    )  # fmt: skip
    between = Barriers(
        split=["train"], first=["a", "b"], second=["a", "b"], loss=np.ones((1, 2)), loss_error=np.zeros((1, 2)),
        distance=square[0], **arrays,
    )  # fmt: skip
    result = gathered({"a/w32/evaluate": evaluated(1), "between/w32/barriers": between})
    assert result.rows == ["a/w32"]
    assert not [name for name in result.measure if "barrier" in name]
