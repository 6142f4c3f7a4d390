"""LSQ: one step by hand, and runs."""

import math

import pytest
import torch
from torch import nn

from landscape import checkpoint
from landscape.quantize.parametrization import quantizers
from landscape.quantize.trained.inputs import inputs
from landscape.train.assembly import assembled
from landscape.train.batches import Resident
from landscape.train.composition import method
from landscape.train.fit import advance, fit
from landscape.train.run import train
from landscape.train.settings import Settings

SETTINGS = Settings(epochs=2, batch_size=16, lr=0.05, momentum=0.0, weight_decay=0.0, schedule="constant")


def run_of(toy, text, model=None, settings=SETTINGS):
    resident = Resident(toy.split("train"), torch.float64, torch.device("cpu"))
    model = model or nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))
    return assembled(resident, model, settings, loss="cross_entropy", method=method(text))


def rounded(x, s, low, high):
    """Values, and derivatives in x and in s, by the formulas of the paper."""
    v = x / s
    middle = (v > low) & (v < high)
    in_s = torch.where(middle, v.round() - v, torch.where(v >= high, float(high), float(low)))
    return v.clamp(low, high).round() * s, middle.double(), in_s


def test_one_step_of_weights_and_activations_by_hand(toy):
    """One layer, softmax: the gradients in the weights, the bias and both step sizes."""
    model = nn.Linear(5, 3)
    run = run_of(toy, "lsq:bits=3,acts=3", nn.Sequential(model))
    for see in (*run.corrections, *run.observers):
        see(run)
    w, b = (p.detach().double() for p in (model.weight, model.bias))
    s = 2 * w.abs().mean() / math.sqrt(3)
    few = run.batches.resident.batch(slice(None)).inputs
    a = 2 * few.abs().mean() / math.sqrt(3)
    (quantizer, latent), (inside,) = quantizers(run.model)["0.weight"], inputs(run.model).values()
    assert quantizer.scale.item() == pytest.approx(s.item(), rel=1e-12)
    assert inside.scale.item() == pytest.approx(a.item(), rel=1e-12)
    advance(run)
    batch = run.batches.take(0)
    q, dw, ds = rounded(w, s, -4, 3)
    h, _, da = rounded(batch.inputs, a, -4, 3)
    p = torch.softmax(h @ q.T + b, 1)
    p[torch.arange(len(batch)), batch.targets] -= 1
    p = p / len(batch)
    up = p.T @ h
    assert (latent - (w - 0.05 * up * dw)).abs().max() < 1e-12
    assert quantizer.scale.item() == pytest.approx((s - 0.05 * (up * ds).sum() / math.sqrt(15 * 3)).item(), rel=1e-12)
    assert inside.scale.item() == pytest.approx((a - 0.05 * ((p @ q) * da).sum() / math.sqrt(5 * 3)).item(), rel=1e-12)


def test_step_sizes_are_trained_and_stay_positive(toy):
    run = run_of(toy, "lsq:acts=4,channels=true", settings=Settings(epochs=2, batch_size=16, lr=0.1))
    sizes = []

    def watch(run):
        found = [q.scale.detach().clone().flatten() for q, _ in quantizers(run.model).values()]
        sizes.append(torch.cat([*found, *(one.scale.detach().clone() for one in inputs(run.model).values())]))

    run.observers = [*run.observers, watch]
    fit(run)
    assert sizes[0].shape == (6 + 3 + 2,)
    assert (sizes[0] != sizes[-1]).all()
    for before, after in zip(sizes, sizes[1:], strict=False):
        assert (after >= 0.5 * before * (1 - 1e-12)).all()


def test_step_sizes_that_were_thrown_across_zero_are_halved_instead(toy):
    run = run_of(toy, "lsq:bits=2")
    for see in (*run.corrections, *run.observers):
        see(run)
    advance(run)
    before = {name: quantizer.before.clone() for name, (quantizer, _) in quantizers(run.model).items()}
    with torch.no_grad():
        for quantizer, _ in quantizers(run.model).values():
            quantizer.scale.neg_()
    for see in (*run.corrections, *run.observers):
        see(run)
    for name, (quantizer, _) in quantizers(run.model).items():
        assert torch.allclose(quantizer.scale, before[name] / 2)


def test_it_begins_at_the_steps_of_the_weights_it_is_given(toy):
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))
    start = train(toy, model, SETTINGS, device="cpu").checkpoint
    made = train(toy, model, Settings(epochs=0), method="lsq", init=start, device="cpu").checkpoint
    for name, grid in made.quantization.grids.items():
        assert torch.equal(made.quantization.latent[name], start.state[name])
        assert grid.scale.item() == pytest.approx(2 * start.state[name].abs().mean().item() / math.sqrt(7))


def test_an_average_has_the_mean_step_size(toy):
    model, seen = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3)), []

    def watch(run):
        if run.clock.step and run.clock.between_epochs and run.clock.epoch >= 2:
            seen.append({n: (q.scale.item(), w.detach().clone()) for n, (q, w) in quantizers(run.model).items()})

    settings = Settings(epochs=4, batch_size=16, lr=0.05)
    found = train(toy, model, settings, method="lsq+swa:start=0.5", device="cpu", observers=[watch]).checkpoint
    assert len(seen) == 3
    for name, grid in found.quantization.grids.items():
        assert grid.scale.item() == pytest.approx(sum(one[name][0] for one in seen) / 3, rel=1e-5)
        mean = torch.stack([one[name][1] for one in seen]).mean(0)
        assert torch.allclose(found.quantization.latent[name], mean, atol=1e-6)


def test_an_old_step_size_is_no_part_of_the_checkpoint(toy, tmp_path):
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))
    train(toy, model, SETTINGS, method="lsq:acts=2", device="cpu", output=tmp_path / "a.pt")
    assert checkpoint.read(tmp_path / "a.pt").state.keys() == model.state_dict().keys()


@pytest.mark.parametrize(
    ("text", "said"), [("lsq:bits=1", "bits from 2 to 8, got 1"), ("lsq:acts=1", "acts of 2 to 8")]
)
def test_one_bit_has_no_step_to_learn(text, said):
    with pytest.raises(ValueError, match=f"Expected {said}"):
        method(text)
