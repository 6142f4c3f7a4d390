"""Staircases: how coarse a picture is, in closed form."""

import numpy as np
import pytest
import torch
from torch import nn

from landscape.objective import Objective
from landscape.probes._staircase import COARSE, flat
from landscape.probes.line import line
from landscape.probes.surface import surface
from landscape.quantize.grid import Grid
from landscape.quantize.views import Latent, Soft


@pytest.fixture
def make():
    """The squared sum of two weights that start at 0, on a grid of whole numbers from -3 to 3."""

    def made(kind=Latent):
        model = nn.Linear(2, 1, bias=False)
        nn.init.zeros_(model.weight)
        grid = Grid("uniform", 3, -3, 3, torch.ones(1, 1), torch.zeros(1, 1))
        data = torch.ones(1, 2), torch.zeros(1, 1)
        return Objective(model, data, "mse", device="cpu", view=kind and kind({"weight": grid}))

    return made


def test_a_line_across_steps(make):
    along = torch.tensor([1.0, 0.0])
    with pytest.warns(UserWarning, match="75 % of neighbouring points have the same loss"):
        found = line(make(), along, span=2.0, points=17)  # 16 steps of 1/4: 4 of them change one of two weights
    assert found.origin["staircase"] == {"flat": 12 / 16, "moved": [4 / 32]}
    assert "75 % of neighbouring points" in found.remarks()[0]


def test_points_far_apart_show_no_steps(make):
    found = surface(make(), torch.tensor([[1.0, 0.5], [0.5, 1.0]]), span=2.0, points=3)
    assert found.origin["staircase"]["moved"] == [1, 1]  # by 2 and by 1, every time
    assert found.origin["staircase"]["flat"] < COARSE


def test_smooth_losses_have_no_staircase(make):
    for kind in (None, Soft):
        assert "staircase" not in line(make(kind), torch.tensor([1.0, 0.0]), points=3).origin


def test_what_is_not_finite_is_no_neighbour():
    assert flat(np.array([1.0, 1.0, np.nan, np.nan, 2.0])) == 1
    assert flat(np.array([[1.0, 2.0], [1.0, 3.0]])) == 1 / 4
    assert flat(np.full(3, np.inf)) == 0
