"""What tests share: the folder of real data and checkpoints, which may be absent."""

import os
from pathlib import Path

import matplotlib as mpl
import pytest
import torch

mpl.use("Agg")
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared():
    """The folder with real CIFAR-10 images and published checkpoints."""
    folder = Path(os.environ.get("LANDSCAPE_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "cifar10").is_dir():
        pytest.skip(f"needs real images and published checkpoints, absent from {folder}: set LANDSCAPE_TEST_DATA")
    return folder


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
