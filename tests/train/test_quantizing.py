"""Contracts of every method that quantizes: what it deploys is what it measured, and runs go on where they stopped."""

import functools
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from landscape import checkpoint, losses
from landscape.dataset import Dataset
from landscape.objective import Objective
from landscape.quantize.trained.inputs import inputs
from landscape.train import composition
from landscape.train.batches import Resident
from landscape.train.evaluation import evaluate
from landscape.train.fit import Interrupted
from landscape.train.run import train
from landscape.train.settings import Settings

QUANTIZING = sorted(name for name, make in composition.available().items() if make().quantizer is not None)
ACTS = ["bnn", "irnet:acts=1", "lqnets:acts=2", "lsq:acts=3", "ste:acts=3", "ste:acts=1,bits=2"]
TEXTS = [*QUANTIZING, *(text for text in ACTS if text not in QUANTIZING)]
SETTINGS = Settings(epochs=3, batch_size=14, lr=0.05, seed=3)  # 5 batches an epoch


@functools.cache
def toy():
    random = np.random.default_rng(0)
    centers = 1.5 * random.standard_normal((3, 5))

    def drawn(n):
        labels = random.integers(0, 3, n)
        return (centers[labels] + random.standard_normal((n, 5))).astype(np.float32), labels

    return Dataset("toy", train=drawn(70), test=drawn(30), classes=("a", "b", "c"), origin={"name": "toy"})


def network():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2),
            nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3),
        )  # fmt: skip


def fitted(text, *, output=None, observers=(), init=None, **settings):
    chosen = replace(SETTINGS, **settings)
    given = {"output": output, "observers": observers, "init": init, "device": "cpu"}
    return train(toy(), network(), chosen, method=text, **given)


@functools.cache
def whole(text):
    return fitted(text)


def measured(model, split="train"):
    resident = Resident(toy().split(split), torch.float32, torch.device("cpu"))
    return evaluate(model, resident, losses.loss("cross_entropy"))["loss"]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("text", [*TEXTS, "lsq:acts=3+swa", "ste:acts=3+ema", "lqnets:acts=2+swa", "irnet+swa"])
def test_the_deployed_checkpoint_has_exactly_the_loss_that_was_reported(text, tmp_path):
    trained = fitted(text, output=tmp_path / "a.pt")
    found = checkpoint.read(tmp_path / "a.pt")
    assert found.quantization.sha256() == trained.checkpoint.quantization.sha256()
    model = checkpoint.fitted(found, network())
    assert measured(model) == trained.final["train_loss"]
    assert measured(model, "test") == trained.final["test_loss"]
    assert measured(trained.model) == trained.final["train_loss"]
    assert bool(found.quantization.activations) == ("acts" in text or text.startswith("bnn"))


@pytest.mark.parametrize("text", TEXTS)
def test_checkpoints_on_the_way_have_the_losses_that_the_history_tells(text, tmp_path):
    """Grids move at the beginning of an epoch or within a step: never between what is measured and what is written."""
    given = {"method": text, "output": tmp_path / "a.pt", "every": 1, "device": "cpu"}
    trained = train(toy(), network(), SETTINGS, **given)
    for record in trained.history:
        found = checkpoint.read(tmp_path / f"a.trajectory/epoch-{record['epoch']:04d}.pt")
        assert measured(checkpoint.fitted(found, network()), "test") == record["test_loss"]


@pytest.mark.parametrize("text", [*QUANTIZING, "lsq:acts=3"])
def test_probes_stand_at_the_deployed_weights(text):
    trained = whole(text)
    model = checkpoint.fitted(trained.checkpoint, network())
    objective = Objective(model, toy(), "cross_entropy", device="cpu", precision="float64")
    assert objective.value(objective.theta).item() == pytest.approx(trained.final["train_loss"], rel=1e-5)
    if not trained.checkpoint.quantization.activations:
        assert objective.gradient(objective.theta).norm() > 0


