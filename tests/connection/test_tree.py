"""Spanning trees of saddles, beside every tree there is and every path there is."""

from itertools import combinations, permutations

import numpy as np
import pytest

from landscape.connection.tree import minimax, parts, spanning, untried


def symmetric(count, seed):
    values = np.random.default_rng(seed).standard_normal((count, count))
    return np.triu(values, 1) + np.triu(values, 1).T


def spans(count, edges):
    return parts(count, list(edges)).max() == 0


@pytest.mark.parametrize("seed", range(5))
def test_no_tree_is_lower(seed):
    saddles = symmetric(5, seed)
    found = spanning(saddles)
    trees = [edges for edges in combinations(combinations(range(5), 2), 4) if spans(5, edges)]
    assert len(trees) == 125  # Cayley's formula: 5 ** 3
    assert sum(saddles[edge] for edge in found) == pytest.approx(min(sum(map(saddles.__getitem__, t)) for t in trees))
    assert [saddles[edge] for edge in found] == sorted(saddles[edge] for edge in found)


@pytest.mark.parametrize("seed", range(5))
def test_the_way_along_the_tree_is_the_lowest_there_is(seed):
    saddles = symmetric(5, seed)
    edges = spanning(saddles)
    found = minimax(saddles, edges)
    for i, j in permutations(range(5), 2):
        rest = [k for k in range(5) if k not in (i, j)]
        ways = [(i, *through, j) for n in range(4) for through in permutations(rest, n)]
        lowest = min(max(saddles[pair] for pair in zip(way, way[1:], strict=False)) for way in ways)
        assert saddles[edges[found[i, j]]] == lowest
    assert (found.diagonal() == -1).all()
    assert (found == found.T).all()


def test_zeros_infinities_and_nan_are_saddles_too():
    saddles = np.array([[0, 0.0, np.nan, 3], [0, 0, np.inf, 5], [0, 0, 0, np.nan], [0, 0, 0, 0]])
    saddles = np.triu(saddles, 1) + np.triu(saddles, 1).T
    assert spanning(saddles) == [(0, 1), (0, 3), (1, 2)]
    assert spanning(np.zeros((3, 3))) == [(0, 1), (0, 2)]


def test_two_networks_have_one_edge():
    assert spanning(np.array([[0.0, 2.0], [2.0, 0.0]])) == [(0, 1)]
    assert minimax(np.array([[0.0, 2.0], [2.0, 0.0]]), [(0, 1)]).tolist() == [[-1, 0], [0, -1]]


def test_the_next_pair_crosses_the_cut_of_the_highest_edge():
    saddles = np.full((4, 4), 9.0)
    for (i, j), value in {(0, 1): 1.0, (2, 3): 2.0, (1, 2): 5.0, (0, 3): 6.0, (0, 2): 7.0, (1, 3): 8.0}.items():
        saddles[i, j] = saddles[j, i] = value
    tree = spanning(saddles)
    assert tree == [(0, 1), (2, 3), (1, 2)]
    assert untried(saddles, tree, set(tree)) == (0, 3)
    assert untried(saddles, tree, {*tree, (0, 3)}) == (0, 2)
    assert untried(saddles, tree, {*tree, (0, 3), (0, 2), (1, 3)}) is None


def test_where_no_pair_is_left_across_the_highest_edge_the_next_one_is_asked():
    saddles = np.full((3, 3), 9.0)
    for (i, j), value in {(0, 1): 1.0, (1, 2): 2.0, (0, 2): 3.0}.items():
        saddles[i, j] = saddles[j, i] = value
    assert untried(saddles, [(0, 1), (1, 2)], {(1, 2), (0, 2)}) == (0, 1)
