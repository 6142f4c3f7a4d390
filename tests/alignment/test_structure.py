"""Permutation structures: permuted tensors, composition, inverses, and draws that keep blocks together."""

import pytest
import torch

from landscape.alignment.structure import Group, Place, Structure, composed, inverse, permuted


def rows(*positions):
    return torch.tensor(positions)


HIDDEN = Group("hidden", 3, (Place("a", 0, torch.arange(3)[:, None]), Place("b", 1, torch.arange(6).reshape(3, 2))))
QUERIES = Group("queries", 6, (Place("q", 0, torch.arange(6)[:, None]),), blocks=3, tie="heads")
VALUES = Group("values", 9, (Place("v", 0, torch.arange(9)[:, None]),), blocks=3, tie="heads")
STRUCTURE = Structure((HIDDEN, QUERIES, VALUES))


def state():
    return {"a": torch.arange(3.0), "b": torch.arange(12.0).reshape(2, 6), "q": torch.arange(6), "v": torch.arange(9),
            "other": torch.ones(2)}  # fmt: skip


def test_the_unit_that_is_named_comes_to_each_place():
    found = permuted(state(), STRUCTURE, {"hidden": rows(2, 0, 1)})
    assert found["a"].tolist() == [2, 0, 1]
    assert found["b"][0].tolist() == [4, 5, 0, 1, 2, 3]
    assert found["q"].tolist() == list(range(6))


def test_positions_outside_a_place_stay():
    part = Structure((Group("part", 2, (Place("a", 0, rows([0], [2])),)),))
    assert permuted(state(), part, {"part": rows(1, 0)})["a"].tolist() == [2, 1, 0]


def test_one_tensor_may_be_permuted_along_both_axes():
    square = torch.arange(9.0).reshape(3, 3)
    both = Structure((Group("units", 3, tuple(Place("w", axis, torch.arange(3)[:, None]) for axis in (0, 1))),))
    order = rows(1, 2, 0)
    assert torch.equal(permuted({"w": square}, both, {"units": order})["w"], square[order][:, order])


@pytest.mark.parametrize("seed", range(3))
def test_composition_and_inverse(seed):
    generator = torch.Generator().manual_seed(seed)
    first, second = STRUCTURE.random(generator), STRUCTURE.random(generator)
    twice = permuted(permuted(state(), STRUCTURE, first), STRUCTURE, second)
    once = permuted(state(), STRUCTURE, composed(first, second))
    back = permuted(once, STRUCTURE, inverse(composed(first, second)))
    assert all(torch.equal(twice[name], once[name]) for name in once)
    assert all(torch.equal(back[name], tensor) for name, tensor in state().items())


def test_the_identity_changes_nothing():
    found = permuted(state(), STRUCTURE, STRUCTURE.identity())
    assert all(torch.equal(found[name], tensor) for name, tensor in state().items())


def test_draws_move_tied_blocks_together_and_units_inside_them():
    seen = set()
    for seed in range(500):
        drawn = STRUCTURE.random(torch.Generator().manual_seed(seed))
        heads = (drawn["queries"].reshape(3, 2) // 2, drawn["values"].reshape(3, 3) // 3)
        assert all(bool((block == block[:, :1]).all()) for block in heads)
        assert heads[0][:, 0].tolist() == heads[1][:, 0].tolist()
        seen.add(tuple(drawn["queries"].tolist()))
    assert len(seen) == 6 * 2**3  # all orders of blocks, times both orders inside each


@pytest.mark.parametrize("order", [rows(0, 0, 1), rows(0, 1), rows(1, 2, 3)])
def test_what_is_no_permutation_is_refused(order):
    with pytest.raises(ValueError, match="permutation of the 3 units of 'hidden'"):
        permuted(state(), STRUCTURE, {"hidden": order})
