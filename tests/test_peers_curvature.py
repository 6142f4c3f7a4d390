"""Bugs that were found by running other curvature tools, each as a test of the right answer on the same input.

The numbers are those of our survey of peers: PyHessian 0.1, hessian-eigenthings 1.0, curvlinops 3.0. Each docstring
says what they do wrong. Where a peer is installed its error is shown too, after ours was checked: `still` skips the
rest if it is gone.
"""

import copy
import math

import pyhessian
import pytest
import torch
from pyhessian.utils import normalization
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from landscape import Objective, operators
from landscape.density import stochastic_quadrature
from landscape.eigenpairs import eigenpairs
from landscape.krylov import lanczos, ritz
from landscape.models.resnet import resnet
from landscape.traces import hutchinson

SEEDS = 200
TOLERANCE = 0.05
CLOSE = 1e-3  # relative distance within which two Ritz values are one eigenvalue
PEERS_WARN = pytest.mark.filterwarnings("ignore")  # of deprecated functions, and of the cycles that they leave


def perceptron(activation=nn.ReLU):
    """184 parameters, the network of the survey."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(10, 12), activation(), nn.Linear(12, 4))


def examples(count=96):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(count, 10, dtype=torch.float64, generator=generator)
    return inputs, torch.randint(4, (count,), generator=generator)


def objective(model=None, data=None, loss="cross_entropy", precision="float64"):
    return Objective(model or perceptron(), data or examples(), loss, precision=precision, device="cpu")


def dense(activation=nn.ReLU):
    """The Hessian of the perceptron, (184, 184), float64, by autograd alone."""
    model, (inputs, targets) = perceptron(activation).double(), examples()
    sizes = [p.numel() for p in model.parameters()]

    def mean(theta):
        parts = zip(model.named_parameters(), theta.split(sizes), strict=True)
        return cross_entropy(functional_call(model, {n: v.view_as(p) for (n, p), v in parts}, (inputs,)), targets)

    return torch.autograd.functional.hessian(mean, nn.utils.parameters_to_vector(model.parameters()).detach())


@pytest.fixture(scope="module", name="exact")
def _exact():
    return dense()


def quadratic(eigenvalues, sign=1.0, turn=False):
    """A linear map whose mean loss has a Hessian of prescribed eigenvalues: model, data and criterion, in float32."""
    dim = len(eigenvalues)
    inputs = torch.diag((dim * eigenvalues).sqrt())
    if turn:
        inputs = inputs @ torch.linalg.qr(torch.randn(dim, dim, generator=torch.Generator().manual_seed(2))).Q
    model = nn.Linear(dim, 1, bias=False)

    def criterion(outputs, targets):
        return sign * 0.5 * ((outputs - targets) ** 2).mean()

    def each(outputs, targets):
        return sign * 0.5 * (outputs - targets)[:, 0] ** 2

    return model, (inputs, torch.zeros(dim, 1)), criterion, each


def their(model, data, criterion=cross_entropy):
    """PyHessian on a copy of a model, in float32 on the CPU."""
    data = [part.float() if part.is_floating_point() else part for part in data]
    return pyhessian.hessian(copy.deepcopy(model).float(), criterion, data=tuple(data), cuda=False)


def still(wrong, what):
    """Skip the rest where a peer no longer errs: ours has been checked by then."""
    if not wrong:
        pytest.skip(f"no longer true of the peer: {what}")


@PEERS_WARN
def test_pyhessian_1_density_runs_and_has_real_weights(exact):
    """The density calls a function that torch removed; repaired, its weights are complex."""
    product = operators.hessian(objective())
    found = stochastic_quadrature(product, product.dim, steps=20, probes=40, like=product.like)
    assert found.weights.dtype == found.nodes.dtype == torch.float64
    assert (found.weights >= 0).all()
    torch.testing.assert_close(found.weights.sum(1), torch.ones(40, dtype=torch.float64))
    for power in (1, 2, 3):
        moment = found.trace(lambda nodes, power=power: nodes**power)
        assert abs(moment.value - float(torch.matrix_power(exact, power).trace())) < 4 * moment.standard_error
    with pytest.raises(RuntimeError, match="removed"):
        their(perceptron(), examples()).density(iter=5)


@PEERS_WARN
def test_pyhessian_2_a_negative_trace_does_not_stop_early():
    """The change is divided by the trace, not by its modulus: every negative trace stops at the second vector."""
    model, data, criterion, each = quadratic(torch.linspace(0.1, 1.9, 40), sign=-1.0, turn=True)
    product = operators.hessian(objective(model, data, each, "float32"))
    found = hutchinson(product, product.dim, probes=2000, tolerance=0.02, like=product.like)
    assert found.converged
    assert found.probes >= 8
    assert found.standard_error <= 0.02 * abs(found.value)
    assert abs(found.value + 40) < 4 * found.standard_error
    still(len(their(model, data, criterion).trace(maxIter=50, tol=1e-9)) == 2, "two vectors of a negative trace")


@PEERS_WARN
def test_pyhessian_3_the_trace_stops_on_its_error():
    """The rule is on the change from one vector to the next: as few as 2 vectors, true errors up to 94 % at 1e-3."""
    product = operators.hessian(objective())
    matrix = product(torch.eye(product.dim, dtype=torch.float64))  # our products, each made once
    truth = float(matrix.trace())
    found = [
        hutchinson(lambda rows: rows @ matrix, product.dim, probes=5000, tolerance=TOLERANCE, seed=seed, like=matrix)
        for seed in range(SEEDS)
    ]
    assert all(f.converged and f.standard_error <= TOLERANCE * abs(f.value) for f in found)
    scores = torch.tensor([(f.value - truth) / f.standard_error for f in found])
    assert 0.85 < float((scores**2).mean().sqrt()) < 1.25  # stopping when the error looks small makes it look so
    assert float(scores.abs().max()) < 5
    low, high = zip(*(f.interval() for f in found), strict=True)
    assert 0.88 < sum(a <= truth <= b for a, b in zip(low, high, strict=True)) / SEEDS < 0.99
    peer, errors = their(perceptron(), examples()), []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        samples = peer.trace(tol=1e-3)
        errors.append(abs(sum(samples) / len(samples) - truth) / truth)
    still(max(errors) > 0.1, "errors of the trace beyond a hundred times the tolerance")


@pytest.mark.parametrize("scale", [1e-4, 1e-6])
def test_pyhessian_4_small_losses_have_the_same_relative_eigenvalues(scale, exact):
    """Vectors are divided by their length plus 1e-6: at a scale of 1e-6 the largest value is 26 % of the truth."""

    def scaled(outputs, targets):
        return scale * cross_entropy(outputs, targets, reduction="none")

    product = operators.hessian(objective(loss=scaled, precision="float32"))
    start = torch.randn(product.dim)
    values, _, _ = ritz(lanczos(product, start, 40))
    truth = scale * torch.linalg.eigvalsh(exact)
    assert float(values[-1]) == pytest.approx(float(truth[-1]), rel=1e-5)
    found = eigenpairs(product, product.dim, count=(3, 1), like=product.like)
    torch.testing.assert_close(found.values[:3], truth.flip(0)[:3], rtol=1e-5, atol=0)
    assert float(found.values[3]) == pytest.approx(float(truth[0]), rel=1e-4)
    assert found.converged.all()
    length = float(normalization([torch.tensor([scale])])[0])
    still(abs(length - 1) > 1e-3, "vectors of another length than one")


@PEERS_WARN
def test_pyhessian_5_eigenvalues_stop_on_residuals():
    """The rule is on the change from one step to the next: where eigenvalues are close it stops at once."""
    model, data, criterion, each = quadratic(torch.linspace(0.9, 1.0, 60))
    product = operators.hessian(objective(model, data, each, "float32"))
    found = eigenpairs(product, product.dim, count=1, tolerance=1e-3, space=20, like=product.like)
    assert found.converged.all()
    residual = float(torch.linalg.vector_norm(product(found.vectors)[0] - found.values[0] * found.vectors[0]))
    assert residual <= 1.01e-3 * float(found.values[0])
    assert abs(float(found.values[0]) - 1) <= 1e-3
    (value,), _ = their(model, data, criterion).eigenvalues(tol=1e-3)
    still(abs(value - 1) > 1e-2, "an error of ten times the tolerance")


class Spare(nn.Module):
    """A network with parameters that take no part."""

    def __init__(self):
        super().__init__()
        self.used, self.unused = perceptron(), nn.Linear(3, 2)

    def forward(self, inputs):
        return self.used(inputs)


@PEERS_WARN
def test_pyhessian_6_parameters_that_take_no_part_have_no_curvature(exact):
    """A gradient that is missing is replaced by a number, which is no tensor."""
    product = operators.hessian(objective(Spare()))
    matrix = product(torch.eye(product.dim, dtype=torch.float64))
    torch.testing.assert_close(matrix[:184, :184], exact, rtol=1e-10, atol=1e-12)
    assert not matrix[184:].any()
    assert not matrix[:, 184:].any()
    found = eigenpairs(product, product.dim, count=(1, 1), like=product.like)
    ends = torch.linalg.eigvalsh(exact)[[-1, 0]]
    torch.testing.assert_close(found.values, ends, rtol=1e-6, atol=1e-8)
    with pytest.raises(AssertionError, match="torch.Tensor"):
        their(Spare(), examples()).eigenvalues()


@PEERS_WARN
def test_pyhessian_7_the_users_model_is_left_as_it_was():
    """Gradients are left behind with their graph, and evaluation mode; without a GPU the default fails."""
    model = nn.Sequential(*perceptron(), nn.Dropout(0.5)).train()
    model[0].bias.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    curved = Objective(model, examples())  # device: what there is
    product = operators.hessian(curved)
    eigenpairs(product, product.dim, count=(1, 1), like=product.like)
    hutchinson(operators.gauss_newton(curved), product.dim, probes=4, like=product.like)
    assert all(p.grad is None for p in model.parameters())
    assert [p.requires_grad for p in model.parameters()] == [True, False, True, True]
    assert all(module.training for module in model.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(p.grad_fn for p in model.parameters())
    peer = their(model, examples())
    still(not peer.model.training, "evaluation mode is left behind")
    still(any(p.grad is not None and p.grad.grad_fn for p in peer.model.parameters()), "gradients with graphs")


@pytest.mark.parametrize("momentum", [0.05, 0.2])
def test_eigenthings_1_eigenvalues_are_those_of_the_operator_alone(momentum, exact):
    """The Rayleigh quotient is taken of what momentum changed: lambda - beta exactly, said to have converged."""
    product = operators.hessian(objective())
    before = torch.randn(product.dim, dtype=torch.float64)
    first = eigenpairs(product, product.dim, count=1, like=product.like)
    start = first.vectors[0] - momentum * before / torch.linalg.vector_norm(before)  # as momentum disturbs it
    found = eigenpairs(product, product.dim, count=1, start=start)
    assert float(found.values[0]) == pytest.approx(float(torch.linalg.eigvalsh(exact)[-1]), rel=1e-7)
    quotient = found.vectors[0] @ exact @ found.vectors[0] / (found.vectors[0] @ found.vectors[0])
    assert float(found.values[0]) == pytest.approx(float(quotient), rel=1e-12)


def test_eigenthings_2_unequal_batches_weigh_by_their_examples(exact):
    """Batches of 64 and 32 count alike: products are off by 27 %."""
    data = TensorDataset(*examples())
    whole = objective(data=DataLoader(data, batch_size=64))
    vector = torch.randn(whole.dim, dtype=torch.float64)
    found = whole.hvp(whole.theta, vector)
    torch.testing.assert_close(found, exact @ vector, rtol=1e-10, atol=1e-12)
    inputs, targets = examples()
    parts = [objective(data=(inputs[at], targets[at])) for at in (slice(64), slice(64, 96))]
    alike = sum(part.hvp(part.theta, vector) for part in parts) / 2
    weighed = sum(part.size * part.hvp(part.theta, vector) for part in parts) / 96
    torch.testing.assert_close(found, weighed, rtol=1e-10, atol=1e-12)
    assert relative(alike, found) > 0.05


def relative(found, truth):
    return float(torch.linalg.vector_norm(found - truth) / torch.linalg.vector_norm(truth))


def differences(curved, vector, step=5e-3):
    """Multiply by central differences of gradients, as they step: not measured by the vector's length."""
    ahead, behind = (curved.gradient(curved.theta + sign * step * vector) for sign in (1, -1))
    return (ahead - behind) / (2 * step)