@pytest.mark.parametrize("text", [text for text in TEXTS if text != "csq"])  # which rounds bits, not their sum
def test_latent_weights_round_to_the_deployed_ones(text):
    found = whole(text).checkpoint
    for name, grid in found.quantization.grids.items():
        assert torch.equal(grid.hard(found.quantization.latent[name]), found.state[name])


@pytest.mark.parametrize("text", [text for text in TEXTS if "acts" in text])
def test_with_activations_a_run_stopped_within_an_epoch_goes_on_bit_for_bit(text, tmp_path):
    def stop(run):
        run.interrupted = run.clock.step == 8

    with pytest.raises(Interrupted):
        fitted(text, output=tmp_path / "a.pt", observers=[stop])
    found, expected = fitted(text, output=tmp_path / "a.pt"), whole(text)
    assert same(found.checkpoint.state, expected.checkpoint.state)
    assert found.checkpoint.quantization.sha256() == expected.checkpoint.quantization.sha256()
    assert same(found.checkpoint.quantization.latent, expected.checkpoint.quantization.latent)
    assert found.final == expected.final


@pytest.mark.parametrize("text", ["bnn", "irnet", "lqnets:acts=2", "lsq:acts=3", "ste"])
def test_it_composes_with_sam(text):
    trained = fitted(f"{text}+sam:rho=0.1")
    assert trained.checkpoint.training["gradient_evaluations"] == 15 * 2
    assert not same(trained.checkpoint.quantization.latent, whole(text).checkpoint.quantization.latent)


@pytest.mark.parametrize("text", ["lsq", "lqnets:acts=2", "ste:acts=3", "irnet", "bnn"])
def test_the_average_of_latent_weights_is_deployed_on_a_grid(text):
    """The last iterate is kept beside it, on its own grids."""
    trained = fitted(f"{text}+swa:start=0.4")
    found = trained.checkpoint
    for name, grid in found.quantization.grids.items():
        assert torch.equal(grid.hard(found.state[name]), found.state[name])
        assert torch.equal(grid.hard(found.quantization.latent[name]), found.state[name])
    assert not same(found.quantization.latent, whole(text).checkpoint.quantization.latent)
    assert trained.kept.keys() == {"last"}


@pytest.mark.parametrize("name", [name for name in QUANTIZING if name != "ste"])
def test_two_quantizers_clash_with_both_names(name):
    with pytest.raises(ValueError, match=re.escape(f"got those of '{min(name, 'ste')}' and '{max(name, 'ste')}'")):
        composition.method(f"ste+{name}")


@pytest.mark.parametrize("text", ACTS)
def test_mixed_precision_trains_and_deploys_in_full(text):
    trained = fitted(text, precision="bfloat16")
    grids = trained.checkpoint.quantization.activations.values()
    assert {grid.scale.dtype for grid in grids} == {torch.float32}
    assert measured(checkpoint.fitted(trained.checkpoint, network())) == trained.final["train_loss"]


@pytest.mark.parametrize("text", ACTS)
def test_a_run_without_epochs_fits_its_activations_to_the_weights_it_begins_with(text):
    begun = fitted("plain").checkpoint
    trained = fitted(text, epochs=0, init=begun)
    assert all(grid.scale.isfinite().all() for grid in trained.checkpoint.quantization.activations.values())
    assert measured(checkpoint.fitted(trained.checkpoint, network())) == trained.final["train_loss"]


@pytest.mark.parametrize("text", ACTS)
def test_fitting_activations_leaves_no_trace_in_statistics_and_random_numbers(text):
    seen = []

    def watch(run):
        if run.clock.step == 0:
            seen.append((torch.get_rng_state(), run.model[1].running_mean.clone(), run.model[1].num_batches_tracked))
            assert all(one.fitted for one in inputs(run.model).values())

    fitted("plain", epochs=1, observers=[watch])
    fitted(text, epochs=1, observers=[watch])
    (random, mean, count), (other, here, tracked) = seen[0], seen[1]
    assert torch.equal(random, other)
    assert torch.equal(mean, here)
    assert count == tracked
