"""Composite operators spelled out in simpler ones: units are followed through these."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def layer_norm(x: Tensor, normalized_shape, weight=None, bias=None, eps: float = 1e-5) -> Tensor:  # noqa: ANN001
    """Normalize over the last axes."""
    axes = tuple(range(-len(normalized_shape), 0))
    return _scaled(_standardized(x, axes, eps), weight, bias)


def rms_norm(x: Tensor, normalized_shape, weight=None, eps: float | None = None) -> Tensor:
    """Divide by the root mean square over the last axes."""
    axes = tuple(range(-len(normalized_shape), 0))
    small = float(torch.finfo(x.dtype).eps) if eps is None else eps
    return _scaled(x * (x.square().mean(axes, keepdim=True) + small).rsqrt(), weight, None)


def group_norm(x: Tensor, num_groups: int, weight=None, bias=None, eps: float = 1e-5) -> Tensor:
    """Normalize over pixels and the channels of each group."""
    grouped = x.unflatten(1, (num_groups, -1))
    normal = _standardized(grouped, tuple(range(2, grouped.ndim)), eps).flatten(1, 2)
    return _scaled(normal, _channels(weight, x), _channels(bias, x))


def batch_norm(
    x: Tensor, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
) -> Tensor:
    """Normalize each channel, by stored statistics or those of the batch."""
    if training:
        normal = _standardized(x, (0, *range(2, x.ndim)), eps)
    else:
        mean, var = (stored.reshape(-1, *[1] * (x.ndim - 2)) for stored in (running_mean, running_var))
        normal = (x - mean) * (var + eps).rsqrt()
    return _scaled(normal, _channels(weight, x), _channels(bias, x))


def instance_norm(
    x: Tensor, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1,
    eps=1e-5,
) -> Tensor:  # fmt: skip
    """Normalize each channel of each example over its pixels, or by stored statistics."""
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, eps=eps)
    return _scaled(_standardized(x, tuple(range(2, x.ndim)), eps), _channels(weight, x), _channels(bias, x))


def _standardized(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    centred = x - x.mean(axes, keepdim=True)
    return centred * (centred.square().mean(axes, keepdim=True) + eps).rsqrt()


def _scaled(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def _channels(vector: Tensor | None, x: Tensor) -> Tensor | None:
    return None if vector is None else vector.reshape(-1, *[1] * (x.ndim - 2))


def prelu(x: Tensor, weight: Tensor) -> Tensor:
    """Give negative numbers a slope, by channel."""
    return torch.where(x > 0, x, x * (weight if weight.numel() == 1 or x.ndim == 1 else _channels(weight, x)))


def normalize(x: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out=None) -> Tensor:
    """Divide by the norm over an axis."""
    return x / (x.abs() ** p).sum(dim, keepdim=True).pow(1 / p).clamp_min(eps)


def glu(x: Tensor, dim: int = -1) -> Tensor:
    """Gate one half of the units by the other."""
    first, second = x.chunk(2, dim)
    return first * second.sigmoid()


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None,
    enable_gqa=False,
) -> Tensor:  # fmt: skip
    """Average values by the softmax of the products of queries and keys."""
    if enable_gqa:
        key, value = (kept.repeat_interleave(query.shape[-3] // kept.shape[-3], -3) for kept in (key, value))
    scores = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=query.device).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    return functional.softmax(scores, -1) @ value


def multi_head_attention_forward(
    query: Tensor, key: Tensor, value: Tensor, embed_dim_to_check: int, num_heads: int, in_proj_weight, in_proj_bias,
    bias_k, bias_v, add_zero_attn, dropout_p, out_proj_weight, out_proj_bias, training=True, key_padding_mask=None,
    need_weights=True, attn_mask=None, use_separate_proj_weight=False, q_proj_weight=None, k_proj_weight=None,
    v_proj_weight=None, static_k=None, static_v=None, average_attn_weights=True, is_causal=False,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """Project (length, batch, width), attend with each head, project back: as `nn.MultiheadAttention` does.

    Raises
    ------
    NotImplementedError
        With appended keys or values, which few use.
    """
    if bias_k is not None or add_zero_attn or static_k is not None or static_v is not None:
        raise NotImplementedError
    single = query.ndim == 2
    given = [x.unsqueeze(1) if single else x for x in (query, key, value)]
    weights = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else in_proj_weight.chunk(3)
    biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    q, k, v = (
        functional.linear(x, weight, bias).unflatten(-1, (num_heads, -1)).permute(1, 2, 0, 3)
        for x, weight, bias in zip(given, weights, biases, strict=True)
    )  # each (batch, heads, length, width of a head)
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    for mask in _masks(attn_mask, key_padding_mask, num_heads, single):
        scores = scores.masked_fill(mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    weights = functional.softmax(scores, -1)
    mixed = (weights @ v).permute(2, 0, 1, 3).flatten(-2)
    mixed = functional.linear(mixed.squeeze(1) if single else mixed, out_proj_weight, out_proj_bias)
    if not need_weights:
        return mixed, None
    weights = weights.mean(1) if average_attn_weights else weights
    return mixed, weights.squeeze(0) if single else weights


def _masks(attn_mask: Tensor | None, padding: Tensor | None, heads: int, single: bool) -> list[Tensor]:
    masks = []
    if attn_mask is not None:
        masks.append(attn_mask if attn_mask.ndim == 2 else attn_mask.unflatten(0, (-1, heads)))
    if padding is not None:
        masks.append((padding.unsqueeze(0) if single else padding)[:, None, None, :])
    return masks


def recurrent(cell):  # noqa: ANN001, ANN201
    """Return the layers of recurrent cells of one kind, as `nn.LSTM` and its kin call them."""

    def layers(
        x: Tensor, state, weights, has_biases, num_layers, dropout, training, bidirectional, batch_first
    ):  # noqa: ANN001, ANN202  # fmt: skip
        if isinstance(weights, bool):  # packed sequences
            raise NotImplementedError
        ways = 1 + bidirectional
        each = len(weights) // (num_layers * ways)
        if each != 2 + 2 * has_biases:  # projections
            raise NotImplementedError
        x = x.transpose(0, 1) if batch_first and x.ndim == 3 else x
        states = list(zip(*state, strict=True)) if isinstance(state, tuple | list) else [(h,) for h in state]
        ends = []
        for layer in range(num_layers):
            outs = []
            for way in range(ways):
                number = layer * ways + way
                out, end = _run(cell, x, states[number], weights[number * each : (number + 1) * each], bool(way))
                outs.append(out)
                ends.append(end)
            x = torch.cat(outs, -1)
        x = x.transpose(0, 1) if batch_first and x.ndim == 3 else x
        return x, *(torch.stack(parts) for parts in zip(*ends, strict=True))

    return layers


def _run(cell, x: Tensor, state, weights, backwards: bool):  # noqa: ANN001, ANN202
    outs = []
    steps = x.unbind(0)
    for step in reversed(steps) if backwards else steps:
        own = functional.linear(step, weights[0], weights[2] if len(weights) > 2 else None)
        old = functional.linear(state[0], weights[1], weights[3] if len(weights) > 2 else None)
        state = cell(own, old, state)
        outs.append(state[0])
    return torch.stack(outs[::-1] if backwards else outs), state


def _lstm(own: Tensor, old: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    enter, forget, new, out = (own + old).chunk(4, -1)
    memory = forget.sigmoid() * state[1] + enter.sigmoid() * new.tanh()
    return out.sigmoid() * memory.tanh(), memory


def _gru(own: Tensor, old: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    (reset, update, new), (reset_old, update_old, new_old) = own.chunk(3, -1), old.chunk(3, -1)
    update = (update + update_old).sigmoid()
    new = (new + (reset + reset_old).sigmoid() * new_old).tanh()
    return ((1 - update) * new + update * state[0],)


SPELLED = {
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "group_norm": group_norm,
    "batch_norm": batch_norm,
    "instance_norm": instance_norm,
    "prelu": prelu,
    "normalize": normalize,
    "glu": glu,
    "scaled_dot_product_attention": scaled_dot_product_attention,
    "multi_head_attention_forward": multi_head_attention_forward,
    "lstm": recurrent(_lstm),
    "gru": recurrent(_gru),
    "rnn_tanh": recurrent(lambda own, old, state: ((own + old).tanh(),)),
    "rnn_relu": recurrent(lambda own, old, state: ((own + old).relu(),)),
}
