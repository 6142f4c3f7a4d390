"""Quantized activations in training: where they are put, how they are fitted, what is deployed."""

import copy

import pytest
import torch
from torch import nn

from landscape.quantize import activations
from landscape.quantize.activations import Activation
from landscape.quantize.parametrization import Quantized, taken_off
from landscape.quantize.scheme import Scheme
from landscape.quantize.trained.bases import BasedInput
from landscape.quantize.trained.inputs import fitting, inputs, put_around, require_bits
from landscape.quantize.trained.ranges import Ranged
from landscape.quantize.trained.signs import DecayedSign, SignInput
from landscape.quantize.trained.steps import SteppedInput

MAKES = {
    "ranged": lambda: Ranged(3),
    "one bit": lambda: Ranged(1),
    "stepped": lambda: SteppedInput(3),
    "based": lambda: BasedInput(2),
    "sign": SignInput,
    "decayed": DecayedSign,
}


def weights(weight, axis):
    return Quantized(weight, Scheme(4), axis)


def network(make, *, dtype=torch.float32, **how):
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3)).to(dtype)
    return put_around(model, weights, make, **how)


def fitted(make, data, **how):
    model = network(make, **how).train()
    with torch.no_grad(), fitting(model):
        model(data)
    return model


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_the_deployed_network_gives_the_numbers_of_the_trained_one_bit_for_bit(make):
    data = torch.randn(30, 6)
    model = fitted(make, data)
    model(data)
    plain, quantization = taken_off(model.eval())
    assert torch.equal(plain(data), model(data))
    assert quantization.activations.keys() == {"0", "2", "4"}
    assert all(type(one) is Activation for one in activations.attached(plain).values())
    assert not any("activation_quantizer" in name for name in plain.state_dict())
    fresh = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3)).eval()
    fresh.load_state_dict(plain.state_dict())
    activations.attach(fresh, quantization.activations)
    assert torch.equal(fresh(data), model(data))


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_training_rounds_to_the_same_numbers(make):
    data = torch.randn(30, 6)
    model = fitted(make, data)
    trained = model(data)
    assert torch.equal(trained, model.eval()(data))


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_its_state_tells_all_of_it(make):
    data = torch.randn(30, 6)
    model, other = fitted(make, data), network(make)
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    assert torch.equal(model.eval()(data), other.eval()(data))
    for one, two in zip(inputs(model).values(), inputs(other).values(), strict=True):
        assert one.grid.sha256() == two.grid.sha256()


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_it_takes_the_format_of_its_layer(make):
    model = fitted(make, torch.randn(30, 6, dtype=torch.float64), dtype=torch.float64)
    assert {one.grid.scale.dtype for one in inputs(model).values()} == {torch.float64}


def test_each_is_fitted_to_what_those_before_it_make_of_the_data():
    data = torch.randn(30, 6)
    model = fitted(lambda: Ranged(2), data)
    alone, seen = Ranged(2), []
    model[4].register_forward_hook(lambda layer, given, out: seen.append(given[0]))
    before = model[:4](data)
    alone.fit(before)
    model(data)
    assert alone.grid.sha256() == inputs(model)["4"].grid.sha256()
    assert torch.equal(seen[0], alone.eval()(before))


def test_only_those_that_follow_are_fitted_again():
    data = torch.randn(30, 6)
    for make, moves in ((lambda: Ranged(3), True), (lambda: SteppedInput(3), False)):
        model = fitted(make, data)
        before = inputs(model)["0"].grid.sha256()
        with torch.no_grad(), fitting(model, again=True):
            model(5 * data)
        assert (inputs(model)["0"].grid.sha256() != before) == moves


def test_skipped_layers_and_the_data_are_left_alone():
    assert inputs(network(SignInput, raw=True)).keys() == {"2", "4"}
    assert inputs(network(SignInput, raw=True, skip=["first"])).keys() == {"2", "4"}
    assert inputs(network(SignInput, skip=["first", "last"])).keys() == {"2"}
    assert not inputs(network(None))


def test_a_layer_that_is_never_called_is_named():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(6, 3), nn.Linear(6, 3)

        def forward(self, x):
            return self.used(x)

    model = put_around(Unused(), weights, lambda: Ranged(3))
    with pytest.raises(ValueError, match="Expected the layer 'unused' to be called .*: skip the layer"):
        with fitting(model):
            model(torch.randn(4, 6))
    assert not any(one.fits for one in inputs(model).values())


def test_one_bit_of_both_signs_is_the_sign_times_the_mean():
    data = torch.randn(40, 6)
    one = Ranged(1)
    one.fit(data)
    assert torch.allclose(one(data), torch.where(data >= 0, 1.0, -1.0) * data.abs().mean())


def test_large_inputs_are_fitted_to_a_part_of_them():
    one = Ranged(8)
    one.fit(torch.arange(200_000.0))
    assert one.grid.scale.item() == pytest.approx(200_000 / 255, rel=1e-3)


@pytest.mark.parametrize(("bits", "limits", "wanted"), [(9, {}, "1 to 8 bits"), (2, {"highest": 1}, "1 bit")])
def test_other_widths_are_refused(bits, limits, wanted):
    with pytest.raises(ValueError, match=f"Expected acts of {wanted}, or none, got {bits}: set it as in ste:acts="):
        require_bits(bits, "ste", **limits)


def test_a_range_is_fitted_to_every_feature_and_not_to_one():
    """As many numbers as give evenly spread ones, one in 64, the length of a row: they would see one feature alone."""
    data = torch.rand(256, 256, 64, generator=torch.Generator().manual_seed(0))
    data[..., 0] *= 0.01
    one, eight = Ranged(3), Ranged(8)
    one.fit(data)
    eight.fit(data)
    assert one.grid.dequantize(torch.tensor([7.0])).item() == pytest.approx(1, abs=0.1)
    assert eight.grid.dequantize(torch.tensor([255.0])).item() == pytest.approx(data.max().item(), rel=1e-6)
