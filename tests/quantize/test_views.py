"""Views: what surfaces show of quantized weights, by every plan, and with nothing of the user's moved."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import vmap

from landscape.engine.moments import Measurement, averaged
from landscape.objective import Objective
from landscape.quantize.calibration import calibrate
from landscape.quantize.layers import chosen
from landscape.quantize.quantization import Quantization, quantized
from landscape.quantize.rounding import neighbours, randomized, softened
from landscape.quantize.scheme import Scheme
from landscape.quantize.views import Latent, Requant, Smooth, Soft

SCHEMES = [
    Scheme(4),
    Scheme(8),
    Scheme(2),
    Scheme(1),
    Scheme(3, "full", "percentile"),
    Scheme(3, symmetric=False),
    Scheme(2, "ternary"),
    Scheme(2, "levels"),
    Scheme(4, channels=False),
    Scheme(3, symmetric=False, channels=False),
    Scheme(2, "levels", channels=False),
]
SOME = [Scheme(4), Scheme(1), Scheme(3, symmetric=False, channels=False), Scheme(2, "levels")]
VIEWS = ["latent", "requant", "smooth", "soft"]


class Convolutional(nn.Module):
    """Convolutions, one transposed and in groups, with batch norm."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.second = nn.ConvTranspose2d(4, 6, 2, groups=2)
        self.last = nn.Linear(6, 3)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x):
        return self.last(self.second(self.norm(self.first(x)).relu()).relu().mean((2, 3)))


def data():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(12, 1, 6, 6, generator=generator), torch.randint(3, (12,), generator=generator)


def grids(model, scheme, skip=()):
    weights = dict(model.named_parameters())
    return {name: calibrate(weights[name], scheme, axis=axis) for name, axis in chosen(model, skip).items()}


def view(kind, model, scheme, skip=()):
    found, axes = grids(model, scheme, skip), chosen(model, skip)
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    return {
        "latent": lambda: Latent(found),
        "requant": lambda: Requant(found, dict.fromkeys(found, scheme), axes),
        "smooth": lambda: Smooth(found, shapes, samples=2),
        "soft": lambda: Soft(found),
    }[kind]()


def at(model, weights):
    """A copy of a network with other weights."""
    made = Convolutional()
    made.load_state_dict(model.state_dict() | weights)
    return made.eval()


