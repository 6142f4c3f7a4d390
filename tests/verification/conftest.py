"""Small objectives with everything that the checks are about."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from landscape import Objective


@pytest.fixture
def make():
    """Return an objective in an arithmetic, on the same network and data each time."""

    def made(precision="float64", *, loss="cross_entropy", model=None, **given):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = model or nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
            x, y = torch.randn(50, 5), torch.randint(3, (50,))
            y = y if loss == "cross_entropy" else torch.randn(50, 3)
        return Objective(network, (x, y), loss, precision=precision, device="cpu", **given)

    return made
