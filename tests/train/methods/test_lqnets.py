"""LQ-Nets: one step by hand, and when bases move."""

import pytest
import torch
from torch import nn

from landscape.quantize.levels import fitted, refitted, spanned
from landscape.quantize.parametrization import quantizers
from landscape.quantize.trained.inputs import inputs
from landscape.train.assembly import assembled
from landscape.train.batches import Resident
from landscape.train.composition import method
from landscape.train.fit import advance
from landscape.train.run import train
from landscape.train.settings import Settings

SETTINGS = Settings(epochs=2, batch_size=16, lr=0.05, momentum=0.0, weight_decay=0.0, schedule="constant")


def run_of(toy, text, model):
    resident = Resident(toy.split("train"), torch.float64, torch.device("cpu"))
    run = assembled(resident, model, SETTINGS, loss="cross_entropy", method=method(text))
    for see in (*run.corrections, *run.observers):
        see(run)
    return run


def show(run):
    for see in (*run.corrections, *run.observers):
        see(run)


def test_one_step_by_hand(toy):
    """Forward on the nearest levels, the gradient straight through, then a tenth of the way to least squares."""
    model = nn.Linear(5, 3)
    run = run_of(toy, "lqnets:bits=2", nn.Sequential(model))
    w, b = (p.detach().double() for p in (model.weight, model.bias))
    basis = fitted(w, 2)
    levels = spanned(basis)
    q = levels.gather(1, (w[:, :, None] - levels[:, None]).abs().argmin(2))
    advance(run)
    batch = run.batches.take(0)
    p = torch.softmax(batch.inputs @ q.T + b, 1)
    p[torch.arange(len(batch)), batch.targets] -= 1
    moved = w - 0.05 * p.T @ batch.inputs / len(batch)
    ((quantizer, latent),) = quantizers(run.model).values()
    assert (latent - moved).abs().max() < 1e-12
    assert torch.equal(quantizer.basis, basis)
    show(run)
    assert (quantizer.basis - (0.9 * basis + 0.1 * refitted(moved, basis))).abs().max() < 1e-12


def test_second_passes_over_a_batch_move_no_basis(toy):
    """SAM's pass at the displaced weights is quiet: after one step its bases stand where those of a plain step do."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))
    found = []
    for text in ("lqnets:acts=2", "lqnets:acts=2+sam:rho=1"):
        run = run_of(toy, text, model)
        before = [one.basis.clone() for one in inputs(run.model).values()]
        advance(run)
        found.append([one.basis for one in inputs(run.model).values()])
        assert not any(torch.equal(a, b) for a, b in zip(before, found[-1], strict=True))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_the_average_lies_on_the_levels_of_the_last_step(toy):
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))
    settings = Settings(epochs=4, batch_size=16, lr=0.05)
    levels = {}

    def watch(run):
        levels.update({n: q.grid_at(w).levels.clone() for n, (q, w) in quantizers(run.model).items()})

    found = train(toy, model, settings, method="lqnets+swa", device="cpu", observers=[watch]).checkpoint
    for name, grid in found.quantization.grids.items():
        assert grid.levels.shape[-1] == 4
        assert torch.equal(grid.levels, levels[name])


def test_levels_of_activations_follow_no_single_examples(toy):
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))
    assert train(toy, model, SETTINGS, method="lqnets+sam:m=1", device="cpu").final["train_loss"] > 0
    with pytest.raises(ValueError, match=r"got examples one at a time: use .* sam:m=2, or leave acts out"):
        train(toy, model, SETTINGS, method="lqnets:acts=2+sam:m=1", device="cpu")


@pytest.mark.parametrize("text", ["lqnets:bits=0", "lqnets:acts=9"])
def test_widths_out_of_range_are_refused(text):
    with pytest.raises(ValueError, match="Expected .*bits"):
        method(text)
