"""Curves trained where the answer is known, and what training promises: ends, seeds, interruptions, refusals."""

from __future__ import annotations

import copy
import math
import signal
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from torch import nn

from landscape.connection.on_curve import OnCurve
from landscape.connection.training import expected, trained
from landscape.curves import Curve, straight
from landscape.objective import Objective
from landscape.train.batches import Batch
from landscape.train.clock import Clock
from landscape.train.fit import Diverged
from landscape.train.settings import Settings
from landscape.train.streams import Streams

QUICK = Settings(epochs=3, batch_size=16, lr=0.05, weight_decay=5e-4, seed=1)
TINY = torch.finfo(torch.float64).eps
NOTHING = Batch(torch.zeros(1, 1), torch.zeros(1, 1)), Clock(1, 1)


def begun(network, bends=2, shape="bezier"):
    objective, end = network
    return straight(shape, objective.theta, end, bends)


def mean_loss(curve):
    """Expected loss of the ring along a curve, by quadrature."""
    nodes, shares = np.polynomial.legendre.leggauss(60)
    points = curve(torch.from_numpy((nodes + 1) / 2))
    return float((torch.from_numpy(shares / 2) * ((points**2).sum(-1) - 1) ** 2).sum())


def on_the_ring(angle):
    """Best height of the one bend of a Bezier curve between (c, s) and (-c, s), and its expected and highest loss.

    With u = (1 - 2 t)^2 the curve is (c (1 - 2 t), s (1 + u) / 2 + h (1 - u) / 2).
    """
    c, s = math.cos(angle), math.sin(angle)

    def loss(t, h):
        u = (1 - 2 * t) ** 2
        return (c * c * u + (s * (1 + u) / 2 + h * (1 - u) / 2) ** 2 - 1) ** 2

    def mean(h):
        return quad(loss, 0, 1, args=(h,))[0]

    best: Any = minimize_scalar(mean, bounds=(0.5, 4), method="bounded", options={"xatol": 1e-10})
    return best.x, best.fun, max(loss(t, best.x) for t in np.linspace(0, 1, 101))


def test_a_curve_leaves_the_segment_for_the_valley(ring):
    """The segment climbs to nearly 1; the best parabola is known, and more bends are at least as good as it is."""
    objective, end = ring
    settings = Settings(epochs=150, batch_size=1, lr=0.05, weight_decay=0.0)
    height, mean, highest = on_the_ring(math.radians(5))
    segment = straight("bezier", objective.theta, end, 1)
    assert mean_loss(segment) > 0.5
    one = trained(objective, segment, settings).curve
    torch.testing.assert_close(one.points[1], torch.tensor([0.0, height]).double(), atol=0.1, rtol=0)
    assert mean_loss(one) == pytest.approx(mean, rel=0.05)
    many = trained(objective, straight("bezier", objective.theta, end, 4), settings).curve
    assert mean_loss(many) < mean
    t = torch.linspace(0, 1, 61, dtype=torch.float64)
    losses = ((many(t) ** 2).sum(-1) - 1) ** 2
    assert float(losses.max()) < highest < 1 / 16 < 0.9 < float(((segment(t) ** 2).sum(-1) - 1).square().max())


def expectation(objective, curve, sampling, decay):
    """Expected objective along a curve and its gradient by the bends: a quadrature over t of what training samples."""
    on = OnCurve(objective.network, curve)
    goal = expected(lambda model, batch, clock: model(batch.inputs)[0, 0] ** 2, sampling, decay)
    nodes, shares = np.polynomial.legendre.leggauss(40)
    total = torch.zeros((), dtype=torch.float64)
    for node, share in zip(nodes, shares, strict=True):
        on.t = torch.tensor((node + 1) / 2)
        total = total + share / 2 * goal(on, *NOTHING)
    (gradient,) = torch.autograd.grad(total, on.bends)
    return float(total.detach()), gradient


def by_arc(curve, decay):
    """Mean over arc length of the ring's loss and of the penalty, by quadrature over t with the speed as density."""

    def inside(t):
        square = float((curve(t) ** 2).sum())
        return ((square - 1) ** 2 + decay / 2 * square) * float(curve.speed(t))

    return quad(inside, 0, 1, epsabs=0, epsrel=1e-11)[0] / curve.length


def test_sampling_by_arc_has_the_gradient_of_the_mean_over_arc_length(ring):
    objective, end = ring
    points = torch.stack([objective.theta, torch.tensor([0.7, 1.1]).double(), end])
    decay, step = 0.3, 1e-5
    value, gradient = expectation(objective, Curve("bezier", points), "arc", decay)
    assert value == pytest.approx(by_arc(Curve("bezier", points), decay), rel=1e-6)
    for k in range(2):
        moved = torch.zeros_like(points)
        moved[1, k] = step
        difference = by_arc(Curve("bezier", points + moved), decay) - by_arc(Curve("bezier", points - moved), decay)
        assert float(gradient[0, k]) == pytest.approx(difference / (2 * step), rel=1e-4)
    assert value != pytest.approx(expectation(objective, Curve("bezier", points), "t", decay)[0], rel=1e-3)


