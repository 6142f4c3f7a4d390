"""Batch-norm policies: theorems about the statistics, and twins of how they are pooled."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from landscape.engine.plan import Plan
from landscape.objective import Objective


def network():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3),
        nn.BatchNorm2d(4, affine=False),
        nn.Flatten(),
        nn.Linear(64, 6),
        nn.BatchNorm1d(6),
        nn.Linear(6, 3),
    )


def data(count=21):
    return torch.randn(count, 3, 8, 8, dtype=torch.float64), torch.randint(3, (count,))


def objective(batchnorm, batch_size=None, model=None, examples=None):
    return Objective(
        model or network(),
        examples or data(),
        batchnorm=batchnorm,
        batch_size=batch_size,
        precision="float64",
        device="cpu",
    )


def naive_refit(model, x, size):
    """Pool the inputs of each norm over all data, each batch normalized by itself on its way."""
    model = copy.deepcopy(model).double().train()
    seen = {}
    for layer in model.modules():
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            layer.register_forward_pre_hook(
                lambda m, args: seen.setdefault(m, []).append(args[0].movedim(1, 0).flatten(1).detach())
            )
    with torch.no_grad():
        for batch in x.split(size):
            model(batch)
    for layer, parts in seen.items():
        inputs = torch.cat(parts, dim=1)
        layer.running_mean.copy_(inputs.mean(1))
        layer.running_var.copy_(inputs.var(1, unbiased=True))
        layer._forward_pre_hooks.clear()
    return model.eval()


@pytest.mark.parametrize("size", [8, 20, 21])
def test_refit_equals_the_naive_twin(size):
    model, (x, y) = network(), data(23)
    f = objective("refit", size, model, (x, y))
    theta = f.theta + 0.1 * torch.randn(f.dim, dtype=torch.float64)
    moved = copy.deepcopy(model).double()
    torch.nn.utils.vector_to_parameters(theta, moved.parameters())
    with torch.no_grad():
        expected = functional.cross_entropy(naive_refit(moved, x, size)(x), y)
    torch.testing.assert_close(f.value(theta), expected, rtol=1e-12, atol=0)


def test_refit_with_one_whole_batch_is_train_mode_batch_norm_but_for_the_unbiased_variance():
    model, (x, y) = network(), data()
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    f = objective("refit", len(x), model, (x, y))
    f.value(f.theta)
    train = copy.deepcopy(model).double().train()
    for layer in train.modules():
        layer.momentum = 1.0  # the running statistics are then those of the last batch, with unbiased variance
    train(x)
    expected = [m for m in train.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    found = [m for _, m in f.network.norms]
    assert len(norms) == len(expected) == len(found) == 3
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.running_mean, other.running_mean, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(one.running_var, other.running_var, rtol=1e-12, atol=1e-14)


def test_batch_policy_with_one_whole_batch_is_train_mode():
    model, (x, y) = network(), data()
    train = copy.deepcopy(model).double().train()
    expected = functional.cross_entropy(train(x), y).detach()
    f = objective("batch", len(x), model, (x, y))
    torch.testing.assert_close(f.value(f.theta), expected, rtol=1e-12, atol=0)


def test_batch_policy_weighs_a_short_last_batch_by_its_examples():
    model, (x, y) = network(), data(21)
    train = copy.deepcopy(model).double().train()
    with torch.no_grad():
        each = torch.cat(
            [
                functional.cross_entropy(train(b), t, reduction="none")
                for b, t in zip(x.split(8), y.split(8), strict=True)
            ]
        )
    f = objective("batch", 8, model, (x, y))
    torch.testing.assert_close(f.value(f.theta), each.mean(), rtol=1e-12, atol=0)


def test_batches_are_those_of_the_data_loader():
    model, (x, y) = network(), data(21)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=8)
    assert objective("batch", None, model, loader).value(objective("batch", 8, model, (x, y)).theta) == objective(
        "batch", 8, model, (x, y)
    ).value(objective("batch", 8, model, (x, y)).theta)


def test_refit_at_one_point_leaves_no_trace_at_another():
    f = objective("refit", 8)
    points = f.theta + 0.3 * torch.randn(3, f.dim, dtype=torch.float64)
    apart = [float(f.value(point)) for point in points]
    assert apart == [float(f.value(point)) for point in points.flip(0)][::-1]


def test_refit_statistics_come_from_the_first_split():
    model, train, test = network(), data(), data(9)
    f = Objective(model, {"train": train, "test": test}, batchnorm="refit", precision="float64", device="cpu")
    with torch.no_grad():
        expected = functional.cross_entropy(naive_refit(model, train[0], 128)(test[0]), test[1])
    torch.testing.assert_close(
        torch.tensor(f.measure(f.theta).loss[1].item()).double(), expected.double(), rtol=1e-6, atol=0
    )
    assert f.restrict(0).measure(f.theta).loss[0] == pytest.approx(f.measure(f.theta).class_loss[0, 0], rel=1e-12)


@pytest.mark.parametrize("plan", [Plan(examples=8), Plan("vmap", 2, examples=8)])
def test_refit_statistics_come_from_a_reference_where_there_is_one(plan):
    model, (x, y), other = network(), data(23), data(19)
    f = Objective(
        model, (x, y), batchnorm="refit", reference=other, batch_size=8, precision="float64", device="cpu"
    )  # fmt: skip
    points = f.theta + 0.1 * torch.randn(2, f.dim, dtype=torch.float64)
    measured = f.measure(points, plan=plan).loss[0]
    for point, found in zip(points, measured, strict=True):
        moved = copy.deepcopy(model).double()
        torch.nn.utils.vector_to_parameters(point, moved.parameters())
        naive = naive_refit(moved, other[0], 8)
        loss = functional.cross_entropy(naive(x), y)
        assert found == pytest.approx(loss.item(), rel=1e-12)
        gradient = torch.autograd.grad(loss, list(naive.parameters()))
        torch.testing.assert_close(f.gradient(point), torch.cat([g.flatten() for g in gradient]), rtol=1e-9, atol=1e-13)
    whole = f.measure(points)
    assert whole.class_loss is not None
    assert f.restrict(0).measure(points).loss[0] == pytest.approx(whole.class_loss[0, 0], rel=1e-12)
    parts = f.split_by_class()
    shares = sum(part.size * part.measure(points).loss[0] for part in parts.values()) / f.size
    assert shares == pytest.approx(whole.loss[0], rel=1e-12)
    some = f.subset(9)
    kept = some.examples[some.splits[0]].segments[0]
    moved = copy.deepcopy(model).double()
    with torch.no_grad():
        expected = functional.cross_entropy(naive_refit(moved, other[0], 8)(kept[0]), kept[1])
    torch.testing.assert_close(some.value(f.theta), expected, rtol=1e-12, atol=0)


def test_a_reference_is_told_refused_or_needless():
    model, (x, y), other = network(), data(23), data(19)
    given = {"reference": other, "precision": "float64", "device": "cpu"}
    plain, f = objective("refit", None, model, (x, y)), Objective(model, (x, y), batchnorm="refit", **given)
    told = f.record()["reference"]
    assert told["examples"] == 19
    assert told["fingerprint"] == objective("frozen", None, model, other).record()["splits"]["train"]["fingerprint"]
    assert f.subset(5).record()["reference"] == told
    assert "reference" not in plain.record()
    for policy in ("frozen", "batch"):
        with pytest.raises(ValueError, match=f"no reference with batchnorm='{policy}', got one: leave it out, or use"):
            Objective(model, (x, y), batchnorm=policy, **given)
    with pytest.raises(ValueError, match="Expected inputs that Sequential takes, got inputs of shape"):
        Objective(model, (x, y), batchnorm="refit", reference=(torch.zeros(4, 2, 8, 8), torch.zeros(4)), device="cpu")
    bare = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    assert "reference" not in Objective(bare, (x, y), batchnorm="refit", **given).record()


def test_refit_gives_statistics_to_layers_that_kept_none():
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5, track_running_stats=False), nn.Linear(5, 3))
    x, y = torch.randn(30, 4, dtype=torch.float64), torch.randint(3, (30,))
    f = objective("refit", 30, model, (x, y))
    with torch.no_grad():
        hidden = model.double()[0](x)
        normal = (hidden - hidden.mean(0)) / (hidden.var(0) + 1e-5).sqrt() * model[1].weight + model[1].bias
        expected = functional.cross_entropy(model[2](normal), y)
    torch.testing.assert_close(f.value(f.theta), expected, rtol=1e-12, atol=0)


def test_running_statistics_are_not_perturbed():  # a peer adds directions to them: negative variances, NaN
    f = objective("frozen")
    assert f.dim == sum(p.numel() for p in network().parameters())
    assert not any("running" in block.name for block in f.blocks)
    before = {n: b.clone() for n, b in f.network.model.named_buffers()}
    values = f.value(f.theta + torch.randn(20, f.dim, dtype=torch.float64))
    assert values.isfinite().all()
    assert all(torch.equal(b, before[n]) for n, b in f.network.model.named_buffers())


def test_a_last_batch_that_batch_norm_cannot_normalize_is_refused_at_once():
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))
    with pytest.raises(ValueError, match="Expected batches of at least two examples"):
        Objective(model, (torch.randn(9, 4), torch.randint(3, (9,))), batchnorm="batch", batch_size=4, device="cpu")


def test_unknown_policy():
    with pytest.raises(ValueError, match="Expected a batch-norm policy among frozen, refit, batch, got 'train'"):
        objective("train")
    with pytest.raises(ValueError, match="batch size of at least 1, got 0"):
        objective("batch", 0)
