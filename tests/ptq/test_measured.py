"""What a quantized network is said to lose, against what an objective measures."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from landscape.objective import Objective
from landscape.ptq.measured import examined, measured


@pytest.mark.parametrize("loss", ["cross_entropy", "causal"])
def test_means_and_errors_are_those_of_the_objective(loss):
    """Examples of the causal loss weigh their tokens, of which some are ignored."""
    torch.manual_seed(0)
    model = nn.Embedding(7, 7) if loss == "causal" else nn.Linear(5, 7)
    targets = torch.randint(7, (12, 6))
    targets[3, 2:] = -100
    data = (targets.clamp(min=0), targets) if loss == "causal" else (torch.randn(12, 5), torch.randint(7, (12,)))
    other = deepcopy(model)
    with torch.no_grad():
        other.weight.mul_(0.7)
    here, there = (Objective(one, data, loss, precision="float64", device="cpu") for one in (model, other))
    found = measured(examined(there)["train"], examined(here)["train"])
    wanted = there.measure(there.theta)
    for name in ("loss", "loss_error", "accuracy", "accuracy_error"):
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name)[0], rtol=1e-12)
    np.testing.assert_allclose(found.change, wanted.loss[0] - here.measure(here.theta).loss[0], rtol=1e-10)
    assert 0 < found.change_error < wanted.loss_error[0] + here.measure(here.theta).loss_error[0]
