"""Mirror descent: the multiplicative step, the Bregman projection that it is, both variants, and digits."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from landscape.data.digits import digits
from landscape.models.mlp import mlp
from landscape.quantize.parametrization import quantizers
from landscape.train.composition import method
from landscape.train.fit import Interrupted
from landscape.train.run import train
from landscape.train.settings import Settings

RATE = 0.7
ONCE = Settings(
    epochs=1, batch_size=70, lr=RATE, momentum=0.0, weight_decay=0.0, schedule="constant", precision="float64"
)
SHORT = Settings(epochs=3, batch_size=14, lr=0.05, seed=2)
BETA = 2.0


def linear():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Linear(5, 3)


def network():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))


@pytest.fixture
def one_step(toy):
    """Return, of a run of one step, u and w before and after it, and the gradient at w by hand."""

    def go(text):
        model, seen = linear(), []

        def see(run):
            ((quantizer, u),) = quantizers(run.model).values()
            seen.append((u.detach().clone(), quantizer.latent(u).detach().clone()))

        train(toy, model, ONCE, method=text, observers=[see], device="cpu")
        split = toy.split("train")
        inputs, targets = torch.tensor(split.inputs, dtype=torch.float64), torch.tensor(split.targets)
        w = seen[0][1].clone().requires_grad_()
        F.cross_entropy(F.linear(inputs, w, model.bias.double()), targets).backward()
        return seen[0], seen[1], w.grad

    return go


def test_the_multiplicative_step_is_that_of_the_paper(one_step):
    (u, w), (_, moved), g = one_step(f"mirror:start={BETA},end=30,stable=false,scale=one")
    assert (w - torch.tanh(BETA * u)).abs().max() < 1e-15
    r = (1 + w) / (1 - w) * torch.exp(-2 * BETA * RATE * g)
    assert (moved - (r - 1) / (r + 1)).abs().max() < 1e-12, "and it stands still as beta grows to 30"


def test_the_stable_step_moves_u_by_the_gradient_in_w_and_hardens(one_step):
    (u, _), (after, moved), g = one_step(f"mirror:start={BETA},end=30,scale=one")
    assert (after - (u - RATE * g)).abs().max() < 1e-12
    assert (moved - torch.tanh(30 * after)).abs().max() < 1e-12


def test_a_step_minimizes_the_linear_loss_and_the_bregman_divergence(one_step):
    """argmin of lr g w + D(w, w0), D that of Phi(w) = ((1 + w) log(1 + w) + (1 - w) log(1 - w)) / (2 beta)."""
    (_, w), (_, moved), g = one_step(f"mirror:start={BETA},end={BETA},scale=one")
    where = torch.linspace(-1, 1, 200_003, dtype=torch.float64)[1:-1]

    def phi(x):
        return ((1 + x) * torch.log1p(x) + (1 - x) * torch.log1p(-x)) / (2 * BETA)

    for before, after, slope in zip(w.flatten(), moved.flatten(), g.flatten(), strict=True):
        bregman = phi(where) - phi(before) - torch.atanh(before) / BETA * (where - before)
        best = where[(RATE * slope * where + bregman).argmin()]
        assert (after - best).abs() < 2e-5


def test_ternary_steps_go_straight_to_u(one_step):
    (u, w), (after, _), g = one_step(f"mirror:start={BETA},family=ternary,scale=one")
    assert (w - 0.5 * (torch.tanh(BETA * (u + 0.5)) + torch.tanh(BETA * (u - 0.5)))).abs().max() < 1e-15
    assert (after - (u - RATE * g)).abs().max() < 1e-12


def test_a_scale_is_another_unit(one_step):
    (u, w), (after, moved), g = one_step(f"mirror:start={BETA},end={BETA},scale=layer")
    s = linear().weight.detach().double().abs().mean()
    assert (w - s * torch.tanh(BETA * u / s)).abs().max() < 1e-15
    r = (s + w) / (s - w) * torch.exp(-2 * BETA * RATE * g / s)
    assert (moved - s * (r - 1) / (r + 1)).abs().max() < 1e-12
    assert (after - (u - RATE * g)).abs().max() < 1e-12


def test_a_saturated_weight_can_turn_back():
    """In float32 the multiplicative update has (1 + 1) / (1 - 1) there, and never comes back."""
    from landscape.quantize.scheme import Scheme
    from landscape.quantize.trained.annealing import Annealed

    quantizer = Annealed(torch.ones(1, 1), Scheme(1), 0, scale="one", beta=50.0, straight=True).train()
    u = torch.ones(1, 1, requires_grad=True)
    w = quantizer(u)
    assert w.item() == 1
    w.sum().backward()
    assert u.grad.item() == 1


@pytest.mark.parametrize("text", ["mirror:stable=false", "mirror:family=ternary"])
def test_variants_go_on_bit_for_bit_and_deploy_the_nearest(toy, tmp_path, text):
    def stop(run):
        run.interrupted = run.clock.step == 8

    def go(**more):
        return train(toy, network(), SHORT, method=text, device="cpu", **more)

    with pytest.raises(Interrupted):
        go(output=tmp_path / "a.pt", observers=[stop])
    found, expected = go(output=tmp_path / "a.pt"), go()
    assert found.history == expected.history
    for name, grid in expected.checkpoint.quantization.grids.items():
        latent = expected.checkpoint.quantization.latent[name]
        assert torch.equal(found.checkpoint.quantization.latent[name], latent)
        assert torch.equal(grid.hard(latent), expected.checkpoint.state[name])


@pytest.mark.parametrize("more", ["sam", "swa:start=0.4"])
@pytest.mark.parametrize("stable", ["true", "false"])
def test_it_composes(toy, more, stable):
    text = f"mirror:stable={stable}"
    plain, both = (train(toy, network(), SHORT, method=t, device="cpu").checkpoint for t in (text, f"{text}+{more}"))
    assert not torch.equal(plain.quantization.latent["0.weight"], both.quantization.latent["0.weight"])
    for name, grid in both.quantization.grids.items():
        assert torch.equal(grid.hard(both.quantization.latent[name]), both.state[name])


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ("start=2,end=1", "Expected an end of at least start=2, got 1: weights harden"),
        ("family=ternary,stable=false", "Expected stable=true for ternary weights, got stable=false: its map"),
    ],
)
def test_wrong_knobs_are_refused(knobs, message):
    with pytest.raises(ValueError, match=message):
        method(f"mirror:{knobs}")


@pytest.mark.parametrize("text", ["mirror", "mirror:stable=false"])
def test_it_learns_digits(text):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = mlp(64, 2, classes=10, shape=(1, 8, 8))
    assert train(digits(), model, Settings(epochs=5), method=text, device="cpu").final["test_accuracy"] > 0.85