@pytest.mark.parametrize("scheme", SOME, ids=str)
@pytest.mark.parametrize("kind", VIEWS)
def test_every_plan_gives_the_same_losses(kind, scheme):
    model = Convolutional()
    objective = Objective(model, data(), precision="float64", device="cpu", view=view(kind, model, scheme))
    points = objective.theta + 0.05 * torch.randn(2, objective.dim, dtype=torch.float64)
    looped = objective.using("loop,examples=12").value(points)
    for strategy in ("vmap,points=2,examples=12", "loop,folded,examples=12"):
        torch.testing.assert_close(objective.using(strategy).value(points), looped, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", VIEWS)
def test_every_plan_gives_the_same_losses_where_statistics_follow_the_weights(kind):
    model = Convolutional()
    objective = Objective(
        model, data(), precision="float64", device="cpu", view=view(kind, model, SCHEMES[0]), batchnorm="refit",
        batch_size=6,
    )  # fmt: skip
    points = objective.theta + 0.05 * torch.randn(2, objective.dim, dtype=torch.float64)
    looped = objective.using("loop,examples=6").value(points)
    torch.testing.assert_close(objective.using("vmap,points=2,examples=6").value(points), looped)


def test_statistics_are_refitted_to_the_rounded_weights():
    model = Convolutional()
    found, knobs = grids(model, Scheme(2)), {"batchnorm": "refit", "batch_size": 6, "device": "cpu"}
    seen, plain = Objective(model, data(), view=Latent(found), **knobs), Objective(model, data(), **knobs)
    point = seen.theta + 0.05 * torch.randn(seen.dim)
    rounded = plain.pack(quantized(seen.unpack(point), found))
    assert not torch.equal(rounded, point)
    torch.testing.assert_close(seen.value(point), plain.value(rounded))


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_latent_is_the_loss_of_the_nearest_network(scheme):
    model = Convolutional()
    found = grids(model, scheme)
    seen = Objective(model, data(), device="cpu", view=Latent(found))
    point = seen.theta + 0.05 * torch.randn(seen.dim)
    plain = Objective(at(model, quantized(seen.unpack(point), found)), data(), device="cpu")
    assert seen.value(point).item() == pytest.approx(plain.value(plain.theta).item(), rel=1e-6)


@pytest.mark.parametrize("scheme", SOME, ids=str)
def test_requant_is_what_quantization_would_do_there(scheme):
    model = Convolutional()
    seen = Objective(model, data(), device="cpu", view=view("requant", model, scheme))
    point = 1.7 * seen.theta + 0.05 * torch.randn(seen.dim)
    there = at(model, seen.unpack(point))
    plain = Objective(at(model, quantized(seen.unpack(point), grids(there, scheme))), data(), device="cpu")
    assert seen.value(point).item() == pytest.approx(plain.value(plain.theta).item(), rel=1e-6)


@pytest.mark.parametrize("kind", VIEWS)
def test_weights_that_are_held_fixed_are_rounded_too(kind):
    model, scheme = Convolutional(), Scheme(2)
    seen = Objective(model, data(), device="cpu", view=view(kind, model, scheme), parameters="last.*")
    assert seen.dim == 21
    fixed = {n: p for n, p in seen.network.model.named_parameters() if n in ("first.weight", "second.weight")}
    shown = view(kind, model, scheme)({n: p.detach() for n, p in model.named_parameters()})
    assert all(torch.equal(p, shown[n]) for n, p in fixed.items())
    seen.value(seen.theta + 1)
    assert all(torch.equal(p, shown[n]) for n, p in fixed.items())


@pytest.mark.parametrize("kind", VIEWS)
def test_nothing_moves_when_a_surface_is_drawn(kind):
    model = Convolutional().train()
    seen = view(kind, model, Scheme(3))
    before = Quantization(seen.grids).sha256(), {n: t.clone() for n, t in model.state_dict().items()}
    state, record = torch.random.get_rng_state(), seen.record()
    objective = Objective(model, data(), device="cpu", view=seen)
    points = objective.theta + 0.3 * torch.randn(5, objective.dim, generator=torch.Generator().manual_seed(0))
    first = objective.using("vmap,points=2").value(points)
    assert torch.equal(objective.using("vmap,points=2").value(points), first)
    assert torch.equal(state, torch.random.get_rng_state())
    assert Quantization(seen.grids).sha256() == before[0]
    assert seen.record() == record == objective.record()["view"]
    assert objective.network.view is seen
    assert model.training
    assert all(torch.equal(t, before[1][n]) for n, t in model.state_dict().items())


@pytest.mark.parametrize("kind", VIEWS)
def test_half_precision(kind):
    model = Convolutional()
    seen = view(kind, model, Scheme(3))
    low = Objective(model, data(), device="cpu", precision="bfloat16", view=seen)
    full = Objective(model, data(), device="cpu", view=seen)
    assert low.value(low.theta).item() == pytest.approx(full.value(full.theta).item(), rel=0.05)


@pytest.mark.parametrize("kind", ["latent", "smooth", "soft"])
def test_records_tell_grids_apart(kind):
    model = Convolutional()
    assert view(kind, model, Scheme(3)).record() != view(kind, model, Scheme(3, "full")).record()


def test_smooth_is_the_mean_over_all_roundings():
    class Tiny(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2, bias=False)

        def forward(self, x):
            return self.layer(x).tanh()

    model = Tiny()
    inputs, targets = torch.randn(6, 3), torch.randn(6, 2)
    found = {"layer.weight": calibrate(model.layer.weight, Scheme(2))}
    weight = model.layer.weight.detach() * 0.8
    low, high = neighbours(weight, found["layer.weight"])
    share = ((weight - low) / (high - low)).clamp(0, 1)
    exact = 0.0
    for ups in itertools.product((0.0, 1.0), repeat=6):
        up = torch.tensor(ups).reshape(2, 3)
        chance = torch.where(up > 0, share, 1 - share).prod().item()
        exact += chance * ((inputs @ torch.lerp(low, high, up).T).tanh() - targets).square().mean().item()
    seen = Smooth(found, {"layer.weight": (2, 3)}, samples=400)
    objective = Objective(model, (inputs, targets), "mse", device="cpu", view=seen)
    values = []
    for drawn in seen.draws():
        objective.network.view = drawn
        objective.network.place(weight.flatten())
        values.append((objective.network(inputs) - targets).square().mean().item())
    objective.network.view = seen
    measured = objective.value(weight.flatten()).item()
    assert measured == pytest.approx(np.mean(values), rel=1e-5)
    assert abs(measured - exact) < 4 * np.std(values, ddof=1) / 20


def test_the_error_of_a_mean_over_draws():
    def one(loss):
        return Measurement(np.array([loss]), np.array([0.3]), np.array([loss / 10]), np.array([0.0]))

    found = averaged([one(1.0), one(2.0), one(3.0)])
    assert found.loss == [2.0]
    assert found.loss_error == pytest.approx(np.sqrt(0.3**2 + 1 / 3))
    assert found.accuracy_error == pytest.approx(np.sqrt(0.01 / 3))
    assert found.class_loss is None


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_randomized_rounding_has_no_bias(scheme):
    weight = torch.randn(4, 30, dtype=torch.float64)
    found = calibrate(weight, scheme)
    low, high = neighbours(weight, found)
    lowest, highest = (found.dequantize(torch.full_like(found.scale, c)) for c in (found.low, found.high))
    inside = (weight >= lowest) & (weight <= highest)
    assert (low <= weight)[inside].all()
    assert (weight <= high)[inside].all()
    fine = (torch.arange(1000, dtype=torch.float64)[:, None, None] + 0.5) / 1000
    drawn = vmap(lambda u: randomized(weight, found, u.expand(4, 30)))(fine)
    spacing = float((high - low).amax()) / 1000  # of the means that so many uniform numbers can have
    torch.testing.assert_close(drawn.mean(0), weight.clamp(lowest, highest), rtol=0, atol=spacing)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_what_lies_on_a_grid_is_not_rounded_at_random(scheme):
    weight = torch.randn(4, 30)
    found = calibrate(weight, scheme)
    values = found.hard(weight)
    for uniform in (0.0, 0.5, 1 - 2.0**-24):
        assert torch.equal(randomized(values, found, torch.full_like(values, uniform)), values)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_soft_rounding_hardens(scheme):
    weight = torch.randn(4, 30, dtype=torch.float64)
    found = calibrate(weight, scheme)
    low, high = neighbours(weight, found)
    sure = (weight - (low + high) / 2).abs() > 0.02 * (high - low)
    torch.testing.assert_close(softened(weight, found, 1e-3)[sure], found.hard(weight)[sure])
    straight = softened(weight, found, 1e3)
    torch.testing.assert_close(straight, weight.clamp(low, high), rtol=0, atol=1e-6)
    ends = softened(found.hard(weight), found, 0.1)
    torch.testing.assert_close(ends, found.hard(weight), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", VIEWS)
def test_derivatives_are_refused(kind):
    model = Convolutional()
    objective = Objective(model, data(), device="cpu", view=view(kind, model, Scheme(3)))
    vector = torch.ones(objective.dim)
    for ask in (
        lambda: objective.gradient(objective.theta),
        lambda: objective.hvp(objective.theta, vector),
        lambda: objective.ggnvp(objective.theta, vector),
        lambda: objective.multiplier("fisher", objective.theta),
    ):
        with pytest.raises(ValueError, match="through a quantizer.*--quantized dequant"):
            ask()


def test_a_grid_of_a_parameter_that_there_is_not():
    model = Convolutional()
    found = grids(model, Scheme(3))
    with pytest.raises(ValueError, match=r"grids of parameters of Convolutional, got one of 'middle.weight'"):
        Objective(model, data(), device="cpu", view=Latent({**found, "middle.weight": found["last.weight"]}))


@pytest.mark.parametrize("samples", [-1, 0, 1])
def test_too_few_samples(samples):
    with pytest.raises(ValueError, match="at least 2 samples"):
        Smooth({}, {}, samples=samples)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_temperatures_that_are_none(temperature):
    with pytest.raises(ValueError, match="positive, finite temperature"):
        Soft({}, temperature)
