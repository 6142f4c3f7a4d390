"""SAQ: one step by hand, its quantizer by hand, what a displacement of latent weights cannot do, and whole runs."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from landscape import checkpoint, losses
from landscape.objective import Objective
from landscape.quantize.estimators.clipped import clipped
from landscape.quantize.parametrization import Quantized, put_on, quantizers, taken_off
from landscape.quantize.scheme import Scheme
from landscape.quantize.trained.standardized import Standardized
from landscape.train.batches import Batch
from landscape.train.clock import Clock
from landscape.train.composition import method
from landscape.train.gradients.at_quantized import at_quantized, displaced, listening
from landscape.train.objectives.cross_entropy import cross_entropy
from landscape.train.run import train
from landscape.train.settings import Settings
from landscape.train.step import Step

SHORT = Settings(epochs=4, batch_size=16, lr=0.05, seed=1)


def network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def batch():
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(12, 5, dtype=torch.float64, generator=generator)
    return Batch(inputs, torch.randint(0, 3, (12,), generator=generator))


def step_of(model):
    return Step(model.train(), cross_entropy(), batch(), Clock(1, 10))


def ste_network(bits=3):
    return put_on(network(), lambda weight, axis: Quantized(weight, Scheme(bits), axis, clipped))


# the displacement


def by_hand(model, rho):
    """Differentiate a plain network at its quantized weights, move, differentiate again, and mask what is clipped."""
    plain, _ = taken_off(model)
    parameters = dict(plain.named_parameters())
    data = batch()
    gradients = torch.autograd.grad(F.cross_entropy(plain(data.inputs), data.targets), list(parameters.values()))
    length = torch.cat([g.flatten() for g in gradients]).norm()
    with torch.no_grad():
        for parameter, g in zip(parameters.values(), gradients, strict=True):
            parameter += rho * g / length
    second = torch.autograd.grad(F.cross_entropy(plain(data.inputs), data.targets), list(parameters.values()))
    found = dict(zip(parameters, second, strict=True))
    for name, (quantizer, latent) in quantizers(model).items():
        found[name] = found[name] * quantizer.grid.inside(latent)
    return found


@pytest.mark.parametrize("rho", [0.0, 0.05, 2.0])
def test_one_step_is_that_of_a_naive_twin(rho):
    model = ste_network()
    expected = by_hand(model, rho)
    step = step_of(model)
    method(f"saq:rho={rho},quantizer=ste").gradient(step)
    for name, value in model.named_parameters():
        plain = name.replace("parametrizations.weight.original", "weight")
        assert (value.grad - expected[plain]).abs().max() < 1e-14
    assert step.clock.evaluations == method("saq").evaluations == 2


def test_what_it_adds_has_the_length_rho_and_the_direction_of_the_gradient_at_the_quantized_weights():
    model, rho, seen = ste_network(), 0.3, {}
    before = {name: quantizer(latent).detach() for name, (quantizer, latent) in quantizers(model).items()}
    biases = {name: value.detach().clone() for name, value in model.named_parameters() if name.endswith("bias")}

    def goal(model, data, clock):
        seen["weights"] = {name: model.get_submodule(name[:-7]).weight for name in before}
        seen["biases"] = {name: model.get_parameter(name).detach().clone() for name in biases}
        return cross_entropy()(model, data, clock)

    at_quantized(rho)(Step(model.train(), goal, batch(), Clock(1, 10)))
    moved = [seen["weights"][name].detach() - before[name] for name in before]
    moved += [seen["biases"][name] - biases[name] for name in biases]
    assert torch.cat([t.flatten() for t in moved]).norm().item() == pytest.approx(rho, rel=1e-12)
    assert all(torch.equal(model.get_parameter(name), value) for name, value in biases.items())


def test_sam_at_latent_weights_changes_no_quantized_weight_where_this_does():
    model, rho = ste_network(), 1e-4
    plain, _ = taken_off(model)
    step = step_of(model)
    first = step.gradient()
    length = torch.cat([g.flatten() for g in first]).norm()
    with step.at([rho * g / length for g in first]):
        rounded = {name: quantizer.hard(latent) for name, (quantizer, latent) in quantizers(model).items()}
    assert all(torch.equal(plain.get_parameter(name), value) for name, value in rounded.items())
    with displaced(model, {"0.weight": torch.full((8, 5), rho, dtype=torch.float64)}):
        assert not torch.equal(model[0].weight, plain[0].weight)


def test_hooks_are_gone_afterwards_also_when_something_fails():
    model = ste_network()
    with pytest.raises(RuntimeError, match="within"), listening(model):
        raise RuntimeError("within")
    assert not any(quantizer._forward_hooks for quantizer, _ in quantizers(model).values())
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    at_quantized(0.1)(step_of(model))
    assert not any(quantizer._forward_hooks for quantizer, _ in quantizers(model).values())
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())


def test_a_weight_that_is_used_twice_has_the_sum_of_both_gradients():
    layer = nn.Linear(3, 3, bias=False).double()
    put_on(layer, lambda weight, axis: Quantized(weight, Scheme(4), axis, clipped))
    model = nn.Sequential(layer, nn.Tanh(), layer)
    inputs = torch.randn(4, 3, dtype=torch.float64)
    with listening(model.train()) as found:
        model(inputs).square().sum().backward()
    weight = layer.weight.detach().requires_grad_()
    F.linear(F.linear(inputs, weight).tanh(), weight).square().sum().backward()
    assert list(found) == ["0.weight"]
    assert (found["0.weight"] - weight.grad).abs().max() < 1e-14


def test_without_quantizers_it_is_sharpness_aware_minimization():
    one, two = network(), network()
    at_quantized(0.1)(step_of(one))
    method("sam:rho=0.1").gradient(step_of(two))
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert (a.grad - b.grad).abs().max() < 1e-14


# its quantizer


def test_standardized_weights_are_rounded_as_by_hand():
    weight = torch.randn(6, 4, dtype=torch.float64) + 0.3
    quantizer = Standardized(weight, 3)
    spread, n = weight.std(correction=0), 7
    scaled = (weight - weight.mean()) / spread
    clip = 0.8 * scaled.abs().max()
    assert quantizer.clip.item() == pytest.approx(clip.item(), rel=1e-14)
    x = (scaled / clip).clamp(-1, 1)
    expected = spread * clip * (2 * torch.floor(n * (x + 1) / 2 + 0.5) / n - 1)
    assert (quantizer.eval()(weight) - expected).abs().max() < 1e-14
    grid = quantizer.grid_at(weight)
    assert torch.equal(grid.hard(quantizer(weight)), quantizer(weight))
    assert torch.equal(quantizer.train()(weight), quantizer.eval()(weight))
    assert 2 <= len(quantizer(weight).unique()) <= 8


def test_the_derivatives_of_standardized_weights_are_those_of_the_formula():
    weight = torch.randn(6, 4, dtype=torch.float64).requires_grad_()
    quantizer = Standardized(weight, 2).train()
    cotangent = torch.randn(6, 4, dtype=torch.float64)
    found, clip = torch.autograd.grad((quantizer(weight) * cotangent).sum(), [weight, quantizer.clip])
    value, spread = weight.detach(), weight.detach().std(correction=0)
    scaled = (value - value.mean()) / spread
    inside = scaled.abs() <= quantizer.clip
    assert (~inside).any()
    assert (found - cotangent * inside).abs().max() < 1e-14
    hard = quantizer(weight).detach()
    slope = torch.where(inside, (hard / spread - scaled) / quantizer.clip, scaled.sign())
    assert clip.item() == pytest.approx((cotangent * spread * slope).sum().item(), rel=1e-12)


@pytest.mark.parametrize("weight", [torch.zeros(3, 2), torch.full((3, 2), 0.7), torch.ones(1, 1)])
def test_weights_without_spread_are_rounded_to_finite_numbers(weight):
    quantizer = Standardized(weight, 4).eval()
    assert quantizer(weight).isfinite().all()
    quantizer.grid_at(weight).require_positive("0.weight")


# whole runs


@pytest.fixture
def small():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))


def run(toy, model, text, **settings):
    return train(toy, model, replace(SHORT, **settings), method=text, device="cpu")


def test_with_radius_0_it_is_ste(toy, small):
    one, two = run(toy, small, "saq:rho=0,quantizer=ste"), run(toy, small, "ste")
    assert all(torch.equal(one.checkpoint.state[name], two.checkpoint.state[name]) for name in two.checkpoint.state)
    other = run(toy, small, "saq:rho=0.1,quantizer=ste")
    assert not torch.equal(one.checkpoint.state["0.weight"], other.checkpoint.state["0.weight"])


@pytest.mark.parametrize("text", ["saq", "saq:quantizer=ste,skip=first", "saq+swa", "saq:bits=1", "saq+l2"])
def test_the_checkpoint_lies_on_its_grids_and_has_the_loss_that_is_reported(toy, small, text, tmp_path):
    found = train(toy, small, SHORT, method=text, device="cpu", output=tmp_path / "a.pt")
    read = checkpoint.read(tmp_path / "a.pt")  # checks the grids
    skipped = "skip" in text
    assert set(read.quantization.grids) == {"3.weight"} if skipped else {"0.weight", "3.weight"}
    objective = Objective(checkpoint.fitted(read, small), toy, losses.loss("cross_entropy"), device="cpu")
    assert objective.value(objective.theta).item() == pytest.approx(found.final["train_loss"], rel=1e-6)
    if "liq" not in text and "ste" not in text:
        assert read.quantization.grids["0.weight"].kind == "midrise"


def test_it_begins_at_a_network_of_full_precision(toy, small):
    plain = run(toy, small, "plain", epochs=8)
    begun = train(toy, small, replace(SHORT, epochs=0), method="saq:bits=8", init=plain.checkpoint, device="cpu")
    assert begun.final["train_loss"] == pytest.approx(plain.final["train_loss"], abs=0.1)


def test_two_gradient_rules_and_two_quantizers_clash():
    with pytest.raises(ValueError, match="one gradient rule in a run, got those of 'sam' and 'saq'"):
        method("saq+sam")
    with pytest.raises(ValueError, match="one quantizer of the weights in a run, got those of 'saq' and 'ste'"):
        method("saq+ste")


@pytest.mark.parametrize("text", ["saq:bits=9", "saq:quantizer=lsq", "saq:rho=-1"])
def test_wrong_knobs_are_refused(text):
    with pytest.raises(ValueError, match=r"Expected .*, got .*: \w+"):
        method(text)
