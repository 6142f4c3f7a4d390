"""Declared permutation symmetries: the same as the traced ones, and one line for each mistake."""

import json

import pytest
import torch
from torch import nn

from landscape.alignment.declared import declared
from landscape.alignment.structure import permuted
from landscape.alignment.tracing import traced
from landscape.discovery import discover

MLP = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 6))
HIDDEN = [["0.weight", 0], ["0.bias", 0], ["2.weight", 1]]


def written(structure):
    """Write a structure as a file would have it."""
    return json.dumps({
        group.name: {
            "places": [[place.tensor, place.axis, place.index.tolist()] for place in group.places],
            "size": group.size, "blocks": group.blocks, "tie": group.tie,
        }
        for group in structure.groups
    })  # fmt: skip


@pytest.mark.parametrize("name", ["lenet", "vit", "resnet"])
def test_a_traced_structure_that_is_declared_permutes_the_same(name):
    knobs = {"resnet": {"depth": 8, "width": 4}, "vit": {"depth": 1, "width": 8, "heads": 2}, "lenet": {}}[name]
    model = discover("landscape.models")[name](**knobs, shape=(3, 12, 12))
    structure = traced(model, torch.randn(2, 3, 12, 12))
    again = declared(written(structure), model)
    order = structure.random(torch.Generator().manual_seed(0))
    one, other = (permuted(model.state_dict(), way, order) for way in (structure, again))
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert [(g.name, g.size, g.blocks, g.tie) for g in again.groups] == [
        (g.name, g.size, g.blocks, g.tie) for g in structure.groups
    ]


def test_a_flattened_convolution_by_layout():
    channels_first = nn.Sequential(nn.Conv2d(1, 3, 2), nn.Flatten(), nn.Linear(12, 2))
    places = [["0.weight", 0], ["0.bias", 0], ["2.weight", 1]]
    structure = declared({"channels": places}, channels_first)
    assert structure.groups[0].size == 3
    x, order = torch.randn(4, 1, 3, 3), {"channels": torch.tensor([2, 0, 1])}
    before = channels_first(x)
    channels_first.load_state_dict(permuted(channels_first.state_dict(), structure, order))
    assert torch.allclose(channels_first(x), before, atol=1e-6)
    places[2].append("repeats")
    index = declared({"channels": {"places": places}}, channels_first).groups[0].places[2].index
    assert index.tolist() == [[i, 3 + i, 6 + i, 9 + i] for i in range(3)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expected groups as JSON, got .* line 1"),
        ("[]", "Expected groups by name, got none"),
        ({"h": []}, "Expected places of group 'h', got"),
        ({"h": "0.weight"}, "Expected places of group 'h', got '0.weight'"),
        ({"h": [["0.weight"]]}, "Expected a place of group 'h' as .* got"),
        ({"h": [["0.weight", True]]}, "Expected a place of group 'h' as .* got"),
        ({"h": [["9.weight", 0]]}, "Expected tensors of the network in group 'h', got '9.weight': it has 0.weight"),
        ({"h": [["0.bias", 1]]}, "Expected an axis of '0.bias' from 0 to 0 in group 'h', got 1"),
        ({"h": [["0.bias", -1]]}, "Expected an axis of '0.bias' from 0 to 0 in group 'h', got -1"),
        ({"h": [["0.bias", 0], ["2.bias", 0]]}, "multiples of its 4 units, got 6 on axis 0 of '2.bias'"),
        ({"h": [["0.bias", 0, "pixels"]]}, "Expected the layout of '0.bias' as one of units, repeats .* got 'pixels'"),
        ({"h": [["0.bias", 0, [0, 4]]]}, "Expected positions from 0 to 3 on '0.bias' in group 'h', got 4"),
        ({"h": [["0.bias", 0], ["0.bias", 0]]}, "Expected each position once, got 0 on axis 0 of '0.bias'"),
        ({"h": HIDDEN, "g": HIDDEN}, "Expected each position once, got 0 .* in 'h' and in 'g'"),
        ({"h": {"places": HIDDEN, "blocks": 3}}, "Expected blocks that divide the 4 units of group 'h', got 3"),
        ({"h": {"places": HIDDEN, "blocks": 0}}, "Expected the blocks of group 'h' as an integer .* got 0"),
        ({"h": {"places": HIDDEN, "tie": 3}}, "Expected the tie of group 'h' as text, got 3"),
        ({"h": {"places": HIDDEN, "colour": 3}}, "Expected places, size, blocks, tie in group 'h', got 'colour'"),
        (
            {
                "h": {"places": HIDDEN, "blocks": 2, "tie": "t"},
                "g": {"places": [["2.bias", 0]], "blocks": 3, "tie": "t"},
            },
            "tie 't' with equally many blocks, got 2 of 'h' and 3 of 'g'",
        ),
    ],
)
def test_bad_files_are_told_in_one_line(text, message):
    with pytest.raises(ValueError, match=message) as error:
        declared(text, MLP)
    assert "\n" not in str(error.value)
