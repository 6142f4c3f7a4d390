"""Quantized activations: what they do in each mode, and which measurements they refuse."""

import pytest
import torch
from torch import nn

from landscape import discovery, exact, examples
from landscape.objective import Objective
from landscape.quantize import activations
from landscape.quantize.activations import Activation
from landscape.quantize.calibration import calibrate
from landscape.quantize.grid import Grid
from landscape.quantize.observed import observed
from landscape.quantize.parametrization import Quantized, put_on, taken_off
from landscape.quantize.quantization import Quantization
from landscape.quantize.scheme import Scheme
from landscape.quantize.views import Latent

DERIVATIVES = {"batchsize", "covariance", "curvature", "eigen", "saddle", "sharpness", "spectrum", "trace"}
TRAINED = {"connect", "tree"}  # between networks, by their gradients
LOSSES = {"evaluate", "line", "surface", "path", "barriers", "ensembling", "align"}
OTHER = {"bits"}  # about weights that are rounded by itself


def network():
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3)).double()


def data():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(20, 1, 6, 6, generator=generator).double(), torch.arange(20) % 3


def quantized(mode, bits=3):
    model = network()
    return activations.attach(model, observed(model, [data()[0]], bits), mode)


def objective(mode):
    return Objective(quantized(mode), data(), precision="float64", device="cpu")


@pytest.mark.parametrize("mode", ["hard", "ste"])
@pytest.mark.parametrize("bits", range(2, 9))
def test_rounding_is_torchs(mode, bits):
    model = network().float()
    (grid,) = observed(model, [data()[0].float()], bits, names=["0"]).values()
    x = torch.randn(50, 7, requires_grad=True)
    twin = x.detach().clone().requires_grad_()
    found = Activation(grid, mode)(x)
    oracle = torch.fake_quantize_per_tensor_affine(twin, grid.scale.item(), int(grid.zero), grid.low, grid.high)
    assert torch.equal(found, oracle)
    found.sum().backward()
    oracle.sum().backward()
    assert torch.equal(x.grad, twin.grad)


def test_dither_is_noise_of_one_step_within_the_range():
    grid = Grid("uniform", 3, 0, 7, torch.tensor([0.5]), torch.zeros(1))
    x = torch.rand(2, 5000).double() * 6 - 1
    x[1] = x[0]
    found = Activation(grid, "dither")(x)
    noise = found - x.clamp(0, 3.5)
    assert torch.equal(found[0], found[1])
    assert noise.abs().max() <= 0.25
    assert abs(noise[0].mean()) < 5 * 0.5 / 12**0.5 / 5000**0.5
    assert noise[0].std().item() == pytest.approx(0.5 / 12**0.5, rel=0.05)
    assert torch.equal(Activation(grid, "dither")(x), found)
    assert not torch.equal(Activation(grid, "dither", stream=1)(x), found)


def test_fp_lets_everything_pass():
    model = network()
    plain = model(data()[0])
    activations.attach(model, observed(model, [data()[0]], 3))
    assert not torch.equal(model(data()[0]), plain)
    activations.switch(model, "fp")
    assert torch.equal(model(data()[0]), plain)


@pytest.mark.parametrize("mode", activations.MODES)
def test_every_plan_gives_the_same_losses(mode):
    made = objective(mode)
    points = made.theta + 0.05 * torch.randn(3, made.dim, dtype=torch.float64)
    looped = made.using("loop,examples=20").value(points)
    for strategy in ("vmap,points=3,examples=20", "loop,examples=7"):
        torch.testing.assert_close(made.using(strategy).value(points), looped)


