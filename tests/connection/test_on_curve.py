"""A network on a curve against plain modules and loops in float64, and the pace against the curve's own length."""

from __future__ import annotations

import copy
from math import comb

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from landscape.connection.on_curve import OnCurve
from landscape.curves import Curve

SHAPES = [("bezier", 1), ("bezier", 2), ("bezier", 5), ("chain", 1), ("chain", 3)]


def mixed(shape, count, t):
    """Weights of control points, by the definitions."""
    if shape == "bezier":
        n = count - 1
        return [comb(n, j) * t**j * (1 - t) ** (n - j) for j in range(count)]
    return [np.interp(t, np.linspace(0, 1, count), np.eye(count)[j]) for j in range(count)]


def crooked(objective, shape, bends, seed=0):
    """A curve through random points around a network."""
    generator = torch.Generator().manual_seed(seed)
    away = 0.3 * torch.randn(bends + 2, objective.dim, generator=generator, dtype=torch.float64)
    return Curve(shape, objective.theta + away)


@pytest.mark.parametrize(("shape", "bends"), SHAPES)
def test_gradient_of_the_bends_is_that_of_the_network_times_their_weights(family, shape, bends):
    model, objective = family
    curve = crooked(objective, shape, bends)
    inputs, targets = next(iter(objective.examples.values())).segments[0]
    on = OnCurve(objective.network, curve).train()
    for t in (0.0, 0.37, 0.8):
        on.t, on.bends.grad = torch.tensor(t, dtype=torch.float64), None
        torch.manual_seed(7)
        loss = functional.cross_entropy(on(inputs), targets)
        loss.backward()

        mix = mixed(shape, bends + 2, t)
        point = sum(weight * row for weight, row in zip(mix, curve.points, strict=True))
        plain = copy.deepcopy(model).train()
        named = dict(plain.named_parameters())
        with torch.no_grad():
            for name, value in objective.unpack(point).items():
                named[name].copy_(value)
        torch.manual_seed(7)
        expected = functional.cross_entropy(plain(inputs), targets)
        expected.backward()
        gradient = torch.cat([named[block.name].grad.flatten() for block in objective.blocks])

        assert on.bends.grad is not None
        torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
        wanted = torch.stack([weight * gradient for weight in mix[1:-1]])
        torch.testing.assert_close(on.bends.grad, wanted, rtol=1e-9, atol=1e-14)


def test_only_the_parameters_of_the_objective_are_on_the_curve(family):
    from landscape.objective import Objective

    model, whole = family
    last = list(dict(model.named_parameters()))[-1]
    objective = Objective(
        model, next(iter(whole.examples.values())).segments[0], parameters=last, precision="float64", device="cpu",
        batchnorm=whole.batchnorm,
    )  # fmt: skip
    on = OnCurve(objective.network, crooked(objective, "bezier", 2))
    assert on.bends.shape == (2, dict(model.named_parameters())[last].numel())
    assert [name for name, p in on.named_parameters() if p.requires_grad] == ["bends"]
    assert list(on.named(on.point())) == [last]


@pytest.mark.parametrize(("shape", "bends"), SHAPES)
def test_points_are_those_of_the_curve(family, shape, bends):
    _, objective = family
    curve = crooked(objective, shape, bends)
    on = OnCurve(objective.network, curve)
    for t in (0.0, 0.2, 0.5, 1.0):
        on.t = torch.tensor(t, dtype=torch.float64)
        torch.testing.assert_close(on.point(), curve(t), rtol=1e-13, atol=1e-14)
    assert torch.equal(on.curve().points, curve.points)


def bent(shape, bends, dtype=torch.float64):
    """A network of three weights on a crooked curve."""
    from landscape.engine.network import Network

    network = Network(nn.Linear(3, 1, bias=False), "*", dtype, torch.device("cpu"))
    random = np.random.default_rng(bends)
    line = np.linspace(0, 4, bends + 2)[:, None] * np.array([1.0, 0.5, 0.0])  # bends away from a line, without a cusp
    points = torch.from_numpy(line + 0.5 * random.standard_normal((bends + 2, 3)))
    return OnCurve(network, Curve(shape, points)), Curve(shape, points)


def pace_at(on, t):
    on.t = torch.tensor(float(t), dtype=torch.float64)
    return on.pace()


def number(tensor):
    return float(tensor.detach())


@pytest.mark.parametrize(("shape", "bends"), SHAPES)
def test_pace_is_speed_over_mean_speed(shape, bends):
    on, curve = bent(shape, bends)
    for t in (0.0, 0.11, 0.4, 0.77, 1.0):
        wanted = float(curve.speed(t)) / curve.length
        assert number(pace_at(on, t)) == pytest.approx(wanted, rel=1e-4 if shape == "bezier" else 1e-13)


@pytest.mark.parametrize(("shape", "bends"), SHAPES)
def test_pace_has_the_gradient_of_finite_differences(shape, bends):
    on, _ = bent(shape, bends)
    (found,) = torch.autograd.grad(pace_at(on, 0.3), on.bends)
    wanted, step = torch.zeros_like(found), 1e-6
    for index in np.ndindex(*found.shape):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                on.bends[index] += sign * step
            values.append(number(pace_at(on, 0.3)))
            with torch.no_grad():
                on.bends[index] -= sign * step
        wanted[index] = (values[0] - values[1]) / (2 * step)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("shape", "bends"), SHAPES)
def test_mean_of_the_pace_is_one(shape, bends):
    on, _ = bent(shape, bends)
    pieces = 1 if shape == "bezier" else bends + 1
    nodes, shares = np.polynomial.legendre.leggauss(60)
    mean = sum(
        share / (2 * pieces) * number(pace_at(on, (k + (node + 1) / 2) / pieces))
        for k in range(pieces)
        for node, share in zip(nodes, shares, strict=True)
    )
    assert mean == pytest.approx(1, rel=1e-4 if shape == "bezier" else 1e-13)


def test_pace_of_a_straight_curve_is_one_and_autocast_leaves_it_alone():
    on, curve = bent("bezier", 2, torch.float32)
    exact = pace_at(on, 0.2)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(on.pace(), exact)
    straight = torch.lerp(curve.points[:1], curve.points[-1:], torch.linspace(0, 1, 4, dtype=torch.float64)[:, None])
    with torch.no_grad():
        on.bends.copy_(straight[1:-1])
    assert number(pace_at(on, 0.2)) == pytest.approx(1, rel=1e-6)


def test_a_copy_of_a_network_that_refits_normalizes_by_the_batch():
    from landscape.objective import Objective

    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).double()
    x, y = torch.randn(9, 4, dtype=torch.float64), torch.arange(9) % 3
    before = copy.deepcopy(model.state_dict())
    objective = Objective(model, (x, y), precision="float64", batchnorm="refit", device="cpu")
    on = OnCurve(objective.network, Curve("chain", torch.stack([objective.theta] * 3))).train()
    torch.testing.assert_close(on(x).mean(0), model[1].bias.detach(), atol=1e-12, rtol=0)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert objective.network.norms[0][1].collected is None
