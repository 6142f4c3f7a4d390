"""How units pass through operators without weights: rearranging, element by element, sums, pooling, picking."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from landscape.alignment.following.calls import Call, NoRule, axes, names

REARRANGING = """
    reshape view reshape_as view_as permute transpose swapaxes swapdims t T mT adjoint flatten unflatten ravel movedim
    moveaxis squeeze unsqueeze expand expand_as broadcast_to repeat tile repeat_interleave narrow select unbind chunk
    split split_with_sizes tensor_split hsplit vsplit dsplit cat concat concatenate stack hstack vstack dstack flip
    fliplr flipud roll rot90 contiguous clone detach data to type float double half bfloat16 cpu cuda requires_grad_
    alias unfold diagonal pixel_shuffle pixel_unshuffle channel_shuffle atleast_1d atleast_2d atleast_3d type_as
    as_subclass broadcast_tensors positive real
"""
ELEMENTWISE = """
    add sub subtract rsub mul multiply div divide true_divide floor_divide truediv floordiv mod remainder fmod pow neg
    negative abs absolute sign sgn exp exp2 expm1 log log2 log10 log1p sqrt rsqrt square reciprocal sin cos tan asin
    acos atan atan2 sinh cosh tanh asinh acosh atanh erf erfc erfinv sigmoid logit relu relu6 leaky_relu elu selu celu
    gelu silu mish hardswish hardsigmoid hardtanh softplus softsign tanhshrink softshrink hardshrink threshold
    logsigmoid log_sigmoid
    sinc clamp clamp_min clamp_max clip maximum minimum fmax fmin max min where masked_fill lerp addcmul
    addcdiv round floor ceil trunc frac nan_to_num eq ne lt le gt ge less less_equal greater greater_equal
    not_equal logical_and logical_or logical_not logical_xor and or xor invert bitwise_not isnan isinf isfinite dropout
    dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout feature_dropout hypot xlogy copysign heaviside
    polygamma lgamma digamma i0 float_power rrelu
"""
SUMS = """
    sum mean prod amax amin var std var_mean std_mean norm vector_norm logsumexp nansum nanmean any all count_nonzero
    max min
"""
WITHIN = "softmax log_softmax softmin"
ALONG = "cumsum cumprod logcumsumexp cummax cummin sort argsort argmax argmin topk median diff"
SPATIAL = """
    max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d
    adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d lp_pool1d lp_pool2d interpolate
    upsample max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices
