"""Measure the loss landscape of neural networks and draw it."""

from __future__ import annotations

import importlib
from typing import Any

from landscape.discovery import names as _names

__version__ = "0.1.0"

_PUBLIC = {
    "Objective": "landscape.objective",
    "Dataset": "landscape.dataset",
    "Result": "landscape.result",
    "load": "landscape.result",
    "quantity": "landscape.result",
    "draw": "landscape.plots",
} | {probe: f"landscape.probes.{probe}" for probe in _names("landscape.probes")}
__all__ = [*_PUBLIC, "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``import landscape`` itself loads neither torch nor pyplot."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'landscape' has no attribute {name!r}")
