"""CSQ: its budget, its schedule and ticket, its soft-hard gap, and what it deploys."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from landscape import checkpoint, losses
from landscape.checkpoint import Spec, build, dataset
from landscape.objective import Objective
from landscape.train.batches import Batch
from landscape.train.clock import Clock
from landscape.train.composition import method
from landscape.train.methods.csq import bitwise, budgeted, steeper
from landscape.train.run import train
from landscape.train.settings import Settings
from landscape.train.streams import seeded

SHORT = Settings(epochs=4, batch_size=16, lr=0.05, seed=1)


@pytest.fixture
def small():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))


def run(toy, model, text, observers=(), **settings):
    return train(toy, model, replace(SHORT, **settings), method=text, observers=observers, device="cpu")


def nothing(model, batch, clock):
    return torch.zeros(())


# the budget


@pytest.mark.parametrize(("on", "sign"), [(4, -1), (6, 0), (10, 1)])
def test_the_budget_takes_bits_above_it_and_gives_some_below(small, on, sign):
    method("csq").quantizer(small)
    (first, _), (second, _) = bitwise(small)
    with torch.no_grad():
        every = torch.cat([torch.full((on,), 0.4), torch.full((14 - on,), -0.4)])
        first.mask.copy_(every[:7])
        second.mask.copy_(every[7:])
    data = Batch(torch.zeros(1, 5), torch.zeros(1))
    loss = budgeted(nothing, strength=0.5, share=3 / 7)(small, data, Clock(1, 1))
    soft = torch.sigmoid(torch.cat([first.mask, second.mask]))
    assert loss.item() == pytest.approx(0.5 * (on / 14 - 3 / 7) * soft.sum().item(), rel=1e-5, abs=1e-7)
    found = torch.cat(torch.autograd.grad(loss, [first.mask, second.mask]))
    expected = 0.5 * (on / 14 - 3 / 7) * soft * (1 - soft)
    assert (found - expected).abs().max() < 1e-7
    assert set(found.sign().tolist()) == {float(sign)}


def test_decided_masks_are_not_pulled(small):
    method("csq").quantizer(small)
    for layer, _ in bitwise(small):
        layer.harden()
    loss = budgeted(nothing, strength=0.5, share=0.1)(small, Batch(torch.zeros(1, 5), torch.zeros(1)), Clock(1, 1))
    assert not any(g.any() for g in torch.autograd.grad(loss, [layer.mask for layer, _ in bitwise(small)]))


# the clock


def test_the_slope_grows_by_one_factor_a_step_until_the_ticket():
    slope = steeper(200.0, 0.8)
    found = [slope(Clock(10, 5, step)) for step in range(51)]
    assert found[0] == 1.0
    assert found[20] == pytest.approx(200**0.5, rel=1e-12)
    assert found[40:] == [200.0] * 11


class Watch:
    def __init__(self):
        self.beta, self.hardened, self.active = [], [], []

    def __call__(self, run):
        layer, _ = bitwise(run.model)[0]
        self.beta.append(layer.beta.item())
        self.hardened.append(bool(layer.hardened))
        self.active.append(layer.active.tolist())


def test_a_step_has_the_slope_of_its_clock_and_masks_stay_from_the_ticket_on(toy, small):
    watch = Watch()
    run(toy, small, "csq:beta=200,ticket=0.7,target=2", observers=[watch])
    slope = steeper(200.0, 0.7)
    assert watch.beta == pytest.approx([slope(Clock(4, 5, step)) for step in range(21)], rel=1e-6)
    assert watch.hardened == [False] * 14 + [True] * 7
    assert all(active == watch.active[14] for active in watch.active[14:])


# what a run leaves


def test_the_gap_is_that_of_the_soft_and_the_deployed_network(toy, small):
    small = nn.Sequential(small[0], small[2], small[3])  # without statistics that the end of the run moves
    found = run(toy, small, "csq:beta=5")
    values = {}
    for what, point in (("soft", checkpoint.latent(found.checkpoint)), ("hard", found.checkpoint)):
        small.load_state_dict(point.state)
        objective = Objective(small, toy, losses.loss("cross_entropy"), device="cpu")
        values[what] = objective.value(objective.theta).item()
    assert values["hard"] == pytest.approx(found.final["train_loss"], rel=1e-5)
    assert found.history[-1]["soft_hard_gap"] == pytest.approx(values["soft"] - values["hard"], rel=1e-4)
    assert abs(found.history[-1]["soft_hard_gap"]) > 1e-3  # at so small a slope


@pytest.mark.parametrize("text", ["csq", "csq+swa", "csq:skip=first,target=1", "csq+sam", "csq:bits=1,target=1"])
def test_the_checkpoint_lies_on_its_grids_and_has_the_loss_that_is_reported(toy, small, text, tmp_path):
    found = train(toy, small, SHORT, method=text, device="cpu", output=tmp_path / "a.pt")
    read = checkpoint.read(tmp_path / "a.pt")  # checks the grids
    assert set(read.quantization.grids) == ({"3.weight"} if "skip" in text else {"0.weight", "3.weight"})
    objective = Objective(checkpoint.fitted(read, small), toy, losses.loss("cross_entropy"), device="cpu")
    assert objective.value(objective.theta).item() == pytest.approx(found.final["train_loss"], rel=1e-5)
    assert read.training["history"][-1].keys() >= {"bits", "bits_per_weight", "soft_hard_gap"}


def test_bits_are_those_of_the_layers_and_of_the_weights(toy, small):
    watch = Watch()
    found = run(toy, small, "csq:target=2", observers=[watch])
    counts = []

    def count(run):
        counts[:] = [layer.active.sum().item() for layer, _ in bitwise(run.model)]

    again = run(toy, small, "csq:target=2", observers=[count])
    assert again.history == found.history
    assert found.history[-1]["bits"] == sum(counts) / 2
    assert found.history[-1]["bits_per_weight"] == pytest.approx((40 * counts[0] + 24 * counts[1]) / 64)


def test_it_begins_at_a_network_of_full_precision(toy, small):
    small = nn.Sequential(small[0], small[2], small[3])
    plain = run(toy, small, "plain", epochs=8)
    seen = []

    def look(run):
        if run.clock.step == 0:
            data = run.batches.resident.batch(slice(None))
            with torch.no_grad():
                seen.append(nn.functional.cross_entropy(run.model(data.inputs), data.targets).item())

    train(toy, small, SHORT, method="csq", init=plain.checkpoint, device="cpu", observers=[look])
    assert seen[0] == pytest.approx(plain.final["train_loss"], abs=0.01)


@pytest.mark.parametrize("target", [3, 4])
def test_digits_meet_the_budget_without_a_gap(target):
    data = dataset(Spec("digits"))
    with seeded(0):
        model = build(Spec("mlp"), data)
    found = train(data, model, Settings(epochs=12, seed=0, clip=1.0), method=f"csq:target={target}", device="cpu")
    assert found.history[-1]["bits"] == pytest.approx(target, abs=0.3)
    assert abs(found.history[-1]["soft_hard_gap"]) < 0.01
    assert found.final["test_accuracy"] > 0.9


def test_two_quantizers_and_two_slopes_clash():
    with pytest.raises(ValueError, match="one quantizer of the weights in a run, got those of 'csq' and 'ste'"):
        method("ste+csq")


@pytest.mark.parametrize("text", ["csq:bits=9", "csq:target=9", "csq:beta=0.5", "csq:ticket=0", "csq:target=0"])
def test_wrong_knobs_are_refused(text):
    with pytest.raises(ValueError, match=r"Expected .*, got .*: \w+"):
        method(text)
