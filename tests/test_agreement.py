"""Curvature agrees with independent implementations, within their own error: on small networks always, on a real one.

All 512 images are compared in `benchmarks/curvature.py`, which prints the agreement.
"""

import copy
import math
from dataclasses import replace

import pyhessian
import pytest
import torch
from pyhessian.utils import hessian_vector_product
from torch import nn

from landscape import Objective, operators, weights
from landscape.data.cifar10 import cifar10
from landscape.eigenpairs import eigenpairs
from landscape.engine.resident import Resident
from landscape.models.mlp import mlp
from landscape.models.resnet import resnet
from landscape.reading import read
from landscape.traces import hutchinson

pytestmark = pytest.mark.filterwarnings("ignore")  # peers use what is deprecated, and leave cycles behind

IMAGES = 32
PROBES = 6
NEVER = -math.inf  # PyHessian would stop at a negative mean whatever the tolerance


@pytest.fixture(name="double")
def _double():
    """The format in which PyHessian draws its vectors."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def residual(product, value, vector):
    """How far from an eigenpair a value and a vector (D,) are, by our product."""
    vector = vector / torch.linalg.vector_norm(vector)
    return float(torch.linalg.vector_norm(product(vector[None])[0] - value * vector))


def flat(parts):
    return torch.cat([part.detach().flatten() for part in parts])


def mean_and_error(samples):
    samples = torch.tensor(samples, dtype=torch.float64)
    return float(samples.mean()), float(samples.std()) / len(samples) ** 0.5


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("name", ["mlp", "resnet8"])
def test_small_networks_agree_with_pyhessian_to_rounding(name):
    model = mlp(width=6, classes=3, shape=(1, 4, 4)) if name == "mlp" else resnet(8, width=2, shape=(3, 8, 8))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(), module.running_var.uniform_(0.5, 2)
    shape, classes = ((1, 4, 4), 3) if name == "mlp" else ((3, 8, 8), 10)
    data = torch.randn(30, *shape), torch.randint(classes, (30,))
    peer = pyhessian.hessian(copy.deepcopy(model), nn.CrossEntropyLoss(), data=data, cuda=False)
    product = operators.hessian(Objective(model, data, precision="float64", device="cpu"))

    found = eigenpairs(product, product.dim, count=1, tolerance=1e-8, like=product.like)
    (value,), (vector,) = peer.eigenvalues(maxIter=3000, tol=1e-10)
    own = residual(product, value, flat(vector))
    assert abs(float(found.values[0]) - value) <= own + float(found.residuals[0])
    assert float(found.values[0]) == pytest.approx(value, rel=1e-5)

    torch.manual_seed(7)
    samples = peer.trace(maxIter=PROBES, tol=NEVER)
    torch.manual_seed(7)
    rows = torch.stack([flat(2 * torch.randint_like(p, high=2) - 1 for p in peer.params) for _ in range(PROBES)])
    assert (rows * product(rows)).sum(1).tolist() == pytest.approx(samples, rel=1e-9)


@pytest.fixture(scope="module", name="published")
def _published(shared):
    """The published ResNet-20, its data as tensors, our Hessian, and its largest eigenpair and trace."""
    path = shared / "checkpoints" / "resnet20-12fca82f.th"
    model = resnet(20)
    weights.fit(model, weights.state_dict(weights.read(path), path))
    split = cifar10(root=str(shared / "cifar10"), normalize="imagenet").split("test")
    split = replace(split, inputs=split.inputs[:IMAGES], targets=split.targets[:IMAGES])
    ((inputs, targets, _),) = Resident(read(split), torch.float32, torch.device("cpu"), 10).chunks(IMAGES)
    product = operators.hessian(Objective(model, split, device="cpu"))
    found = eigenpairs(product, product.dim, count=1, tolerance=1e-3, like=product.like)
    return model.eval(), (inputs, targets), product, found


@pytest.fixture(scope="module", name="trace")
def _trace(published):
    _, _, product, _ = published
    return hutchinson(product, product.dim, probes=PROBES, like=product.like)


def test_a_published_network_agrees_with_pyhessian(published, trace):
    model, data, product, found = published
    peer = pyhessian.hessian(copy.deepcopy(model), nn.CrossEntropyLoss(), data=data, cuda=False)
    torch.manual_seed(0)
    (value,), (vector,) = peer.eigenvalues(tol=1e-4)
    own = residual(product, value, flat(vector))
    assert own < 0.05 * value
    assert abs(float(found.values[0]) - value) <= own + float(found.residuals[0])
    assert float(found.values[0]) == pytest.approx(value, rel=5e-3)  # a hundredth of what its rule of stopping allows
    theirs, error = mean_and_error(peer.trace(maxIter=PROBES, tol=NEVER))
    assert abs(theirs - trace.value) < 4 * (error**2 + trace.standard_error**2) ** 0.5
    row = found.vectors[0]
    parts = [part.view(p.shape) for part, p in zip(row.split([p.numel() for p in peer.params]), peer.params)]  # noqa: B905
    image = flat(hessian_vector_product(peer.gradsH, peer.params, parts))
    torch.testing.assert_close(product(row[None])[0], image, rtol=1e-3, atol=1e-4 * float(image.abs().max()))


def test_a_published_network_agrees_with_curvlinops(published, trace):
    curvlinops = pytest.importorskip("curvlinops", exc_type=ImportError)
    from scipy.sparse.linalg import eigsh

    model, data, product, found = published
    model = copy.deepcopy(model)
    operator = curvlinops.HessianLinearOperator(
        model, nn.CrossEntropyLoss(), list(model.parameters()), [data], check_deterministic=False
    )
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(product.dim, generator=generator).numpy()
    (value,), vector = eigsh(operator.to_scipy(), k=1, which="LA", tol=1e-3, ncv=8, v0=start)
    own = residual(product, float(value), torch.from_numpy(vector[:, 0]).float())
    assert own < 0.01 * value
    assert abs(float(found.values[0]) - value) <= own + float(found.residuals[0])
    assert float(found.values[0]) == pytest.approx(float(value), rel=1e-4)
    rows = torch.randint(2, (2, product.dim), generator=generator) * 2.0 - 1
    ours, theirs = product(rows), (operator @ rows.mT).mT
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))
    torch.manual_seed(0)
    estimate = float(curvlinops.hutchinson_trace(operator, num_matvecs=PROBES))
    error = (2 * trace.square.value / PROBES) ** 0.5  # at most, for it tells none
    assert abs(estimate - trace.value) < 4 * (error**2 + trace.standard_error**2) ** 0.5
