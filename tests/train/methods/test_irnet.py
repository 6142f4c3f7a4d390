"""IR-Net: one step by hand, the schedule of its estimator, what it deploys."""

import pytest
import torch
from torch import nn

from landscape.quantize.parametrization import quantizers
from landscape.train.assembly import assembled
from landscape.train.batches import Resident
from landscape.train.clock import Clock
from landscape.train.composition import method
from landscape.train.fit import Interrupted, advance, fit
from landscape.train.methods.irnet import height, steepness
from landscape.train.run import train
from landscape.train.settings import Settings

SETTINGS = Settings(epochs=4, batch_size=16, lr=0.05, momentum=0.0, weight_decay=0.0, schedule="constant")


def run_of(toy, model, text="irnet"):
    resident = Resident(toy.split("train"), torch.float64, torch.device("cpu"))
    return assembled(resident, model, SETTINGS, loss="cross_entropy", method=method(text))


@pytest.mark.parametrize(("epoch", "t", "k"), [(0, 1e-3, 1e3), (1, 1e-2, 1e2), (2, 0.1, 10), (3, 1, 1)])
def test_t_and_k_are_those_of_the_paper_all_through_an_epoch(epoch, t, k):
    for step in (5 * epoch, 5 * epoch + 4):
        clock = Clock(epochs=4, per_epoch=5, step=step)
        assert (steepness(clock), height(clock)) == pytest.approx((t, k))


def test_t_ends_at_ten_and_k_at_one():
    clock = Clock(epochs=4, per_epoch=5, step=20)
    assert (steepness(clock), height(clock)) == pytest.approx((10, 1))


def test_every_step_is_made_with_the_values_of_its_schedule(toy):
    seen, run = [], run_of(toy, nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3)), "irnet:acts=1")
    inner = run.gradient

    def watched(step):
        modules = [m for m in run.model.modules() if hasattr(m, "t")]
        assert len(modules) == 3  # two weights, and what goes into the second layer
        assert len({(m.t.item(), m.k.item()) for m in modules}) == 1
        seen.append((modules[0].t.item(), step.hyper["t"], modules[0].k.item(), step.hyper["k"]))
        return inner(step)

    run.gradient = watched
    fit(run)
    assert len(seen) == 20
    for t, wanted, k, high in seen:
        assert (t, k) == pytest.approx((wanted, high))


def test_one_step_by_hand(toy):
    model = nn.Linear(5, 3)
    run = run_of(toy, nn.Sequential(model))
    for see in run.observers:
        see(run)
    w, b = (p.detach().double() for p in (model.weight, model.bias))
    advance(run)
    batch = run.batches.take(0)
    std = w.std(1, keepdim=True)
    u = (w - w.mean(1, keepdim=True)) / std
    scale = 2.0 ** u.abs().mean(1, keepdim=True).log2().round()
    q = scale * torch.where(u >= 0, 1.0, -1.0)
    p = torch.softmax(batch.inputs @ q.T + b, 1)
    p[torch.arange(len(batch)), batch.targets] -= 1
    up = p.T @ batch.inputs / len(batch)
    inner = up * scale * 1e3 * 1e-3 * (1 - torch.tanh(1e-3 * u) ** 2)
    expected = (inner - inner.mean(1, keepdim=True) - u * (inner * u).sum(1, keepdim=True) / 4) / std
    ((_, latent),) = quantizers(run.model).values()
    assert (latent - (w - 0.05 * expected)).abs().max() < 1e-12


def test_a_run_killed_between_epochs_goes_on_with_the_right_slope(toy, tmp_path):
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))
    ends = []
    for at in (5, 7):  # the batches of an epoch are 5

        def stop(run, at=at):
            run.interrupted = run.clock.step == at

        path = tmp_path / f"{at}.pt"
        with pytest.raises(Interrupted):
            train(toy, model, SETTINGS, method="irnet:acts=1", output=path, observers=[stop], device="cpu")
        ends.append(train(toy, model, SETTINGS, method="irnet:acts=1", output=path, device="cpu").checkpoint.state)
    whole = train(toy, model, SETTINGS, method="irnet:acts=1", device="cpu").checkpoint.state
    assert all(torch.equal(end[name], whole[name]) for end in ends for name in whole)


def test_the_latent_weights_that_are_kept_are_standardized(toy):
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))
    found = train(toy, model, SETTINGS, method="irnet", device="cpu").checkpoint
    for name, latent in found.quantization.latent.items():
        assert latent.mean(1).abs().max() < 1e-5
        assert (latent.std(1) - 1).abs().max() < 1e-5
        assert torch.equal(found.quantization.grids[name].hard(latent), found.state[name])
        scale = found.quantization.grids[name].scale
        assert torch.equal(scale.log2(), scale.log2().round())


def test_two_bits_of_activations_are_refused():
    with pytest.raises(ValueError, match="Expected acts of 1 bit, or none, got 2: set it as in irnet:acts=1"):
        method("irnet:acts=2")
