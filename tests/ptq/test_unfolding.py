"""Layers as matrices: rows times unfolded inputs are what the layer returns, for every kind of layer."""

import pytest
import torch
from torch import nn

from landscape.ptq.calls import entering, operations, order
from landscape.ptq.unfolding import folded, matrix, outputs, unfolded


class Conv1D(nn.Module):
    """GPT-2's linear layer: its weight is (inputs, units)."""

    def __init__(self, units, inputs):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(inputs, units)), nn.Parameter(torch.zeros(units))

    def forward(self, inputs):
        return inputs @ self.weight + self.bias


LAYERS = {  # layer, shape of an input, multiply-accumulate operations of one example
    "linear": (nn.Linear(5, 3), (5,), 15),
    "linear on tokens": (nn.Linear(5, 3), (4, 5), 60),
    "gpt2": (Conv1D(3, 5), (4, 5), 60),
    "conv1d": (nn.Conv1d(2, 3, 4), (2, 9), 3 * 6 * 8),
    "conv2d": (nn.Conv2d(3, 4, 3, padding=1), (3, 5, 5), 4 * 25 * 27),
    "conv3d": (nn.Conv3d(2, 3, 2), (2, 3, 3, 3), 3 * 8 * 16),
    "stride": (nn.Conv2d(3, 4, 3, stride=2, padding=1), (3, 5, 5), 4 * 9 * 27),
    "dilation": (nn.Conv2d(3, 4, 3, dilation=2, padding="same"), (3, 5, 5), 4 * 25 * 27),
    "circular": (nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), (3, 5, 5), 4 * 25 * 27),
    "groups": (nn.Conv2d(4, 6, 3, groups=2), (4, 5, 5), 6 * 9 * 18),
    "depthwise": (nn.Conv2d(4, 8, 3, groups=4, bias=False), (4, 5, 5), 8 * 9 * 9),
    "transposed": (nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1, output_padding=1), (4, 3, 3), 36 * 27),
    "transposed groups": (nn.ConvTranspose2d(4, 6, 2, groups=2), (4, 3, 3), 36 * 12),
    "transposed 1d": (nn.ConvTranspose1d(2, 3, 3, bias=False), (2, 5), 10 * 9),
}


@pytest.fixture(params=LAYERS)
def case(request):
    layer, shape, count = LAYERS[request.param]
    layer = layer.double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer, torch.randn(2, *shape, dtype=torch.float64), count


def test_rows_times_unfolded_inputs_are_the_outputs(case):
    layer, inputs, _ = case
    rows, columns = matrix(layer, layer.weight), unfolded(layer, inputs)
    found, wanted = rows @ columns, outputs(layer, layer(inputs))
    if layer.bias is not None:
        found = found + layer.bias.reshape(len(rows), -1, 1)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_folding_undoes_rows(case):
    layer, _, _ = case
    assert torch.equal(folded(layer, matrix(layer, layer.weight)), layer.weight)


def test_operations_are_those_of_one_example(case):
    layer, inputs, count = case
    assert operations(nn.Sequential(layer), inputs[:1]) == {"0": count}
    assert operations(nn.Sequential(layer), inputs) == {"0": 2 * count}


class Shared(nn.Module):
    """Calls the second layer first, and twice."""

    def __init__(self):
        super().__init__()
        self.last, self.shared, self.idle = nn.Linear(3, 2), nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, inputs):
        return self.last(self.shared(self.shared(inputs)))


def test_layers_in_the_order_of_calls():
    assert order(Shared(), torch.randn(1, 3)) == {"shared": 2, "last": 1}
    assert operations(Shared(), torch.randn(1, 3)) == {"last": 6, "shared": 18, "idle": 0}


@pytest.mark.parametrize("looking", [order, operations])
def test_looking_at_a_network_leaves_it_as_it_was(looking):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    looking(model, torch.randn(8, 3))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert model.training
    assert not model[0]._forward_hooks


def test_what_enters_a_layer():
    model, batches = Shared(), [torch.randn(2, 3), torch.randn(4, 3)]
    found = list(entering(model, "shared", batches, 2))
    assert [torch.equal(seen[0], given) for seen, given in zip(found, batches, strict=True)] == [True, True]
    assert torch.equal(found[1][1], model.shared(batches[1]))
    assert not model.shared._forward_pre_hooks


def test_nothing_after_the_layer_is_run():
    class Forbidden(nn.Module):
        def forward(self, inputs):
            raise AssertionError("reached")

    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), Forbidden())
    assert [len(seen) for seen in entering(model, "1", [torch.randn(2, 3)], 1)] == [1]
