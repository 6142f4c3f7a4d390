"""Tangents, redistribution and added pivots of an elastic band, beside naive twins in float64."""

import numpy as np
import pytest
import torch

from landscape.connection.elastic import TOLERANCE, inserted, perpendicular, redistributed, tangents
from landscape.curves import Curve

EPS = np.finfo(float).eps


def naive_tangent(behind, here, ahead, low, middle, high):
    """Henkelman & Jonsson (2000), equations 8 to 11, for one pivot in words."""
    forward, backward = ahead - here, here - behind
    if low < middle < high:
        tangent = forward
    elif low > middle > high:
        tangent = backward
    else:
        largest = max(abs(high - middle), abs(low - middle))
        smallest = min(abs(high - middle), abs(low - middle))
        if high > low:
            tangent = forward * largest + backward * smallest
        else:
            tangent = forward * smallest + backward * largest
    return tangent / np.linalg.norm(tangent)


def zigzag(count=9, dim=5, seed=0):
    random = np.random.default_rng(seed)
    return np.linspace(0, 4, count)[:, None] * np.ones(dim) + 0.3 * random.standard_normal((count, dim))


@pytest.mark.parametrize("seed", range(8))
def test_tangents_are_those_of_henkelman_and_jonsson(seed):
    points, energies = zigzag(seed=seed), np.random.default_rng(seed).standard_normal(9)
    found = tangents(torch.from_numpy(points), torch.from_numpy(energies)).numpy()
    for k in range(1, 8):
        naive = naive_tangent(*points[k - 1 : k + 2], *energies[k - 1 : k + 2])
        np.testing.assert_allclose(found[k - 1], naive, atol=8 * EPS)


def test_of_equal_energies_both_neighbours_count_alike():
    points = torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(tangents(points, torch.ones(3).double()), torch.tensor([[1.0, 0.0]]).double())


def test_on_a_plateau_the_higher_neighbour_decides():
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    found = tangents(points, torch.tensor([0.0, 1.0, 1.0]).double())
    torch.testing.assert_close(found, torch.tensor([[0.0, 1.0]]).double())


def test_a_chain_that_turns_back_has_no_tangent_and_keeps_its_gradient():
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    found = tangents(points, torch.tensor([0.0, 1.0, 0.0]).double())
    assert (found == 0).all()
    gradient = torch.tensor([[3.0, 4.0]]).double()
    assert (perpendicular(gradient, found) == gradient).all()


def test_projected_vectors_are_orthogonal_to_the_tangent():
    points, energies = torch.from_numpy(zigzag()), torch.linspace(0, 1, 9).double().sin()
    along, vectors = tangents(points, energies), torch.randn(7, 5, dtype=torch.float64)
    across = perpendicular(vectors, along)
    assert (across * along).sum(1).abs().max() <= 16 * EPS * vectors.norm(dim=1).max()
    torch.testing.assert_close(across + (vectors * along).sum(1, keepdim=True) * along, vectors)


def naive_redistributed(points, shares):
    """Walk along the chain to every place, again and again until nothing moves."""
    points = points.copy()
    for _ in range(200):
        lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
        wanted, walked = np.cumsum(shares)[:-1] * lengths.sum(), np.cumsum([0, *lengths])
        inner = [np.interp(wanted, walked, points[:, d]) for d in range(points.shape[1])]
        points = np.vstack([points[:1], np.stack(inner, 1), points[-1:]])
    return points


@pytest.mark.parametrize("shares", [np.full(8, 1 / 8), np.array([1, 1, 2, 4, 4, 2, 1, 1]) / 16])
def test_redistribution_gives_the_pieces_their_shares_of_the_length(shares):
    points = torch.from_numpy(zigzag())
    inner = redistributed(points, torch.from_numpy(shares))
    lengths = torch.cat([points[:1], inner, points[-1:]]).diff(dim=0).norm(dim=1).numpy()
    assert np.abs(lengths / lengths.sum() - shares).max() <= TOLERANCE * shares.max() + 64 * EPS
    naive = naive_redistributed(points.numpy(), shares)[1:-1]
    assert np.abs(inner.numpy() - naive).max() < 0.02 * lengths.sum() / 8  # each stops within a share of a piece


def test_one_round_of_redistribution_is_the_walk_along_the_chain():
    line = np.array([0.0, 0.1, 0.15, 0.9, 1.0])[:, None] * np.array([3.0, 4.0])  # straight: one round is all it takes
    inner = redistributed(torch.from_numpy(line), torch.full((4,), 0.25).double())
    np.testing.assert_allclose(inner, np.array([0.25, 0.5, 0.75])[:, None] * np.array([3.0, 4.0]), atol=16 * EPS)


def test_pivots_in_their_places_keep_their_bits():
    points = torch.linspace(0, 1, 5)[:, None] * torch.randn(6)
    assert (redistributed(points, torch.full((4,), 0.25).double()) == points[1:-1]).all()


def test_pivots_that_coincide_are_pulled_apart():
    points = torch.tensor([0.0, 0.5, 0.5, 0.5, 1.0], dtype=torch.float64)[:, None]
    inner = redistributed(points, torch.full((4,), 0.25).double())
    np.testing.assert_allclose(inner[:, 0], [0.25, 0.5, 0.75], atol=16 * EPS)


def test_pivots_are_added_where_the_energy_rises_above_the_interpolation():
    points = torch.tensor([[0.0], [1.0], [2.0], [3.0]], dtype=torch.float64)
    energies = torch.tensor(
        [[0.0, 0.25, 0.5, 0.75, 1.0], [1.0, 1.0, 1.2, 3.0, 1.0], [1.0, 0.8, 0.6, 0.3, 0.0]]  # only the second rises
    ).double()
    found, shares = inserted(points, torch.full((3,), 1 / 3).double(), energies, 0.2)
    assert found[:, 0].tolist() == [0.0, 1.0, 1.75, 2.0, 3.0]
    np.testing.assert_allclose(shares, [1 / 3, 0.25, 1 / 12, 1 / 3])


def test_a_new_pivot_leaves_the_chain_as_it_was():
    points, shares = torch.from_numpy(zigzag()), torch.full((8,), 1 / 8).double()
    energies = torch.zeros(8, 5).double()
    energies[3, 1] = energies[5, 3] = 1.0
    found, new = inserted(points, shares, energies, 0.2)
    assert len(found) == 11
    assert float(new.sum()) == pytest.approx(1)
    assert Curve("chain", found).length == pytest.approx(Curve("chain", points).length, rel=1e-12)


def test_flat_and_undefined_energies_add_nothing():
    points, shares = torch.from_numpy(zigzag()), torch.full((8,), 1 / 8).double()
    for value in (0.0, float("nan"), float("inf")):
        assert len(inserted(points, shares, torch.full((8, 5), value).double(), 0.2)[0]) == 9
