"""Small data and networks for the tests of the trainer."""

import numpy as np
import pytest
import torch
from torch import nn

from landscape.dataset import Dataset


@pytest.fixture
def toy():
    """Three Gaussian classes of vectors: 70 training examples (batches of 16 leave a last one of 6), 20 test ones."""
    random = np.random.default_rng(0)
    centers = 2 * random.standard_normal((3, 5))

    def drawn(n):
        labels = random.integers(0, 3, n)
        return (centers[labels] + random.standard_normal((n, 5))).astype(np.float32), labels

    return Dataset("toy", train=drawn(70), test=drawn(20), classes=("a", "b", "c"), origin={"name": "toy"})


@pytest.fixture
def pixels():
    """Forty random images of 8 x 8 uint8 pixels, three channels, normalized."""
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (40, 3, 8, 8)).astype(np.uint8)
    return Dataset(
        "pixels",
        train=(images, random.integers(0, 2, 40)),
        classes=("a", "b"),
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.3, 0.25),
    )


@pytest.fixture
def noisy_network():
    """A network with everything that a second pass could disturb: batch norm, dropout, a counting buffer."""

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, x):
            self.seen += len(x)
            return x

    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.5), Counting(), nn.Linear(8, 3)
        )
