"""The objective: a model, its data and its loss as one function of a flat parameter vector."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from landscape import discovery, losses
from landscape.dataset import Dataset
from landscape.engine import batchnorm
from landscape.engine.device import arithmetic, differentiable, dtype
from landscape.engine.device import device as place
from landscape.engine.moments import Measurement, averaged, measurement
from landscape.engine.multiplier import Multiplier
from landscape.engine.network import Network, View
from landscape.engine.plan import Plan
from landscape.engine.resident import Resident
from landscape.engine.runner import Runner
from landscape.engine.strategy import KINDS, Strategy
from landscape.engine.trial import require_inputs, trial
from landscape.quantize import activations, parametrization
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
    data : pair (inputs, targets), Split, torch Dataset, DataLoader, iterable of batches, or mapping of names to such
        Or a `landscape.dataset.Dataset`, with all its splits. Read once, in order. Of several splits the first is
        the one that `value` and `gradient` are about; `measure` tells all of them.
    loss : str or callable, default="cross_entropy"
        A name (cross_entropy, causal, mse, mae, huber, bce), or ``(outputs, targets) -> losses`` of shape (B,);
        a dict of such keeps terms apart.
    parameters : str or sequence of str, default="*"
        Globs over parameter names; the rest is held fixed. Tied parameters count once.
    batchnorm : {"frozen", "refit", "batch"}
        Statistics of the checkpoint; recomputed at every point from the reference; or those of each batch.
    reference : data, optional
        What statistics are recomputed from under "refit", such as training images augmented as in training; the first
        split by default. Anything that `landscape.reading.read` takes; its targets do not count.
    precision : {"float32", "float64", "bfloat16", "tf32"}
    device : str, default="auto"
    batch_size : int, optional
        Size of the batches, where batch norm makes the loss depend on it.
    stochastic : bool, default=False
        Accept a model or data that answer differently when asked again.
    strategy : str, default="auto"
        How points are evaluated: the fastest way, by a short measurement, or one such as ``loop,folded,examples=128``
        or ``vmap,points=16,examples=512``; or how products with curvature matrices are computed, such as
        ``retained,folded,kept,examples=64``; or one of each with a semicolon between. Every way gives the same numbers,
        to rounding.
    view : View, optional
        What the network's weights are as a function of the parameters, such as `landscape.quantize.views.Latent`: their
        nearest values on a grid. Losses alone are then defined, and no derivatives.

    Attributes
    ----------
    theta : Tensor of shape (D,)
        The parameters the model came with.
    dim, size : int
        D, and the number of examples N of the first split.
    blocks : tuple of Block
        Name, shape and place of each parameter in the vector.
    splits, classes, terms : tuple of str
        Names of the parts of the data, of the classes, of the terms of the loss.
    reference : Examples or None
        What was given to refit batch-norm statistics from, where the network has batch norm.

    Raises
    ------
    ValueError
        If the data are empty, do not fit the network, or are random; if weights are not finite; if there is a reference
        that nothing is refitted from.

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

    @differentiable()
    def __init__(
        self,
        model: nn.Module,
        data: Any,
        loss: str | Callable = "cross_entropy",
        *,
        parameters: str | Iterable[str] = "*",
        batchnorm: str = "frozen",
        reference: Any = None,
        precision: str = "float32",
        device: str = "auto",
        batch_size: int | None = None,
        stochastic: bool = False,
        strategy: str = "auto",
        view: View | None = None,
    ) -> None:
        self.precision, self.batchnorm = precision, batchnorm
        self._strategy, self._multiplying = _strategies(strategy)
        self.device = place(device)
        self.loss, self.loss_name = losses.loss(loss), losses.name(loss)
        examples = _splits(data, stochastic)
        globs = [parameters] if isinstance(parameters, str) else list(parameters)
        self.network = Network(model, globs, dtype(precision), self.device, view)
        self.theta = self.network.theta
        self._moved = ",".join(globs)
        self._fixed = _fixed_batches(self.network, batchnorm, batch_size, next(iter(examples.values())))
        named = max((e.classes for e in examples.values()), key=len)
        self.classes: tuple[str, ...] = () if self.loss in losses.CLASSLESS else named
        self._hold(examples)
        with arithmetic(precision, self.device):
            self._trial = trial(
                self.network, self.loss, dict(zip(examples, self._resident, strict=True)),
                fixed=self._fixed, stochastic=stochastic,
            )
        self.reference = self._given(reference, stochastic)
        self._reference = self._refitted_from()
        self._runner = self._running()

    @differentiable()
    def _hold(self, examples: dict[str, Examples]) -> None:
        classes = len(self.classes) if all(e.labels is not None for e in examples.values()) else 0
        self.examples = examples
        self._resident = [Resident(e, self.network.dtype, self.device, classes) for e in examples.values()]

    def _given(self, reference: Any, stochastic: bool) -> Examples | None:
        if reference is None:
            return None
        if self.batchnorm != "refit":
            raise ValueError(
                f"Expected no reference with batchnorm={self.batchnorm!r}, got one: leave it out, or use it with "
                "batchnorm='refit'."
            )
        return read(reference, stochastic=stochastic) if self.network.norms else None

    def _refitted_from(self) -> Resident | None:
        if self.batchnorm != "refit" or not self.network.norms:
            return None
        if self.reference is None:
            return self._resident[0]
        found = Resident(self.reference, self.network.dtype, self.device)
        with arithmetic(self.precision, self.device):
            require_inputs(self.network, found, self._fixed)
        return found

    def _running(self) -> Runner:
        return Runner(
            self.network, self.loss, self._resident,
            each=self._trial.each, precision=self.precision, fixed=self._fixed, reference=self._reference,
            strategy=self._strategy,
        )

    def using(self, strategy: str) -> Objective:
        """Return the same objective, computed by another strategy: the same strategy gives the same bits."""
        same = copy.copy(self)
        same._strategy, same._multiplying = _strategies(strategy)
        same._runner = same._running()
        return same

    def _on(self, examples: dict[str, Examples]) -> Objective:
        """Return the same objective on a part of its examples."""
        part = copy.copy(self)
        part._hold(examples)
        part._runner = part._running()
        part._runner.strategies = self._runner.strategies  # what is fastest on a part is so on another one
        return part

    def __repr__(self) -> str:
        return f"Objective({type(self.network.model).__name__}, D={self.dim}, N={self.size})"

    def _repr_html_(self) -> str:
        """Show the objective as a card, where a notebook asks for one."""
        return discovery.member("landscape.plots", "card")("Objective", self._told())

    def _told(self) -> dict[str, str]:
        """Say in words what this objective is a function of, and how it is evaluated."""
        sizes = ", ".join(f"{name}: {examples.size:,}" for name, examples in self.examples.items())
        ways = "; ".join(str(way) for way in (self._strategy, self._multiplying) if way)
        return {
            "model": type(self.network.model).__name__,
            "parameters": f"{self.dim:,} in {len(self.blocks)} tensors",
            "splits": f"{sizes} examples",
            **({"classes": ", ".join(self.classes)} if self.classes else {}),
            "loss": self.loss_name,
            "batch norm": self.batchnorm if self.network.norms else "none",
            "arithmetic": f"{self.precision} on {self.device}",
            "strategy": ways or "the fastest, by a short measurement",
            **({"view": json.dumps(self.network.view.record())} if self.network.view is not None else {}),
        }

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
    def footprint(self) -> int:
        """Bytes that are alive together while one example is evaluated at one point."""
        return self._trial.each

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms of the loss; empty for a loss of one term."""
        return self._trial.terms

    def pack(self, source: nn.Module | Mapping[str, Tensor]) -> Tensor:
        """Flatten another model, or a state dict, into a vector of this objective: -> (D,)."""
        return self.network.pack(source)

    def unpack(self, theta: Tensor) -> dict[str, Tensor]:
        """Split vectors (..., D) into named parameters ``(..., *shape)``."""
        return self.network.unpack(theta)

    def value(self, theta: Tensor) -> Tensor:
        """Evaluate the objective: (..., D) -> (...), float64, in nats."""
        loss = self._measured(theta, None, self._resident[:1]).loss[0]
        return torch.from_numpy(np.array(loss)).to("cpu" if self.device.type == "mps" else self.device)

    def measure(self, theta: Tensor, *, plan: Plan | None = None) -> Measurement:
        """Tell loss and accuracy, whole and by class, with standard errors, on every split.

        Parameters
        ----------
        theta : Tensor of shape (..., D)
            Points.
        plan : Plan, optional
            How to evaluate; by default chosen for this number of points.

        Returns
        -------
        Measurement
            Arrays that lead with the split: ``loss`` is (S, ...), ``class_loss`` is (S, C, ...).
        """
        return self._measured(theta, plan, self._resident)

    def gradient(self, theta: Tensor) -> Tensor:
        """Differentiate the objective: (..., D) -> (..., D), in nats, in the parameters' format.

        Under ``batchnorm="refit"`` the statistics are refitted at each point and held there while differentiating.

        Raises
        ------
        ValueError
            If it has no derivatives that mean something: see `require_derivatives`.
        """
        self.require_derivatives()
        rows, shape = self._rows(theta)
        found = torch.empty(len(rows), self.dim, dtype=self.network.dtype, device=self.device)
        for i, row in enumerate(rows):
            found[i] = self._runner.gradient(row)
        return found.reshape(*shape, self.dim)

    def hvp(self, theta: Tensor, vectors: Tensor) -> Tensor:
        """Multiply the Hessian at one point with vectors: (D,), (..., D) -> (..., D), in nats.

        Raises
        ------
        ValueError
            If a product is not finite; the error names the examples.

        Notes
        -----
        The gradient's graph is kept for each chunk of examples and serves all vectors: give many at once. Cost: about
        one gradient, and two more for each vector.

        References
        ----------
        Pearlmutter (1994), Fast exact multiplication by the Hessian, Neural Computation 6(1).
        """
        return self._products("hessian", theta, vectors)

    def ggnvp(self, theta: Tensor, vectors: Tensor) -> Tensor:
        """Multiply the generalized Gauss-Newton matrix at one point with vectors: (D,), (..., D) -> (..., D), in nats.

        Raises
        ------
        ValueError
            If a product is not finite; the error names the examples.

        References
        ----------
        Schraudolph (2002), Fast curvature matrix-vector products for second-order gradient descent,
        Neural Computation 14(7); Martens (2020), New insights on the natural gradient method, arXiv:1412.1193.
        """
        return self._products("gauss_newton", theta, vectors)

    def multiplier(self, matrix: str, theta: Tensor, *, expected: int = 1) -> Multiplier:
        """Prepare many products with a matrix at one point: (D,) -> a callable of rows (K, D) -> (K, D).

        Parameters
        ----------
        matrix : {"hessian", "gauss_newton", "fisher"}
            The last is the empirical Fisher matrix: the mean of g g' over examples, g being the gradient of one.
        theta : Tensor of shape (D,)
        expected : int, default=1
            Products that will be asked for. For several, the fastest way is found by a short measurement at the
            first call, and graphs are kept from one call to the next as far as memory allows.
        """
        self.require_derivatives()
        points, shape = self._rows(theta)
        if shape:
            raise ValueError(f"Expected one point of shape ({self.dim},), got {tuple(theta.shape)}: one at a time.")
        return Multiplier(self._runner, matrix, points[0], chosen=self._multiplying, expected=expected)

    def _products(self, matrix: str, theta: Tensor, vectors: Tensor) -> Tensor:
        multiply = self.multiplier(matrix, theta)
        rows, shape = self._rows(vectors)
        return multiply(rows).reshape(*shape, self.dim)

    def require_derivatives(self) -> None:
        """Refuse to differentiate where a quantizer is in the way.

        Raises
        ------
        ValueError
            If the weights are seen through a view that has no derivatives, the network itself rounds what is trained,
            or activations are rounded.
        """
        view = self.network.view
        if view is not None:
            raise ValueError(f"Expected a loss with derivatives, got one through a quantizer: {view.no_derivatives}.")
        if rounding := parametrization.quantizers(self.network.model):
            raise ValueError(
                f"Expected a loss with derivatives, got one through the quantizer of {min(rounding)!r}: look at "
                "the plain network of `landscape.quantize.parametrization.taken_off`."
            )
        if any(one.mode == "hard" for one in activations.attached(self.network.model).values()):
            raise ValueError(
                "Expected a loss with derivatives, got one of rounded activations, which is constant in all weights "
                "before the last rounding: pass --acts fp (weights alone are quantized), --acts dither, or --acts ste "
                "(the straight-through estimator's)."
            )

    def plan(self, count: int) -> Plan:
        """Choose how to evaluate `count` points, by a short measurement that is kept.

        The first call for a number of points measures (a twentieth of the expected work, or a second
        if that is more); every later one returns the same plan, so that the same points give the same bits.
        """
        return self._runner.plan(count)

    def seconds(self, plan: Plan) -> float:
        """Measure how long a point takes by a plan, every split counted, on a sample of the first one."""
        return self._runner.seconds(plan)

    def restrict(self, label: int) -> Objective:
        """Return the same objective on the examples of one class, in every split that has it.

        Refitted batch-norm statistics stay those of the whole reference.

        Raises
        ------
        ValueError
            If there are no classes, or the first split has no example of this one.
        """
        first, *others = self.examples
        having = [n for n in others if self.examples[n].has(label)]
        return self._on({name: self.examples[name].restrict(label) for name in (first, *having)})

    def subset(self, count: int, *, seed: int = 0) -> Objective:
        """Return the same objective on `count` examples of the first split, and the same share of every other.

        The examples are drawn at random, once, and stay in their order. Refitted batch-norm statistics stay those
        of the whole reference.

        Raises
        ------
        ValueError
            If there are fewer examples, or none is asked for.
        """
        if not 1 <= count <= self.size:
            raise ValueError(f"Expected a number of examples from 1 to {self.size}, got {count}.")
        share = count / self.size
        return self._on({name: e.draw(max(1, round(share * e.size)), seed) for name, e in self.examples.items()})

    def split_by_class(self) -> dict[str, Objective]:
        """Return the objective of every class that has examples in the first split, by class name."""
        if self.labels is None:
            raise ValueError("Expected class indices as targets, got other targets: there are no classes to split by.")
        present = sorted(set(self.labels.tolist()))
        return {self.classes[label]: self.restrict(label) for label in present}

    def record(self) -> dict:
        """Say what this objective is, in plain JSON: for the origin of results."""
        modes = sorted({one.mode for one in activations.attached(self.network.model).values()})
        return {
            "parameters": self.dim,
            **({"moved": self._moved} if self._moved != "*" else {}),
            "loss": self.loss_name,
            "batchnorm": self.batchnorm if self.network.norms else "none",
            "batch_size": self._fixed,
            "precision": self.precision,
            "device": str(self.device),
            "splits": {name: _identified(examples) for name, examples in self.examples.items()},
            **({"reference": _identified(self.reference)} if self.reference is not None else {}),
            **({"view": self.network.view.record()} if self.network.view is not None else {}),
            **({"activations": modes[0]} if len(modes) == 1 else {"activations": modes} if modes else {}),
        }

    def _rows(self, theta: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """View vectors (..., D) as rows (P, D), in the caller's format: the engine converts a chunk at a time."""
        theta = torch.as_tensor(theta)
        if theta.ndim == 0 or theta.shape[-1] != self.dim:
            raise ValueError(
                f"Expected vectors of length D={self.dim} on the last axis, got shape {tuple(theta.shape)}."
            )
        if theta.numel() == 0:
            raise ValueError(f"Expected at least one vector, got none in shape {tuple(theta.shape)}.")
        return theta.detach().reshape(-1, self.dim), tuple(theta.shape[:-1])

    def _measured(self, theta: Tensor, chosen: Plan | None, splits: list[Resident]) -> Measurement:
        rows, shape = self._rows(theta)
        counts, view = [split.counts() for split in splits], self.network.view
        if view is None:
            return measurement(self._runner.sums(rows, splits, chosen), counts, shape, self._trial.answers)
        found = []
        try:
            for drawn in view.draws():
                self.network.view = drawn
                found.append(measurement(self._runner.sums(rows, splits, chosen), counts, shape, self._trial.answers))
        finally:
            self.network.view = view
        return averaged(found)


def _strategies(text: str) -> tuple[Plan | None, Strategy | None]:
    """Read a strategy of points, one of products, or both with a semicolon between; what is not given is chosen."""
    plan, products = None, None
    for part in text.split(";") if text != "auto" else ():
        if part.partition(",")[0].strip() in KINDS:
            products = Strategy.parse(part.strip())
        else:
            plan = Plan.parse(part.strip())
    return plan, products


def _splits(data: Any, stochastic: bool) -> dict[str, Examples]:
    """Bring data to named splits; a mapping of tensors is one batch, not several splits."""
    if isinstance(data, Mapping) and not data:
        raise ValueError("Expected at least one split, got an empty mapping.")
    if isinstance(data, Dataset):
        data = {name: data.split(name) for name in data.splits}
    if isinstance(data, Mapping) and not all(isinstance(v, (Tensor, np.ndarray)) for v in data.values()):
        return {str(name): read(part, stochastic=stochastic) for name, part in data.items()}
    name = getattr(data, "name", None)
    return {name if name and isinstance(name, str) else "train": read(data, stochastic=stochastic)}


def _identified(examples: Examples) -> dict[str, Any]:
    return {"examples": examples.size, "fingerprint": examples.fingerprint()}


def _fixed_batches(network: Network, policy: str, batch_size: int | None, examples: Examples) -> int | None:
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"Expected a batch size of at least 1, got {batch_size}.")
    depends = batchnorm.apply(network, policy)
    return (batch_size or examples.batch_size or BATCH) if depends else None
