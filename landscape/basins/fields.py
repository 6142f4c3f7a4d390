"""What of a result can be flooded: its loss over a plane, a line, or a curve, for every part of the data."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from landscape.probes.line import Line
from landscape.probes.path import Path
from landscape.probes.surface import Surface
from landscape.result import Result

FEWEST = 30  # examples of a point that is given up early: see `landscape.sweep.sweep`
SAID = (  # what a figure says of where its numbers come from
    "model", "data", "directions", "loss", "splits", "batchnorm", "view", "quantized", "quantization", "activations",
)  # fmt: skip


@dataclass(frozen=True)
class Fields:
    """Losses over one grid.

    Attributes
    ----------
    names : list of str
        Of the fields: parts of the data; of several curves, curve and part.
    a, b : ndarray
        Steps along the axes; b is a single zero on a line.
    loss, error : ndarray of shape (field, a, b)
        And the standard errors over examples.
    examples : list of int or None
        How many there are, at least, behind the values of a field; None where that is not told.
    stopped : int
        Points that were given up early, with values of a tenth of the examples.
    """

    names: list[str]
    a: np.ndarray
    b: np.ndarray
    loss: np.ndarray
    error: np.ndarray
    examples: list[int | None]
    stopped: int

    def one(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the loss of a field and its standard error, without the second axis on a line."""
        flat = len(self.b) == 1
        loss, error = self.loss[index], self.error[index]
        return (loss[:, 0], error[:, 0]) if flat else (loss, error)

    @property
    def axes(self) -> list[np.ndarray]:
        """Steps along the axes that there are."""
        return [self.a] if len(self.b) == 1 else [self.a, self.b]

    def sha256(self) -> str:
        """Hash the numbers that everything follows from."""
        digest = hashlib.sha256("\n".join(self.names).encode())
        for array in (self.a, self.b, self.loss, self.error):
            digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
        return digest.hexdigest()


def fields(result: Result) -> Fields:
    """Take the losses out of a result.

    Raises
    ------
    ValueError
        If it is no surface, line or path, or has fewer than two points.
    """
    if not isinstance(result, Surface | Line | Path):
        kind = type(result).__name__
        raise ValueError(f"Expected a Surface, a Line or a Path, got a {kind}: measure one with landscape surface.")
    names, loss, error = [str(name) for name in result.split], result.loss, result.loss_error
    if isinstance(result, Path):
        several = len(result.curve) > 1
        names = [f"{curve} {name}" if several else name for curve in result.curve for name in names]
        loss, error = (array.reshape(len(names), -1) for array in (loss, error))
    steps = result.t if isinstance(result, Path) else result.a
    if not isinstance(result, Surface):
        loss, error = loss[..., None], error[..., None]
    if loss[0].size < 2:
        raise ValueError(f"Expected two points or more, got {loss[0].size}: measure a grid.")
    second = result.b if isinstance(result, Surface) else np.zeros(1)
    a, b, loss, error = (np.asarray(array, dtype=float) for array in (steps, second, loss, error))
    early = getattr(result, "stopped", None)
    stopped = 0 if early is None else int(np.sum(early))
    counts = [_examples(result.origin, str(name), stopped > 0) for name in result.split]
    return Fields(names, a, b, loss, error, counts * (len(names) // max(len(counts), 1)), stopped)


def _examples(origin: dict[str, Any], split: str, stopped: bool) -> int | None:
    """Say how many examples a split has at least at every point, if that is told and gives an error."""
    part = (origin.get("splits") or {}).get(split) or {}
    count = part.get("examples")
    if not isinstance(count, int) or count < 2:
        return None
    return min(count, max(FEWEST, count // 10)) if stopped else count


def origin(result: Result, found: Fields, knobs: dict[str, Any]) -> dict[str, Any]:
    """Say where a topology comes from: kind, hash and origin of what was flooded, and how."""
    flooded = {"kind": type(result).__name__, "sha256": found.sha256(), "origin": result.origin}
    if found.stopped:
        flooded["stopped"] = found.stopped
    said = {key: result.origin[key] for key in SAID if key in result.origin}
    return said | {"command": "topology", "surface": flooded, "knobs": knobs}