@pytest.mark.parametrize("mode", ["dither", "fp"])
def test_derivatives_are_those_of_the_loss(mode):
    made = objective(mode)
    direction = torch.randn(made.dim, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    step = 1e-6 * direction
    slope = (made.value(made.theta + step) - made.value(made.theta - step)) / 2e-6
    torch.testing.assert_close(made.gradient(made.theta) @ direction, slope, rtol=1e-5, atol=1e-7)
    curved = (made.gradient(made.theta + step) - made.gradient(made.theta - step)) / 2e-6
    torch.testing.assert_close(made.hvp(made.theta, direction), curved, rtol=1e-4, atol=1e-6)


def test_the_straight_through_hessian_is_symmetric():
    made = objective("ste")
    eye = torch.eye(made.dim, dtype=torch.float64)[::7]
    found = made.hvp(made.theta, eye)[:, ::7]
    torch.testing.assert_close(found, found.T, rtol=1e-8, atol=1e-12)
    assert found.abs().max() > 0


def test_every_probe_is_known_here():
    assert set(discovery.names("landscape.probes")) == DERIVATIVES | TRAINED | LOSSES | OTHER


def views():
    model = network()
    return Latent({"3.weight": calibrate(model[3].weight, Scheme(3))})


REFUSED = {
    "hard activations": (lambda: objective("hard"), "rounded activations.*--acts fp"),
    "a view": (
        lambda: Objective(network(), data(), precision="float64", device="cpu", view=views()), "--quantized dequant",
    ),
    "a network that rounds": (
        lambda: Objective(
            put_on(network(), lambda w, axis: Quantized(w, Scheme(3), axis)), data(), precision="float64", device="cpu"
        ),
        "through the quantizer of '0.weight'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("name", sorted(DERIVATIVES))
def test_probes_of_derivatives_are_refused(name, kind):
    make, message = REFUSED[kind]
    with pytest.raises(ValueError, match=message):
        discovery.member("landscape.probes", name)(make())


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("name", sorted(TRAINED))
def test_training_between_networks_is_refused(name, kind):
    make, message = REFUSED[kind]
    made = make()
    other = made.theta + 1
    with pytest.raises(ValueError, match=message):
        discovery.member("landscape.probes", name)(made, other if name == "connect" else [made.theta, other], epochs=1)


@pytest.mark.parametrize("kind", REFUSED)
def test_single_examples_and_products_are_refused(kind):
    make, message = REFUSED[kind]
    made = make()
    vector = torch.ones(made.dim, dtype=torch.float64)
    for ask in (
        lambda: made.gradient(made.theta),
        lambda: made.hvp(made.theta, vector),
        lambda: made.ggnvp(made.theta, vector),
        lambda: exact.gauss_newton_diagonal(made),
        lambda: exact.hessian_diagonal(made),
        lambda: examples.curvature(made, made.theta, vector),
    ):
        with pytest.raises(ValueError, match=message):
            ask()


def test_the_plain_network_of_one_that_rounds_has_derivatives():
    model = put_on(network(), lambda w, axis: Quantized(w, Scheme(3), axis))
    rounding = Objective(model, data(), precision="float64", device="cpu")
    plain, known = taken_off(model)
    made = Objective(plain, data(), precision="float64", device="cpu")
    assert made.value(made.theta) == rounding.value(rounding.theta)
    assert made.gradient(made.theta).any()
    known.require(plain.state_dict(), "here")


def test_grids_do_not_move_when_a_surface_is_drawn():
    model = quantized("hard")
    grids = {name: one.grid for name, one in activations.attached(model).items()}
    before = Quantization({}, activations=grids).sha256(), {n: t.clone() for n, t in model.named_buffers()}
    made = Objective(model, data(), precision="float64", device="cpu")
    made.value(made.theta + torch.randn(4, made.dim, dtype=torch.float64))
    for network in (model, made.network.model):
        after = {name: one.grid for name, one in activations.attached(network).items()}
        assert all(torch.equal(after[n].hard(data()[0]), grids[n].hard(data()[0])) for n in grids)
    after = {name: one.grid for name, one in activations.attached(model).items()}
    assert Quantization({}, activations=after).sha256() == before[0]
    assert all(torch.equal(t, before[1][n]) for n, t in model.named_buffers())


def test_attaching_twice_rounds_once():
    model = network()
    for bits in (2, 4):
        activations.attach(model, observed(model, [data()[0]], bits))
    assert [one.bits for one in activations.attached(model).values()] == [4, 4]
    assert [len(module._forward_pre_hooks) for module in model] == [1, 0, 0, 1]
    assert model.state_dict().keys() == network().state_dict().keys()
    activations.switch(model, "fp")
    assert {one.mode for one in activations.attached(model).values()} == {"fp"}


def test_inputs_by_name():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x):
            return self.layer(input=x)

    x = torch.randn(5, 4)
    model = Named()
    grids = observed(model, [x], 2)
    expected = model.layer(grids["layer"].hard(x))
    assert torch.equal(activations.attach(model, grids)(x), expected)


ONE = Grid("uniform", 3, 0, 7, torch.ones(1), torch.zeros(1))


@pytest.mark.parametrize(
    ("grids", "mode", "message"),
    [
        ({"7": ONE}, "hard", "a layer '7'"),
        ({"": ONE}, "hard", "which holds others"),
        (
            {"0": Grid("uniform", 3, 0, 7, torch.ones(2), torch.zeros(2))},
            "hard",
            "one scale for the activations of '0'",
        ),
        ({"0": ONE}, "soft", "among hard, ste, dither, fp, got 'soft'"),
    ],
)
def test_bad_input(grids, mode, message):
    with pytest.raises(ValueError, match=message):
        activations.attach(network(), grids, mode)
