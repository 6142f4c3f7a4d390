"""Annealed weights: one step by hand, the schedule, soft and hard networks, and digits."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from landscape import checkpoint, losses
from landscape.data.digits import digits
from landscape.models.mlp import mlp
from landscape.quantize.parametrization import quantizers
from landscape.train.batches import Resident
from landscape.train.clock import Clock
from landscape.train.composition import method
from landscape.train.evaluation import evaluate
from landscape.train.method import Method
from landscape.train.methods.annealed import growing
from landscape.train.run import train
from landscape.train.settings import Settings

ONCE = Settings(
    epochs=1, batch_size=70, lr=0.7, momentum=0.0, weight_decay=0.0, schedule="constant", precision="float64"
)
SHORT = Settings(epochs=3, batch_size=14, lr=0.05, seed=2)


def network(*layers):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(5, 8), *(layer() for layer in layers), nn.ReLU(), nn.Linear(8, 3))


def soft(u, beta, s, family):
    if family == "binary":
        return s * torch.tanh(beta * u / s)
    return s / 2 * (torch.tanh(beta * (u / s + 0.5)) + torch.tanh(beta * (u / s - 0.5)))


@pytest.mark.parametrize("family", ["binary", "ternary"])
def test_one_step_is_the_true_gradient_of_the_soft_network(toy, family):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Linear(5, 3)
    seen = []

    def see(run):
        seen.append(next(iter(quantizers(run.model).values()))[1].detach().clone())

    text = f"annealed:start=2,family={family},scale=one"
    train(toy, model, ONCE, method=text, observers=[see], device="cpu")
    split = toy.split("train")
    inputs, targets = torch.tensor(split.inputs, dtype=torch.float64), torch.tensor(split.targets)
    u = model.weight.detach().double().requires_grad_()
    F.cross_entropy(F.linear(inputs, soft(u, 2.0, 1.0, family), model.bias.double()), targets).backward()
    assert torch.equal(seen[0], u)
    assert (seen[1] - (u - 0.7 * u.grad)).abs().max() < 1e-12


def test_beta_grows_by_one_factor_from_start_to_end():
    beta = growing(0.5, 32.0, name="annealed")
    values = [beta(Clock(epochs=2, per_epoch=3, step=step)) for step in range(7)]
    assert values == pytest.approx([0.5 * 2**step for step in range(7)], rel=1e-12)


def test_every_step_sees_its_beta_the_first_too_and_after_a_pause(toy, tmp_path):
    seen = {}

    def wrap(goal):
        def objective(model, batch, clock):
            seen[clock.step] = {quantizer.beta.item() for quantizer, _ in quantizers(model).values()}
            return goal(model, batch, clock)

        return objective

    def stop(run):
        run.interrupted = run.clock.step == 7

    chosen = method("annealed:start=2,end=50") + Method(name="watch", objectives=[wrap])
    with pytest.raises(KeyboardInterrupt):
        train(toy, network(), SHORT, method=chosen, observers=[stop], output=tmp_path / "a.pt", device="cpu")
    train(toy, network(), SHORT, method=chosen, output=tmp_path / "a.pt", device="cpu")
    assert sorted(seen) == list(range(15))
    for step, betas in seen.items():
        assert len(betas) == 1
        assert betas.pop() == pytest.approx(2 * 25 ** (step / 15), rel=1e-6)


@pytest.mark.parametrize("family", ["binary", "ternary"])
def test_latent_weights_are_the_soft_network_and_the_gap_closes(toy, family):
    gaps = []
    for end in (2, 1e4):
        trained = train(
            toy, network(), replace(SHORT, epochs=8), method=f"annealed:end={end},family={family}", device="cpu"
        )
        resident = Resident(toy.split("train"), torch.float32, torch.device("cpu"))
        model = checkpoint.fitted(checkpoint.latent(trained.checkpoint), network())
        loss = evaluate(model, resident, losses.loss("cross_entropy"))["loss"]
        gaps.append(abs(loss - trained.final["train_loss"]))
        values = {len(row.unique()) for row in (trained.checkpoint.state["0.weight"],)}
        assert values <= {2, 3} if family == "ternary" else values == {2}
    assert gaps[1] < 0.05 * gaps[0]
    assert trained.history[-1]["distance"] < 0.01


def test_batch_norm_statistics_are_those_of_the_deployed_weights(toy):
    found = train(toy, network(lambda: nn.BatchNorm1d(8)), SHORT, method="annealed:end=2", device="cpu").checkpoint
    assert found.batchnorm == "fresh"
    inputs = torch.tensor(toy.split("train").inputs)
    outputs = inputs @ found.state["0.weight"].T + found.state["0.bias"]
    assert torch.allclose(found.state["1.running_mean"], outputs.mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["binary", "ternary"])
def test_it_composes_with_sam_and_an_average(toy, family):
    plain, both = (
        train(toy, network(), SHORT, method=f"annealed:family={family}{more}", device="cpu").checkpoint
        for more in ("", "+sam+swa:start=0.4")
    )
    for name, grid in both.quantization.grids.items():
        assert torch.equal(grid.hard(both.quantization.latent[name]), both.state[name])
    assert not torch.equal(plain.quantization.latent["0.weight"], both.quantization.latent["0.weight"])


def test_it_begins_at_trained_weights(toy):
    """At a scale far above them the tangent is the identity, and nothing is lost."""
    init = train(toy, network(), SHORT, method="plain", device="cpu").checkpoint
    seen = []

    def see(run):
        seen.append({name: trained.detach().clone() for name, (_, trained) in quantizers(run.model).items()})

    train(toy, network(), SHORT, method="annealed", init=init, observers=[see], device="cpu")
    assert all(torch.equal(init.state[name], u) for name, u in seen[0].items())


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ("start=2,end=1", "Expected an end of at least start=2, got 1: weights harden"),
        ("family=octal", "Expected a family among binary, ternary, got 'octal': choose"),
        ("scale=two", "Expected a scale among kaiming, .*, got 'two': choose"),
    ],
)
def test_wrong_knobs_are_refused(knobs, message):
    with pytest.raises(ValueError, match=message):
        method(f"annealed:{knobs}")


def test_it_learns_digits():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = mlp(64, 2, classes=10, shape=(1, 8, 8))
    assert train(digits(), model, Settings(epochs=5), method="annealed", device="cpu").final["test_accuracy"] > 0.9
