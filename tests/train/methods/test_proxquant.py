"""ProxQuant: proximal operators against brute force, one step by hand, the freeze, and digits."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from landscape.data.digits import digits
from landscape.models.mlp import mlp
from landscape.quantize.calibration import calibrate
from landscape.quantize.grid import Grid
from landscape.quantize.parametrization import quantizers
from landscape.quantize.scheme import Scheme
from landscape.train.clock import Clock
from landscape.train.composition import method
from landscape.train.fit import Interrupted
from landscape.train.methods.proxquant import rising
from landscape.train.observers.proximal import prox
from landscape.train.run import train
from landscape.train.settings import Settings

SHORT = Settings(epochs=6, batch_size=14, lr=0.05, seed=2, weight_decay=1e-2)  # 5 steps an epoch


def network(bias=True):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(5, 8, bias=bias), nn.ReLU(), nn.Linear(8, 3, bias=bias))


class Seen:
    """Keep the trained weights of the first layer and its bias, after every step."""

    def __init__(self):
        self.weights, self.biases, self.scales = [], [], []

    def __call__(self, run):
        ((quantizer, weight), *_) = quantizers(run.model).values()
        self.weights.append(weight.detach().clone())
        self.scales.append(quantizer.scale.clone())
        self.biases.append(next(p for n, p in run.model.named_parameters() if n.endswith("bias")).detach().clone())


# the operators


def argmin(weight, amount, regularizer):
    """Try very many x for every weight: |x - w|^2 / 2 + amount R(x)."""
    x = torch.linspace(-3, 3, 60_001, dtype=torch.float64)
    values = (x - weight[:, None]).square() / 2 + amount * regularizer(x)
    return x[values.argmin(1)]


WEIGHT = torch.linspace(-2, 2, 38, dtype=torch.float64)  # 0 is not among them, where two values are equally good


@pytest.mark.parametrize("amount", [0.0, 0.1, 0.7, 3.0])
def test_binary_steps_minimize_the_proximal_objective(amount):
    """R(x) = s ||x| - s|, whose graph is a W."""
    scale = torch.full((1,), 0.8, dtype=torch.float64)
    grid = Grid("binary", 1, 0, 1, scale, torch.zeros_like(scale))
    expected = argmin(WEIGHT, amount, lambda x: 0.8 * (x.abs() - 0.8).abs())
    assert (prox(WEIGHT, grid, amount) - expected).abs().max() < 1e-4


@pytest.mark.parametrize("amount", [0.0, 0.1, 0.7, 3.0])
@pytest.mark.parametrize("scheme", [Scheme(2, "ternary"), Scheme(2, "levels"), Scheme(3)])
def test_other_steps_minimize_the_proximal_objective(scheme, amount):
    """R(x) is half the squared distance from the grid."""
    grid = calibrate(torch.randn(1, 200, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), scheme)
    expected = argmin(WEIGHT, amount, lambda x: (x - grid.hard(x[None])[0]).square() / 2)
    assert (prox(WEIGHT[None], grid, amount)[0] - expected).abs().max() < 1e-4


def test_the_binary_step_of_scale_1_is_the_published_formula():
    scale = torch.ones(1, dtype=torch.float64)
    grid, amount = Grid("binary", 1, 0, 1, scale, torch.zeros_like(scale)), 0.3
    away = WEIGHT.abs() - 1
    expected = WEIGHT.sign() * (1 + away.sign() * (away.abs() - amount).relu())
    assert torch.equal(prox(WEIGHT, grid, amount), expected)


@pytest.mark.parametrize("scheme", [Scheme(1), Scheme(2, "ternary"), Scheme(2, "levels")])
def test_weights_on_the_grid_stay(scheme):
    weight = torch.randn(4, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    grid = calibrate(weight, scheme)
    assert (prox(grid.hard(weight), grid, 0.4) - grid.hard(weight)).abs().max() < 1e-15


# the run


@pytest.mark.parametrize(("bits", "family"), [(1, "binary"), (2, "ternary")])
def test_two_steps_are_those_of_the_paper(toy, bits, family):
    """A gradient at the real weights, then the proximal step, whose strength grows along a line."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Linear(5, 3)
    settings = Settings(
        epochs=2, batch_size=70, lr=0.4, momentum=0.0, weight_decay=0.0, schedule="constant", precision="float64"
    )
    seen, text = Seen(), f"proxquant:bits={bits},family={family},strength=0.6,freeze=1,scale=one"
    trained = train(toy, model, settings, method=text, observers=[seen], device="cpu")
    split = toy.split("train")
    inputs, targets = torch.tensor(split.inputs, dtype=torch.float64), torch.tensor(split.targets)
    w, b = (p.detach().double().requires_grad_() for p in (model.weight, model.bias))
    for step, amount in enumerate((0.4 * 0.3, 0.4 * 0.6)):
        gw, gb = torch.autograd.grad(F.cross_entropy(F.linear(inputs, w, b), targets), [w, b])
        v = w.detach() - 0.4 * gw
        if family == "binary":
            v = v.sign() * (1 + (v.abs() - 1).sign() * ((v.abs() - 1).abs() - amount).relu())
        else:
            v = (v + amount * v.clamp(-1, 1).round()) / (1 + amount)
        w, b = v.requires_grad_(), (b.detach() - 0.4 * gb).requires_grad_()
        if step == 0:
            assert (seen.weights[1] - w).abs().max() < 1e-12
    expected = w.sign() if family == "binary" else w.clamp(-1, 1).round()
    assert torch.equal(trained.checkpoint.state["weight"], expected)
    assert (trained.checkpoint.state["bias"] - b).abs().max() < 1e-12


