"""How units pass through products: layers with weights, matrix products of activations, convolutions, tables."""

from __future__ import annotations

from functools import reduce

import numpy as np
import torch
from torch import Tensor

from landscape.alignment.following.calls import Call, NoRule
from landscape.alignment.following.units import Operand, operand


def linear(call: Call) -> Tensor:
    """Follow x Wᵀ + b: the units of x are the columns of W, its rows are new units."""
    weight, bias = call.given(1, "weight"), call.given(2, "bias")
    x = call.given(0, "input")
    rows = _letters(x.ndim - 1)
    out = contraction(call, [x, weight], [f"{rows}I", "OI"], f"{rows}O")
    return _plus(call, out, bias)


def bilinear(call: Call) -> Tensor:
    """Follow Σ x_i W_oij y_j + b."""
    x, y, weight, bias = (call.given(i, name) for i, name in enumerate(("input1", "input2", "weight", "bias")))
    rows = _letters(x.ndim - 1)
    out = contraction(call, [x, y, weight], [f"{rows}I", f"{rows}J", "OIJ"], f"{rows}O")
    return _plus(call, out, bias)


def product(call: Call) -> Tensor:
    """Follow A B, of matrices, of vectors, of batches of matrices."""
    first, second = call.tensors[:2]
    if call.name == "rmatmul":
        first, second = second, first
    left = "K" if first.ndim == 1 else f"{_letters(first.ndim - 2)}IK"
    right = "K" if second.ndim == 1 else f"{_letters(second.ndim - 2)}KJ"
    batch = _letters(max(first.ndim, second.ndim, 2) - 2)
    return contraction(call, [first, second], [left, right], batch + "I" * (first.ndim > 1) + "J" * (second.ndim > 1))


def product_plus(call: Call) -> Tensor:
    """Follow C + A B."""
    added, first, second = call.tensors[:3]
    batch = _letters(first.ndim - 2)
    return _plus(call, contraction(call, [first, second], [f"{batch}IK", f"{batch}KJ"], f"{batch}IJ"), added)


def einsum(call: Call) -> Tensor:
    """Sum products over letters."""
    equation, tensors = call.args[0], call.tensors
    if not isinstance(equation, str) or "->" not in equation or "." in equation:
        raise NoRule
    terms, out = equation.replace(" ", "").split("->")
    return contraction(call, tensors, terms.split(","), out)


def contraction(call: Call, tensors: list[Tensor], terms: list[str], out: str) -> Tensor:
    """Follow units through a sum of products, written in letters as `torch.einsum` does."""
    if any(len(set(term)) < len(term) for term in terms):
        raise NoRule
    weights = [i for i, tensor in enumerate(tensors) if _is_weight(call, tensor)]
    if len(weights) == 1 and len(tensors) > 1:
        return _weighted(call, tensors, terms, out, weights[0])
    letters = sorted(set("".join(terms)))
    placed = (_placed(call.operand(tensor), term, letters) for tensor, term in zip(tensors, terms, strict=True))
    met = reduce(call.units.combined, placed)
    left = call.units.reduced(met.ids, tuple(i for i, letter in enumerate(letters) if letter not in out))
    kept = [i for i, letter in enumerate(letters) if letter in out]
    left = left.reshape([left.shape[i] for i in kept])
    order = [letters[i] for i in kept]
    return left.permute([order.index(letter) for letter in out])


def _weighted(call: Call, tensors: list[Tensor], terms: list[str], out: str, which: int) -> Tensor:
    weight, term = tensors[which], terms[which]
    own = set(out)
    for tensor, other in zip(tensors, terms, strict=True):
        if tensor is weight:
            continue
        own -= set(other)
        for letter in set(term) & set(other):
            if letter not in out:
                call.meet(call.column(tensor, other.index(letter)), call.axis(weight, term.index(letter)))
            else:
                call.units.fused(call.operand(tensor).ids, (other.index(letter),))
    own &= set(term)
    if not own:
        return torch.zeros((1,) * len(out), dtype=torch.long)
    widest = max(sorted(own), key=lambda letter: weight.shape[term.index(letter)])
    atoms = torch.from_numpy(call.axis(weight, term.index(widest)))
    return atoms.reshape([-1 if letter == widest else 1 for letter in out])


