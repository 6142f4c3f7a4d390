"""Grids of what goes into layers."""

import pytest
import torch
from torch import nn

from landscape.quantize import activations
from landscape.quantize.calibration import calibrate
from landscape.quantize.observed import SAMPLE, observed
from landscape.quantize.scheme import Scheme


def network():
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Dropout(), nn.Linear(6, 5), nn.GELU(), nn.Linear(5, 3))


def inputs(count=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(7, 4, generator=generator) for _ in range(count)]


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("calibration", ["minmax", "percentile", "mse"])
def test_few_inputs_get_the_grid_of_all_of_them(bits, calibration):
    model, batches = network().eval(), inputs()
    into = {"0": torch.cat(batches)}
    into["3"] = model[:3](into["0"])
    into["5"] = model[:5](into["0"])
    scheme = Scheme(bits, "full", calibration, symmetric=False, channels=False, percentile=99)
    for name, grid in observed(model, batches, bits, calibration=calibration, percentile=99).items():
        twin = calibrate(into[name].detach().flatten(), scheme)
        assert torch.equal(grid.scale, twin.scale)
        assert torch.equal(grid.zero, twin.zero)


@pytest.mark.parametrize("bits", range(1, 9))
def test_unsigned_grids_after_relu_and_a_zero_point_elsewhere(bits):
    found = observed(network(), inputs(), bits, calibration="minmax")
    assert list(found) == ["0", "3", "5"]
    assert (found["3"].low, found["3"].high, found["3"].zero.item()) == (0, 2**bits - 1, 0)
    assert found["0"].kind == ("binary" if bits == 1 else "uniform")
    if bits > 1:
        assert 0 < found["0"].zero.item() < 2**bits - 1
        assert found["0"].hard(torch.zeros(1)) == 0


def test_one_bit_is_the_sign_times_the_mean():
    batches = inputs()
    (grid,) = observed(network(), batches, 1, names=["0"]).values()
    torch.testing.assert_close(grid.scale, torch.cat(batches).abs().mean().reshape(1))


def test_neither_the_network_nor_random_numbers_move():
    model = network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.random.get_rng_state()
    observed(model, inputs(), 4)
    assert model.training
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_attached_quantizers_do_not_stand_in_the_way():
    model, batches = network(), inputs()
    plain = observed(model, batches, 4)
    attached = activations.attach(model, observed(model, batches, 1))
    again = observed(attached, batches, 4)
    assert {name: grid.sha256() for name, grid in plain.items()} == {n: g.sha256() for n, g in again.items()}
    assert all(one.mode == "hard" for one in activations.attached(model).values())


def test_of_many_inputs_a_fair_sample_is_kept_and_the_range_of_all():
    model = nn.Sequential(nn.Linear(64, 1))
    batches = [torch.full((SAMPLE // 256, 64), float(i)) for i in range(1, 9)]  # a quarter of the sample each
    (grid,) = observed(model, batches, 8, calibration="minmax").values()
    assert grid.scale.item() == pytest.approx(8 / 255)
    (half,) = observed(model, batches, 8, calibration="percentile", percentile=60).values()
    assert half.scale.item() == pytest.approx(5 / 255)  # 5/8 of the numbers are at most 5, 4/8 at most 4


def test_bounded_memory():
    from landscape.quantize.observed import _Seen

    seen = _Seen()
    for batch in torch.arange(5 * SAMPLE // 2, dtype=torch.float32).split(SAMPLE // 2):
        seen.add("layer", batch)
        assert len(seen.sample) <= SAMPLE
    mean, spread = seen.sample.double().mean(), 5 * SAMPLE / 2 / 12**0.5
    assert abs(mean - 5 * SAMPLE / 4) < 5 * spread / SAMPLE**0.5  # five standard errors of independent draws


def test_a_width_for_each_layer():
    found = observed(network(), inputs(), {"0": 8, "5": 2})
    assert {name: grid.bits for name, grid in found.items()} == {"0": 8, "5": 2}


def test_inputs_by_name_and_in_half_precision():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x):
            return self.layer(input=x)

    found = observed(Named().bfloat16(), [{"x": batch.bfloat16()} for batch in inputs()], 4)
    assert found["layer"].scale.dtype == torch.float32


class Idle(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.idle = nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, x):
        return self.used(x)


@pytest.mark.parametrize(
    ("model", "batches", "knobs", "message"),
    [
        (Idle(), [torch.ones(1, 4)], {}, "'idle' to be called"),
        (network(), [], {}, "'0' to be called"),
        (network(), [torch.zeros(2, 4)], {"names": ["0"]}, "not all zero"),
        (network(), [torch.full((2, 4), float("nan"))], {"names": ["0"]}, "finite inputs of the layer '0'"),
        (network(), [torch.ones(2, 4), torch.full((2, 4), float("inf"))], {"names": ["0"]}, "finite inputs"),
        (network(), [torch.ones(2, 4)], {"names": ["nowhere"]}, "'nowhere'"),
        (nn.ReLU(), [torch.ones(2, 4)], {}, "layers to observe"),
        (nn.Sequential(nn.Embedding(3, 2)), [torch.tensor([1])], {"names": ["0"]}, "floating-point inputs"),
        (network(), [torch.ones(2, 4)], {"names": ["0"], "calibration": "best"}, "calibration among"),
    ],
)
def test_bad_input(model, batches, knobs, message):
    with pytest.raises(ValueError, match=message):
        observed(model, batches, 4, **knobs)


@pytest.mark.parametrize("bits", [0, 9, True, 2.5, {"0": 0}])
def test_bits_that_are_none(bits):
    with pytest.raises(ValueError, match="bits from 1 to 8"):
        observed(network(), inputs(), bits, names=["0"])
