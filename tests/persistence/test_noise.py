"""What is told from noise is there, whatever the noise was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from landscape.persistence.merging import merge_tree
from landscape.persistence.noise import band_width, told


def test_the_band_is_bonferronis():
    assert band_width(100) == pytest.approx(stats.norm.isf(0.05 / 200), rel=1e-9)
    assert band_width(100, examples=5) == pytest.approx(stats.t.isf(0.05 / 200, 4), rel=1e-6)
    assert band_width(1, 0.5) == pytest.approx(stats.norm.isf(0.25), rel=1e-9)


@pytest.mark.parametrize("neighbours", [4, 8])
def test_with_one_error_for_all_a_basin_must_persist_more_than_twice_the_band(neighbours):
    values = np.random.default_rng(0).normal(size=(20, 21))
    tree = merge_tree(values, neighbours=neighbours)
    for error in (0.0, 0.1, 0.4, 2.0):
        found = told(tree, values, np.full(values.shape, error), 1.5, neighbours=neighbours)
        np.testing.assert_array_equal(found, tree.persistence > 3.0 * error)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([4, 8]))
def test_every_function_within_the_band_has_as_many_basins(seed, neighbours):
    random = np.random.default_rng(seed)
    values = random.normal(size=(7, 6))
    errors = random.exponential(0.3, values.shape)
    tree = merge_tree(values, neighbours=neighbours)
    found = told(tree, values, errors, 1.0, neighbours=neighbours)
    assert found[0]
    assert all(found[parent] for parent in tree.parent[found].tolist() if parent >= 0)
    for _ in range(5):
        other = merge_tree(values + errors * random.uniform(-1, 1, values.shape), neighbours=neighbours)
        assert len(other.birth) >= found.sum()
    worst = merge_tree(values + errors * random.choice([-1, 1], values.shape), neighbours=neighbours)
    assert len(worst.birth) >= found.sum()


def test_what_is_told_does_not_rest_on_errors_elsewhere():
    values = np.array([5.0, 0, 5, 1, 5, 1, 5])
    errors = np.array([0.1, 0.1, 0.1, 0.1, 0.1, 4, 0.1])
    tree = merge_tree(values)
    assert tree.minimum[told(tree, values, errors, 2.0)].tolist() == [1, 3]


def test_the_lowest_value_counts_even_if_another_one_is_known_better():
    values, errors = np.array([1.0, 2, 0]), np.array([0.1, 2, 5])
    tree = merge_tree(values)
    assert tree.minimum[told(tree, values, errors, 1.0)].tolist() == [2]


def test_without_errors_nothing_but_what_never_merges_is_told():
    values = np.array([5.0, 0, 5, 1, np.inf, 1, 5])
    tree = merge_tree(values)
    assert told(tree, values, np.full(7, np.nan), 2.0).tolist() == [True, True, False]


def test_errors_at_walls_are_not_asked_for():
    values, errors = np.array([5.0, 0, np.inf, 1, 5]), np.array([0.1, 0.1, np.nan, 0.1, 0.1])
    assert told(merge_tree(values), values, errors, 2.0).all()


def test_few_examples_that_err_together_make_no_basins():
    """A bowl, with waves of every example that cancel in the mean: a normal quantile tells one in nine false."""
    random = np.random.default_rng(0)
    t, false = np.linspace(-1, 1, 41), 0
    for _ in range(300):
        waves = np.cos(random.uniform(3, 12, (5, 1)) * t + random.uniform(0, 2 * np.pi, (5, 1)))
        values, errors = 0.05 * t**2 + waves.mean(0), waves.std(0, ddof=1) / np.sqrt(5)
        false += told(merge_tree(values), values, errors, band_width(41, examples=5)).sum() > 1
    assert false <= 0.05 * 300
