from itertools import permutations

import pytest
import torch

from landscape.alignment.structure import Group, Place, Structure, permuted
from landscape.alignment.weights import among, cosines, product, similarity, weight_matching


def units(count):
    return torch.arange(count)[:, None]


def perceptron(*sizes):
    """The structure of linear layers 1, 3, 5, ... of a Sequential with activations between."""
    groups = []
    for k, size in enumerate(sizes[1:-1]):
        here, after = 2 * k + 1, 2 * k + 3
        places = ((f"{here}.weight", 0), (f"{here}.bias", 0), (f"{after}.weight", 1))
        groups.append(Group(f"hidden {k}", size, tuple(Place(name, axis, units(size)) for name, axis in places)))
    return Structure(tuple(groups))


def state(*sizes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for k, (inputs, outputs) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        found[f"{2 * k + 1}.weight"] = torch.randn(outputs, inputs, generator=generator, dtype=torch.float64)
        found[f"{2 * k + 1}.bias"] = torch.randn(outputs, generator=generator, dtype=torch.float64)
    return found


def attention(width, heads, seed=0):
    """A stream of `width` with one attention of heads: q and k share a group, v has its own, heads move together."""
    each = torch.arange(width)
    stream = Group("stream", width, (
        Place("embed.weight", 0, units(width)), Place("qkv.weight", 1, units(width)),
        Place("project.weight", 0, units(width)), Place("head.weight", 1, units(width)),
    ))  # fmt: skip
    qk = Group("qk", width, (
        Place("qkv.weight", 0, each[:, None]), Place("qkv.weight", 0, width + each[:, None]),
    ), heads, "heads")  # fmt: skip
    v = Group("v", width, (
        Place("qkv.weight", 0, 2 * width + each[:, None]), Place("project.weight", 1, each[:, None]),
    ), heads, "heads")  # fmt: skip
    shapes = {
        "embed.weight": (width, 7), "qkv.weight": (3 * width, width), "project.weight": (width, width),
        "head.weight": (5, width),
    }  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    tensors = {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}
    return Structure((stream, qk, v)), tensors


def twisted(width=8, seed=0):
    """Units that lie on both axes of one weight: x + W x."""
    tensors = {
        "in": torch.randn(width, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64),
        "square": torch.randn(width, width, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64),
    }
    places = (Place("in", 0, units(width)), Place("square", 0, units(width)), Place("square", 1, units(width)))
    return Structure((Group("stream", width, places),)), tensors


NETWORKS = {
    "perceptron": (perceptron(6, 16, 12, 3), lambda seed: state(6, 16, 12, 3, seed=seed)),
    "attention": (attention(12, 3)[0], lambda seed: attention(12, 3, seed)[1]),
    "both axes": (twisted()[0], lambda seed: twisted(seed=seed)[1]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_permuted_copy_is_recovered(name):
    structure, make = NETWORKS[name]
    network = make(0)
    hidden = structure.random(torch.Generator().manual_seed(3))
    copy = permuted(network, structure, hidden)
    found = weight_matching(network, copy, structure, tries=3)
    back = permuted(copy, structure, found.permutation)
    assert all(torch.equal(back[key], network[key]) for key in network)
    assert found.record["products"][-1] == pytest.approx(product(network, network), rel=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_permuted_copy_is_recovered_from_noise(name):
    structure, make = NETWORKS[name]
    network, noise = make(0), make(1)
    hidden = structure.random(torch.Generator().manual_seed(3))
    copy = permuted({key: tensor + 0.02 * noise[key] for key, tensor in network.items()}, structure, hidden)
    back = permuted(copy, structure, weight_matching(network, copy, structure, tries=3).permutation)
    for key, tensor in network.items():
        assert torch.allclose(back[key], tensor + 0.02 * noise[key], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_aligned_with_itself(name):
    structure, make = NETWORKS[name]
    network = make(0)
    found = weight_matching(network, network, structure)
    assert all(torch.equal(found.permutation[key], order) for key, order in structure.identity().items())
    assert found.record["passes"] == 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", NETWORKS)
def test_the_product_never_falls_and_is_that_of_the_permutation(name, seed):
    structure, make = NETWORKS[name]
    first, second = make(seed), make(seed + 10)
    found = weight_matching(first, second, structure, seed=seed)
    products = found.record["products"]
    assert (torch.tensor(products).diff() >= 0).all()
    assert len(products) == found.record["passes"] + 1
    assert product(first, second) == pytest.approx(products[0], rel=1e-12)
    assert product(first, permuted(second, structure, found.permutation)) == pytest.approx(products[-1], rel=1e-12)


def test_the_distance_falls_as_the_product_rises():
    structure, make = NETWORKS["perceptron"]
    first, second = make(0), make(1)
    after = permuted(second, structure, weight_matching(first, second, structure).permutation)
    distance = [sum(float(((first[k] - other[k]) ** 2).sum()) for k in first) for other in (second, after)]
    gain = product(first, after) - product(first, second)
    assert distance[0] - distance[1] == pytest.approx(2 * gain, rel=1e-10)
    assert gain > 0


def test_one_hidden_layer_is_matched_exactly():
    structure, first, second = perceptron(3, 5, 2), state(3, 5, 2, seed=0), state(3, 5, 2, seed=1)
    values = [
        product(first, permuted(second, structure, {"hidden 0": torch.tensor(order)}))
        for order in permutations(range(5))
    ]
    found = weight_matching(first, second, structure)
    assert product(first, permuted(second, structure, found.permutation)) == pytest.approx(max(values), rel=1e-12)


def test_more_tries_are_no_worse_and_all_are_told():
    structure, make = NETWORKS["attention"]
    first, second = make(0), make(1)
    found = weight_matching(first, second, structure, tries=6)
    assert len(found.record["tries"]) == 6
    assert found.record["products"][-1] == max(found.record["tries"])
    assert found.record["tries"][0] == weight_matching(first, second, structure).record["products"][-1]


def test_no_tries_are_refused():
    structure, make = NETWORKS["perceptron"]
    with pytest.raises(ValueError, match="at least 1 try, got 0"):
        weight_matching(make(0), make(1), structure, tries=0)


def test_only_the_tensors_given_count():
    structure, make = NETWORKS["perceptron"]
    first, second = make(0), make(1)
    weights = {key: tensor for key, tensor in first.items() if key.endswith("weight")}
    found = weight_matching(weights, second, structure).permutation
    zeroed = first | {key: torch.zeros_like(tensor) for key, tensor in first.items() if key.endswith("bias")}
    twin = weight_matching(zeroed, second, structure).permutation
    assert all(torch.equal(found[key], twin[key]) for key in found)
    assert {place.tensor for group in among(structure, weights).groups for place in group.places} == set(weights)


def test_similarities_are_products_of_what_belongs_to_units():
    structure, make = NETWORKS["perceptron"]
    first, second = make(0), make(1)
    group = structure.groups[0]

    def all_of(network, unit):
        return torch.cat([network["1.weight"][unit], network["1.bias"][unit, None], network["3.weight"][:, unit]])

    table, angle = similarity(first, second, group), cosines(first, second, group)
    for i in range(group.size):
        for j in range(group.size):
            assert float(table[i, j]) == pytest.approx(float(all_of(first, i) @ all_of(second, j)), abs=1e-12)
        expected = torch.nn.functional.cosine_similarity(all_of(first, i), all_of(second, i), dim=0)
        assert float(angle[i]) == pytest.approx(float(expected), abs=1e-12)