@pytest.mark.parametrize("shape", ["bezier", "chain"])
def test_weight_decay_is_that_of_the_point(ring, shape):
    objective, end = ring
    on = OnCurve(objective.network, Curve(shape, torch.stack([objective.theta, end + 1, end])))
    on.t = torch.tensor(0.3, dtype=torch.float64)
    goal = expected(lambda model, batch, clock: torch.zeros((), dtype=torch.float64), "t", 0.25)
    value = goal(on, *NOTHING)
    (gradient,) = torch.autograd.grad(value, on.bends)
    weight, point = float(on.curve().weights(on.t)[1]), on.point().detach()
    assert float(value.detach()) == pytest.approx(0.125 * float((point**2).sum()), rel=4 * TINY)
    torch.testing.assert_close(gradient[0], 0.25 * weight * point, rtol=4 * TINY, atol=0)


@pytest.mark.parametrize("shape", ["bezier", "chain"])
@pytest.mark.parametrize("sampling", ["t", "arc"])
def test_ends_stay_bit_for_bit_and_nothing_of_the_caller_moves(network, shape, sampling):
    objective, end = network
    state, chance = copy.deepcopy(objective.network.model.state_dict()), torch.get_rng_state()
    theta, curve = objective.theta.clone(), begun(network, shape=shape)
    points = curve.points.clone()
    found = trained(objective, curve, QUICK, sampling=sampling).curve
    assert torch.equal(found.points[0], theta)
    assert torch.equal(found.points[-1], end)
    assert not torch.equal(found.points[1], points[1])
    assert torch.equal(curve.points, points)
    assert torch.equal(objective.theta, theta)
    assert torch.equal(torch.get_rng_state(), chance)
    assert all(torch.equal(state[name], tensor) for name, tensor in objective.network.model.state_dict().items())


def test_a_seed_is_a_curve(network):
    objective, _ = network
    one, same, other = (trained(objective, begun(network), Settings(epochs=2, seed=s)).curve for s in (1, 1, 2))
    assert torch.equal(one.points, same.points)
    assert not torch.equal(one.points, other.points)


@pytest.mark.parametrize("at", [1, 4, 7])
def test_an_interrupted_training_goes_on_bit_for_bit(network, tmp_path, at):
    objective, _ = network
    whole = trained(objective, begun(network), QUICK)

    def stop(done, total, told):
        assert total == 12
        if done == at:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trained(objective, begun(network), QUICK, resume=tmp_path / "kept", progress=stop)
    steps = []
    again = trained(
        objective, begun(network), QUICK, resume=tmp_path / "kept", progress=lambda done, *_: steps.append(done)
    )
    assert steps == list(range(at + 1, 13))
    assert torch.equal(again.curve.points, whole.curve.points)
    assert again.history == whole.history
    steps.clear()
    trained(objective, begun(network), QUICK, resume=tmp_path / "kept", progress=lambda done, *_: steps.append(done))
    assert steps == []


def test_progress_tells_steps_and_loss(network):
    told = []
    trained(network[0], begun(network), QUICK, progress=lambda *now: told.append(now))
    assert [done for done, _, _ in told] == list(range(13))
    assert "loss" in told[-1][2]


def test_a_training_that_diverges_keeps_nothing(network, tmp_path):
    settings = Settings(epochs=2, lr=1e20, batch_size=16)
    with pytest.raises(Diverged, match="finite loss"):
        trained(network[0], begun(network), settings, resume=tmp_path / "kept")
    assert list(tmp_path.iterdir()) == []


def test_a_bounded_gradient_moves_the_bends_no_further(network):
    settings = Settings(epochs=1, batch_size=60, lr=0.5, momentum=0.0, clip=0.01)
    curve = begun(network)
    moved = trained(network[0], curve, settings).curve.points - curve.points
    assert float(moved.norm()) == pytest.approx(0.005, rel=1e-3)


def test_no_epochs_leave_the_curve_as_it_is(network):
    curve = begun(network)
    found = trained(network[0], curve, Settings(epochs=0))
    assert torch.equal(found.curve.points, curve.points)
    assert found.history == []


def test_a_last_batch_of_one_example_is_refused_before_training(network):
    with pytest.raises(ValueError, match="batches of two examples or more"):
        trained(network[0], begun(network), Settings(epochs=1, batch_size=59))


def test_what_cannot_be_trained_is_refused(network):
    objective, end = network
    with pytest.raises(ValueError, match="sampling among t, arc, got 'length'"):
        trained(objective, begun(network), QUICK, sampling="length")
    with pytest.raises(ValueError, match="give 1 bend or more"):
        trained(objective, begun(network, bends=0), QUICK)
    with pytest.raises(ValueError, match="Expected images to augment"):
        trained(objective, begun(network), Settings(epochs=1, augment="flip"))


def tokens():
    from landscape.models.gpt import gpt

    data = torch.randint(0, 5, (12, 6))
    return gpt(depth=1, width=4, heads=2, classes=5, shape=(6,)), (data, data.roll(-1, 1)), "cross_entropy"


