"""Measure the loss landscape of neural networks and draw it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from landscape.discovery import names as _names

if TYPE_CHECKING:  # what is imported when it is first used, told to editors and type checkers
    from landscape.basins.topology import topology as topology
    from landscape.comparison import Comparison as Comparison
    from landscape.comparison import compare as compare
    from landscape.dataset import Dataset as Dataset
    from landscape.objective import Objective as Objective
    from landscape.plots import draw as draw
    from landscape.plots.page import report as report
    from landscape.probes.align import align as align
    from landscape.probes.barriers import barriers as barriers
    from landscape.probes.batchsize import batchsize as batchsize
    from landscape.probes.bits import bits as bits
    from landscape.probes.connect import connect as connect
    from landscape.probes.covariance import covariance as covariance
    from landscape.probes.curvature import curvature as curvature
    from landscape.probes.eigen import eigen as eigen
    from landscape.probes.ensembling import ensembling as ensembling
    from landscape.probes.evaluate import evaluate as evaluate
    from landscape.probes.line import line as line
    from landscape.probes.path import path as path
    from landscape.probes.saddle import saddle as saddle
    from landscape.probes.sharpness import sharpness as sharpness
    from landscape.probes.spectrum import spectrum as spectrum
    from landscape.probes.surface import surface as surface
    from landscape.probes.trace import trace as trace
    from landscape.probes.tree import tree as tree
    from landscape.result import Collection as Collection
    from landscape.result import Result as Result
    from landscape.result import load as load
    from landscape.result import quantity as quantity

__version__ = "0.1.0"

_PUBLIC = {
    "Objective": "landscape.objective",
    "Dataset": "landscape.dataset",
    "Result": "landscape.result",
    "Collection": "landscape.result",
    "Comparison": "landscape.comparison",
    "compare": "landscape.comparison",
    "load": "landscape.result",
    "quantity": "landscape.result",
    "draw": "landscape.plots",
    "report": "landscape.plots.page",
    "topology": "landscape.basins.topology",
} | {probe: f"landscape.probes.{probe}" for probe in _names("landscape.probes")}
__all__ = [*_PUBLIC, "__version__"]


if not TYPE_CHECKING:  # else every misspelt name would be one of any type

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first used: ``import landscape`` itself loads neither torch nor pyplot."""
        if name in _PUBLIC:
            return getattr(importlib.import_module(_PUBLIC[name]), name)
        raise AttributeError(f"module 'landscape' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, the lazy ones too, for completion."""
    return sorted({*globals(), *__all__})
