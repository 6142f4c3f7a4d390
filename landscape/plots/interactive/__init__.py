"""Interactive twins of figures: turn them, read values off them, switch what they show. One file, no network."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from landscape.plots.figure import named
from landscape.plots.interactive._page import write_html
from landscape.plots.kinds import own
from landscape.result import Result

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["interactive", "write_html"]


def interactive(
    results: Result | Sequence[Result] | Mapping[str, Result], path: str | os.PathLike | None = None
) -> Figure:
    """Draw results with values under the pointer and buttons to choose from.

    A file ``plots/interactive/<kind>.py`` with a function ``<kind>(results)`` is preferred. Otherwise the quantities
    over one or two axes are drawn, with their errors.

    Parameters
    ----------
    results : Result, or a sequence of results of one kind, or such by name
        Surfaces, lines, maps and classes stand side by side and follow the same buttons; others share one pair of axes.
    path : path, optional
        Where to write the page as well: see `write_html`.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If there is nothing to draw, or kinds are mixed.

    Notes
    -----
    Arrays go in as float32 and axes as one row each: 25 kB for 51 x 51 points. Values that are not finite are gaps.
    """
    from landscape.plots.interactive._dimensions import by_dimensions

    if not isinstance(results, Mapping):
        results = named([results] if isinstance(results, Result) else list(results))
    kinds = sorted({type(result).__name__ for result in results.values()})
    if len(kinds) != 1:
        told = ", ".join(kinds) or "none"
        raise ValueError(f"Expected results, one kind at a time, got {told}: draw them separately.")
    figure = (own(__name__, next(iter(results.values()))) or by_dimensions)(dict(results))
    if path is not None:
        write_html(figure, path)
    return figure


