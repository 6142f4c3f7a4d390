"""PyHessian and curvlinops behind one face: products with rows, counted, of a model's Hessian over batches."""

from __future__ import annotations

import copy
import math
import statistics
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pyhessian
import torch
from torch import Tensor, nn

NEVER = -math.inf  # PyHessian would stop at a negative mean whatever the tolerance
Batches = list[tuple[Tensor, Tensor]]


class TookTooLong(Exception):
    """A peer has used up its time."""


class PyHessian:
    """PyHessian on a copy of a model: of one batch (``data=``, its graph is kept) or of several (``dataloader=``).

    Attributes
    ----------
    products : int
        Products so far, those within its own methods included.
    """

    def __init__(self, model: nn.Module, batches: Batches) -> None:
        given = {"data": batches[0]} if len(batches) == 1 else {"dataloader": batches}
        self.products, self.until = 0, math.inf
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the cycle that its gradients leave
            self.own = pyhessian.hessian(
                copy.deepcopy(model), nn.CrossEntropyLoss(), cuda=batches[0][0].is_cuda, **given
            )

    def __call__(self, rows: Tensor) -> Tensor:
        """Multiply every row, one after another: (K, D) -> (K, D)."""
        sizes = [p.numel() for p in self.own.params]
        found = []
        for row in rows:
            parts = [part.view(p.shape) for part, p in zip(row.split(sizes), self.own.params, strict=True)]
            with self._counted():
                if self.own.full_dataset:
                    _, image = self.own.dataloader_hv_product(parts)
                else:
                    image = _module().hessian_vector_product(self.own.gradsH, self.own.params, parts)
            found.append(torch.cat([part.flatten() for part in image]))
        return torch.stack(found)

    def eigenvalues(self, count: int, *, tolerance: float, limit: float = math.inf) -> Tensor:
        """Find the largest eigenvalues by its power iteration, in at most so many seconds: (k,), descending.

        It finds those of largest modulus, negative ones among them.

        Raises
        ------
        TookTooLong
            When the time is over.
        """
        self.until = time.perf_counter() + limit
        with self._counted():
            values, _ = self.own.eigenvalues(tol=tolerance, top_n=count)
        return torch.tensor(values, dtype=torch.float64).sort(descending=True).values

    def trace(self, probes: int) -> tuple[float, float]:
        """Estimate the trace: mean, and the standard error that its samples have."""
        with self._counted():
            samples = self.own.trace(maxIter=probes, tol=NEVER)
        return statistics.fmean(samples), statistics.stdev(samples) / math.sqrt(probes)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        module, plain, whole = _module(), _module().hessian_vector_product, self.own.dataloader_hv_product

        def counted(function, *arguments):
            if time.perf_counter() > self.until:
                raise TookTooLong
            self.products += 1
            return function(*arguments)

        module.hessian_vector_product = lambda *given: counted(plain, *given)
        self.own.dataloader_hv_product = lambda *given: counted(whole, *given)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            module.hessian_vector_product, self.own.dataloader_hv_product = plain, whole


def _module():
    """Return the module of PyHessian's class, which the class's name hides."""
    return sys.modules[pyhessian.hessian.__module__]


class Curvlinops:
    """An operator of curvlinops, without its check that data are deterministic, which costs a dozen gradients.

    Parameters
    ----------
    kind : {"Hessian", "GGN"}
    """

    def __init__(self, model: nn.Module, batches: Batches, kind: str = "Hessian") -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of functions that torch deprecates
            import curvlinops
        own = copy.deepcopy(model)
        made = getattr(curvlinops, f"{kind}LinearOperator")
        self.own = made(own, nn.CrossEntropyLoss(), list(own.parameters()), batches, check_deterministic=False)
        self.products, plain = 0, self.own._matmat

        def counted(columns: list[Tensor]) -> list[Tensor]:
            self.products += columns[0].shape[-1]
            return plain(columns)

        self.own._matmat = counted

    def __call__(self, rows: Tensor) -> Tensor:
        """Multiply all rows at once: (K, D) -> (K, D)."""
        return (self.own @ rows.mT).mT

    def eigenvalues(self, count: int, *, tolerance: float) -> Tensor:
        """Find the largest eigenvalues by ARPACK, on the CPU, as its documentation does."""
        from scipy.sparse.linalg import eigsh

        values = eigsh(self.own.to_scipy(), k=count, which="LA", tol=tolerance, return_eigenvectors=False)
        return torch.from_numpy(values.copy()).double().sort(descending=True).values

    def trace(self, probes: int) -> float:
        """Estimate the trace; it tells no error."""
        import curvlinops

        return float(curvlinops.hutchinson_trace(self.own, num_matvecs=probes))

    def density(self, steps: int, probes: int) -> tuple[Tensor, Tensor]:
        """Find the density on a grid; it tells no error."""
        from curvlinops.papyan2020traces.spectrum import lanczos_approximate_spectrum

        return lanczos_approximate_spectrum(self.own, steps, num_repeats=probes)


def curvlinops_is_here() -> bool:
    """Say whether curvlinops can be imported."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import curvlinops  # noqa: F401
    except ImportError:
        return False
    return True