def test_eigenthings_3_products_are_exact_where_differences_meet_kinks(exact):
    """Finite differences of a ReLU network's gradients are off by 192 %, those of a smooth one by 0.04 %."""
    generator = torch.Generator().manual_seed(0)
    vector = torch.randint(2, (184,), generator=generator) * 2.0 - 1
    curved = objective(precision="float32")
    truth = exact @ vector.double()
    assert relative(curved.hvp(curved.theta, vector), truth) < 1e-6
    assert relative(differences(curved, vector), truth) > 0.3
    smooth = objective(perceptron(nn.Tanh), precision="float32")
    assert relative(differences(smooth, vector), dense(nn.Tanh) @ vector.double()) < 0.01


def test_eigenthings_3_products_are_exact_for_unit_vectors_through_a_deep_network():
    """Finite differences along a unit vector are off by 26 % on a ResNet-20 of float32."""
    torch.manual_seed(0)
    model = resnet(8, width=4).eval()
    data = (torch.randn(16, 3, 16, 16), torch.randint(10, (16,)))
    curved, wide = (objective(model, data, precision=precision) for precision in ("float32", "float64"))
    vector = torch.randn(curved.dim)
    vector = vector / torch.linalg.vector_norm(vector)
    names, values = zip(*copy.deepcopy(model).double().named_parameters(), strict=True)
    buffers = {name: tensor.double() for name, tensor in model.named_buffers() if tensor.is_floating_point()}

    def mean(*parameters):
        weights = buffers | dict(zip(names, parameters, strict=True))
        return cross_entropy(functional_call(model, weights, (data[0].double(),)), data[1])

    parts = tuple(vector.double()[block.slice].view(block.shape) for block in wide.blocks)
    assert [block.name for block in wide.blocks] == list(names)
    _, truth = torch.autograd.functional.hvp(mean, values, parts)
    truth = torch.cat([part.flatten() for part in truth])
    assert relative(wide.hvp(wide.theta, vector), truth) < 1e-10
    assert relative(curved.hvp(curved.theta, vector), truth) < 1e-4
    assert relative(differences(curved, vector), truth) > 0.05


