"""A network where it stands: equal to the center of a surface, and single examples add up to the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from landscape import Objective, evaluate, load, surface


@pytest.fixture
def objective():
    generator = torch.Generator().manual_seed(3)
    x, y = torch.randn(40, 3, generator=generator), torch.randint(0, 4, (40,), generator=generator)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 4))
    splits = {"train": (x[:25], y[:25]), "test": (x[25:], y[25:])}
    return Objective(model, splits, precision="float64", device="cpu")


def test_it_is_the_center_of_a_surface(objective):
    found, plane = evaluate(objective), surface(objective, points=3)
    for name in ("loss", "loss_error", "accuracy", "accuracy_error", "class_loss", "class_accuracy_error"):
        np.testing.assert_allclose(getattr(found, name), getattr(plane, name)[..., 1, 1], rtol=1e-12)
    assert found.size.tolist() == [25, 15]
    assert found.figures()["test_loss"] == (found.loss[1], found.loss_error[1])


def test_it_stands_where_it_is_told(objective):
    assert evaluate(objective, theta=torch.zeros(objective.dim)).loss == pytest.approx(np.log(4))


def test_single_examples_add_up(objective, tmp_path):
    evaluate(objective, single=True).save(tmp_path / "e.h5")
    found = load(tmp_path / "e.h5")
    parts = np.split(found.example_loss / found.example_weight, [25])
    np.testing.assert_allclose([part.mean() for part in parts], found.loss, rtol=1e-6)
    errors = [part.std(ddof=1) / np.sqrt(len(part)) for part in parts]
    np.testing.assert_allclose(errors, found.loss_error, rtol=1e-6)
    np.testing.assert_allclose([part.mean() for part in np.split(found.example_correct, [25])], found.accuracy)


def test_a_regression_has_no_accuracy():
    bowl = Objective(nn.Linear(2, 1), (torch.ones(5, 2), torch.zeros(5, 1)), "mse", device="cpu")
    found = evaluate(bowl, single=True)
    assert found.accuracy is None
    assert found.example_correct is None
    assert list(found.figures()) == [f"{bowl.splits[0]}_loss"]
