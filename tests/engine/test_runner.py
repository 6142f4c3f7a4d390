"""Running: backing off when memory runs out, and plans that are kept."""

import time

import numpy as np
import pytest
import torch
from torch import nn

from landscape.engine import runner
from landscape.engine.plan import Plan
from landscape.engine.runner import Stopwatch
from landscape.objective import Objective


class Hungry(nn.Module):
    """Runs out of memory above a number of examples."""

    def __init__(self, most, error=None):
        super().__init__()
        self.layer, self.most, self.error = nn.Linear(3, 4), most, error or torch.OutOfMemoryError("out of memory")
        self.sizes = []

    def forward(self, x):
        self.sizes.append(len(x))
        if len(x) > self.most:
            raise self.error
        return self.layer(x)


def data(count=50):
    return torch.randn(count, 3), torch.arange(count) % 4


def objective(model, **knobs):
    return Objective(model, data(), precision="float64", device="cpu", **knobs)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_lack_of_memory_halves_the_work_and_goes_on(error):
    torch.manual_seed(1)
    hungry, x = Hungry(10, error), data()
    f = Objective(hungry, x, precision="float64", device="cpu")
    fed = Objective(hungry.layer, x, precision="float64", device="cpu")
    assert f.plan(1).examples > 10
    np.testing.assert_allclose(f.value(f.theta), fed.value(fed.theta), rtol=1e-13)
    assert f.plan(1).examples in range(4, 11)
    sizes = f.network.model.sizes
    tried = len(sizes)
    torch.testing.assert_close(f.gradient(f.theta), fed.gradient(fed.theta), rtol=1e-12, atol=1e-15)
    assert max(sizes[tried:]) <= 10  # what did not fit is not tried again


def test_a_given_plan_backs_off_too_and_is_remembered():
    f = objective(Hungry(6))
    points = f.theta.expand(8, -1)
    for _ in range(2):
        found = f.measure(points, plan=Plan("vmap", 8, 40))
        np.testing.assert_allclose(found.loss[0], [float(f.value(f.theta))] * 8, rtol=1e-13)
    assert sum(size == 40 for size in f.network.model.sizes) == 4  # 8, 4, 2 and 1 points, the first time only


def test_other_errors_are_raised():
    f = objective(Hungry(10, RuntimeError("a bug in the network")))
    with pytest.raises(RuntimeError, match="a bug in the network"):
        f.value(f.theta)


def test_batches_that_matter_are_not_cut():
    model = nn.Sequential(Hungry(10), nn.BatchNorm1d(4))
    with pytest.raises(torch.OutOfMemoryError):
        objective(model, batchnorm="batch", batch_size=25)


def test_one_example_that_does_not_fit_is_an_error():
    f = objective(Hungry(2))
    f.network.model.most = 0
    with pytest.raises(torch.OutOfMemoryError):
        f.value(f.theta)


def test_the_choice_is_kept_and_runs():
    f = objective(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
    chosen = f.plan(100)
    assert f.plan(100) is chosen
    assert f.plan(1) == Plan(examples=f.plan(1).examples)
    points = f.theta + torch.randn(100, f.dim, dtype=torch.float64)
    np.testing.assert_allclose(f.value(points)[:5], [float(f.value(p)) for p in points[:5]], rtol=1e-12)


def test_measuring_decodes_nothing_again(monkeypatch):
    f = objective(nn.Linear(3, 4))
    monkeypatch.setattr(runner.Resident, "_decode", lambda *_: pytest.fail("decoded again"))
    f.plan(100)
    sample = f._resident[0].head(7)
    assert sample.size == 7
    assert sample.segments[0][0].data_ptr() == f._resident[0].segments[0][0].data_ptr()


def test_a_plan_that_answers_otherwise_or_fails_does_not_count():
    f = objective(nn.Linear(3, 4))
    watch = Stopwatch(f.network, f.loss, f._resident[0], refit=False)
    assert watch.seconds(Plan(examples=64)) < 60
    watch.expected = watch.expected * 1.01
    assert watch.seconds(Plan(examples=64)) == float("inf")

    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 4)

        def forward(self, x):
            return self.layer(x) if self.layer.weight.sum() < 1e9 else x  # vmap cannot follow

    f = objective(Branching())
    watch = Stopwatch(f.network, f.loss, f._resident[0], refit=False)
    assert watch.seconds(Plan(examples=64)) < 60
    assert watch.seconds(Plan("vmap", 2, 64)) == float("inf")
    assert f.plan(100).kind == "loop"


def test_plans_are_compared_at_the_parameters_of_the_network_wherever_it_was_last():
    f = objective(nn.Linear(3, 4))
    f.value(torch.full_like(f.theta, torch.nan))  # where any plan would agree with any other
    watch = Stopwatch(f.network, f.loss, f._resident[0], refit=False)
    assert np.isfinite(watch.seconds(Plan(examples=50)))
    assert bool(torch.isfinite(watch.expected).all())


def test_choosing_takes_a_second_for_little_work():
    f = objective(nn.Linear(3, 4))
    f.plan(3)
    begun = time.perf_counter()
    f.plan(20)
    assert time.perf_counter() - begun < 3  # generous: the machine may be busy
