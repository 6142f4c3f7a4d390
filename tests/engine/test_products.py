"""Every strategy of multiplying gives the numbers of the dense matrix, and what is chosen is what is fastest."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.func import functional_call

from landscape import Objective, operators
from landscape.checkpoint import Spec, build
from landscape.engine import products
from landscape.engine.multiplier import Stopwatch
from landscape.engine.strategy import Demand, Strategy, choose

NETS = {
    "mlp": Spec("mlp", {"width": 5, "classes": 3, "shape": (1, 4, 4)}),
    "resnet": Spec("resnet", {"depth": 8, "width": 1, "classes": 3, "shape": (1, 4, 4)}),
    "vit": Spec("vit", {"depth": 1, "width": 4, "heads": 2, "patch": 2, "classes": 3, "shape": (1, 4, 4)}),
}
STRATEGIES = [
    "retained,examples=3",
    "retained,kept,examples=3",
    "retained,folded,kept,channels_last,examples=4",
    "batched,vectors=2,examples=3",
    "batched,folded,kept,vectors=4,examples=7",
    "forward,vectors=2,examples=3",
    "forward,folded,kept,vectors=3,examples=4",
]


def case(name, strategy="auto", **knobs):
    torch.manual_seed(3)
    model = build(NETS[name]).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(), module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 2), module.bias.data.normal_()
    x = torch.randn(7, *NETS[name].arguments["shape"], dtype=torch.float64)
    y = torch.tensor([0, 1, 2, 0, 1, 2, 2])
    return Objective(model, (x, y), precision="float64", device="cpu", strategy=strategy, **knobs)


@pytest.fixture(scope="module")
def plain():
    found = {}
    for name in NETS:
        objective = case(name)
        vectors = torch.randn(5, objective.dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        found[name] = vectors, {m: objective.multiplier(m, objective.theta)(vectors) for m in products.MATRICES}
    return found


@pytest.mark.parametrize("matrix", ["hessian", "gauss_newton", "fisher"])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", NETS)
def test_every_strategy_gives_the_same_products(name, strategy, matrix, plain):
    vectors, expected = plain[name]
    objective = case(name, strategy)
    multiply = objective.multiplier(matrix, objective.theta, expected=10)
    for _ in range(2):  # the second time from graphs that were kept
        torch.testing.assert_close(multiply(vectors), expected[matrix], rtol=1e-10, atol=1e-12)


def test_kept_graphs_stay_at_their_point_while_the_objective_moves_on():
    objective = case("resnet", "retained,folded,kept,examples=4")
    here, there = objective.theta, objective.theta + 0.1
    v = torch.randn(2, objective.dim, dtype=torch.float64)
    multiply = objective.multiplier("hessian", here, expected=10)
    first = multiply(v)
    objective.value(there), objective.gradient(there)
    other = objective.multiplier("hessian", there, expected=10)(v)
    assert torch.equal(multiply(v), first)
    assert not torch.allclose(other, first)


@pytest.mark.parametrize("policy", ["refit", "batch"])
def test_batch_norm_policies_keep_their_statistics(policy):
    knobs = {"batchnorm": policy, "batch_size": 4}
    kept, plain = (case("resnet", s, **knobs) for s in ("retained,kept,examples=4", "auto"))
    v = torch.randn(2, kept.dim, dtype=torch.float64)
    multiply = kept.multiplier("hessian", kept.theta, expected=10)
    multiply(v), kept.value(kept.theta + 0.3)
    torch.testing.assert_close(multiply(v), plain.hvp(plain.theta, v), rtol=1e-10, atol=1e-12)


def test_nothing_is_prepared_for_a_single_product():
    objective = case("mlp")
    several = Strategy("batched", 3, 4, kept=True)
    objective._runner.strategies["hessian", 1] = several
    assert objective.multiplier("hessian", objective.theta, expected=10).strategy() == several
    assert objective.multiplier("hessian", objective.theta).strategy() == replace(several, kept=False)


def test_batches_that_matter_are_not_cut_by_a_strategy():
    told, plain = (case("resnet", s, batchnorm="batch", batch_size=4) for s in ("retained,kept,examples=2", "auto"))
    v = torch.randn(2, plain.dim, dtype=torch.float64)
    operator = operators.hessian(told)
    torch.testing.assert_close(operator(v), plain.hvp(plain.theta, v), rtol=1e-10, atol=1e-12)
    assert operator.strategy == "retained,kept,examples=4"


def test_the_empirical_fisher_and_the_covariance_are_those_of_per_example_gradients():
    objective = case("mlp")
    model, (x, y) = objective.network.model, (objective.examples["train"].segments[0])

    def each(theta):
        outputs = functional_call(model, objective.unpack(theta), (x,))
        return nn.functional.cross_entropy(outputs, y, reduction="none")

    slopes = torch.autograd.functional.jacobian(each, objective.theta)
    v = torch.randn(3, objective.dim, dtype=torch.float64)
    second = slopes.T @ slopes / len(y)
    mean = slopes.mean(0)
    torch.testing.assert_close(operators.fisher(objective)(v), v @ second, rtol=1e-10, atol=1e-13)
    centered = second - mean[:, None] * mean
    torch.testing.assert_close(operators.gradient_covariance(objective)(v), v @ centered, rtol=1e-10, atol=1e-13)


def test_tokens_weigh_in_the_empirical_fisher():
    torch.manual_seed(0)
    model = build(Spec("gpt", {"depth": 1, "width": 4, "heads": 2, "classes": 5, "shape": (6,)})).double().eval()
    x, y = torch.randint(5, (4, 6)), torch.randint(5, (4, 6))
    y[0, 2:] = -100
    objective = Objective(model, (x, y), precision="float64", device="cpu")
    slopes = torch.stack([
        Objective(model, (x[i : i + 1], y[i : i + 1]), precision="float64", device="cpu").gradient(objective.theta)
        for i in range(4)
    ])
    w = (y != -100).sum(1).double() / (y != -100).sum()
    v = torch.randn(2, objective.dim, dtype=torch.float64)
    expected = v @ torch.einsum("n,ni,nj->ij", w, slopes, slopes)
    torch.testing.assert_close(operators.fisher(objective)(v), expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(("limit", "left"), [(0, 3), (10**9, 0)])
def test_graphs_are_kept_within_the_room(limit, left, monkeypatch):
    monkeypatch.setattr(products, "free_memory", lambda device: limit)
    objective = case("mlp", "retained,kept,examples=3")
    multiply = objective.multiplier("hessian", objective.theta, expected=10)
    expected = objective.hvp(objective.theta, objective.theta)
    built = []
    monkeypatch.setattr(products.Products, "_reverse", _counted(products.Products._reverse, built))
    multiply(objective.theta[None])
    assert len(built) == 3
    torch.testing.assert_close(multiply(objective.theta[None])[0], expected, rtol=1e-12, atol=1e-14)
    assert len(built) == 3 + left


def _counted(function, calls):
    def counted(*args):
        calls.append(args)
        return function(*args)

    return counted


def test_less_is_done_at_a_time_when_memory_runs_out(monkeypatch):
    objective = case("mlp", "retained,kept,examples=4")
    expected = case("mlp").hvp(objective.theta, objective.theta)
    whole = products.Products._reverse

    def short(self, inputs, targets):
        if len(targets) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return whole(self, inputs, targets)

    multiply = objective.multiplier("hessian", objective.theta, expected=10)
    multiply.network.theta = objective.theta
    monkeypatch.setattr(products.Products, "_reverse", short)
    torch.testing.assert_close(multiply(objective.theta[None])[0], expected, rtol=1e-12, atol=1e-14)
    assert str(multiply.used) == "retained,examples=2"


def test_what_is_fastest_is_chosen():
    seconds = {"retained": 1.0, "batched": 0.5, "forward": 2.0}
    tried = []

    def measured(s):
        tried.append(s)
        return seconds[s.kind] * (0.8 if s.channels_last else 1) * s.examples / 16

    demand = Demand(products=1000, width=8, share=0.1, device="cpu", images=True)
    found = choose(Strategy(examples=16, kept=True), measured, demand)
    assert found == Strategy("batched", examples=8, vectors=4, channels_last=True, kept=True)
    assert not any(s.compiled for s in tried)  # compiling would cost more than it saves
    long = choose(Strategy(examples=16), measured, replace(demand, products=10**6))
    assert any(s.compiled for s in tried)
    assert not long.compiled  # it was measured, and was slower


def test_nothing_else_is_tried_where_the_plain_way_fails():
    tried = []

    def measured(s):
        tried.append(s)
        return float("inf")

    start = Strategy(examples=16, kept=True)
    assert choose(start, measured, Demand(products=50, width=8, share=1.0, device="cpu", images=True)) == start
    assert tried == [start]


def test_a_strategy_that_answers_otherwise_or_fails_is_not_taken(monkeypatch):
    objective = case("mlp")
    multiply = objective.multiplier("hessian", objective.theta, expected=10)
    watch = Stopwatch(multiply, objective._resident[0], 2)
    assert watch.seconds(Strategy(examples=7)) < float("inf")
    honest = products.Products.__call__
    monkeypatch.setattr(products.Products, "__call__", lambda self, rows: 1.001 * honest(self, rows))
    assert watch.seconds(Strategy(examples=7, kept=True)) == float("inf")
    monkeypatch.setattr(products.Products, "__call__", lambda self, rows: 1 / 0)
    assert watch.seconds(Strategy(examples=7)) == float("inf")


@pytest.mark.parametrize("strategy", [
    Strategy(), Strategy("batched", 8, 16, kept=True), Strategy("forward", 8, 2, folded=True, compiled=True),
    Strategy(channels_last=True, kept=True, captured=True),
])  # fmt: skip
def test_text_and_back(strategy):
    assert Strategy.parse(str(strategy)) == replace(strategy, vectors=Strategy.parse(str(strategy)).vectors)
    assert strategy.fits()


@pytest.mark.parametrize("text", [
    "backward", "retained,compiled", "forward,kept,captured", "retained,captured", "retained,examples=0",
    "batched,vectors=x", "forward,quick",
])  # fmt: skip
def test_strategies_that_do_not_exist_are_refused(text):
    with pytest.raises(ValueError, match="Expected a strategy such as"):
        Strategy.parse(text)


def test_the_choice_is_made_once_for_all_points():
    objective = case("mlp")
    v = torch.randn(2, objective.dim, dtype=torch.float64)
    first = objective.multiplier("hessian", objective.theta, expected=100)
    second = objective.multiplier("hessian", objective.theta + 1, expected=100)
    first(v), second(v)
    assert first.used is second.used
    assert first.used.kept


@pytest.mark.parametrize("cut", [lambda rows: rows[0], lambda rows: rows[:, 1:], lambda rows: rows[:0]])
def test_operators_take_rows(cut):
    objective = case("mlp")
    with pytest.raises(ValueError, match=r"Expected vectors as rows \(K, 133\), at least one, got shape"):
        operators.hessian(objective)(cut(torch.eye(objective.dim, dtype=torch.float64)))


def test_scipy_finds_the_same_eigenvalues():
    from scipy.sparse.linalg import eigsh

    objective = case("mlp")
    operator = operators.hessian(objective)
    dense = operator(torch.eye(objective.dim, dtype=torch.float64))
    found = eigsh(operator.linear_operator(), k=3, which="LA", return_eigenvectors=False)
    torch.testing.assert_close(torch.from_numpy(found), torch.linalg.eigvalsh(dense)[-3:], rtol=1e-9, atol=1e-12)


def test_a_strategy_that_is_told_makes_the_same_bits():
    objective = case("resnet")
    v = torch.randn(3, objective.dim, dtype=torch.float64)
    first = operators.gradient_covariance(objective)
    found = first(v)
    second = operators.gradient_covariance(case("resnet").using(first.choose()))
    assert torch.equal(second(v), found)
    classes = operators.by_class(objective.using("batched,vectors=2,examples=3"))
    classes(torch.zeros(3, classes.dim, dtype=torch.float64))
    assert {one.strategy for one in classes.operators} == {"batched,vectors=2,examples=3"}
