from itertools import permutations, product

import pytest
import torch

from landscape.alignment.assignment import assigned, ties
from landscape.alignment.structure import Group, Structure


def allowed(groups):
    """Every permutation of tied groups that their blocks allow."""
    blocks = groups[0].blocks
    for outer in permutations(range(blocks)):
        choices = []
        for group in groups:
            each = group.size // blocks
            inner = [
                [[b * each + i for i in order] for order in permutations(range(each))] for b in outer
            ]
            choices.append([torch.tensor(sum(parts, [])) for parts in product(*inner)])
        for chosen in product(*choices):
            yield {group.name: order for group, order in zip(groups, chosen, strict=True)}


def total(similarity, permutation):
    return sum(float(similarity[name][torch.arange(len(order)), order].sum()) for name, order in permutation.items())


CASES = {
    "free": [Group("g", 6, ())],
    "blocks": [Group("g", 6, (), blocks=3)],
    "heads alone": [Group("g", 4, (), blocks=4)],
    "tied": [Group("qk", 4, (), blocks=2, tie="heads"), Group("v", 6, (), blocks=2, tie="heads")],
    "tied without blocks": [Group("q", 3, (), tie="same"), Group("v", 3, (), tie="same")],
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", CASES)
def test_the_assignment_is_the_best_of_all_that_are_allowed(name, seed):
    groups, generator = CASES[name], torch.Generator().manual_seed(seed)
    similarity = {g.name: torch.randn(g.size, g.size, dtype=torch.float64, generator=generator) for g in groups}
    found = assigned(groups, similarity)
    values = [total(similarity, one) for one in allowed(groups)]
    assert total(similarity, found) == pytest.approx(max(values), abs=1e-12)
    assert any(all((one[g.name] == found[g.name]).all() for g in groups) for one in allowed(groups))


def test_a_permuted_identity_is_undone():
    order = torch.tensor([2, 0, 3, 1])
    similarity = torch.zeros(4, 4)
    similarity[torch.arange(4), order] = 1
    assert assigned([Group("g", 4, ())], {"g": similarity})["g"].tolist() == order.tolist()


def test_ties_keep_groups_together_and_others_apart():
    groups = [Group("a", 2, ()), Group("b", 2, (), tie="t"), Group("c", 2, ()), Group("d", 4, (), tie="t")]
    assert [[group.name for group in one] for one in ties(Structure(tuple(groups)))] == [["a"], ["b", "d"], ["c"]]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_networks_that_diverged_are_refused(value):
    similarity = torch.zeros(3, 3)
    similarity[1, 2] = value
    with pytest.raises(ValueError, match="finite numbers to match units by, got NaN or infinity"):
        assigned([Group("hidden", 3, ())], {"hidden": similarity})
