"""AdaRound: neighbours only, never worse than nearest, the best of all roundings where these can be counted."""

import itertools

import pytest
import torch
from torch import nn

from landscape.ptq.adaround import _undecided, adaround
from landscape.ptq.moments import Moments
from landscape.ptq.unfolding import folded
from landscape.quantize.calibration import calibrate
from landscape.quantize.layers import chosen
from landscape.quantize.rounding import neighbours
from landscape.quantize.scheme import Scheme

FAMILIES = [("narrow", 3), ("narrow", 2), ("full", 4), ("midrise", 2), ("binary", 1), ("ternary", 2), ("levels", 2)]
LAYERS = {
    "linear": (nn.Linear(6, 4), (6,)),
    "conv": (nn.Conv2d(3, 4, 3, padding=1, stride=2), (3, 6, 6)),
    "groups": (nn.Conv1d(4, 6, 3, groups=2), (4, 9)),
    "transposed": (nn.ConvTranspose2d(4, 3, 3, stride=2), (4, 3, 3)),
}


def network():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 6, 3, groups=2, stride=2), nn.ReLU(), nn.Flatten(),
        nn.Linear(24, 3),
    )  # fmt: skip


def images(count=3, shape=(2, 6, 6)):
    """Batches of images whose pixels resemble their neighbours, so that errors of rounding can cancel."""
    return [torch.randn(8, shape[0], 1, 1) + 0.3 * torch.randn(8, *shape) for _ in range(count)]


def grids(model, scheme):
    named = dict(model.named_parameters())
    return {name: calibrate(named[name], scheme, axis=axis) for name, axis in chosen(model).items()}


