"""Sensitivities of tensors: against the blocks of an exact Hessian in float64."""

import math

import pytest
import torch
from torch import nn

from landscape.objective import Objective
from landscape.sensitivity import block_traces, predictions

NAMES = ("0.weight", "2.weight")
SEEDS = 60


@pytest.fixture(scope="module")
def objective():
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    inputs = torch.randn(20, 4, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, 3, (20,), generator=generator)
    strategy = "loop;retained,kept,examples=20"
    return Objective(model, (inputs, targets), precision="float64", device="cpu", strategy=strategy)


@pytest.fixture(scope="module")
def blocks(objective):
    """Diagonal blocks of the Hessian at the objective's point, by name."""
    whole = objective.hvp(objective.theta, torch.eye(objective.dim, dtype=torch.float64))
    return {block.name: whole[block.slice, block.slice] for block in objective.blocks}


@pytest.fixture(scope="module")
def deltas(objective):
    generator = torch.Generator().manual_seed(1)
    shapes = {block.name: block.shape for block in objective.blocks}
    return {name: 0.1 * torch.randn(shapes[name], generator=generator, dtype=torch.float64) for name in NAMES}


def test_intervals_of_traces_hold(objective, blocks):
    truth = torch.tensor([float(blocks[name].trace()) for name in NAMES], dtype=torch.float64)
    found = [block_traces(objective, None, NAMES, samples=30, seed=seed) for seed in range(SEEDS)]
    away = torch.stack([(one.trace - truth) / one.error for one in found])
    assert ((away.abs() < 2.045).double().mean() > 0.85).item()
    assert (away.mean(0).abs() < 4 / math.sqrt(SEEDS)).all()


def test_mean_eigenvalues(objective):
    found = block_traces(objective, objective.theta, NAMES, samples=4)
    assert found.count.tolist() == [20, 15]
    assert torch.equal(found.mean, found.trace / torch.tensor([20, 15]))
    assert torch.equal(found.mean_error, found.error / torch.tensor([20, 15]))


def test_progress_is_told(objective):
    told = []
    block_traces(objective, None, NAMES, samples=11, progress=lambda done, total: told.append((done, total)))
    assert told == [(8, 11), (11, 11)]


def test_names_may_come_in_any_order(objective):
    there, back = (block_traces(objective, None, names, samples=4) for names in (NAMES, NAMES[::-1]))
    assert torch.equal(there.trace, back.trace.flip(0))
    assert back.names == NAMES[::-1]


def test_terms_are_those_of_the_blocks(objective, blocks, deltas):
    found = predictions(objective, None, deltas, samples=4)
    gradient = objective.unpack(objective.gradient(objective.theta))
    for index, (name, delta) in enumerate(deltas.items()):
        flat = delta.flatten()
        assert found.gradient[index] == pytest.approx(float((gradient[name] * delta).sum()), rel=1e-12)
        assert found.curvature[index] == pytest.approx(float(flat @ blocks[name] @ flat) / 2, rel=1e-9)
        assert found.square[index] == pytest.approx(float(flat @ flat), rel=1e-12)


def test_omega_is_the_mean_eigenvalue_times_the_squared_error(objective, deltas):
    traces = block_traces(objective, None, NAMES, samples=8, seed=3)
    found = predictions(objective, None, deltas, traces=traces)
    square = torch.stack([delta.square().sum() for delta in deltas.values()])
    torch.testing.assert_close(found.omega, traces.trace / traces.count * square, rtol=1e-12, atol=0)
    torch.testing.assert_close(found.omega_error, traces.error / traces.count * square, rtol=1e-12, atol=0)
    again = predictions(objective, None, deltas, samples=8, seed=3)
    assert torch.equal(again.omega, found.omega)


def test_expansion_is_that_of_the_loss(objective, deltas):
    """Moving one tensor a little changes the loss by both terms, to third order."""
    found = predictions(objective, None, deltas, samples=2)
    start = objective.value(objective.theta)
    for index, block in enumerate(block for block in objective.blocks if block.name in deltas):
        remainders = []
        for size in (1e-2, 5e-3):
            moved = objective.theta.clone()
            moved[block.slice] += size * deltas[block.name].flatten()
            change = float(objective.value(moved) - start)
            remainders.append(change - size * float(found.gradient[index]) - size**2 * float(found.curvature[index]))
        assert remainders[0] / remainders[1] == pytest.approx(8, rel=0.05)


def test_the_point_counts(objective, deltas):
    here, there = (predictions(objective, theta, deltas, samples=2) for theta in (None, 2 * objective.theta))
    assert not torch.allclose(here.curvature, there.curvature)


def test_many_tensors_go_a_few_at_a_time():
    model = nn.Sequential(*[nn.Linear(2, 2) for _ in range(11)])
    data, strategy = (torch.randn(4, 2), torch.tensor([0, 1, 0, 1])), "loop;retained,examples=4"
    made = Objective(model, data, device="cpu", strategy=strategy)
    deltas = {name: torch.ones_like(p) for name, p in model.named_parameters() if p.ndim == 2}
    found = predictions(made, None, deltas, samples=2)
    for index, name in enumerate(deltas):
        alone = predictions(made, None, {name: deltas[name]}, samples=2)
        assert found.curvature[index] == pytest.approx(float(alone.curvature), rel=1e-4)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda o: block_traces(o, None, ["nope"]), "'nope'"),
        (lambda o: block_traces(o, None, []), "at least one tensor"),
        (lambda o: block_traces(o, None, NAMES, samples=1), "at least 2 samples, got 1"),
        (lambda o: predictions(o, None, {"0.weight": torch.zeros(3)}), "20 numbers for '0.weight', got 3"),
        (
            lambda o: predictions(
                o, None, {"0.weight": torch.zeros(5, 4)}, traces=block_traces(o, None, ["2.weight"], samples=2)
            ),
            "those of 2.weight",
        ),
    ],
)
def test_refused(objective, ask, words):
    with pytest.raises(ValueError, match=words):
        ask(objective)
