"""Grids: the finitely many values that a quantized tensor can have."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

KINDS = ("uniform", "midrise", "binary", "levels")
WIDEST = 8  # bits
FORMATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


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
        If the parts do not fit one another. The numbers are looked at by `require_positive` alone.

    Notes
    -----
    Codes and values are found in the format of the scale, or float32 if that is shorter, and rounded to the format of
    the tensor at the end: a network is deployed with the same values in whatever precision it is looked at.
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
            raise ValueError(f"Expected a grid among {', '.join(KINDS)}, got {self.kind!r:.80}: the file is damaged.")
        if not 1 <= self.bits <= WIDEST:
            raise ValueError(f"Expected a grid of 1 to {WIDEST} bits, got {self.bits}: such widths alone are known.")
        most = 2**self.bits
        if not -most <= self.low < self.high <= most or self.high - self.low >= most:
            raise ValueError(
                f"Expected at most {most} codes for {self.bits} bits, got {self.low} to {self.high}: "
                "give the codes of that width."
            )
        if (self.kind == "binary" and (self.low, self.high) != (0, 1)) or (self.kind == "levels" and self.low):
            raise ValueError(f"Expected codes from 0 on a {self.kind} grid, got {self.low} to {self.high}: shift them.")
        if self.zero.shape != self.scale.shape:
            raise ValueError(
                f"Expected zero points of shape {tuple(self.scale.shape)}, got {tuple(self.zero.shape)}: one a scale."
            )
        if (self.levels is None) == (self.kind == "levels"):
            raise ValueError(f"Expected levels with a grid of learned levels alone, got kind {self.kind!r}.")
        if self.levels is not None and self.levels.shape != (*self.scale.shape, self.high - self.low + 1):
            raise ValueError(f"Expected {self.high - self.low + 1} levels a scale, got {tuple(self.levels.shape)}.")

    def require_positive(self, name: str) -> None:
        """Refuse scales that are not positive and finite, zero points that are no codes, levels that do not ascend.

        Not a part of making a grid: this looks at numbers, which costs a wait for the device.
        """
        if not self.scale.numel():
            raise ValueError(f"Expected a scale for {name!r}, got none: leave the layer out.")
        wrong = ~(torch.isfinite(self.scale) & (self.scale > 0))
        if bool(wrong.any()):
            value = self.scale[wrong][0].item()
            why = "are its weights finite? Otherwise " if value != value else ""
            raise ValueError(
                f"Expected positive, finite scales for {name!r}, got {value:g} in {int(wrong.sum())} of "
                f"{wrong.numel()}: {why}calibrate it again, or leave the layer out."
            )
        if not bool((torch.isfinite(self.zero) & (self.zero == self.zero.round())).all()):
            raise ValueError(f"Expected whole numbers as zero points for {name!r}, got others: calibrate it again.")
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
        wide = self.widened(tensor)
        if self.kind == "binary":
            found = (wide >= 0).to(wide.dtype)
        elif self.levels is not None:
            levels = self.widened(self.levels)
            found = torch.zeros_like(wide)
            for edge in ((levels[..., 1:] + levels[..., :-1]) / 2).unbind(-1):  # not all at once: 255 of them, at most
                found = found + (wide >= edge)
        else:
            found = self.unclipped(wide).clamp(self.low, self.high)
        return found.to(tensor.dtype)

    def unclipped(self, tensor: Tensor) -> Tensor:
        """Return codes that may lie beyond the ends; of uniform and mid-rise grids."""
        within = self.widened(tensor) * (1 / self.widened(self.scale))
        found = within.floor() if self.kind == "midrise" else within.round() + self.widened(self.zero)
        return found.to(tensor.dtype)

    def widened(self, tensor: Tensor) -> Tensor:
        """Return a tensor in the format that this grid computes in: that of its scale, or float32 if it is shorter."""
        return tensor.to(torch.promote_types(self.scale.dtype, torch.float32))

    def inside(self, tensor: Tensor) -> Tensor:
        """Say which numbers lie within the range of the codes: True where rounding does not clip.

        The mask of `torch.fake_quantize_per_tensor_affine`. Of binary grids ``|w| <= 1``, the convention of binary
        networks; of learned levels, within half a step of the outermost ones.
        """
        if self.kind == "binary":
            return tensor.abs() <= 1
        wide = self.widened(tensor)
        if self.levels is not None:
            half, levels = self.widened(self.scale) / 2, self.widened(self.levels)
            return (wide >= levels[..., 0] - half) & (wide <= levels[..., -1] + half)
        found = self.unclipped(wide)
        return (found >= self.low) & (found <= self.high)

    def dequantize(self, codes: Tensor) -> Tensor:
        """Return the values of codes, in their format if that is a floating-point one, else in that of the scale."""
        wide, scale = self.widened(codes), self.widened(self.scale)
        if self.kind == "binary":
            found = (2 * wide - 1) * scale
        elif self.kind == "midrise":
            found = (wide + 0.5) * scale
        elif self.levels is None:
            found = (wide - self.widened(self.zero)) * scale
        else:
            found = torch.zeros_like(wide)
            for code, level in enumerate(self.widened(self.levels).unbind(-1)):  # vmap cannot gather along a lost axis
                found = torch.where(wide == code, level, found)
        return found.to(codes.dtype if codes.is_floating_point() else self.scale.dtype)

    def hard(self, tensor: Tensor) -> Tensor:
        """Return the nearest value of every number: Q(w)."""
        return self.dequantize(self.codes(tensor))

    def to(self, like: Tensor) -> Grid:
        """Return the same grid on the device of a tensor, which may know no float64."""
        device = like.device
        if self.scale.device == device:
            return self
        made = [
            t if t is None else t.to(device, torch.float32 if device.type == "mps" else t.dtype)
            for t in (self.scale, self.zero, self.levels)
        ]
        return replace(self, scale=made[0], zero=made[1], levels=made[2])

    def sha256(self) -> str:
        """Hash all that decides the values."""
        found = hashlib.sha256(f"{self.kind} {self.bits} {self.low} {self.high}".encode())
        for tensor in (self.scale, self.zero, self.levels):
            if tensor is not None:
                found.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
                found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
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
    if any(abs(found[name]) > 2 * 2**WIDEST for name in ("bits", "low", "high")):
        raise ValueError(f"Expected bits and codes of {WIDEST} bits at most in a grid, got larger numbers.")
    tensors = {name: found[name].detach() for name in ("scale", "zero", "levels") if found.get(name) is not None}
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.dtype not in FORMATS:
            raise ValueError(f"Expected dense tensors of a usual format in a grid, got {tensor.dtype} as its {name}.")
    return Grid(found["kind"], found["bits"], found["low"], found["high"], **tensors)
