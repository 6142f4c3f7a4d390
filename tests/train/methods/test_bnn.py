"""BNN: one step by hand, latent weights that stay within the signs, what is left as it is."""

import pytest
import torch
from torch import nn

from landscape.quantize.parametrization import quantizers
from landscape.quantize.trained.inputs import inputs
from landscape.train.assembly import assembled
from landscape.train.batches import Resident
from landscape.train.composition import method
from landscape.train.fit import advance, fit
from landscape.train.run import train
from landscape.train.settings import Settings

SETTINGS = Settings(epochs=2, batch_size=16, lr=0.05, momentum=0.0, weight_decay=0.0, schedule="constant")


def run_of(toy, text, model, settings=SETTINGS):
    resident = Resident(toy.split("train"), torch.float64, torch.device("cpu"))
    return assembled(resident, model, settings, loss="cross_entropy", method=method(text))


def signs(tensor):
    return torch.where(tensor >= 0, 1.0, -1.0).double()


def test_one_step_by_hand(toy):
    model = nn.Sequential(nn.Linear(5, 6), nn.Hardtanh(-2, 2), nn.Linear(6, 3))
    run = run_of(toy, "bnn", model)
    for see in run.observers:
        see(run)
    w1, b1, w2, b2 = (p.detach().double() for p in model.parameters())
    advance(run)
    batch = run.batches.take(0)
    x = batch.inputs
    z = x @ signs(w1).T + b1
    a = z.clamp(-2, 2)
    p = torch.softmax(signs(a) @ signs(w2).T + b2, 1)
    p[torch.arange(len(batch)), batch.targets] -= 1
    p = p / len(batch)
    back = (p @ signs(w2)) * (a.abs() <= 1) * (z.abs() < 2)
    assert 0 < (a.abs() <= 1).sum() < a.numel()
    (_, one), (_, two) = quantizers(run.model).values()
    assert (one - (w1 - 0.05 * back.T @ x)).abs().max() < 1e-12
    assert (two - (w2 - 0.05 * p.T @ signs(a))).abs().max() < 1e-12


def test_latent_weights_are_clipped_before_the_first_step_and_after_every_one(toy):
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))
    with torch.no_grad():
        model[0].weight.mul_(20)
    run = run_of(toy, "bnn", model, Settings(epochs=2, batch_size=16, lr=0.5))
    largest = []

    def watch(run):
        largest.append(max(w.abs().max().item() for _, w in quantizers(run.model).values()))

    run.observers = [*run.observers, watch]
    fit(run)
    assert max(largest) == 1


def test_the_checkpoint_holds_signs(toy):
    model = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
    found = train(toy, model, SETTINGS, method="bnn", device="cpu").checkpoint
    assert found.state["0.weight"].abs().unique().tolist() == [1.0]
    assert found.quantization.activations.keys() == {"3"}
    grid = found.quantization.activations["3"]
    assert grid.levels.flatten().tolist() == [0.0, 1.0]  # after a ReLU


def test_the_data_are_left_as_they_are(toy):
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 3))
    assert inputs(run_of(toy, "bnn", model).model).keys() == {"2", "4"}
    assert inputs(run_of(toy, "bnn:skip=last", model).model).keys() == {"2"}
    assert not inputs(run_of(toy, "bnn:acts=none", model).model)


def test_a_scale_of_a_channel_is_the_mean_absolute_weight_it_begins_with(toy):
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))
    found = train(toy, model, SETTINGS, method="bnn:scale=channel,acts=none", device="cpu").checkpoint
    expected = model[0].weight.detach().abs().mean(1, keepdim=True)
    assert torch.allclose(found.quantization.grids["0.weight"].scale, expected)


@pytest.mark.parametrize("text", ["bnn:acts=2", "bnn:scale=two"])
def test_what_it_does_not_have_is_refused(text):
    with pytest.raises(ValueError, match="Expected .* got .*(2|two)"):
        method(text)
