"""Our curvature against PyHessian's, an independent implementation, on the same network and examples."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from landscape import operators
from landscape.eigenpairs import Eigenpairs, eigenpairs
from landscape.engine.resident import Resident
from landscape.verification import Check

if TYPE_CHECKING:
    from landscape.objective import Objective

BATCH = 128  # examples at a time; PyHessian weighs batches by their size
ITERATIONS, CHANGE = 300, 1e-5  # of its power iteration, which stops when its estimate changes by less
PROBES = 20  # random vectors of the trace
NEVER = -math.inf  # tolerance of its trace, which would stop at a negative estimate whatever the tolerance


def pyhessian(exact: Objective, seed: int) -> list[Check]:
    """Compare the largest eigenvalue and the trace.

    PyHessian's eigenvalue is a Rayleigh quotient whose iteration may stop early. So both sides' residuals bound the
    disagreement that is allowed: an eigenvalue lies within that distance of each. Its trace is that of random vectors,
    and ours is taken from the very same ones, so that nothing but rounding may differ.
    """
    if why := _inexpressible(exact):
        return [Check(name, f"PyHessian's not compared: {why}") for name in ("eigenvalue", "trace")]
    ours = operators.hessian(exact)
    ends = eigenpairs(ours, ours.dim, count=(1, 1), tolerance=1e-6, like=ours.like, seed=seed)
    top = int(ends.values.abs().argmax())
    unit = float(ends.values[top].abs()) or 1.0
    try:
        with _alone(exact, seed):
            value, residual, samples = _theirs(exact, unit, seed)
    except (RuntimeError, TypeError, AttributeError, AssertionError) as error:  # what torch raises, and it does
        why = f"it does not run on this network ({' '.join(str(error).split())[:80]})"
        return [Check(name, f"PyHessian's not compared: {why}") for name in ("eigenvalue", "trace")]
    return [_eigenvalue(ends, top, value, residual, unit), _trace(exact, ours, samples, unit, seed)]


def _inexpressible(exact: Objective) -> str:
    """Say why PyHessian cannot express an objective; nothing if it can."""
    inputs = [x for x, _ in exact.examples[exact.splits[0]].segments]
    if not all(isinstance(x, Tensor) for x in inputs):
        return "its batches are pairs of tensors"
    if exact.network.norms and exact.batchnorm != "frozen":
        return f"it keeps running statistics, and batch norm is {exact.batchnorm}"
    if exact.loss_name == "mse" or (exact.loss_name == "cross_entropy" and exact.labels is not None):
        return ""
    return f"its criterion is a mean over examples, such as cross entropy of classes, and the loss is {exact.loss_name}"


@contextmanager
def _alone(exact: Objective, seed: int) -> Iterator[None]:
    """Give PyHessian what it takes for granted, and take it away again: float64, a seed, second derivatives."""
    before = torch.get_default_dtype()
    devices = [exact.device] if exact.device.type == "cuda" else []
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices))
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(torch.enable_grad())
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        warnings.simplefilter("ignore")  # it leaves cycles behind, which torch tells of
        torch.set_default_dtype(torch.float64)
        try:
            torch.manual_seed(seed)
            yield
        finally:
            torch.set_default_dtype(before)


def _theirs(exact: Objective, unit: float, seed: int) -> tuple[float, float, list[float]]:
    """Return PyHessian's largest eigenvalue with its residual, and its samples of the trace.

    It adds 1e-6 to lengths: in a `unit` of curvature, that is nothing.
    """
    from pyhessian import hessian

    model = _model(exact)
    batches = [(x, y) for x, y, _ in Resident(_examples(exact), exact.theta.dtype, exact.device).chunks(BATCH)]
    peer = hessian(model, _criterion(exact.loss_name, unit), dataloader=batches, cuda=exact.device.type == "cuda")
    try:
        (value,), (vector,) = peer.eigenvalues(maxIter=ITERATIONS, tol=CHANGE)
        image = peer.dataloader_hv_product(vector)[1]
        residual = math.sqrt(sum(float(((hv - value * v) ** 2).sum()) for hv, v in zip(image, vector, strict=True)))
        torch.manual_seed(seed)
        samples = peer.trace(maxIter=PROBES, tol=NEVER)
    finally:
        model.zero_grad()  # graphs and parameters hold each other
    return value * unit, residual * unit, [sample * unit for sample in samples]


def _model(exact: Objective) -> nn.Module:
    """Copy the network at its own parameters; only those that the objective moves want a gradient."""
    model = deepcopy(exact.network.model).requires_grad_(False)
    parameters = dict(model.named_parameters())
    for name, value in exact.unpack(exact.theta).items():
        parameters[name].data.copy_(value)
        parameters[name].requires_grad_(True)
    return model


def _examples(exact: Objective) -> Any:
    return exact.examples[exact.splits[0]]


def _criterion(loss: str, unit: float) -> Callable[[Tensor, Tensor], Tensor]:
    if loss == "mse":
        square = nn.MSELoss()
        return lambda outputs, targets: square(outputs, targets.reshape(outputs.shape)) / unit
    entropy = nn.CrossEntropyLoss()
    return lambda outputs, targets: entropy(outputs, targets) / unit


def _eigenvalue(ends: Eigenpairs, top: int, value: float, residual: float, unit: float) -> Check:
    ours, own = float(ends.values[top]), float(ends.residuals[top])
    words = f"{ours:.6g} ± {own:.1g}, PyHessian {value:.6g} ± {residual:.1g}"
    eps = torch.finfo(torch.float64).eps ** 0.5
    return Check("eigenvalue", words, abs(value - ours) / unit, (residual + own) / unit + eps)


def _trace(exact: Objective, ours: operators.Operator, samples: list[float], unit: float, seed: int) -> Check:
    """Draw PyHessian's random vectors again, and multiply them ourselves."""
    model = _model(exact)
    found = []
    with _alone(exact, seed):
        for _ in samples:
            signs = {n: 2 * torch.randint_like(p, high=2) - 1 for n, p in model.named_parameters() if p.requires_grad}
            row = exact.pack({name: sign.detach() for name, sign in signs.items()})
            found.append(float((row * ours(row[None])[0]).sum()))
    left, right = (torch.tensor(values, dtype=torch.float64) for values in (found, samples))
    error = float(right.std()) / len(right) ** 0.5
    theirs = f"PyHessian {float(right.mean()):.6g} ± {error:.2g}"
    words = f"{float(left.mean()):.6g}, {theirs}, from the same {len(right)} random vectors"
    size = max(float(right.abs().mean()), unit)
    return Check("trace", words, float((left - right).abs().max()) / size, torch.finfo(torch.float64).eps ** 0.5)
