"""Measures of roughness on functions whose roughness is known."""

from __future__ import annotations

import numpy as np
import pytest

from landscape.persistence.merging import merge_tree
from landscape.persistence.roughness import deviation, smad, total_persistence, variation


@pytest.fixture
def three():
    """Three wells of a line, of depths 4 and 1 and the deepest."""
    return np.array([9.0, 2, 3, 1, 5, 0, 8])


def test_smad_is_the_mean_gap_from_minima_to_the_saddles_above_them(three):
    errors = np.full(7, 0.1)
    assert smad(merge_tree(three), errors) == pytest.approx((np.mean([5, 2, 1]), 0.2))
    shares = np.array([0.5, 0.25, 0.25])
    assert smad(merge_tree(three), errors, shares)[0] == pytest.approx((2.5 + 0.5 + 0.25) / 3)
    assert smad(merge_tree(np.array([2.0, 0, 2])), errors[:3]) == (0, 0)


def test_errors_of_gaps_are_those_of_their_own_ends(three):
    errors = np.array([0, 0.3, 0.1, 0, 0, 0, 0])
    assert smad(merge_tree(three), errors)[1] == pytest.approx((0.4 + 0.1 + 0) / 3)
    assert total_persistence(merge_tree(three), errors) == pytest.approx((5, 0.4))


def test_variation_counts_the_ways_up_and_down(three):
    assert variation(np.arange(5.0), np.zeros(5)) == (1, 0)
    assert variation(np.linspace(-1, 1, 21) ** 2, np.zeros(21))[0] == pytest.approx(2)
    assert variation(three, np.zeros(7))[0] == pytest.approx((7 + 1 + 2 + 4 + 5 + 8) / 9)
    grid = np.add.outer(np.arange(3.0), np.array([1.0, 0, 1, 0]))
    assert variation(grid, np.zeros(grid.shape))[0] == pytest.approx((3 * 3 + 4 * 1) / 7)
    assert np.isnan(variation(np.ones((3, 3)), np.zeros((3, 3)))).all()
    assert variation(np.array([[0.0, 1, np.nan], [0, 1, 2]]), np.zeros((2, 3)))[0] == 1


def test_the_error_of_the_variation_bounds_what_small_errors_do(three):
    random = np.random.default_rng(0)
    errors = 1e-4 * random.random(7)
    value, error = variation(three, errors)
    moved = [abs(variation(three + errors * random.choice([-1, 1], 7), errors)[0] - value) for _ in range(200)]
    assert 0.5 * error < max(moved) <= error * (1 + 1e-3)


def test_a_quadratic_does_not_deviate_from_one():
    a, b = np.linspace(-2, 2, 7), np.linspace(0, 1, 5)
    bowl = 3 + a[:, None] - 2 * b + a[:, None] ** 2 + 0.5 * a[:, None] * b - b**2
    assert deviation([a, b], bowl, np.full(bowl.shape, 0.2)) == pytest.approx((0, 0.2), abs=1e-12)
    bowl[2, 2] = np.inf
    assert deviation([a, b], bowl, np.zeros(bowl.shape))[0] == pytest.approx(0, abs=1e-12)
    assert np.isnan(deviation([np.arange(3.0)], np.arange(3.0), np.zeros(3))[0])


def test_a_cubic_deviates_by_its_odd_part():
    x = np.linspace(-1, 1, 2001)
    assert deviation([x], x**3, np.zeros(x.size))[0] == pytest.approx(np.sqrt(4 / 175), rel=1e-2)  # Legendre's, 2/5 P3
