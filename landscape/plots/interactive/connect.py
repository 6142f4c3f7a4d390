"""Trained curves against the segments between their ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from landscape.plots.interactive.path import path

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def connect(results: dict[str, Any]) -> Figure:
    """Draw segment and curve as `landscape.plots.interactive.path.path` does, and how the training went."""
    return path(results)
