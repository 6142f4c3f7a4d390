"""The objective: a model, its data and its loss as one function of a flat parameter vector."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from landscape import losses
from landscape.engine import batchnorm, device, plan
from landscape.engine.evaluate import Evaluator, gradient
from landscape.engine.folding import foldable
from landscape.engine.moments import Measurement, measurement
from landscape.engine.network import Network
from landscape.engine.plan import Plan
from landscape.engine.resident import Resident
from landscape.reading import Examples, read

BATCH = 128  # examples of a batch, where batch norm makes the loss depend on it and the data do not say


class Objective:
    r"""Mean loss of a model over data, as a function of its parameters.

    .. math:: L(\theta) = \sum_n w_n \ell(f_\theta(x_n), y_n) \Big/ \sum_n w_n

    with weights 1 (or the number of tokens of a sequence). Parameter vectors are flat. One rule holds for every
    method: the last axis of an argument is parameter space, and any axes before it are a batch.

    Parameters
    ----------
    model : nn.Module
        Copied and put in evaluation mode; the original is never touched, nor is any random state.
    data : pair (inputs, targets), Split, torch Dataset, DataLoader, iterable of batches, or mapping of name to one of these
        Read once, in order. Of several splits the first is the one that `value` and `gradient` are about;
        `measure` tells all of them.
    loss : str or callable, default="cross_entropy"
        A name (cross_entropy, causal, mse, mae, huber, bce), or ``(outputs, targets) -> losses`` of shape (B,);
        a dict of such keeps terms apart.
    parameters : str or sequence of str, default="*"
        Globs over parameter names; the rest is held fixed. Tied parameters count once.
    batchnorm : {"frozen", "refit", "batch"}
        Statistics of the checkpoint; recomputed at every point from the first split; or those of each batch.
    precision : {"float32", "float64", "bfloat16", "tf32"}
    device : str, default="auto"
    batch_size : int, optional
        Size of the batches, where batch norm makes the loss depend on it.
    stochastic : bool, default=False
        Accept a model or data that answer differently when asked again.

    Attributes
    ----------
    theta : Tensor of shape (D,)
        The parameters the model came with.
    dim, size : int
        D, and the number of examples N of the first split.
    blocks : tuple of Block
        Name, shape and place of each parameter in the vector.
    splits, classes : tuple of str

    Raises
    ------
    ValueError
        If the data are empty, do not fit the network, or are random; if weights are not finite.

    Notes
    -----
    Losses are summed in float64 and divided once. Work is cut to fit memory; a cut that turns out too
    large is halved, and the work goes on.

    Examples
    --------
    A quadratic bowl, so that every answer is known:

    >>> from torch import nn, tensor, ones, zeros
    >>> model = nn.Linear(2, 1, bias=False)
    >>> half_square = lambda outputs, targets: 0.5 * (outputs - targets)[:, 0] ** 2
    >>> bowl = Objective(model, (tensor([[2.0, 0.0], [0.0, 1.0]]), zeros(2, 1)), half_square, device="cpu")
    >>> bowl
    Objective(Linear, D=2, N=2)
    >>> bowl.value(ones(2))
    tensor(1.2500, dtype=torch.float64)
    >>> bowl.value(tensor([[1.0, 1.0], [0.0, 0.0]]))
    tensor([1.2500, 0.0000], dtype=torch.float64)
    >>> bowl.gradient(ones(2))
    tensor([2.0000, 0.5000])
    """

    def __init__(
        self,
        model: nn.Module,
        data: Any,
        loss: str | Callable = "cross_entropy",
        *,
        parameters: str | Iterable[str] = "*",
        batchnorm: str = "frozen",
        precision: str = "float32",
        device: str = "auto",
        batch_size: int | None = None,
        stochastic: bool = False,
    ) -> None:
        self.precision, self.batchnorm = precision, batchnorm
        self.device = _device(device)
        self.loss, self.loss_name = losses.loss(loss), losses.name(loss)
        examples = _splits(data, stochastic)
        self.network = Network(model, parameters, _dtype(precision), self.device)
        self.theta = self.network.pack(self.network.model)
        self._fixed = _fixed_batches(self.network, batchnorm, batch_size, next(iter(examples.values())))
        self._hold(examples)
        self._reference = self._resident[0] if batchnorm == "refit" and self.network.norms else None
        with self._arithmetic():
            self._each, self.terms = self._try(stochastic)
        self._foldable = batchnorm == "frozen" and bool(foldable(self.network.model))

    def _hold(self, examples: dict[str, Examples]) -> None:
        self.examples = examples
        self._resident = [Resident(e, self.network.dtype, self.device) for e in examples.values()]
        self._plans: dict[int, Plan] = {}
        self._evaluator: Evaluator | None = None

    def __repr__(self) -> str:
        return f"Objective({type(self.network.model).__name__}, D={self.dim}, N={self.size})"

    @property
    def dim(self) -> int:
        """Number of parameters, D."""
        return self.network.dim

    @property
    def blocks(self) -> tuple:
        """Name, shape and place in the vector of each parameter."""
        return self.network.blocks

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the parts of the data, the first one being the objective itself."""
        return tuple(self.examples)

    @property
    def size(self) -> int:
        """Number of examples of the first split, N."""
        return self._resident[0].size

    @property
    def labels(self) -> Tensor | None:
        """Class index of every example of the first split, (N,); None without classes."""
        return self._resident[0].examples.labels

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty without."""
        return self._resident[0].examples.classes

    def pack(self, source: nn.Module | Mapping[str, Tensor]) -> Tensor:
        """Flatten another model, or a state dict, into a vector of this objective: -> (D,)."""
        return self.network.pack(source)

    def unpack(self, theta: Tensor) -> dict[str, Tensor]:
        """Split vectors (..., D) into named parameters (..., *shape)."""
        return self.network.unpack(theta)

    def value(self, theta: Tensor) -> Tensor:
        """Evaluate the objective: (..., D) -> (...), float64, in nats."""
        rows, shape = self._rows(theta)
        loss = self._measured(rows, shape, None, self._resident[:1]).loss[0]
        return torch.from_numpy(np.array(loss)).to("cpu" if self.device.type == "mps" else self.device)

    def measure(self, theta: Tensor, *, plan: Plan | None = None) -> Measurement:
        """Tell loss and accuracy, whole and by class, with standard errors, on every split.

        Parameters
        ----------
        theta : Tensor of shape (..., D)
        plan : Plan, optional
            How to evaluate; by default chosen for this number of points.

        Returns
        -------
        Measurement
            Arrays that lead with the split: ``loss`` is (S, ...), ``class_loss`` is (S, C, ...).
        """
        rows, shape = self._rows(theta)
        return self._measured(rows, shape, plan, self._resident)

    def gradient(self, theta: Tensor) -> Tensor:
        """Differentiate the objective: (..., D) -> (..., D), in nats, in the parameters' format.

        Under ``batchnorm="refit"`` the statistics are refitted at each point and held there while differentiating.
        """
        rows, shape = self._rows(theta)
        with self._arithmetic():
            found = [self._backed_off(self._gradient, self._plan(1), row) for row in rows]
        return torch.stack(found).reshape(*shape, self.dim).to(self.network.dtype)

    def plan(self, count: int) -> Plan:
        """Choose how to evaluate `count` points, by a short measurement that is kept.

        The first call for a number of points measures (at most a twentieth of the expected work); every later
        one returns the same plan, so that the same points give the same bits.
        """
        return self._plan(count)

    def restrict(self, label: int) -> Objective:
        """Return the same objective on the examples of one class, in every split that has it.

        Refitted batch-norm statistics stay those of the whole first split.

        Raises
        ------
        ValueError
            If there are no classes, or the first split has no example of this one.
        """
        names = list(self.examples)
        kept = {n: e for n, e in self.examples.items() if n == names[0] or (e.labels is not None and (e.labels == label).any())}
        one = copy.copy(self)
        one._hold({name: examples.restrict(label) for name, examples in kept.items()})
        return one

    def split_by_class(self) -> dict[str, Objective]:
        """Return the objective of every class that has examples in the first split, by class name."""
        if self.labels is None:
            raise ValueError("Expected class indices as targets, got other targets: there are no classes to split by.")
        present = sorted(set(self.labels.tolist()))
        return {self.classes[label]: self.restrict(label) for label in present}

    def record(self) -> dict:
        """Say what this objective is, in plain JSON: for the origin of results."""
        return {
            "parameters": self.dim,
            "loss": self.loss_name,
            "batchnorm": self.batchnorm if self.network.norms else "none",
            "batch_size": self._fixed,
            "precision": self.precision,
            "device": str(self.device),
            "splits": {n: {"examples": e.size, "fingerprint": e.fingerprint()} for n, e in self.examples.items()},
        }

    def _rows(self, theta: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        theta = torch.as_tensor(theta)
        if theta.ndim == 0 or theta.shape[-1] != self.dim:
            raise ValueError(f"Expected vectors of length D={self.dim} on the last axis, got shape {tuple(theta.shape)}.")
        rows = theta.detach().reshape(-1, self.dim).to(self.device, self.network.dtype)
        return rows, tuple(theta.shape[:-1])

    def _arithmetic(self):
        return device.arithmetic(self.precision, self.device)

    def _measured(self, rows: Tensor, shape: tuple[int, ...], chosen: Plan | None, residents: list[Resident]) -> Measurement:
        with self._arithmetic():
            chosen = chosen or self._plan(len(rows))
            totals = self._backed_off(self._sums, chosen, rows, residents)
        answers = not bool(totals[0][:, 5:8].isnan().any()) and self._answers
        return measurement(totals, [r.counts() for r in residents], shape, answers)

    def _sums(self, chosen: Plan, rows: Tensor, residents: list[Resident]) -> list[Tensor]:
        if self._evaluator is None or self._evaluator.plan != chosen:
            self._evaluator = Evaluator(self.network, self.loss, chosen, self._reference)
        return self._evaluator.sums(rows, residents)

    def _gradient(self, chosen: Plan, row: Tensor) -> Tensor:
        if self._reference is not None:
            Evaluator(self.network, self.loss, chosen, self._reference).sums(row[None], [])
        return gradient(self.network, self.loss, chosen, row, self._resident[0])

    def _backed_off(self, work: Callable, chosen: Plan, *args: Any) -> Any:
        """Do work by a plan; when memory runs out, by half of it, and remember that."""
        while True:
            try:
                return work(chosen, *args)
            except (RuntimeError, MemoryError) as error:
                smaller = chosen.halved() if chosen.points > 1 or not self._fixed else None
                if not device.out_of_memory(error) or smaller is None:
                    raise
            self._evaluator = None
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            self._plans = {count: smaller if known == chosen else known for count, known in self._plans.items()}
            chosen = smaller

    def _plan(self, count: int) -> Plan:
        if count not in self._plans:
            start = plan.first_plan(self.network, self._each, self._fixed)
            self._plans[count] = start if count == 1 else self._chosen(start, count)
        return self._plans[count]

    def _chosen(self, start: Plan, count: int) -> Plan:
        sample = [Resident(self._resident[0].examples.first(max(plan.SAMPLE, self._fixed or 0)), self.network.dtype, self.device)]
        everything = sum(r.size for r in self._resident)
        inputs = pytree.tree_leaves(sample[0].segments[0][0])
        return plan.choose(
            start,
            lambda candidate: self._seconds(candidate, sample),
            count,
            everything / sample[0].size,
            each=self._each,
            network=self.network,
            fixed=bool(self._fixed),
            foldable=self._foldable,
            images=any(leaf.ndim == 4 for leaf in inputs),
        )

    def _seconds(self, candidate: Plan, sample: list[Resident]) -> float:
        """Measure seconds per point of a plan on a sample; infinity if it does not run."""
        points = self.theta.expand(candidate.points, -1)
        try:
            with self._arithmetic():
                evaluator = Evaluator(self.network, self.loss, candidate, self._reference and sample[0])
                took = []
                for _ in range(3 if candidate.compiled else 2):
                    begun = time.perf_counter()
                    found = evaluator.sums(points, sample)
                    found[0].sum().item()  # waits for the device
                    took.append(time.perf_counter() - begun)
        except Exception:  # noqa: BLE001 (a plan that fails in any way is simply not taken)
            return float("inf")
        return min(took[1:]) / candidate.points

    def _try(self, stochastic: bool) -> tuple[int, tuple[str, ...]]:
        """Run the network on a few examples: find what does not fit before hours are spent."""
        inputs, targets, _ = next(iter(self._resident[0].chunks(self._fixed or 2)))
        shape = [tuple(leaf.shape) for leaf in pytree.tree_leaves(inputs)]
        try:
            with torch.no_grad():
                outputs = self.network(inputs)
                again = self.network(inputs)
            names = losses.term_names(self.loss, outputs, targets)
            each = plan.footprint(self.network, inputs)
        except (RuntimeError, TypeError, IndexError, AssertionError) as error:
            self._require_labels()
            raise ValueError(
                f"Expected inputs and targets that {type(self.network.model).__name__} and {self.loss_name} take, got inputs "
                f"of shape {', '.join(map(str, shape))}: {_first_line(error)}."
            ) from error
        logits = getattr(outputs, "logits", outputs)
        self._require_labels(logits)
        same = all(torch.equal(a, b) for a, b in zip(_tensors(outputs), _tensors(again), strict=True) if not a.isnan().any())
        if not stochastic and not same:
            raise ValueError(
                "Expected a network that answers the same twice, got another answer: it is random in evaluation "
                "mode. Remove the randomness, or pass stochastic=True."
            )
        self._answers = _classifies(self.loss, logits, targets)
        return each, names

    def _require_labels(self, logits: Any = None) -> None:
        for name, examples in self.examples.items():
            labels = examples.labels
            if labels is None or self.loss is not losses.cross_entropy:
                continue
            known = logits.shape[-1] if isinstance(logits, Tensor) and logits.ndim == 2 else np.inf
            wrong = (labels < 0) | (labels >= known)
            if wrong.any():
                where = int(wrong.nonzero()[0])
                raise ValueError(
                    f"Expected labels from 0 to {known - 1} (the network has {known} outputs), got {int(labels[where])} "
                    f"at example {where} of {name}."
                )


def _splits(data: Any, stochastic: bool) -> dict[str, Examples]:
    """Bring data to named splits; a mapping of tensors is one batch, not several splits."""
    if isinstance(data, Mapping) and not all(isinstance(v, (Tensor, np.ndarray)) for v in data.values()):
        if not data:
            raise ValueError("Expected at least one split, got an empty mapping.")
        return {str(name): read(part, stochastic=stochastic) for name, part in data.items()}
    name = getattr(data, "name", "") or "train"
    return {name if isinstance(name, str) else "train": read(data, stochastic=stochastic)}


def _fixed_batches(network: Network, policy: str, batch_size: int | None, examples: Examples) -> int | None:
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"Expected a batch size of at least 1, got {batch_size}.")
    depends = batchnorm.apply(network, policy)
    return (batch_size or examples.batch_size or BATCH) if depends else None


def _classifies(loss: Callable, outputs: Any, targets: Tensor) -> bool:
    return isinstance(outputs, Tensor) and not targets.is_floating_point() and targets.ndim == outputs.ndim - 1


def _tensors(outputs: Any) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, Tensor)]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


_device, _dtype = device.device, device.dtype