def numbers():
    return nn.Linear(3, 2), (torch.randn(12, 3), torch.randn(12, 2)), "mse"


def labels():
    return nn.Linear(3, 2), (torch.randn(12, 3), torch.randint(0, 2, (12, 2)).float()), "bce"


def own():
    return nn.Linear(3, 2), (torch.randn(12, 3), torch.randn(12, 2)), lambda out, y: (out - y).abs().sum(1)


def pictures():
    return nn.Conv2d(3, 4, 1), (torch.randn(12, 3, 4, 4), torch.randint(0, 4, (12, 4, 4))), "cross_entropy"


class Named(nn.Module):
    """A network that is called with keywords, as those of transformers are, and answers with an object."""

    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(7, 4), nn.Linear(4, 3)

    def forward(self, input_ids, attention_mask):
        mask = attention_mask[..., None]
        mean = (self.embedding(input_ids) * mask).sum(1) / mask.sum(1)
        return type("Output", (), {"logits": self.head(mean)})()


def keywords():
    ids, mask = torch.randint(0, 7, (12, 5)), torch.ones(12, 5)
    batches = [
        {"input_ids": ids[k:][:4], "attention_mask": mask[k:][:4], "labels": torch.arange(4) % 3} for k in (0, 4, 8)
    ]
    return Named(), batches, "cross_entropy"


def loader():
    data = torch.utils.data.TensorDataset(torch.randn(12, 3), torch.arange(12) % 2)
    return nn.Linear(3, 2), torch.utils.data.DataLoader(data, batch_size=5), "cross_entropy"


def pair():
    return nn.Bilinear(3, 2, 2), (torch.randn(12, 3), torch.randn(12, 2), torch.arange(12) % 2), "cross_entropy"


@pytest.mark.parametrize("make", [tokens, numbers, labels, own, pictures, keywords, loader, pair])
def test_the_first_step_is_the_objectives_own_gradient(make):
    """One step over all examples of a segment's curve moves the bend against c(t) times the gradient there."""
    model, data, loss = make()
    if make is pair:
        data = [data]
    objective = Objective(model, data, loss, device="cpu", precision="float64")
    end = objective.theta + 0.1 * torch.randn_like(objective.theta)
    curve = straight("bezier", objective.theta, end, 1)
    settings = Settings(epochs=1, batch_size=12, lr=0.1, momentum=0.0, weight_decay=0.0, schedule="constant")
    moved = (trained(objective, curve, settings).curve.points - curve.points)[1]
    t = torch.rand((), generator=Streams(0)["draw"], dtype=torch.float64)
    torch.testing.assert_close(moved, -0.1 * 2 * t * (1 - t) * objective.gradient(curve(t)), rtol=1e-9, atol=1e-12)


def test_groups_of_several_shapes_are_refused():
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(2))
    model(torch.zeros(1, 4))
    batches = [(torch.randn(4, n, 4 // n), torch.arange(4) % 2) for n in (2, 4)]
    objective = Objective(model, batches, device="cpu")
    with pytest.raises(ValueError, match="got 2 groups of several: pad them"):
        trained(objective, straight("bezier", objective.theta, objective.theta + 1, 1), QUICK)


@pytest.mark.parametrize("precision", ["float32", "float64", "bfloat16", "tf32"])
@pytest.mark.parametrize("sampling", ["t", "arc"])
def test_precisions(network, precision, sampling):
    objective, end = network
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))
    data = next(iter(objective.examples.values())).segments[0]
    other = Objective(model, data, batchnorm="refit", precision=precision, device="cpu")
    curve = straight("bezier", other.theta, other.theta + 0.5, 2)
    found = trained(other, curve, QUICK, sampling=sampling).curve
    assert found.points.dtype == (torch.float64 if precision == "float64" else torch.float32)
    assert found.points.isfinite().all()
    if precision == "bfloat16":
        exact = Objective(model, data, batchnorm="refit", device="cpu")
        wanted = trained(exact, curve, QUICK, sampling=sampling).curve
        moved, rounded = wanted.points - curve.points, found.points - wanted.points
        assert 0 < float(rounded.norm()) < 0.1 * float(moved.norm())


def test_a_curve_is_trained_in_inference_mode_too(network):
    wanted = trained(network[0], begun(network), QUICK).curve.points
    with torch.inference_mode():
        found = trained(network[0], begun(network), QUICK).curve.points
    assert torch.equal(found.clone(), wanted)


def test_augmentation_and_adam():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))
    data = torch.randint(0, 256, (16, 3, 8, 8), dtype=torch.uint8), torch.arange(16) % 2
    objective = Objective(model, data, device="cpu")
    curve = straight("chain", objective.theta, objective.theta + 0.01, 1)
    settings = {"epochs": 2, "batch_size": 8, "optimizer": "adamw", "weight_decay": 0.0}
    plain, augmented = (trained(objective, curve, Settings(**settings, augment=a)).curve for a in ("", "crop=1,flip"))
    assert not torch.equal(plain.points, augmented.points)
    assert not torch.equal(plain.points, curve.points)
