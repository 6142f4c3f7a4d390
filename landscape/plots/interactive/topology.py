"""Topologies to read values off: basins, merge tree and persistence diagram of every part of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import field
from landscape.plots.interactive._numbers import BLUE, GRAY, alone, light
from landscape.plots.topology import counted, numbers, span
from landscape.plots.topology_map import borders
from landscape.plots.topology_tree import branches

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

TALL = 380  # pixels of a row


def topology(results: dict[str, Any]) -> Figure:
    """Draw a row for each part of each result: its basins, its merge tree, its persistence diagram."""
    from plotly.subplots import make_subplots

    shown = [(name, result, part) for name, result in results.items() for part in field.splits(result)]
    titles = []
    for name, result, part in shown:
        words = f"{name}: {part}" if len(results) > 1 else part
        titles += [words, counted(result, field.position(result, part)), "persistence"]
    figure = make_subplots(len(shown), 3, horizontal_spacing=0.08, subplot_titles=titles)
    for row, (_, result, part) in enumerate(shown, start=1):
        ends = span(result, part)
        log = field.logarithmic(np.array(ends))
        panels = (_basins(result, part), _tree(result, part, ends[1]), _diagram(result, part, ends))
        for column, traces in enumerate(panels, start=1):
            for trace in traces:
                figure.add_trace(trace, row=row, col=column)
        _axes(figure, result, part, row, log)
    tall = TALL * len(shown) + 100
    figure.update_layout(title=alone(results), template="plotly_white", height=tall, showlegend=False)
    return figure


def _axes(figure: Any, result: Any, part: str, row: int, log: bool) -> None:
    """Name the axes of a row, and space losses by ratio where they span decades."""
    kind = "log" if log else "linear"
    loss = field.caption(result, "loss", part)
    flat = len(result.b) == 1
    figure.update_xaxes(title="step along the direction" if flat else "first direction", row=row, col=1)
    figure.update_yaxes(title=loss if flat else "second direction", row=row, col=1)
    figure.update_xaxes(showticklabels=False, row=row, col=2)
    figure.update_yaxes(title=loss, type=kind, row=row, col=2)
    figure.update_xaxes(title=f"{loss} at the minimum", type=kind, row=row, col=3)
    figure.update_yaxes(title="loss at the saddle", type=kind, row=row, col=3)


def _told(result: Any, part: str) -> list[str]:
    """Say of every minimum of a part what is known of it."""
    named, found = numbers(result, part), []
    for row in result.rows(part).tolist():
        words = f"basin {named[row]}".strip() if row in named else "not told from noise"
        words += f"<br>minimum {result.birth[row]:.4g} ± {result.birth_error[row]:.2g} nat"
        if result.parent[row] >= 0:
            words += f"<br>persists {result.persistence[row]:.4g} ± {result.persistence_error[row]:.2g} nat at most"
        found.append(f"{words}<br>{100 * result.area[row]:.3g} % of the area")
    return found


def _marks(result: Any, part: str, x: Any, y: Any) -> Any:
    from plotly import graph_objects

    sure = result.told[result.rows(part)]
    look = {"color": np.where(sure, BLUE, "white").tolist(), "size": np.where(sure, 9, 6).tolist()}
    return graph_objects.Scatter(
        x=light(x), y=light(y), mode="markers", marker=look | {"line": {"color": GRAY, "width": 1}},
        text=_told(result, part), hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip


def _basins(result: Any, part: str) -> list[Any]:
    from plotly import graph_objects

    rows, loss = result.rows(part), field.field(result, "loss", part)
    if len(result.b) == 1:
        curve = graph_objects.Scatter(x=light(result.a), y=light(loss[:, 0]), mode="lines", line={"color": GRAY})
        return [curve, _marks(result, part, result.minimum_a[rows], result.birth[rows])]
    shade = np.log10(loss) if field.logarithmic(loss) else loss
    plane = graph_objects.Heatmap(
        x=light(result.a), y=light(result.b), z=light(shade.T), customdata=light(loss.T), colorscale="Viridis",
        showscale=False, hovertemplate="a %{x:.3f}<br>b %{y:.3f}<br>loss %{customdata:.4g} nat<extra></extra>",
    )  # fmt: skip
    x, y = borders(result, part)
    lines = graph_objects.Scatter(
        x=light(x), y=light(y), mode="lines", line={"color": "white", "width": 2}, hoverinfo="skip", connectgaps=False
    )
    return [plane, lines, _marks(result, part, result.minimum_a[rows], result.minimum_b[rows])]


def _tree(result: Any, part: str, top: float) -> list[Any]:
    from plotly import graph_objects

    found = branches(result, part)
    x, y = [], []
    for branch in found:
        end = top if np.isinf(result.death[branch.row]) else float(result.death[branch.row])
        x += [branch.place, branch.place, branch.place if branch.parent is None else branch.parent, None]
        y += [float(result.birth[branch.row]), end, end, None]
    lines = graph_objects.Scatter(x=x, y=y, mode="lines", line={"color": GRAY}, hoverinfo="skip")
    place = {branch.row: branch.place for branch in found}
    rows = result.rows(part)
    return [lines, _marks(result, part, [place[row] for row in rows.tolist()], result.birth[rows])]


def _diagram(result: Any, part: str, ends: tuple[float, float]) -> list[Any]:
    from plotly import graph_objects

    rows = result.rows(part)
    line = graph_objects.Scatter(x=ends, y=ends, mode="lines", line={"color": GRAY, "width": 1}, hoverinfo="skip")
    top = np.where(np.isinf(result.death[rows]), ends[1], result.death[rows])
    return [line, _marks(result, part, result.birth[rows], top)]
