"""The Gauss-Newton matrix of a classifier in parts: they add up, and each is what its definition says."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev

from landscape import operators
from landscape.decomposition import PARTS, decomposition
from landscape.objective import Objective


@pytest.fixture(params=[(0, 1, 2), (0, 2)], ids=["all classes", "a class without examples"])
def small(request):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    y = torch.tensor(request.param).repeat(20)[torch.randperm(20 * len(request.param))][:31]
    return Objective(model, (torch.randn(31, 4).double(), y), precision="float64", device="cpu")


def dense(product, dim):
    return product(torch.eye(dim, dtype=torch.float64))


def vectors(objective):
    """Every sqrt(p_m) J'(e_m - p), example by example: (N, M, D)."""
    model = objective.network.model
    (inputs, _), = objective.examples[objective.splits[0]].segments

    def outputs(theta, one):
        return functional_call(model, objective.unpack(theta), one[None])[0]

    found = []
    for one in inputs:
        jacobian, chance = jacrev(outputs)(objective.theta, one), outputs(objective.theta, one).softmax(0)
        found.append(chance.sqrt()[:, None] * ((torch.eye(3) - chance) @ jacobian))
    return torch.stack(found).detach()


def test_parts_add_up_to_the_gauss_newton_matrix(small):
    whole = operators.gauss_newton(small)
    found = decomposition(small)
    parts = [dense(found.product(part), small.dim) for part in ("G0", "G1", "G2")]
    within = dense(found.within(whole), small.dim)
    deltas = vectors(small)
    apart = torch.cat([deltas[small.labels == c] - deltas[small.labels == c].mean(0) for c in small.labels.unique()])
    expected = torch.einsum("nmi,nmj->ij", apart, apart) / small.size
    torch.testing.assert_close(within, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(sum(parts) + expected, dense(whole, small.dim), rtol=0, atol=1e-10)
    assert torch.linalg.eigvalsh(within).min() > -1e-12


def test_g1_and_g2_add_up_to_g12(small):
    found = decomposition(small)
    first, second, both = (dense(found.product(part), small.dim) for part in ("G1", "G2", "G1+2"))
    torch.testing.assert_close(first + second, both, rtol=0, atol=1e-12)


def test_means_are_those_of_the_definition(small):
    found, deltas = decomposition(small), vectors(small)
    for index, label in enumerate(found.labels):
        torch.testing.assert_close(found.means[index], deltas[small.labels == label].mean(0), rtol=1e-9, atol=1e-12)
        assert found.share[index] == (small.labels == label).double().mean()


@pytest.mark.parametrize("part", PARTS)
def test_eigenvalues_come_from_the_gram_matrix(small, part):
    found = decomposition(small)
    values = found.values(part)
    full = torch.linalg.eigvalsh(dense(found.product(part), small.dim)).flip(0)
    torch.testing.assert_close(values, full[: len(values)], rtol=0, atol=1e-12)
    assert (full[len(values) :].abs() < 1e-12).all()


def test_another_point(small):
    theta = small.theta + 0.1
    found = decomposition(small, theta)
    total = sum(dense(found.product(part), small.dim) for part in ("G0", "G1+2"))
    rest = dense(found.within(operators.gauss_newton(small, theta)), small.dim)
    assert torch.linalg.eigvalsh(rest).min() > -1e-12
    assert (total - sum(dense(decomposition(small).product(p), small.dim) for p in ("G0", "G1+2"))).abs().max() > 1e-4


def test_what_it_is_not_for(small):
    regression = Objective(nn.Linear(2, 1), (torch.randn(4, 2), torch.randn(4, 1)), "mse", device="cpu")
    with pytest.raises(ValueError, match="Expected cross entropy, of which the decomposition is, got mse"):
        decomposition(regression)
    soft = Objective(nn.Linear(2, 3), (torch.randn(4, 2), torch.randn(4, 3).softmax(1)), device="cpu")
    with pytest.raises(ValueError, match="Expected class indices as targets"):
        decomposition(soft)
    with pytest.raises(ValueError, match="Expected a part, one of G0, G1, G2, G1\\+2, got 'G3'"):
        decomposition(small).rows("G3")


def test_what_does_not_fit_memory_is_refused_beforehand(small, monkeypatch):
    monkeypatch.setattr("landscape.decomposition.free_memory", lambda where: 100)
    with pytest.raises(ValueError, match="room for C M D numbers"):
        decomposition(small)
