"""Surfaces by name: which view each has, and the schemes that a quantization tells."""

import pytest
import torch
from torch import nn

from landscape.quantize.calibration import calibrate
from landscape.quantize.layers import chosen
from landscape.quantize.quantization import Quantization
from landscape.quantize.scheme import Scheme
from landscape.quantize.surfaces import FULL, SURFACES, at, rounded, schemes, view
from landscape.quantize.views import Latent, Requant, Smooth, Soft

SCHEMES = [
    Scheme(8), Scheme(4), Scheme(2), Scheme(1), Scheme(3, "full"), Scheme(4, "midrise"), Scheme(3, "levels"),
    Scheme(4, symmetric=False), Scheme(4, channels=False),
]  # fmt: skip


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 3))


def quantization(model, scheme, record=None):
    weights = dict(model.named_parameters())
    grids = {name: calibrate(weights[name], scheme, axis=axis) for name, axis in chosen(model).items()}
    return Quantization(grids, {name: weights[name].detach().clone() for name in grids}, record=record or {})


@pytest.mark.parametrize("name", SURFACES)
def test_every_name_has_its_view(model, name):
    known = quantization(model, Scheme(3))
    kinds = {"latent": Latent, "lattice": Latent, "requant": Requant, "smooth": Smooth, "soft": Soft}
    assert type(view(name, known)) is kinds.get(name, type(None))
    assert (name in FULL) <= (view(name, known) is None)


def test_around_the_weights_themselves_every_hard_view_is_the_quantized_network(model):
    known = quantization(model, Scheme(3))
    expected = {name: grid.hard(known.latent[name]) for name, grid in known.grids.items()}
    for name in ("latent", "lattice", "requant"):
        seen = view(name, known, chosen(model))
        assert seen is not None
        torch.testing.assert_close(seen(known.latent), expected, rtol=0, atol=0)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_a_scheme_is_that_of_the_record_or_looks_like_the_grid(model, scheme):
    bare = schemes(quantization(model, scheme))
    told = schemes(quantization(model, scheme, {"schemes": {name: scheme.record() for name in chosen(model)}}))
    shared = schemes(quantization(model, scheme, {"scheme": scheme.record()}))
    assert set(told.values()) == set(shared.values()) == {scheme}
    assert {(one.bits, one.family, one.symmetric, one.channels) for one in bare.values()} == {
        (scheme.bits, scheme.family, scheme.symmetric, scheme.channels)
    }


def test_what_is_usual_at_one_width_becomes_what_is_usual_at_another():
    assert at(Scheme(4), 2) == Scheme(2)
    assert at(Scheme(2), 8) == Scheme(8)
    assert at(Scheme(8), 1).family == "binary"
    assert at(Scheme(4, "midrise", "minmax"), 2) == Scheme(2, "midrise", "minmax")
    assert at(Scheme(4, channels=False, symmetric=False), 3) == Scheme(3, channels=False, symmetric=False)


def test_rounding_touches_the_weights_alone(model):
    values = {name: parameter.detach() for name, parameter in model.named_parameters()}
    found = rounded(values, chosen(model), {}, 3)
    assert found.keys() == values.keys()
    assert torch.equal(found["0.bias"], values["0.bias"])
    assert torch.equal(found["2.weight"], calibrate(values["2.weight"], Scheme(3)).hard(values["2.weight"]))


def test_errors_say_what_to_do(model):
    with pytest.raises(ValueError, match="Expected a surface among dequant, latent"):
        view("hard", quantization(model, Scheme(3)))
