"""What a loop logs: means over steps, summed where the numbers are, so that nothing waits for a device."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import torch
from torch import Tensor


class Metrics:
    """What was logged since the last point of a trajectory."""

    def __init__(self) -> None:
        self.latest: dict[str, Any] = {}
        self._sums: dict[str, list[Any]] = {}

    def add(self, values: Mapping[str, Any]) -> None:
        """Count numbers of one step towards their means.

        A tensor is added on its device and not kept: a captured graph writes the next step's loss into the same memory.
        """
        for name, value in values.items():
            total = self._sums.setdefault(name, [0.0, 0])
            total[0], total[1] = total[0] + _single(value), total[1] + 1

    def note(self, values: Mapping[str, Any]) -> None:
        """Remember numbers as they are, each until the next of its name."""
        self.latest |= {name: _single(value) for name, value in values.items()}

    def take(self) -> tuple[dict[str, list[float]], dict[str, float]]:
        """Return means with their counts, and the latest numbers; begin anew. Waits for the device."""
        means = {name: [float(total) / count, count] for name, (total, count) in self._sums.items()}
        latest = {name: float(value) for name, value in self.latest.items()}
        self._sums, self.latest = {}, {}
        return means, latest


def numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what is a real number, or a tensor of one: loops log texts and arrays as well."""
    return {str(name): value for name, value in values.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1 and not value.is_complex()
    return isinstance(value, Real)


def _single(value: Any) -> Any:
    """Return a number, or a detached copy on the device in the widest format that it has."""
    if not isinstance(value, Tensor):
        return float(value)
    widest = torch.float32 if value.device.type == "mps" else torch.float64
    return value.detach().reshape(()).to(widest, copy=True)
