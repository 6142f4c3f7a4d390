"""One example at a time: twins by restricting the data to each example."""

import numpy as np
import pytest
import torch
from torch import nn

from landscape import examples
from landscape.objective import Objective
from landscape.paired import mean


def network(*, norm=False, seed=0):
    torch.manual_seed(seed)
    middle = [nn.BatchNorm1d(6)] if norm else []
    return nn.Sequential(nn.Linear(4, 6), *middle, nn.Tanh(), nn.Linear(6, 3)).double()


def data(count=23, seed=1):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    return inputs, torch.randint(0, 3, (count,), generator=generator)


def objective(model, pair, **options):
    return Objective(model, pair, precision="float64", device="cpu", **options)


@pytest.mark.parametrize("strategy", ["auto", "loop,examples=5"])
def test_losses_and_answers_of_examples(strategy):
    model, (x, y) = network(), data()
    found = examples.by_example(objective(model, (x, y), strategy=strategy), objective(model, (x, y)).theta)
    outputs = model(x).detach()
    np.testing.assert_allclose(found.loss, nn.functional.cross_entropy(outputs, y, reduction="none"), rtol=1e-12)
    np.testing.assert_array_equal(found.correct, (outputs.argmax(1) == y).double())
    np.testing.assert_array_equal(found.weight, np.ones(len(y)))


@pytest.mark.parametrize("policy", ["frozen", "refit"])
def test_examples_of_another_split_are_measured_as_the_objective_measures_it(policy):
    both = objective(network(norm=True), {"train": data(), "test": data(7, seed=2)}, batchnorm=policy)
    for split in (0, 1):
        found = examples.by_example(both, both.theta + 0.1, split)
        assert found.loss.mean() == pytest.approx(both.measure(both.theta + 0.1).loss[split], rel=1e-12)


@pytest.mark.parametrize("strategy", ["auto", "loop,examples=5"])
def test_curvature_of_examples_is_that_of_objectives_of_one(strategy):
    model, (x, y) = network(norm=True), data()
    whole = objective(model, (x, y), strategy=strategy)
    vectors = torch.randn(3, whole.dim, dtype=torch.float64)
    found = examples.curvature(whole, whole.theta, vectors)
    for n in range(len(y)):
        alone = objective(model, (x[n : n + 1], y[n : n + 1]))
        expected = (alone.hvp(alone.theta, vectors) * vectors).sum(1)
        torch.testing.assert_close(found[:, n], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("policy", ["frozen", "refit", "batch"])
def test_curvature_of_examples_adds_up_to_that_of_the_mean(policy):
    whole = objective(network(norm=True), data(), batchnorm=policy, batch_size=8)
    vectors = torch.randn(2, whole.dim, dtype=torch.float64)
    expected = (whole.hvp(whole.theta, vectors) * vectors).sum(1)
    torch.testing.assert_close(examples.curvature(whole, whole.theta, vectors).mean(1), expected, rtol=1e-9, atol=0)


def test_a_loss_without_curvature():
    whole = Objective(nn.Linear(3, 1), (torch.randn(5, 3), torch.randn(5, 1)), lambda o, t: (o - t)[:, 0], device="cpu")
    found = examples.curvature(whole, whole.theta, torch.ones(1, whole.dim))
    np.testing.assert_array_equal(found, np.zeros((1, 5)))


def test_pulled_back_are_mean_gradients_of_outputs():
    whole = objective(network(), data(), strategy="loop,examples=7")
    found = examples.pulled(whole, whole.theta, lambda outputs: torch.ones_like(outputs)[None])
    summed = Objective(network(), data(), lambda o, t: o.sum(1), precision="float64", device="cpu")
    torch.testing.assert_close(found[0], summed.gradient(summed.theta), rtol=1e-12, atol=1e-14)


def test_the_network_is_left_as_it_was():
    whole = objective(network(), data())
    before = whole.value(whole.theta)
    examples.curvature(whole, whole.theta + 1, torch.ones(1, whole.dim))
    examples.by_example(whole, whole.theta + 1)
    assert not any(p.requires_grad for p in whole.network.model.parameters())
    assert whole.value(whole.theta) == before


@pytest.mark.parametrize("strategy", ["auto", "loop,examples=5"])
@pytest.mark.parametrize("policy", ["frozen", "refit"])
def test_log_probabilities_are_those_of_every_split(policy, strategy):
    pairs = {"train": data(), "test": data(7, seed=2)}
    model = network(norm=policy == "refit")
    both = objective(model, pairs, batchnorm=policy, strategy=strategy)
    found = examples.log_probabilities(both, both.theta)
    if policy == "refit":
        norm = next(layer for layer in model if isinstance(layer, nn.BatchNorm1d))
        hidden = model[0](pairs["train"][0]).detach()
        norm.running_mean, norm.running_var = hidden.mean(0), hidden.var(0)
    for logs, (x, _) in zip(found, pairs.values(), strict=True):
        assert logs.dtype == np.float64
        np.testing.assert_allclose(logs, model.eval()(x).detach().log_softmax(1), rtol=1e-10)


def test_log_probabilities_are_float64_whatever_the_network_is():
    model, (x, y) = network().float(), data()
    found = examples.log_probabilities(Objective(model, (x.float(), y), device="cpu"), flat(model))
    np.testing.assert_allclose(np.exp(found[0]).sum(1), 1, rtol=1e-14)


def test_only_classifiers_of_whole_examples_have_log_probabilities():
    x, y = data()
    tokens = Objective(nn.Embedding(5, 3), (torch.arange(20).reshape(4, 5) % 5, torch.zeros(4, 5).long()), device="cpu")
    soft = Objective(network(), (x, torch.rand(len(y), 3).double()), precision="float64", device="cpu")
    other = objective(network(), (x, nn.functional.one_hot(y, 3).double()), loss="mse")
    for which, words in ((tokens, "one class an example"), (soft, "one class an example"), (other, "got mse")):
        with pytest.raises(ValueError, match=words):
            examples.log_probabilities(which, which.theta)


def flat(model):
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def test_answers_of_all_splits_in_one_pass():
    both = objective(network(norm=True), {"train": data(), "test": data(7, seed=2)}, batchnorm="refit")
    found = examples.answers(both, both.theta + 0.1)
    for split, one in enumerate(found):
        alone = examples.by_example(both, both.theta + 0.1, split)
        np.testing.assert_array_equal(one.loss, alone.loss)
        np.testing.assert_array_equal(one.correct, alone.correct)
    labels = [part.labels.numpy() for part in both.examples.values()]
    for one, right in zip(found, labels, strict=True):
        np.testing.assert_array_equal(np.concatenate(one.answer)[:, 0] == right, one.correct == 1)


def test_nan_agrees_with_no_class():
    whole = objective(network(), data())
    here, lost = (examples.answers(whole, theta)[0] for theta in (whole.theta, whole.theta * float("nan")))
    np.testing.assert_array_equal(lost.disagreement(here), np.ones(23))
    np.testing.assert_array_equal(here.disagreement(lost), np.ones(23))
    np.testing.assert_array_equal(here.disagreement(here), np.zeros(23))


def test_a_mean_over_numbers_beyond_all_squares_has_no_finite_error():
    found, error = mean(np.array([1e200, 0.0, 2.0]), np.ones(3))
    assert found == pytest.approx(1e200 / 3)
    assert np.isinf(error)
