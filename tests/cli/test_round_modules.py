"""Rounding a checkpoint that brings its network along."""

import torch
from torch import nn

from landscape.cli._quantized import Rounding
from landscape.cli._source import Source
from landscape.quantize.calibration import calibrate
from landscape.quantize.scheme import Scheme


def test_a_network_that_came_with_its_weights_is_rounded_too(tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 3))
    torch.save(model, tmp_path / "whole.pt")
    (tmp_path / "data.py").write_text(
        "import torch\ndef load():\n"
        "    x = torch.linspace(-1, 1, 60)\n    return x.reshape(10, 6), torch.arange(10) % 3\n"
    )
    source = Source(data=f"{tmp_path / 'data.py'}:load", trust=True, device="cpu", strategy="loop,examples=10")
    plain, rounded = (source.load(tmp_path / "whole.pt", Rounding(round=bits)).objective for bits in (None, "2"))
    weight = model[1].weight.detach()
    expected = calibrate(weight, Scheme(2), axis=0).hard(weight)
    torch.testing.assert_close(plain.unpack(plain.theta)["1.weight"], weight)
    torch.testing.assert_close(rounded.unpack(rounded.theta)["1.weight"], expected)
    assert not torch.equal(weight, expected)
