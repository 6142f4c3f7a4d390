"""Grids: the finitely many values that a quantized tensor can have."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

KINDS = ("uniform", "midrise", "binary", "levels")


@dataclass(frozen=True, eq=False)
class Grid:
    """The values of one tensor, by integer codes from `low` to `high`; frozen once it is calibrated.

    ``uniform``: (code - zero) scale. ``midrise``: (code + 1/2) scale. ``binary``: -scale for 0, scale for 1.
    ``levels``: the level of that number, in ascending order.

    Attributes
    ----------
    kind : {"uniform", "midrise", "binary", "levels"}
    bits : int
    low, high : int
        The codes.
    scale : Tensor
        Positive; of a shape that broadcasts with the tensor: one number, or one for each output unit. Of ``levels`` the
        mean distance of neighbours.
    zero : Tensor
        Code of the value 0, of the same shape; zeros except for asymmetric uniform grids.
    levels : Tensor of shape (*scale.shape, 2^bits) or None
        Ascending.

    Raises
    ------
    ValueError
        If a scale is not positive and finite, or the parts do not fit one another.
    """

    kind: str
    bits: int
    low: int
    high: int
    scale: Tensor
    zero: Tensor
    levels: Tensor | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Expected a grid among {', '.join(KINDS)}, got {self.kind!r}: the file is damaged.")
        if not self.low < self.high or self.high - self.low >= 2**self.bits:
            raise ValueError(
                f"Expected at most {2**self.bits} codes for {self.bits} bits, got {self.low} to {self.high}: "
                "give the codes of that width."
            )
        if self.zero.shape != self.scale.shape:
            raise ValueError(
                f"Expected zero points of shape {tuple(self.scale.shape)}, got {tuple(self.zero.shape)}: one a scale."
            )
        if (self.levels is None) == (self.kind == "levels"):
            raise ValueError(f"Expected levels with a grid of learned levels alone, got kind {self.kind!r}.")
        if self.levels is not None and self.levels.shape != (*self.scale.shape, self.high - self.low + 1):
            raise ValueError(f"Expected {self.high - self.low + 1} levels a scale, got {tuple(self.levels.shape)}.")

    def require_positive(self, name: str) -> None:
        """Refuse scales that are zero, negative or not finite; levels that do not ascend.

        Not a part of making a grid: this looks at numbers, which costs a wait for the device.
        """
        wrong = ~(torch.isfinite(self.scale) & (self.scale > 0))
        if bool(wrong.any()):
            value = self.scale[wrong][0].item()
            raise ValueError(
                f"Expected positive, finite scales for {name!r}, got {value:g} in {int(wrong.sum())} of "
                f"{wrong.numel()}: calibrate it again, or leave the layer out with --skip."
            )
        if self.levels is not None and not bool((self.levels.diff(dim=-1) >= 0).all() & self.levels.isfinite().all()):
            raise ValueError(f"Expected finite levels in ascending order for {name!r}, got others: sort them.")

    @property
    def step(self) -> Tensor:
        """Distance between neighbouring values (their mean, of learned levels), of the shape of `scale`."""
        return 2 * self.scale if self.kind == "binary" else self.scale

    def codes(self, tensor: Tensor) -> Tensor:
        """Return the code of the nearest value of every number, as whole numbers in the tensor's own format.

        Of two that are equally near a uniform grid takes the even code, as `torch.fake_quantize_per_tensor_affine`
        does, and the others the upper one.
        """
        if self.kind == "binary":
            return (tensor >= 0).to(tensor.dtype)
        if self.levels is not None:
            middle = ((self.levels[..., 1:] + self.levels[..., :-1]) / 2).to(tensor.dtype)
            return torch.stack([(tensor >= edge).to(tensor.dtype) for edge in middle.unbind(-1)]).sum(0)
        return self.unclipped(tensor).clamp(self.low, self.high)

    def unclipped(self, tensor: Tensor) -> Tensor:
        """Return codes that may lie beyond the ends; of uniform and mid-rise grids."""
        within = tensor * (1 / self.scale).to(tensor.dtype)
        if self.kind == "midrise":
            return within.floor()
        return within.round() + self.zero.to(tensor.dtype)

    def inside(self, tensor: Tensor) -> Tensor:
        """Say which numbers lie within the range of the codes: True where rounding does not clip.

        The mask of `torch.fake_quantize_per_tensor_affine`. Of binary grids ``|w| <= 1``, the convention of binary
        networks; of learned levels, within half a step of the outermost ones.
        """
        if self.kind == "binary":
            return tensor.abs() <= 1
        if self.levels is not None:
            half = self.scale / 2
            return (tensor >= self.levels[..., 0] - half) & (tensor <= self.levels[..., -1] + half)
        found = self.unclipped(tensor)
        return (found >= self.low) & (found <= self.high)

    def dequantize(self, codes: Tensor) -> Tensor:
        """Return the values of codes, in their format if that is a floating-point one, else in that of the scale."""
        codes = codes if codes.is_floating_point() else codes.to(self.scale.dtype)
        scale = self.scale.to(codes.dtype)
        if self.kind == "binary":
            return (2 * codes - 1) * scale
        if self.kind == "midrise":
            return (codes + 0.5) * scale
        if self.levels is None:
            return (codes - self.zero.to(codes.dtype)) * scale
        levels = self.levels.to(codes.dtype)
        found = torch.zeros_like(codes)
        for code, level in enumerate(levels.unbind(-1)):  # vmap cannot search or gather along an axis that is not there
            found = torch.where(codes == code, level, found)
        return found

    def hard(self, tensor: Tensor) -> Tensor:
        """Return the nearest value of every number: Q(w)."""
        return self.dequantize(self.codes(tensor))

    def to(self, like: Tensor) -> Grid:
        """Return the same grid on the device of a tensor."""
        if self.scale.device == like.device:
            return self
        levels = None if self.levels is None else self.levels.to(like.device)
        return Grid(
            self.kind, self.bits, self.low, self.high, self.scale.to(like.device), self.zero.to(like.device), levels
        )

    def sha256(self) -> str:
        """Hash all that decides the values."""
        found = hashlib.sha256(f"{self.kind} {self.bits} {self.low} {self.high}".encode())
        for tensor in (self.scale, self.zero, self.levels):
            if tensor is not None:
                found.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
                found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()

    def plain(self) -> dict[str, Any]:
        """Return the grid as plain values and tensors on the CPU, for a file."""
        tensors = {"scale": self.scale, "zero": self.zero, "levels": self.levels}
        return {"kind": self.kind, "bits": self.bits, "low": self.low, "high": self.high} | {
            name: tensor.detach().cpu().clone() for name, tensor in tensors.items() if tensor is not None
        }


def grid(found: Any) -> Grid:
    """Make a grid of what `Grid.plain` returned and a file brought back.

    Raises
    ------
    ValueError
        If it is not whole.
    """
    kinds = {"kind": str, "bits": int, "low": int, "high": int, "scale": Tensor, "zero": Tensor}
    whole = isinstance(found, Mapping) and all(type(found.get(name)) is kind for name, kind in kinds.items())
    if not whole or not isinstance(found.get("levels"), (Tensor, type(None))):
        raise ValueError("Expected a grid with kind, bits, low, high, scale and zero, got something else.")
    return Grid(**{name: found[name] for name in kinds}, levels=found.get("levels"))