def reconstruction(layer, values, inputs, originals):
    """Mean squared error of a layer's outputs, by running it: over positions, summed over units."""
    with torch.no_grad():
        wanted = [layer(one) for one in originals]
        found = [torch.func.functional_call(layer, {"weight": values}, (one,)) for one in inputs]
    total = sum((a - b).double().square().sum() for a, b in zip(found, wanted, strict=True))
    axis = 1 if layer.weight.ndim > 2 else -1
    return float(total) / sum(one.numel() // one.shape[axis] for one in wanted)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("count", [1, 12])
def test_errors_are_those_of_running_the_layer(kind, count):
    """With few rows, which are kept, and with many, which are summed up."""
    layer, shape = LAYERS[kind]
    layer = layer.double()
    originals = [torch.randn(1, *shape, dtype=torch.float64) for _ in range(count)]
    inputs = [one + 0.2 * torch.randn_like(one) for one in originals]
    moments = Moments(layer)
    for one, original in zip(inputs, originals, strict=True):
        moments.add(one, original)
    change = 0.1 * torch.randn_like(layer.weight)
    known = reconstruction(layer, layer.weight.detach() + change, inputs, originals)
    assert float(moments.errors(change).sum()) == pytest.approx(known, rel=1e-10)
    assert (moments.rows is None) == (moments.positions > moments.cross.shape[-1])
    change.requires_grad_()
    (slope,) = torch.autograd.grad(moments.errors(change).sum(), change)
    torch.testing.assert_close(folded(layer, moments.slope(change.detach())), slope, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("family", "bits"), FAMILIES)
def test_weights_go_to_a_neighbour_and_stay_on_the_grid(family, bits):
    model = network()
    given = grids(model, Scheme(bits, family))
    values, _ = adaround(model, given, images(), iterations=30, rate=0.1)
    named = dict(model.named_parameters())
    assert values.keys() == given.keys()
    moved = 0
    for name, one in given.items():
        low, high = neighbours(named[name], one)
        beyond = (named[name] <= low) | (named[name] >= high)
        assert ((values[name] == low) | (values[name] == high)).all()
        assert torch.equal(values[name][beyond], one.hard(named[name])[beyond])
        assert torch.equal(one.hard(values[name]), values[name])
        moved += int((values[name] != one.hard(named[name])).sum())
    assert moved


def test_no_layer_is_worse_than_nearest_and_some_are_better():
    model = network()
    _, reports = adaround(model, grids(model, Scheme(3)), images(), iterations=80)
    assert [one.layer for one in reports] == ["0", "2", "5"]
    assert all(one.adaround <= one.nearest for one in reports)
    assert any(one.adaround < 0.9 * one.nearest for one in reports)


def test_after_one_step_of_nothing_nearest_is_kept():
    """A rate that moves nothing leaves every weight where it is nearest."""
    model = network()
    given = grids(model, Scheme(3))
    values, reports = adaround(model, given, images(), iterations=1, rate=1e-12)
    named = dict(model.named_parameters())
    assert all(torch.equal(values[name], one.hard(named[name])) for name, one in given.items())
    assert all(one.moved == 0 and one.adaround == one.nearest for one in reports)


def test_the_report_is_what_running_the_layers_gives():
    model, batches = network(), images()
    values, reports = adaround(model, grids(model, Scheme(3)), batches, iterations=30, rate=0.1)
    with torch.no_grad():
        part = network()
        part.load_state_dict(model.state_dict() | values)
        inputs, originals = [part[:2](one) for one in batches], [model[:2](one) for one in batches]
        power = sum(model[2](one).double().square().sum() for one in originals) / (3 * 8 * 4)
        error = reconstruction(model[2], values["2.weight"], inputs, originals) / float(power)
    assert reports[1].adaround == pytest.approx(error, rel=1e-4)


def test_the_best_of_all_roundings():
    """Of all 2^6 roundings of a unit, that with the smallest error, or nearly: nearest is far from it."""
    generator = torch.Generator().manual_seed(3)
    layer = nn.Linear(6, 5, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(5, 6, generator=generator))
    inputs = torch.randn(64, 1, generator=generator) + 0.2 * torch.randn(64, 6, generator=generator)
    model, scheme = nn.Sequential(layer), Scheme(3, "narrow", "minmax")
    given = grids(model, scheme)
    values, _ = adaround(model, given, [inputs], iterations=1000)
    low, high = neighbours(layer.weight.detach(), given["0.weight"])
    ups = torch.tensor(list(itertools.product((False, True), repeat=6)))
    every = torch.where(ups[:, None], high, low) - layer.weight.detach()  # (64, 5, 6)
    least = (every @ inputs.T).square().mean(2).amin(0)
    found = ((values["0.weight"] - layer.weight.detach()) @ inputs.T).square().mean(1)
    nearest = ((given["0.weight"].hard(layer.weight) - layer.weight).detach() @ inputs.T).square().mean(1)
    assert found.sum() < 1.1 * least.sum() < 0.5 * nearest.sum()


def test_same_numbers_again_and_the_network_untouched():
    model, batches = network(), images()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    given = grids(model, Scheme(3))
    first, second = (adaround(model, given, batches, iterations=30)[0] for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


class Half(nn.Module):
    """One layer is called twice, and the weight of another is used without calling it."""

    def __init__(self):
        super().__init__()
        self.shared, self.silent = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, inputs):
        return nn.functional.linear(self.shared(self.shared(inputs)), self.silent.weight)


def test_layers_that_are_shared_or_never_called():
    model = Half()
    given = grids(model, Scheme(3))
    values, reports = adaround(model, given, [torch.randn(16, 1) + 0.2 * torch.randn(16, 4)], iterations=100)
    assert [one.layer for one in reports] == ["shared"]
    assert torch.equal(values["silent.weight"], given["silent.weight"].hard(model.silent.weight.detach()))
    assert reports[0].moved > 0


def test_penalty():
    h, free = torch.tensor([0.0, 0.25, 0.5, 1.0, 0.5], dtype=torch.float64), torch.tensor([True] * 4 + [False])
    assert float(_undecided(h, free, 0.1)) == 0
    assert float(_undecided(h, free, 0.2)) == pytest.approx(2 - 0.5**20)
    assert float(_undecided(h, free, 1.0)) == pytest.approx(1 - 0.25 + 1)


@pytest.mark.parametrize(
    ("knobs", "words"),
    [({"iterations": 0}, "at least 1 iteration"), ({"rate": 0.0}, "rate above 0"), ({"penalty": -1.0}, "penalty of 0")],
)
def test_refused(knobs, words):
    model = network()
    with pytest.raises(ValueError, match=words):
        adaround(model, grids(model, Scheme(3)), images(1), **knobs)


def test_no_images():
    with pytest.raises(ValueError, match="images to fit the rounding to, got none"):
        adaround(network(), {}, [])
