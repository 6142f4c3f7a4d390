"""SWAG: the average of SWA, and the Gaussian that the averaged weights describe."""

import pytest
import torch
from torch import nn

from landscape import checkpoint, posterior
from landscape.train.composition import method
from landscape.train.run import train
from landscape.train.settings import Settings

SETTINGS = Settings(epochs=6, batch_size=16, seed=5, weight_decay=0.0)
SWAG = "swag:start=0.3,rank=3"


class Killed(Exception):
    pass


def killed_at(step):
    def see(run):
        if run.clock.step == step:
            raise Killed

    return see


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_run_is_that_of_swa(toy, noisy_network):
    swag, swa = train(toy, noisy_network, SETTINGS, method=SWAG), train(
        toy, noisy_network, SETTINGS, method="swa:start=0.3"
    )
    assert same(swag.checkpoint.state, swa.checkpoint.state)
    assert same(swag.kept["last"], swa.kept["last"])
    assert swa.checkpoint.moments == {}


def test_moments_are_those_of_the_epochs(toy, tmp_path):
    settings = Settings(epochs=6, batch_size=16, seed=5, precision="float64")
    trained = train(toy, nn.Linear(5, 3), settings, method=SWAG, output=tmp_path / "a.pt", every=1)
    folder = tmp_path / "a.trajectory"
    epochs = [checkpoint.read(folder / f"epoch-{epoch:04d}.pt").state for epoch in range(2, 7)]
    found = checkpoint.read(tmp_path / "a.pt")
    assert found.moments.keys() == {"variance", "deviation"}
    for name in ("weight", "bias"):
        walk = torch.stack([state[name] for state in epochs])
        torch.testing.assert_close(found.state[name], walk.mean(0), rtol=1e-12, atol=1e-15)
        torch.testing.assert_close(found.moments["variance"][name], walk.var(0, correction=0), rtol=1e-9, atol=1e-18)
        columns = [walk[index] - walk[: index + 1].mean(0) for index in (2, 3, 4)]
        torch.testing.assert_close(found.moments["deviation"][name], torch.stack(columns), rtol=1e-9, atol=1e-15)
        assert torch.equal(trained.checkpoint.moments["deviation"][name], found.moments["deviation"][name])


@pytest.mark.parametrize("step", [9, 23])
def test_a_killed_run_ends_at_the_same_moments(toy, noisy_network, tmp_path, step):
    whole = train(toy, noisy_network, SETTINGS, method=SWAG).checkpoint
    with pytest.raises(Killed):
        train(toy, noisy_network, SETTINGS, method=SWAG, output=tmp_path / "a.pt", observers=[killed_at(step)])
    train(toy, noisy_network, SETTINGS, method=SWAG, output=tmp_path / "a.pt")
    cut = checkpoint.read(tmp_path / "a.pt")
    assert same(whole.state, cut.state)
    assert all(same(whole.moments[kind], cut.moments[kind]) for kind in ("variance", "deviation"))


def test_moments_are_in_the_checkpoint_alone(toy, noisy_network, tmp_path):
    train(toy, noisy_network, SETTINGS, method=SWAG, output=tmp_path / "a.pt", every=1)
    others = [*(tmp_path / "a.kept").glob("*.pt"), *(tmp_path / "a.trajectory").glob("*.pt")]
    assert len(others) == 8
    assert all(checkpoint.read(path).moments == {} for path in others)
    names = dict(noisy_network.named_parameters()).keys()
    assert checkpoint.read(tmp_path / "a.pt").moments["variance"].keys() == names  # no buffers


def test_networks_can_be_drawn_from_it(toy, noisy_network):
    trained = train(toy, noisy_network, SETTINGS, method=SWAG)
    found = posterior.gaussian(trained.checkpoint)
    assert found.columns == 3
    (draw,) = posterior.sample(trained.checkpoint, 1)
    assert all(draw[name].shape == p.shape for name, p in noisy_network.named_parameters())


def test_mixed_precision_and_other_gradient_rules(toy, noisy_network):
    settings = Settings(epochs=6, batch_size=16, precision="bfloat16")
    moments = train(toy, noisy_network, settings, method=f"sam+{SWAG}").checkpoint.moments
    assert {t.dtype for moment in moments.values() for t in moment.values()} == {torch.float32}
    assert all((variance >= 0).all() for variance in moments["variance"].values())


def test_two_averages_clash():
    with pytest.raises(ValueError, match="'swa' and 'swag'"):
        method("swa+swag")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("swag:rank=1", "rank of at least 2, got 1"),
        ("swag:start=1.0", "start from 0 to below 1, got 1.0"),
        ("swag:every=0", "every=0"),
        ("swag:lr=-1.0", "lr=-1.0"),
    ],
)
def test_knobs_out_of_range_are_refused(text, words):
    with pytest.raises(ValueError, match=words):
        method(text)


def test_a_run_without_two_deviations_is_refused_before_anything_is_written(toy, tmp_path):
    with pytest.raises(ValueError, match="at least 3 weights to take in, got 2 that are due in 6 epochs"):
        train(toy, nn.Linear(5, 3), SETTINGS, method="swag:start=0.8", output=tmp_path / "a.pt")
    assert list(tmp_path.iterdir()) == []


def test_moments_of_latent_weights_are_refused(toy):
    with pytest.raises(ValueError, match="full precision, whose moments.*got quantized ones at '0.weight'"):
        train(toy, nn.Sequential(nn.Linear(5, 3)), SETTINGS, method=f"ste+{SWAG}", device="cpu")