def test_the_strength_rises_along_a_line_and_stays():
    strength = rising(6.0, 0.5)
    values = [strength(Clock(epochs=4, per_epoch=1, step=step)) for step in range(5)]
    assert values == [0.0, 3.0, 6.0, 6.0, 6.0]
    assert rising(6.0, 0.0)(Clock(epochs=4, per_epoch=1)) == 6.0


@pytest.mark.parametrize("knobs", ["bits=1", "bits=2", "bits=2,family=ternary", "bits=3,family=narrow,scale=layer"])
@pytest.mark.parametrize("more", ["", "+sam", "+swa:start=0.7"])
def test_weights_freeze_on_their_grids_and_biases_go_on(toy, knobs, more):
    """Momentum, weight decay and displacements of other methods do not move them any more."""
    seen = Seen()
    found = train(
        toy, network(), SHORT, method=f"proxquant:freeze=0.5,{knobs}{more}", observers=[seen], device="cpu"
    ).checkpoint
    grid = found.quantization.grids["0.weight"]
    frozen = seen.weights[15]
    assert torch.equal(grid.hard(frozen), frozen)
    assert all(torch.equal(weight, frozen) for weight in seen.weights[15:])
    assert all(torch.equal(scale, seen.scales[15]) for scale in seen.scales[15:])
    assert torch.equal(found.state["0.weight"], frozen)
    assert torch.equal(found.quantization.latent["0.weight"], frozen)
    assert not torch.equal(seen.weights[14], frozen)
    moves = [not torch.equal(a, b) for a, b in zip(seen.biases[15:], seen.biases[16:], strict=False)]
    assert len(moves) == 15
    assert all(moves)


@pytest.mark.parametrize("at", [14, 15, 16, 22])
@pytest.mark.parametrize("knobs", ["bits=1", "bits=2"])
def test_it_goes_on_bit_for_bit_before_and_after_the_freeze(toy, tmp_path, at, knobs):
    def stop(run):
        run.interrupted = run.clock.step == at

    def go(**more):
        return train(toy, network(), SHORT, method=f"proxquant:freeze=0.5,{knobs}", device="cpu", **more)

    with pytest.raises(Interrupted):
        go(output=tmp_path / "a.pt", observers=[stop])
    found, expected = go(output=tmp_path / "a.pt").checkpoint, go().checkpoint
    assert all(torch.equal(found.state[name], tensor) for name, tensor in expected.state.items())


def test_without_a_freeze_real_weights_train_to_the_end(toy):
    seen = Seen()
    found = train(toy, network(), SHORT, method="proxquant:freeze=1", observers=[seen], device="cpu").checkpoint
    assert not any(torch.equal(a, b) for a, b in zip(seen.weights[:-1], seen.weights[1:], strict=True))
    assert found.quantization.grids["0.weight"].hard(found.state["0.weight"]).equal(found.state["0.weight"])


def test_a_stronger_pull_leaves_less_to_the_freeze(toy):
    away = []
    for strength in (0.0, 5.0):
        text = f"proxquant:strength={strength:g},freeze=0.9"
        history = train(toy, network(), SHORT, method=text, device="cpu").history
        away.append(history[-2]["distance"])
        assert history[-1]["distance"] == 0
    assert away[1] < 0.1 * away[0]


def test_a_network_with_nothing_left_to_train_is_refused(toy):
    with pytest.raises(ValueError, match="Expected something to train once .* got Sequential with .*: set freeze=1"):
        train(toy, network(bias=False), SHORT, method="proxquant", device="cpu")
    assert train(toy, network(bias=False), SHORT, method="proxquant:freeze=1", device="cpu").final


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ("freeze=1.5", "Expected a freeze from 0 to 1, got 1.5: give a fraction"),
        ("bits=3,scale=one", "Expected the scale layer or channel for family levels, got 'one': choose"),
        ("bits=3,family=ternary", "Expected 2 bits for family ternary, got 3: change"),
    ],
)
def test_wrong_knobs_are_refused(knobs, message):
    with pytest.raises(ValueError, match=message):
        method(f"proxquant:{knobs}")


@pytest.mark.parametrize("knobs", ["bits=1", "bits=2"])
def test_it_learns_digits(knobs):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = mlp(64, 2, classes=10, shape=(1, 8, 8))
    text = f"proxquant:{knobs}"
    assert train(digits(), model, Settings(epochs=5), method=text, device="cpu").final["test_accuracy"] > 0.8
