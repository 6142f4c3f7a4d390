"""Numbers of several results in one picture: networks by colour and mark, over the bits of their weights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from landscape.comparison.comparison import FULL
from landscape.plots.interactive._numbers import BARE, light, menu, scales
from landscape.plots.interactive.comparison import COLORS, SYMBOLS
from landscape.plots.page.tables import Number, Table, width

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

ASKED = re.compile(r"loss|accuracy|λ_max|trace$|barrier|rise")  # what is shown before all else
APART, WIDEST = 0.06, 0.3  # of the way from one width to the next, between networks and at most to either side


def together(table: Table, order: Sequence[str] = ()) -> Figure | None:
    """Draw one measure of a table at a time, which a list chooses; None where no two rows tell the same measure.

    Errors are bars of one standard error. Networks of one width stand side by side; those of `order` have the colours
    of their places in it.
    """
    from plotly import graph_objects

    shown = [c for c in range(len(table.columns)) if sum(np.isfinite(_cell(table, r, c)[0]) for r in _rows(table)) > 1]
    if not shown:
        return None
    shown.sort(key=lambda c: not ASKED.search(table.columns[c].name))
    networks = list(dict.fromkeys(network for network, _ in table.rows))
    places_of = {name: order.index(name) if name in order else len(order) + k for k, name in enumerate(networks)}
    widths = sorted({bits for _, bits in table.rows}, reverse=True)
    figure, owners = graph_objects.Figure(), []
    for c in shown:
        for k, network in enumerate(networks):
            rows = sorted((r for r in _rows(table) if table.rows[r][0] == network), key=lambda r: -table.rows[r][1])
            values, errors = np.array([_cell(table, r, c) for r in rows]).T
            aside = APART * (k - (len(networks) - 1) / 2) if len(widths) > 1 else 0.0
            aside = max(-WIDEST, min(aside, WIDEST))
            places = [widths.index(table.rows[r][1]) + aside if len(widths) > 1 else k for r in rows]
            words = escape(network, quote=False)
            figure.add_trace(graph_objects.Scatter(
                x=places, y=light(values), error_y=BARE | {"array": light(errors)}, mode="lines+markers", name=words,
                visible=c == shown[0], line={"color": COLORS[places_of[network] % len(COLORS)], "width": 1.5},
                marker={"symbol": SYMBOLS[places_of[network] % len(SYMBOLS)], "size": 9},
                customdata=[[width(table.rows[r][1]), _words(table, r, c)] for r in rows],
                hovertemplate=f"%{{customdata[0]}}: %{{customdata[1]}}<extra>{words}</extra>",
            ))  # fmt: skip
            owners.append(c)
    if len(widths) > 1:
        axis = {"title": "bits of a weight", "tickvals": list(range(len(widths))), "range": [-0.5, len(widths) - 0.5],
                "ticktext": ["32 (full)" if bits >= FULL else width(bits) for bits in widths]}  # fmt: skip
    else:
        axis = {"tickvals": list(range(len(networks))), "ticktext": [escape(name, quote=False) for name in networks],
                "range": [-0.6, len(networks) - 0.4]}  # fmt: skip
    figure.update_xaxes(axis, zeroline=False)
    figure.update_yaxes(title=_title(table, shown[0]), exponentformat="power")
    choices = [
        {"label": table.columns[c].name, "method": "update",
         "args": [{"visible": [owner == c for owner in owners]}, {"yaxis.title.text": _title(table, c)}]}
        for c in shown
    ]  # fmt: skip
    figure.update_layout(updatemenus=[menu(choices), scales("yaxis", 0)], showlegend=len(widths) > 1)
    return figure


def _rows(table: Table) -> range:
    return range(len(table.rows))


def _cell(table: Table, row: int, column: int) -> Number:
    return table.cells.get((row, column), Number(np.nan, np.nan))


def _words(table: Table, row: int, column: int) -> str:
    number = table.cells.get((row, column))
    return "" if number is None else f"{number} {table.columns[column].unit}".strip()


def _title(table: Table, column: int) -> str:
    name, unit, _ = table.columns[column]
    return escape(f"{name} [{unit}]" if unit else name, quote=False)
