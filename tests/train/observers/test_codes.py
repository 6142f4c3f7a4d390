"""What is told of quantized weights along a run, against a second look at every epoch."""

import pytest
import torch
from torch import nn

from landscape.quantize.parametrization import quantizers
from landscape.train.composition import method
from landscape.train.method import Method
from landscape.train.observers.codes import Codes
from landscape.train.run import train
from landscape.train.settings import Settings


@pytest.mark.parametrize("text", ["ste:bits=1", "ste:bits=3", "ste:bits=2,family=levels", "lsq:bits=3"])
def test_changes_and_distances_are_those_of_the_weights(toy, text):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
    looks, epochs = [], 4

    def look(run):
        if run.clock.between_epochs:
            known = [(q.grid_at(w), q.latent(w).detach()) for q, w in quantizers(run.model).values()]
            codes = torch.cat([grid.codes(latent).flatten() for grid, latent in known])
            away = torch.cat([((latent - grid.hard(latent)).abs() / grid.step).flatten() for grid, latent in known])
            looks.append((codes, away.mean().item()))

    chosen = method(text) + Method(name="codes", observers=[Codes])
    trained = train(
        toy,
        model,
        Settings(epochs=epochs, batch_size=14, lr=0.2, seed=2),
        method=chosen,
        observers=[look],
        device="cpu",
    )
    assert len(looks) == epochs + 1
    for record, (before, _), (after, away) in zip(trained.history, looks[:-1], looks[1:], strict=True):
        assert record["changed"] == pytest.approx((before != after).float().mean().item())
        assert record["distance"] == pytest.approx(away, rel=1e-5)
    assert any(record["changed"] > 0 for record in trained.history)
