"""No run ends with batch-norm statistics of other weights: every method, over everything that discovery finds."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from landscape import checkpoint
from landscape.train import composition
from landscape.train.batches import Resident
from landscape.train.refresh import refresh
from landscape.train.run import train
from landscape.train.settings import Settings

KNOBS = {"fge": ":start=0.25", "pswa": ":start=0.0,period=2", "swag": ":start=0.2", "noise": ":sigma=0.3"}
AWAY = {"noise", "entropy_sgd"}  # whose passes stand at other weights than those of the run


def network():
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))


def fresh(model, data):
    again = copy.deepcopy(model)
    refresh(again, Resident(data.split("train"), torch.float32, torch.device("cpu")))
    return again[1]


@pytest.mark.parametrize("method", sorted(composition.available()))
def test_statistics_belong_to_the_weights_of_the_checkpoint(toy, method):
    """Methods that end at weights without a pass of their own: exactly. Others: about, as they move along with them."""
    settings = Settings(epochs=4, batch_size=16, lr=0.01)
    trained = train(toy, network(), settings, method=method + KNOBS.get(method, ""))
    own, exact = trained.model[1], fresh(trained.model, toy)
    assert trained.checkpoint.batchnorm == "fresh"
    if method in AWAY or composition.method(method).average is not None:
        assert torch.equal(own.running_mean, exact.running_mean)
        assert torch.equal(own.running_var, exact.running_var)
    else:
        spread = exact.running_var.sqrt()
        assert ((own.running_mean - exact.running_mean).abs() < spread).all()


def test_a_run_that_begins_at_stale_statistics_finds_its_own(toy, tmp_path):
    model = network()
    first = replace(train(toy, model, Settings(epochs=0)).checkpoint, batchnorm="stale")
    begun = train(toy, model, Settings(epochs=0), init=first, output=tmp_path / "a.pt")
    assert torch.equal(begun.model[1].running_mean, fresh(model, toy).running_mean)
    assert torch.equal(begun.model[0].weight, model[0].weight)
    kept = train(toy, model, Settings(epochs=0), init=replace(first, batchnorm="fresh"))
    assert torch.equal(kept.model[1].running_mean, model[1].running_mean)


def test_members_and_trajectory_of_noisy_runs_have_their_own_statistics_or_say_so(toy, tmp_path):
    settings, output = Settings(epochs=4, batch_size=16, lr=0.01), tmp_path / "a.pt"
    train(toy, network(), settings, method="noise:sigma=0.3+fge:start=0.25", output=output, every=1)
    members = sorted((tmp_path / "a.kept").glob("member-*.pt"))
    assert members
    for path in members:
        member, model = checkpoint.read(path), network()
        model.load_state_dict(member.state)
        assert member.batchnorm == "fresh"
        assert torch.equal(model[1].running_var, fresh(model, toy).running_var)
    along = {path.stem: checkpoint.read(path).batchnorm for path in (tmp_path / "a.trajectory").iterdir()}
    assert along == {"epoch-0000": "fresh"} | {f"epoch-000{k}": "stale" for k in (1, 2, 3, 4)}
    bare = train(toy, nn.Linear(5, 3), settings, method="noise", output=tmp_path / "b.pt", every=2)
    assert {checkpoint.read(path).batchnorm for path in (tmp_path / "b.trajectory").iterdir()} == {"fresh"}
    assert bare.checkpoint.batchnorm == "fresh"


def test_weights_before_rounding_have_no_statistics_of_their_own(toy):
    """Those of the checkpoint were found through the rounding; a run that begins there finds its own."""
    first = train(toy, network(), Settings(epochs=1, lr=0.01), method="ste:bits=2").checkpoint
    assert (first.batchnorm, checkpoint.latent(first).batchnorm) == ("fresh", "stale")
    for method in ("plain", "lsq:bits=3,acts=3"):
        begun = train(toy, network(), Settings(epochs=0), init=first, method=method)
        assert torch.equal(begun.model[1].running_mean, fresh(begun.model, toy).running_mean)
    plain = train(toy, nn.Sequential(nn.Linear(5, 3)), Settings(epochs=1), method="ste:bits=2").checkpoint
    assert checkpoint.latent(plain).batchnorm == "fresh"
