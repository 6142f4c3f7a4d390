"""Merge trees against closed forms, a brute force, gudhi, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from landscape.persistence.merging import merge_tree

FIELDS = arrays(float, array_shapes(min_dims=1, max_dims=2, max_side=5), elements=st.sampled_from([0, 1, 2, 3, 4, 5]))
HOLES = arrays(
    float, array_shapes(min_dims=2, max_dims=2, max_side=5), elements=st.sampled_from([0, 1, 2, 3, np.nan, np.inf])
).filter(lambda values: bool(np.isfinite(values).any()))


def diagram(values, neighbours=8):
    tree = merge_tree(values, neighbours=neighbours)
    return sorted(zip(tree.birth.tolist(), tree.death.tolist(), strict=True))


def brute(values, neighbours):
    """Count components at every level, and match births and deaths by the ranks of inclusions: obviously right."""
    levels = [*np.unique(values[np.isfinite(values)]), np.inf]
    held = [components(values, level, neighbours) for level in levels[:-1]]

    def rank(i, j):
        """How many components at level j hold a point of level i."""
        return sum(any(values[p] <= levels[i] for p in part) for part in held[j]) if i >= 0 else 0

    pairs, last = [], len(held) - 1
    for i in range(last + 1):
        for j in range(i + 1, last + 1):
            born_here = rank(i, j - 1) - rank(i - 1, j - 1) - (rank(i, j) - rank(i - 1, j))
            pairs += [(levels[i], levels[j])] * born_here
        pairs += [(levels[i], np.inf)] * (rank(i, last) - rank(i - 1, last))
    return sorted(pairs)


def components(values, level, neighbours):
    left = {p for p in np.ndindex(values.shape) if values[p] <= level}
    found = []
    while left:
        part, grown = set(), {left.pop()}
        while grown:
            part |= grown
            grown = {q for p in grown for q in left if beside(p, q, neighbours)}
            left -= grown
        found.append(part)
    return found


def beside(p, q, neighbours):
    apart = [abs(i - j) for i, j in zip(p, q, strict=True)]
    return max(apart) == 1 and (neighbours == 8 or sum(apart) == 1)


@settings(max_examples=40, deadline=None)
@given(FIELDS, st.sampled_from([4, 8]))
def test_pairs_are_those_of_counted_components(values, neighbours):
    assert diagram(values, neighbours) == brute(values, neighbours)


@settings(max_examples=30, deadline=None)
@given(HOLES, st.sampled_from([4, 8]))
def test_pairs_of_fields_with_holes_and_walls_are_those_of_counted_components(values, neighbours):
    assert diagram(values, neighbours) == brute(values, neighbours)


@pytest.mark.parametrize("neighbours", [4, 8])
@pytest.mark.parametrize("kind", ["random", "ties", "plateaus", "holes"])
def test_pairs_are_those_of_gudhi(kind, neighbours):
    gudhi = pytest.importorskip("gudhi")
    random = np.random.default_rng(3)
    values = random.normal(size=(23, 17))
    if kind == "ties":
        values = values.round(0)
    if kind == "plateaus":
        values = np.repeat(np.repeat(values.round(1), 3, axis=0), 2, axis=1)
    if kind == "holes":
        values[random.random(values.shape) < 0.2] = np.nan
        values[random.random(values.shape) < 0.2] = np.inf
    filled = np.where(np.isnan(values), np.inf, values)
    cubes = gudhi.CubicalComplex(**{"top_dimensional_cells" if neighbours == 8 else "vertices": filled})
    cubes.compute_persistence()
    theirs = cubes.persistence_intervals_in_dimension(0)
    assert diagram(values, neighbours) == sorted(map(tuple, theirs[np.isfinite(theirs[:, 0])].tolist()))


@pytest.mark.parametrize("neighbours", [4, 8])
def test_pairs_do_not_depend_on_axes_directions_or_units(neighbours):
    values = np.random.default_rng(0).normal(size=(9, 14)).round(1)
    found = diagram(values, neighbours)
    for same in (values.T, values[::-1], values[:, ::-1], np.rot90(values)):
        assert diagram(same, neighbours) == found
    stretched = [(np.exp(birth), np.exp(death)) for birth, death in found]
    np.testing.assert_allclose(diagram(np.exp(values), neighbours), stretched)


def test_a_double_well_has_its_two_minima_and_its_saddle():
    a, b = np.linspace(-2, 2, 41), np.linspace(-1, 1, 21)
    values = (a[:, None] ** 2 - 1) ** 2 + 0.1 * a[:, None] + b**2  # minima near -1 and 1, saddle near 0
    tree = merge_tree(values)
    at = [tuple(int(i) for i in np.unravel_index(place, values.shape)) for place in tree.minimum]
    assert at == [(10, 10), (30, 10)]
    saddle = np.unravel_index(tree.saddle[1], values.shape)
    assert abs(a[saddle[0]]) <= 0.1
    assert saddle[1] == 10
    np.testing.assert_allclose(tree.death, [np.inf, values[20, 10]], atol=1e-2)
    assert tree.parent.tolist() == [-1, 0]
    np.testing.assert_array_equal(tree.catchment[:20], 0)
    np.testing.assert_array_equal(tree.catchment[22:], 1)


def test_wells_of_gaussians_are_as_deep_as_they_were_made():
    grid = np.stack(np.meshgrid(np.linspace(-10, 10, 81), np.linspace(-10, 10, 81), indexing="ij"), axis=-1)
    depths, spots = [3.0, 2.0, 1.0, 0.5], [(-5, -5), (5, 5), (-5, 5), (5, -5)]
    values = -sum(d * np.exp(-((grid - spot) ** 2).sum(-1)) for d, spot in zip(depths, spots, strict=True))
    tree = merge_tree(values)
    deep = tree.death > tree.birth + 1e-3  # tails of exp(-50) are all that is between the wells
    np.testing.assert_allclose(tree.birth[deep], [-3, -2, -1, -0.5], atol=1e-6)
    np.testing.assert_allclose(tree.persistence[deep][1:], [2, 1, 0.5], atol=1e-4)
    found = [tuple(grid.reshape(-1, 2)[place]) for place in tree.minimum[deep]]
    np.testing.assert_allclose(found, spots)


def test_the_elder_basin_lives_on_and_shallow_ones_pour_into_it():
    values = np.array([9.0, 2, 3, 1, 5, 0, 8])
    tree = merge_tree(values)
    assert tree.minimum.tolist() == [5, 3, 1]
    assert tree.saddle.tolist() == [-1, 4, 2]
    assert tree.parent.tolist() == [-1, 0, 1]
    assert tree.persistence.tolist() == [np.inf, 4, 1]
    assert tree.first_saddle().tolist() == [5, 3, 3]
    assert tree.reduced(np.array([True, True, False])).tolist() == [0, 1, 1]
    assert tree.reduced(np.zeros(3, bool)).tolist() == [0, 0, 0]
    assert tree.catchment.tolist() == [2, 2, 1, 1, 0, 0, 0]
    assert [tree.alive(1, level) for level in (2, 3, 4.9, 5)] == [2, 1, 1, 0]


def test_a_basin_spills_where_water_leaves_it_first():
    values = np.array([6.0, 2, 3, 1, 5, 0, 8])
    assert merge_tree(values).spill.tolist() == [0, 4, 2]
    bowl = np.add.outer(np.arange(-3, 4) ** 2, np.arange(-2, 4) ** 2)
    tree = merge_tree(bowl)
    assert bowl.flat[tree.spill[0]] == 4  # over the nearest edge, b = -2


def test_what_is_missing_is_an_edge_and_infinity_is_a_wall():
    wall, hole = np.array([3.0, 1, np.inf, 0, 2]), np.array([3.0, 1, np.nan, 0, 2])
    for values in (wall, hole):
        tree = merge_tree(values)
        assert tree.death.tolist() == [np.inf, np.inf]
        assert tree.catchment[2] == -1
    assert wall[merge_tree(wall).spill].tolist() == [2, 3]
    assert hole[merge_tree(hole).spill].tolist() == [0, 1]
    closed = np.full((3, 3), np.inf)
    closed[1, 1] = 0
    assert merge_tree(closed).spill.tolist() == [-1]


def test_a_valley_that_runs_aslant_is_one_basin_of_eight_neighbours_and_many_of_four():
    values = 1 - np.eye(6)
    assert diagram(values, 8) == [(0, np.inf)]
    assert len(diagram(values, 4)) == 6


def test_a_constant_has_one_basin_and_one_point_too():
    for values in (np.ones((4, 5)), np.zeros(1)):
        assert len(diagram(values)) == 1


@pytest.mark.parametrize(
    ("values", "knobs", "words"),
    [
        ([np.nan, np.inf], {}, "Expected a finite value, got none"),
        ([0.0, -np.inf], {}, "above minus infinity"),
        (np.zeros((2, 2, 2)), {}, "on a line or a grid, got shape"),
        (np.zeros((2, 2)), {"neighbours": 6}, "Expected 4 or 8 neighbours of a point of a grid, got 6"),
    ],
)
def test_what_cannot_be_flooded_is_refused(values, knobs, words):
    with pytest.raises(ValueError, match=words):
        merge_tree(np.asarray(values), **knobs)
