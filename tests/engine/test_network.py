"""A network as a function: blocks, filters, layouts."""

import pytest
import torch
from torch import nn

from landscape.engine.network import Network, lay_out

CPU = torch.device("cpu")


def network(model, parameters="*"):
    return Network(model, parameters, torch.float64, CPU)


def test_blocks_tile_the_vector_and_know_their_role():
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.LayerNorm(4), nn.Linear(3, 2), nn.PReLU(), nn.Embedding(5, 2)
    )
    net = network(model)
    assert [b.role for b in net.blocks] == [
        "weight",
        "bias",
        "norm",
        "norm",
        "norm",
        "norm",
        "weight",
        "bias",
        "bias",
        "weight",
    ]
    starts = [b.slice.start for b in net.blocks]
    assert starts == [0, *[b.slice.stop for b in net.blocks[:-1]]]
    assert net.dim == net.blocks[-1].slice.stop == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("layer", "units"),
    [
        (nn.Conv2d(4, 6, 3, groups=2), 6),
        (nn.ConvTranspose2d(4, 6, 3, groups=2), 6),
        (nn.ConvTranspose1d(4, 6, 3), 6),
        (nn.Linear(4, 6), 6),
        (nn.Embedding(6, 4), 6),
    ],
)
def test_filters_are_what_an_output_unit_sees(layer, units):
    block = network(layer).blocks[0]
    weight = layer.weight.detach()
    rows = block.filters(weight)
    assert rows.shape == (units, weight.numel() // units)
    assert torch.equal(block.unfiltered(rows), weight)
    if not isinstance(layer, nn.Embedding):
        x = torch.randn(1, 4, *[5] * (weight.ndim - 2)) if weight.ndim > 2 else torch.randn(1, 4)
        layer.bias.data.zero_()
        before = layer(x)
        layer.weight.data = block.unfiltered(rows * torch.arange(units)[:, None])
        scaled = before * torch.arange(units).view(1, -1, *[1] * (before.ndim - 2))
        torch.testing.assert_close(layer(x), scaled)


def test_layouts_keep_the_numbers_and_come_back():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1), nn.Conv3d(2, 2, 2), nn.Linear(2, 2))
    strides, values = [p.stride() for p in model.parameters()], [p.clone() for p in model.parameters()]
    lay_out(model, True)
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert all(torch.equal(p, v) for p, v in zip(model.parameters(), values, strict=True))
    lay_out(model, False)
    assert [p.stride() for p in model.parameters()] == strides


def test_integers_and_masks_are_left_alone():
    class Masked(nn.Linear):
        def __init__(self):
            super().__init__(2, 2)
            self.register_buffer("mask", torch.full((2,), -torch.inf))
            self.register_buffer("index", torch.arange(3))

    net = network(Masked())
    assert net.model.index.dtype == torch.int64
    assert net.model.mask.dtype == torch.float64
    bad = Masked()
    bad.mask[0] = torch.nan
    with pytest.raises(ValueError, match="got 1 NaN or infinite numbers in `mask`"):
        network(bad)
