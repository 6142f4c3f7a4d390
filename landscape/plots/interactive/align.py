"""The way between two networks before and after their units are aligned, to be read off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from landscape.plots.interactive.path import path

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def align(results: dict[str, Any]) -> Figure:
    """Draw the segments as `landscape.plots.interactive.path.path` does."""
    return path(results)
