"""What makes a checkpoint a quantized one: its grids, and the weights before rounding."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from landscape.quantize.grid import Grid, grid


@dataclass(frozen=True, eq=False)
class Quantization:
    """The grids of a network whose weights lie on them.

    Attributes
    ----------
    grids : dict of str to Grid
        By name of the parameter.
    latent : dict of str to Tensor
        The weights before rounding, of the same names; empty where they are not known.
    activations : dict of str to Grid
        Of what goes into a layer, by name of the layer; empty where activations are not quantized.
    record : dict
        How it came about (JSON): scheme, rounding, skipped layers, whether batch norm was recalibrated, on what data.
    """

    grids: dict[str, Grid]
    latent: dict[str, Tensor] = field(default_factory=dict)
    activations: dict[str, Grid] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def bits(self) -> dict[str, int]:
        """Width of every quantized tensor."""
        return {name: one.bits for name, one in self.grids.items()}

    def sha256(self) -> str:
        """Hash all grids, of weights and of activations."""
        found = hashlib.sha256()
        for kind in (self.grids, self.activations):
            for name in sorted(kind):
                found.update(f"{name} {kind[name].sha256()}\n".encode())
            found.update(b"--\n")
        return found.hexdigest()

    def require(self, state: Mapping[str, Tensor], path: Any) -> None:
        """Check that a state lies on the grids.

        Raises
        ------
        ValueError
            If a tensor is missing, a grid does not fit it, or a number lies beside its grid.
        """
        for name, one in self.grids.items():
            if name not in state:
                raise ValueError(f"{path}: expected the quantized weight {name!r}, got a state dict without it.")
            try:
                one.require_positive(name)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from None
            _require_on(one, name, state[name], path)
        for name, tensor in self.latent.items():
            if name not in self.grids or tensor.shape != state[name].shape or not tensor.is_floating_point():
                raise ValueError(
                    f"{path}: expected latent weights of quantized ones, of the same shape, got {tensor.dtype} of "
                    f"shape {tuple(tensor.shape)} for {name!r}: the file is damaged."
                )
            if not bool(torch.isfinite(tensor).all()):
                raise ValueError(f"{path}: expected finite latent weights of {name!r}, got others: damaged.")
        for name, one in self.activations.items():
            try:
                one.require_positive(f"activations of {name}")
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from None
            if one.scale.numel() != 1:
                raise ValueError(
                    f"{path}: expected one scale for the activations of {name!r}, got {one.scale.numel()}: give one."
                )

    def moved(self, state: Mapping[str, Tensor]) -> tuple[int, int]:
        """Count the deployed weights that are not the nearest to those before rounding, and all whose origin is known.

        None is, after nearest rounding; some are after AdaRound, or after training that rounds in another way.

        Parameters
        ----------
        state : mapping of str to Tensor
            The deployed weights by name.
        """
        known = {name: one for name, one in self.latent.items() if name in self.grids}
        pairs = [(self.grids[name].to(one).hard(one), state[name].to(one)) for name, one in known.items()]
        away = sum(int((near != deployed).sum()) for near, deployed in pairs)
        return away, sum(near.numel() for near, _ in pairs)

    def plain(self) -> dict[str, Any]:
        """Return all of it as plain values and tensors on the CPU, for a file."""
        return {
            "grids": {name: one.plain() for name, one in self.grids.items()},
            "latent": {name: tensor.detach().cpu().clone() for name, tensor in self.latent.items()},
            "activations": {name: one.plain() for name, one in self.activations.items()},
            "record": self.record,
            "sha256": self.sha256(),
        }


def quantization(found: Any, path: Any) -> Quantization:
    """Make a quantization of what `Quantization.plain` returned and a file brought back.

    Raises
    ------
    ValueError
        If it is not whole, or its grids do not have the hash that it says.
    """
    parts = ("grids", "latent", "activations", "record")
    whole = isinstance(found, Mapping) and all(isinstance(found.get(part), dict) for part in parts)
    whole = whole and all(isinstance(name, str) for part in parts for name in found[part])
    if not whole or not all(isinstance(t, Tensor) for t in found["latent"].values()):
        raise ValueError(f"{path}: expected `quantization` with grids, latent, activations and record, got else.")
    if not found["grids"] and not found["activations"]:
        raise ValueError(f"{path}: expected `quantization` with a grid at least, got none: the file is damaged.")
    try:
        json.dumps(found["record"], allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise ValueError(f"{path}: expected a `record` of quantization in plain JSON, got something else.") from None
    try:
        kinds = {kind: {n: grid(g) for n, g in found[kind].items()} for kind in ("grids", "activations")}
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    made = Quantization(**kinds, latent=found["latent"], record=found["record"])
    if found.get("sha256") != made.sha256():
        raise ValueError(
            f"{path}: expected grids with the hash {str(found.get('sha256')):.12}..., got {made.sha256():.12}...: they "
            "have been changed since; quantize the original again."
        )
    return made


def _require_on(grid: Grid, name: str, tensor: Tensor, path: Any) -> None:
    """Refuse a tensor that a grid does not fit, or with numbers beside it."""
    fits = len(grid.scale.shape) == tensor.ndim and all(
        a in (1, b) for a, b in zip(grid.scale.shape, tensor.shape, strict=True)
    )
    if not fits or not tensor.is_floating_point():
        raise ValueError(
            f"{path}: expected scales that fit {name!r} of shape {tuple(tensor.shape)}, got "
            f"{tuple(grid.scale.shape)} for {tensor.dtype}: the file is damaged."
        )
    away = int((grid.to(tensor).hard(tensor) != tensor).sum())
    if away:
        raise ValueError(
            f"{path}: expected the weights of {name!r} on their grid, got {away} of {tensor.numel()} beside "
            "it: the weights or the grid have been changed since; quantize the original again."
        )


@torch.no_grad()
def quantized(values: Mapping[str, Tensor], grids: Mapping[str, Grid]) -> dict[str, Tensor]:
    """Round named tensors to their grids; those without one stay as they are."""
    return {name: grids[name].hard(tensor) if name in grids else tensor for name, tensor in values.items()}
