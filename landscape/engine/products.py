"""Products of a curvature matrix at one point with many vectors, summed over chunks of examples."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call, jvp, vmap

from landscape.engine.derivatives import MATRICES, Times, parts, wide
from landscape.engine.device import SHARE, free_memory
from landscape.engine.evaluate import exact_attention
from landscape.engine.folding import Folded
from landscape.engine.network import Network, arguments, call, lay_out
from landscape.engine.resident import Resident
from landscape.engine.strategy import Strategy
from landscape.losses import scores

FEW = 2  # examples whose graph is weighed


class Products:
    """Multiply a curvature matrix of the mean loss at one point with vectors: (K, D) -> (K, D), float64.

    Parameters
    ----------
    network : Network
        Standing at the point as far as batch-norm statistics are concerned. Copied.
    loss : callable (outputs, targets) -> per-example losses
    matrix : {"hessian", "gauss_newton", "fisher"}
    strategy : Strategy
    point : Tensor of shape (D,)
    split : Resident

    Raises
    ------
    ValueError
        If a product is not finite; the error names the examples.

    Notes
    -----
    Memory: a copy of the network, the graph of one chunk (about 3 A B bytes, for A bytes that a forward pass of one
    example saves, and B examples), and the graphs that are kept, 2 A for each example, within a quarter of the free
    memory.
    """

    def __init__(
        self, network: Network, loss: Callable, matrix: str, strategy: Strategy, point: Tensor, split: Resident
    ) -> None:
        self.loss, self.matrix, self.strategy, self.split = loss, matrix, strategy, split
        self.twin = Twin(network, point, folded=strategy.folded, channels_last=strategy.channels_last)
        self._room = free_memory(point.device) * SHARE if strategy.kept else 0
        self._each = self._weighed() if strategy.kept else 0
        self._kept: dict[int, tuple[Callable, Tensor]] = {}
        self._compiled: Callable | None = None

    def __call__(self, rows: Tensor) -> Tensor:
        """Multiply every row: (K, D) -> (K, D), float64 (float32 on MPS)."""
        total, weight, finite = wide(torch.zeros_like(rows)), 0.0, []
        with torch.enable_grad(), exact_attention():
            chunks = self.split.chunks(self.strategy.examples, self.strategy.channels_last)
            for index, (inputs, targets, _) in enumerate(chunks):
                times, share = self._prepared(index, inputs, targets)
                weight = weight + wide(share).sum()
                for some, into in zip(rows.split(self._width), total.split(self._width), strict=True):
                    into += wide(times(some))
                finite.append(torch.isfinite(total).all())
        _require_finite(finite, self.strategy.examples, self.split.size)
        return total / weight

    @property
    def _width(self) -> int:
        return 1 if self.strategy.kind == "retained" else self.strategy.vectors

    def _prepared(self, index: int, inputs: Any, targets: Tensor) -> tuple[Callable, Tensor]:
        """Return what multiplies rows (K, D) with the matrix of a chunk, and the weights of its examples."""
        if index in self._kept:
            return self._kept[index]
        make = self._reverse
        if self.strategy.kind == "forward":
            make = self._forward_over_reverse if self.matrix == "hessian" else self._forward_then_reverse
        keep = len(targets) * self._each
        if not self.strategy.kept or keep > self._room:
            return make(inputs, targets)
        self._room -= keep
        self._kept[index] = (self._captured if self.strategy.captured and targets.is_cuda else make)(inputs, targets)
        return self._kept[index]

    def _reverse(self, inputs: Any, targets: Tensor) -> tuple[Callable, Tensor]:
        times, weight = MATRICES[self.matrix](self.twin, self.loss, inputs, targets, self.twin.leaves)
        return _in_turn(times) if self._width == 1 else vmap(times), weight

    def _forward_then_reverse(self, inputs: Any, targets: Tensor) -> tuple[Callable, Tensor]:
        """Multiply with J forward, all rows at once, then with J' C in reverse."""
        factored, leaves = MATRICES[self.matrix], self._fixed()
        times, weight = factored.pulling(self.loss, self.twin(inputs), targets, self.twin.leaves)

        def outputs(*values: Tensor) -> Tensor:
            return factored.outputs(self.loss, self.twin.at(values, inputs), targets)

        def pushed(row: Tensor) -> Tensor:
            return jvp(outputs, leaves, tuple(parts(row, self.twin.leaves)))[1]

        def product(rows: Tensor) -> Tensor:
            with torch.no_grad(), _quiet():
                tangents = vmap(pushed)(rows)
            return _in_turn(times)(tangents)

        return product, weight

    def _captured(self, inputs: Any, targets: Tensor) -> tuple[Callable, Tensor]:
        """Capture the products of one chunk as a CUDA graph, which is replayed for later vectors."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            times, weight = self._reverse(inputs, targets)
            given = torch.zeros(self._width, self.twin.dim, dtype=self.twin.dtype, device=targets.device)
            for _ in range(3):  # libraries choose their kernels before anything is captured
                times(given)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            found = times(given)

        def replayed(rows: Tensor) -> Tensor:
            given[: len(rows)] = rows
            graph.replay()
            return found[: len(rows)].clone()

        return replayed, weight

    def _forward_over_reverse(self, inputs: Any, targets: Tensor) -> tuple[Callable, Tensor]:
        """Differentiate the gradient along all rows at once, forward."""
        whole = self.strategy.compiled and len(targets) == self.strategy.examples
        run = self._fast() if whole else self._rows_forward  # a short last chunk is not worth compiling for
        with torch.no_grad():
            weight = scores(self.loss, self.twin(inputs), targets).weight

        def product(rows: Tensor) -> Tensor:
            short = self._width - len(rows) if whole else 0
            padded = torch.cat([rows, rows.new_zeros(short, rows.shape[1])]) if short else rows
            with _quiet():
                return run(padded, inputs, targets)[: len(rows)].detach()

        return product, weight

    def _fast(self) -> Callable:
        self._compiled = self._compiled or torch.compile(self._rows_forward, dynamic=False)
        return self._compiled

    def _rows_forward(self, rows: Tensor, inputs: Any, targets: Tensor) -> Tensor:
        leaves = self._fixed()

        def total(*values: Tensor) -> Tensor:
            return scores(self.loss, self.twin.at(values, inputs), targets).loss.sum()

        slopes = torch.func.grad(total, argnums=tuple(range(len(leaves))))

        def times(row: Tensor) -> Tensor:
            _, found = jvp(slopes, leaves, tuple(parts(row, self.twin.leaves)))
            return torch.cat([part.flatten() for part in found])

        return vmap(times)(rows)

    def _fixed(self) -> tuple[Tensor, ...]:
        return tuple(leaf.detach() for leaf in self.twin.leaves)

    def _weighed(self) -> int:
        """Measure the bytes of the graph of one example."""
        known = {p.untyped_storage().data_ptr() for p in self.twin.model.parameters()}
        seen: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            if tensor.untyped_storage().data_ptr() not in known:
                seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        inputs, targets, _ = next(self.split.head(FEW).chunks(FEW, self.strategy.channels_last))
        with torch.enable_grad(), exact_attention(), saved_tensors_hooks(pack, lambda tensor: tensor):
            held = MATRICES[self.matrix](self.twin, self.loss, inputs, targets, self.twin.leaves)
        del held
        return max(1, sum(seen.values()) // len(targets))


class Twin:
    """A copy of a network at one point, whose parameters can be differentiated and stay where they are.

    Attributes
    ----------
    leaves : list of Tensor
        The parameters, in the order of the vector.
    """

    def __init__(self, network: Network, point: Tensor, *, folded: bool, channels_last: bool) -> None:
        made = Folded(network) if folded else None
        self.folded = made if made is not None and made.pairs else None
        self.model = self.folded.model if self.folded else deepcopy(network.model)
        lay_out(self.model, channels_last)
        self.dim, self.dtype = network.dim, network.dtype
        self.names = [block.name for block in network.blocks]
        plain = network.blocks if self.folded is None else self.folded.plain
        own, values = dict(self.model.named_parameters()), network.unpack(point)
        for block in plain:
            own[block.name].data.copy_(values[block.name])
        free = {name: _laid_out(values[name], channels_last) for name in self.names}
        inside = {block.name for block in plain}
        self.leaves = [(own if name in inside else free)[name].requires_grad_(True) for name in self.names]

    def __call__(self, inputs: Any) -> Any:
        """Apply the network."""
        if self.folded is None:
            return call(self.model, inputs)
        return self._applied(self.folded.values(dict(zip(self.names, self.leaves, strict=True))), inputs)

    def at(self, values: tuple[Tensor, ...], inputs: Any) -> Any:
        """Apply the network with other parameters, as arguments."""
        named = dict(zip(self.names, values, strict=True))
        if self.folded is None:
            return self._applied(named, inputs)
        plain = {block.name: named[block.name] for block in self.folded.plain}
        return self._applied(plain | self.folded.values(named), inputs)

    def _applied(self, values: dict[str, Tensor], inputs: Any) -> Any:
        positional, keyword = arguments(inputs)
        return functional_call(self.model, values, positional, keyword)


def _in_turn(times: Times) -> Callable:
    return lambda rows: torch.stack([times(row) for row in rows])


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch where its own rules of forward mode are written in a way that it deprecates."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.script.* is deprecated")
        yield


def _laid_out(value: Tensor, channels_last: bool) -> Tensor:
    last = channels_last and value.ndim == 4
    return value.clone(memory_format=torch.channels_last if last else torch.contiguous_format)


def _require_finite(finite: list[Tensor], size: int, whole: int) -> None:
    wrong = (~torch.stack(finite)).nonzero()
    if len(wrong):
        first = int(wrong[0]) * size
        raise ValueError(
            f"Expected finite products, got NaN or infinity from examples {first} to {min(first + size, whole) - 1}: "
            "look at those examples, or at weights far from trained ones; precision float64 may help."
        )