@pytest.mark.parametrize("seed", range(5))
def test_eigenthings_4_one_eigenvalue_is_right_by_default(seed, exact):
    """Asked for one eigenvalue, the default takes two steps: 0.188 where 0.557 is right."""
    product = operators.hessian(objective())
    found = eigenpairs(product, product.dim, count=1, seed=seed, like=product.like)
    assert found.converged.all()
    assert float(found.values[0]) == pytest.approx(float(torch.linalg.eigvalsh(exact)[-1]), rel=1e-6)


def test_eigenthings_5_gauss_newton_products_have_no_difference_in_them():
    """Jacobian products "by analysis" are finite differences: 1e-5 off where float32 leaves 1e-7."""
    narrow, wide = (objective(precision=precision) for precision in ("float32", "float64"))
    vector = torch.randn(wide.dim, dtype=torch.float64)
    found = narrow.ggnvp(narrow.theta, vector.float())
    assert relative(found, wide.ggnvp(wide.theta, vector)) < 1e-6


@PEERS_WARN
@pytest.mark.parametrize("steps", [60, 120])
def test_curvlinops_1_each_large_eigenvalue_is_found_once(steps, exact):
    """Without orthogonalization the largest eigenvalue comes three times in 60 steps, five times in 120."""
    product = operators.hessian(objective(precision="float32"))
    values, _, bounds = ritz(lanczos(product, torch.randn(product.dim), steps))
    truth = torch.linalg.eigvalsh(exact)
    assert len(values) == steps
    for largest in truth.flip(0)[:5]:
        assert int(((truth - largest).abs() < CLOSE * largest).sum()) == 1  # or the question would be another
        assert int(((values - largest).abs() < CLOSE * largest).sum()) == 1
    assert (bounds[-5:] < 1e-4 * truth[-1]).all()
    curvlinops = pytest.importorskip("curvlinops")
    from curvlinops.papyan2020traces.spectrum import fast_lanczos

    model, (inputs, targets) = perceptron(), examples()
    data = [(inputs.float(), targets)]
    operator = curvlinops.HessianLinearOperator(
        model, nn.CrossEntropyLoss(), list(model.parameters()), data, check_deterministic=False
    )
    ghosts, _ = fast_lanczos(operator, steps)
    still(int(((ghosts - truth[-1]).abs() < CLOSE * truth[-1]).sum()) > 1, "copies of the largest eigenvalue")


class Counting(nn.Sequential):
    """Counts the examples that it is shown, and those that are differentiated."""

    shown = 0
    differentiated = 0

    def forward(self, inputs):
        outputs = super().forward(inputs)
        Counting.shown += len(inputs)
        if outputs.requires_grad:
            Counting.differentiated += len(inputs)
        return outputs


def test_curvlinops_5_looking_whether_data_are_random_costs_no_gradient():
    """Making an operator costs a dozen gradients of all data."""
    Counting.shown = Counting.differentiated = 0
    curved = objective(Counting(*perceptron()), examples(2048))
    operators.hessian(curved)
    assert Counting.shown < math.ceil(0.5 * 2048)
    assert Counting.differentiated == 0
