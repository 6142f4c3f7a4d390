"""BinaryConnect: one step by hand, random weights and their mean, what second passes see, and digits."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from landscape.data.digits import digits
from landscape.models.mlp import mlp
from landscape.quantize.grid import Grid
from landscape.quantize.parametrization import quantizers
from landscape.train.composition import method
from landscape.train.fit import Interrupted
from landscape.train.method import Method
from landscape.train.methods.binaryconnect import drawn
from landscape.train.run import train
from landscape.train.settings import Settings

H = 0.5
ONCE = Settings(
    epochs=1, batch_size=70, lr=0.7, momentum=0.0, weight_decay=0.0, schedule="constant", precision="float64"
)
SHORT = Settings(epochs=3, batch_size=14, lr=0.05, seed=2)


def linear(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Linear(5, 3)


def network():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))


def examples(toy):
    split = toy.split("train")
    return torch.tensor(split.inputs, dtype=torch.float64), torch.tensor(split.targets)


class Seen:
    """Keep what is trained in the place of weights, after every step."""

    def __init__(self):
        self.weights, self.uniforms = [], []

    def __call__(self, run):
        ((quantizer, weight), *_) = quantizers(run.model).values()
        self.weights.append(weight.detach().clone())
        if hasattr(quantizer, "uniform"):
            self.uniforms.append(quantizer.uniform.clone())


def begun(model, scale):
    """Latent weights with mean |w| = H / 2, clipped."""
    weight = model.weight.detach().double()
    return (weight * scale / (2 * weight.abs().mean())).clamp(-scale, scale)


@pytest.mark.parametrize("scale", ["one", "glorot", "kaiming"])
def test_one_step_is_that_of_the_paper(toy, scale):
    model, seen = linear(), Seen()
    size = {"one": 1.0, "glorot": (1.5 / 8) ** 0.5, "kaiming": (2 / 5) ** 0.5}[scale]
    train(toy, model, ONCE, method=f"binaryconnect:scale={scale}", observers=[seen], device="cpu")
    latent, (inputs, targets) = begun(model, size), examples(toy)
    binary = (size * torch.where(latent >= 0, 1.0, -1.0).double()).requires_grad_()
    F.cross_entropy(F.linear(inputs, binary, model.bias.double()), targets).backward()
    expected = (latent - 0.7 * binary.grad).clamp(-size, size)
    assert (seen.weights[0] - latent).abs().max() < 1e-12
    assert (seen.weights[1] - expected).abs().max() < 1e-12
    assert not torch.equal(expected, latent - 0.7 * binary.grad), "the clip had something to do"


def test_a_step_with_random_weights_is_that_of_the_paper(toy):
    model, seen = linear(), Seen()
    train(toy, model, ONCE, method="binaryconnect:stochastic=true,scale=one", observers=[seen], device="cpu")
    latent, (inputs, targets) = begun(model, 1.0), examples(toy)
    up = seen.uniforms[0] < (latent + 1) / 2
    binary = torch.where(up, 1.0, -1.0).double().requires_grad_()
    F.cross_entropy(F.linear(inputs, binary, model.bias.double()), targets).backward()
    assert (seen.weights[1] - (latent - 0.7 * binary.grad).clamp(-1, 1)).abs().max() < 1e-12


def test_the_mean_of_random_weights_is_the_latent_one_clipped():
    scale = torch.full((1,), H, dtype=torch.float64)
    grid = Grid("binary", 1, 0, 1, scale, torch.zeros_like(scale))
    weight, count = torch.linspace(-0.8, 0.8, 33, dtype=torch.float64), 1000
    uniforms = (torch.arange(count, dtype=torch.float64) + 0.5) / count  # as even as numbers can be
    values = torch.stack([drawn(weight, grid, uniform=u.expand(33)) for u in uniforms])
    assert values.abs().unique().tolist() == [H]
    assert (values.mean(0) - weight.clamp(-H, H)).abs().max() <= H / count + 1e-12
    assert torch.equal(
        torch.func.grad(lambda w: drawn(w, grid, uniform=uniforms[:33]).sum())(weight), torch.ones_like(weight)
    )


def watched(text):
    """Return a method that keeps, for every pass, the step and the random numbers of the first layer."""
    passes = []

    def wrap(goal):
        def objective(model, batch, clock):
            ((quantizer, _), *_) = quantizers(model).values()
            passes.append((clock.step, quantizer.uniform.clone()))
            return goal(model, batch, clock)

        return objective

    return method(text) + Method(name="watch", objectives=[wrap]), passes


def test_second_passes_of_a_step_see_the_same_random_numbers_and_other_steps_others(toy):
    chosen, passes = watched("binaryconnect:stochastic=true+sam")
    train(toy, network(), SHORT, method=chosen, device="cpu")
    assert [step for step, _ in passes] == [step for step in range(15) for _ in range(2)]
    first, second = passes[::2], passes[1::2]
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(first, second, strict=True))
    assert not any(torch.equal(a, b) for (_, a), (_, b) in zip(first[1:], first[:-1], strict=True))


@pytest.mark.parametrize("at", [1, 8])
def test_random_weights_go_on_bit_for_bit(toy, tmp_path, at):
    def stop(run):
        run.interrupted = run.clock.step == at

    def go(**more):
        return train(toy, network(), SHORT, method="binaryconnect:stochastic=true", device="cpu", **more)

    with pytest.raises(Interrupted):
        go(output=tmp_path / "a.pt", observers=[stop])
    found, expected = go(output=tmp_path / "a.pt"), go()
    latent, other = (one.checkpoint.quantization.latent for one in (found, expected))
    assert all(torch.equal(latent[name], other[name]) for name in other)
    assert found.history == expected.history


@pytest.mark.parametrize("text", ["binaryconnect", "binaryconnect:stochastic=true,scale=channel"])
def test_latent_weights_lie_within_and_deployed_ones_are_signs(toy, text):
    found = train(toy, network(), SHORT, method=text, device="cpu").checkpoint
    for name, grid in found.quantization.grids.items():
        latent = found.quantization.latent[name]
        assert (latent.abs() <= grid.scale).all()
        assert torch.equal(found.state[name], torch.where(latent >= 0, grid.scale, -grid.scale))


def test_weight_decay_shrinks_latent_weights_and_not_deployed_ones(toy):
    ends = []
    for decay in (0.0, 0.3):
        settings = Settings(epochs=3, batch_size=14, lr=0.05, weight_decay=decay)
        ends.append(train(toy, network(), settings, method="binaryconnect", device="cpu").checkpoint)
    (free, held), name = ends, "0.weight"
    assert held.quantization.latent[name].abs().mean() < 0.8 * free.quantization.latent[name].abs().mean()
    assert torch.equal(held.state[name].abs(), free.state[name].abs())


def test_skipped_layers_keep_full_precision(toy):
    found = train(toy, network(), SHORT, method="binaryconnect:skip=last", device="cpu").checkpoint
    assert list(found.quantization.grids) == ["0.weight"]
    assert len(found.state["2.weight"].unique()) == found.state["2.weight"].numel()


@pytest.mark.parametrize("sure", [False, True])
def test_an_average_of_latent_weights_is_deployed_as_signs(toy, sure):
    found = train(toy, network(), SHORT, method=f"binaryconnect:stochastic={sure}+swa:start=0.4".lower(), device="cpu")
    for name, grid in found.checkpoint.quantization.grids.items():
        assert torch.equal(found.checkpoint.state[name].abs(), grid.scale.expand_as(found.checkpoint.state[name]))
    assert not torch.equal(found.checkpoint.quantization.latent["0.weight"], found.kept["last"]["0.weight"])


def test_an_unknown_scale_is_refused():
    with pytest.raises(ValueError, match="Expected a scale among kaiming, glorot, .*, got 'two': choose"):
        method("binaryconnect:scale=two")


@pytest.mark.parametrize(("text", "least"), [("binaryconnect", 0.9), ("binaryconnect:stochastic=true", 0.7)])
def test_it_learns_digits(text, least):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = mlp(64, 2, classes=10, shape=(1, 8, 8))
    assert train(digits(), model, Settings(epochs=5), method=text, device="cpu").final["test_accuracy"] > least
