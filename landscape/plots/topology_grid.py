"""Topologies as a whole figure: basins, merge tree and persistence diagram, networks side by side on one scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import draw, field, scale
from landscape.plots.along import plain
from landscape.plots.style import style
from landscape.plots.topology import counted, span

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from landscape.basins.topology import Topology
    from landscape.plots.style import Venue

SHOWN = ("basins", "tree", "diagram")
ABREAST = 4  # networks that a row has room for
WIDEST = 2.4  # inches of a panel: no map needs more


def topology_grid(
    results: Topology | Mapping[str, Topology], *, venue: str | Venue | None = None, title: str | None = None,
    split: str | None = None, levels: Any = None, log: bool | str = "auto", legend: bool = True,
) -> Figure:  # fmt: skip
    """Draw three views of one topology, a row for each part of the data; or of several, a column for each network.

    Parameters
    ----------
    results : Topology, or several by name
        Several share levels, losses and axes: a part that all of them have, the first one by default.
    venue : str, optional
        Width of the page and size of type: see `landscape.plots.style.style`.
    title : str, optional
    split : str, optional
    levels : array, optional
        Contour levels in nats, shared by all panels.
    log : bool or "auto"
        Logarithmic losses.
    legend : bool, default=True

    Raises
    ------
    ValueError
        If a result lacks the split.
    """
    from matplotlib.figure import Figure

    table = dict(results) if isinstance(results, Mapping) else {"": results}
    many = len(table) > 1
    parts = {name: [split] if many or split else field.splits(result) for name, result in table.items()}
    shown = [(name, result, part or field.splits(result)[0]) for name, result in table.items() for part in parts[name]]
    values = np.concatenate([field.field(result, "loss", part).ravel() for _, result, part in shown])
    spans = np.array([span(result, part) for _, result, part in shown])
    limits = (float(spans[:, 0].min()), float(spans[:, 1].max())) if many else None
    steps = scale.levels(values, log=log) if levels is None else levels
    with style(venue) as page:
        blocks = [shown[k : k + ABREAST] for k in range(0, len(shown), ABREAST)] if many else [shown]
        across = max(map(len, blocks)) if many else len(SHOWN)
        down = len(SHOWN) * len(blocks) if many else len(shown)
        width = getattr(page, "whole", page.text)
        panel = min(width / across, WIDEST * page.size / 8)
        figure = Figure(figsize=(max(panel * across, 0.6 * width), down * (0.86 * panel + 0.05 * page.size)))
        figure.set_layout_engine("constrained", wspace=0.06)
        axes = figure.subplots(down, across, squeeze=False)
        for index, (name, result, part) in enumerate(shown):
            block, column = divmod(index, ABREAST)
            for row, view in enumerate(SHOWN):
                ax = axes[len(SHOWN) * block + row, column] if many else axes[index, row]
                knobs: dict[str, Any] = {"levels": steps, "log": log, "legend": False}
                knobs["colorbar"] = not many or column == len(blocks[block]) - 1
                draw(result, ax, view=view, split=part, limits=limits, **knobs)
                if many and column and not (view == "basins" and len(result.b) == 1):
                    ax.set_ylabel("")
                if row == 0:
                    where = field.position(result, part)
                    ax.set_title("\n".join([plain(name)] * many + [counted(result, where) if many else f"{part} loss"]))
                if many and view == "tree":
                    ax.set_xlabel("")
        for ax in axes.ravel():
            if not ax.has_data():
                ax.remove()
        if legend:
            _explained(figure)
        if title:
            figure.suptitle(title, fontsize="medium", linespacing=1.0)
    return figure


def _explained(figure: Figure) -> None:
    """Explain all marks once, below the panels."""
    handles: dict[str, Any] = {}
    for ax in figure.axes:
        for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