def _is_weight(call: Call, tensor: Tensor) -> bool:
    if call.ledger.atoms.name(tensor) is not None:
        return tensor.ndim > 1 and call.ledger.moves(tensor)
    return tensor.ndim > 1 and call.ledger.moves(tensor) and all(
        call.ledger.atoms.along(call.ids(tensor), axis) is not None for axis in range(tensor.ndim)
    )  # fmt: skip


def _placed(one: Operand, term: str, letters: list[str]) -> Operand:
    one = one.padded(len(term))
    order = sorted(range(len(term)), key=lambda i: term[i])
    ids, spread = one.ids.permute(order), [one.spread[i] for i in order]
    for position, letter in enumerate(letters):
        if letter not in term:
            ids = ids.unsqueeze(position)
            spread.insert(position, False)
    return Operand(ids, tuple(spread))


def _letters(count: int) -> str:
    """Name axes from the last to the first, so that those of tensors of different rank agree."""
    return "abcdefghijklmnop"[:count][::-1]


def _plus(call: Call, ids: Tensor, bias: Tensor | None) -> Tensor:
    if bias is None:
        return ids
    real = call.results[0]
    return call.units.combined(operand(ids.expand(real.shape), real), call.operand(bias)).ids


def convolution(call: Call) -> Tensor:
    """Convolve: input channels are the second axis of the weight, output channels the first."""
    x, weight, bias = (call.given(i, name) for i, name in enumerate(("input", "weight", "bias")))
    axis, groups = x.ndim - weight.ndim + 1, call.given(6, "groups", default=1)
    read = call.column(x, axis)
    out = call.axis(weight, 0)
    if weight.shape[1] == 1 and groups > 1:
        call.meet(read.repeat_interleave(len(out) // groups), out)
    else:
        call.meet(read, np.tile(call.axis(weight, 1), groups))
        _label_groups(call, out, groups)
    return _plus_channels(call, out, bias, axis)


def transposed_convolution(call: Call) -> Tensor:
    """Convolve backwards: input channels are the first axis of the weight, output channels the second."""
    x, weight, bias = (call.given(i, name) for i, name in enumerate(("input", "weight", "bias")))
    axis, groups = x.ndim - weight.ndim + 1, call.given(6, "groups", default=1)
    rows = call.axis(weight, 0)
    call.meet(call.column(x, axis), rows)
    if groups > 1 and groups == len(rows):
        out = np.repeat(rows, weight.shape[1])
    else:
        _label_groups(call, rows, groups)
        out = np.tile(call.axis(weight, 1), groups)
    return _plus_channels(call, out, bias, axis)


def _label_groups(call: Call, atoms: np.ndarray, groups: int) -> None:
    if groups > 1:
        for members in np.split(atoms, groups):
            call.units.note(call.units.label(), members)


def _plus_channels(call: Call, out: np.ndarray, bias: Tensor | None, axis: int) -> Tensor:
    shape = [-1 if i == axis else 1 for i in range(call.results[0].ndim)]
    if bias is not None:
        call.meet(call.ids(bias), out)
    return torch.from_numpy(out).reshape(shape)


def embedding(call: Call) -> Tensor:
    """Look rows up in a table: its columns are units, its rows stay."""
    index, weight = call.given(0, "input"), call.given(1, "weight")
    if call.ledger.moves(index) or call.given(3, "max_norm") is not None:
        raise NoRule
    return torch.from_numpy(call.axis(weight, 1)).expand(*index.shape, -1)


RULES = {
    "linear": linear,
    "bilinear": bilinear,
    **dict.fromkeys(("matmul", "rmatmul", "mm", "bmm", "mv", "dot"), product),
    **dict.fromkeys(("addmm", "baddbmm"), product_plus),
    "einsum": einsum,
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), transposed_convolution),
    "embedding": embedding,
}