"""
CONSTANT = "zeros_like ones_like full_like empty_like rand_like randn_like new_zeros new_ones new_full new_empty"


def rearranged(call: Call) -> list[Tensor]:
    """Move integers as the operator moves numbers."""
    func = {"view": torch.Tensor.reshape}.get(call.name, call.func)
    if any(isinstance(argument, torch.dtype) for argument in call.args) and call.name == "view":
        raise NoRule
    if all(result.shape == call.tensors[0].shape for result in call.results) and call.name in KEEPING:
        return [call.ids(call.tensors[0])]
    args, kwargs = call.moved()
    try:
        moved = func(*args, **kwargs)
    except NotImplementedError:  # patches of images are cut out of floats alone, which hold these integers exactly
        moved = func(*(arg.double() if isinstance(arg, Tensor) else arg for arg in args), **kwargs).long()
    return [moved] if isinstance(moved, Tensor) else list(moved)


KEEPING = frozenset(
    names("contiguous clone detach data to type float double half bfloat16 cpu cuda requires_grad_ alias type_as "
          "as_subclass positive real")
)  # fmt: skip


def padded(call: Call) -> Tensor:
    """Pad integers as numbers are padded: with a constant, or with numbers of the same line."""
    mode, value = call.given(2, "mode", default="constant"), call.given(3, "value")
    if mode != "constant":
        args, kwargs = call.moved()
        return call.func(args[0].double(), *args[1:], **kwargs).long()
    constant = call.ledger.value(float(value or 0))
    return torch.nn.functional.pad(call.ids(call.tensors[0]), call.given(1, "pad"), value=constant)


def elementwise(call: Call) -> Tensor:
    """Combine all tensors position by position."""
    if call.name in ("max", "min") and (len(call.tensors) == 1 or len(call.args) != len(call.tensors)):
        return summed(call)
    operands = [call.operand(tensor) for tensor in call.tensors]
    return reduce(call.units.combined, operands).ids


def summed(call: Call) -> Tensor:
    """Reduce axes: what is left moves with the block of all that it was made of."""
    tensor = call.tensors[0]
    over = 2 if call.name in ("norm", "vector_norm") else 1
    dim = call.given(over, "dim", "axis")
    if isinstance(dim, bool):
        raise NoRule
    reduced = axes(dim, tensor.ndim)
    if call.name in ("max", "min") and dim is not None and (call.ids(tensor) > 0).any():
        _uniform(call, tensor, reduced)
    left = call.units.reduced(call.operand(tensor).ids, reduced)
    keep = call.results[0].ndim == tensor.ndim
    return left if keep else left.reshape([size for axis, size in enumerate(left.shape) if axis not in reduced])


def within(call: Call) -> Tensor:
    """Divide by a sum over axes, or the like: units stay on their line."""
    tensor = call.tensors[0]
    ids = call.operand(tensor).ids
    dim = call.given(1, "dim")
    if dim is None:
        raise NoRule
    call.units.reduced(ids, axes(dim, tensor.ndim))
    return ids


def along(call: Call) -> Tensor:
    """Walk along an axis in order: no unit may lie along it."""
    tensor = call.tensors[0]
    position = 2 if call.name == "topk" else 1
    dim = call.given(position, "dim", "axis", default=-1 if call.name in ("sort", "argsort", "topk") else None)
    reduced = axes(dim, tensor.ndim)
    ids = _uniform(call, tensor, reduced)
    if call.results[0].ndim == tensor.ndim:
        return ids
    return ids.reshape([size for axis, size in enumerate(ids.shape) if axis not in reduced])


def _uniform(call: Call, tensor: Tensor, reduced: tuple[int, ...]) -> Tensor:
    ids = call.operand(tensor).ids
    if any(ids.shape[axis] > 1 for axis in reduced):
        raise NoRule
    return ids


def spatial(call: Call) -> Tensor:
    """Mix the pixels of each channel."""
    tensor = call.tensors[0]
    last = int(call.name[-2]) if call.name[-2:] in ("1d", "2d", "3d") else tensor.ndim - 2
    pixels = tuple(range(tensor.ndim - last, tensor.ndim))
    return call.units.fused(call.operand(tensor).ids, pixels)


def indexed(call: Call) -> Tensor:
    """Pick positions: by slices anywhere; by tensors on one axis, or on axes without units."""
    tensor, index = call.args[:2]
    picks = [i for i in (index if isinstance(index, tuple) else (index,)) if isinstance(i, Tensor | list)]
    if any(isinstance(pick, Tensor) and call.ledger.moves(pick) for pick in picks):
        raise NoRule
    ids = call.ids(tensor)
    if len(picks) > 1 or any(isinstance(pick, Tensor) and pick.dtype == torch.bool for pick in picks):
        _without_units(call, tensor, index)
    return ids[index]


def _without_units(call: Call, tensor: Tensor, index: tuple) -> None:
    axis = 0
    shape = call.operand(tensor).ids.shape
    for pick in index if isinstance(index, tuple) else (index,):
        if pick is None:
            continue
        if pick is Ellipsis:
            raise NoRule
        width = pick.ndim if isinstance(pick, Tensor) and pick.dtype == torch.bool else 1
        if isinstance(pick, Tensor | list) and any(size > 1 for size in shape[axis : axis + width]):
            raise NoRule
        axis += width


def selected(call: Call) -> Tensor:
    """Pick positions of one axis by a tensor."""
    index = call.given(2, "index")
    if call.ledger.moves(index):
        raise NoRule
    return torch.index_select(call.ids(call.tensors[0]), call.given(1, "dim"), index)


def written(call: Call) -> Tensor:
    """Write into a tensor: its integers become those of what is written."""
    target, index, value = call.args
    ids = call.ids(target).clone()
    ids[index] = call.ids(value) if isinstance(value, Tensor) else call.ledger.value(float(value))
    return ids


def copied(call: Call) -> Tensor:
    """Overwrite a tensor by another one."""
    return call.ids(call.args[1]) if isinstance(call.args[1], Tensor) else torch.tensor(0)


RULES = {
    **dict.fromkeys(names(REARRANGING), rearranged),
    **dict.fromkeys(names(ELEMENTWISE), elementwise),
    **dict.fromkeys(names(ALONG), along),
    **dict.fromkeys(names(SPATIAL), spatial),
    **dict.fromkeys(names(WITHIN), within),
    **{name: summed for name in names(SUMS) if name not in ("max", "min")},
    "pad": padded,
    "getitem": indexed,
    "index_select": selected,
    "setitem": written,
    "copy": copied,
}
