"""A comparison to turn: a relief for each network on one scale, with a slider over widths; or measures against bits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import field, measured
from landscape.plots.along import COLORS
from landscape.plots.blocks import by_width
from landscape.plots.comparison import shown, usual_measures
from landscape.plots.heading import shared
from landscape.plots.interactive._grid import EYE
from landscape.plots.interactive._numbers import BARE, light, menu
from landscape.plots.interactive._slider import AT_ONCE, ends_of, height_of, numbers_of, span_of, traces_of

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from landscape.comparison import Comparison

ABREAST = 3  # reliefs in a row
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "star", "cross", "x")


def comparison(results: dict[str, Any]) -> Figure:
    """Draw the surfaces of a comparison, one width at a time; measures against bits where there are no surfaces.

    Colours, heights and cameras stay as they are while the slider moves.

    Raises
    ------
    ValueError
        If there are several comparisons.
    """
    if len(results) != 1:
        raise ValueError(f"Expected one comparison, got {len(results)}: draw them one by one.")
    (result,) = results.values()
    members = {i: found for i, name in enumerate(result.rows) if (found := result.of("surface").get(name)) is not None}
    return _surfaces(result, members) if members else _measures(result)


def _surfaces(result: Comparison, members: dict[int, Any]) -> Figure:
    from plotly.subplots import make_subplots

    networks = list(dict.fromkeys(str(result.network[i]) for i in members))
    groups = {
        name: {str(result.network[i]): members[i] for i in rows if i in members}
        for name, rows in by_width(result).items()
    }
    groups = {name: found for name, found in groups.items() if found}
    surfaces = list(members.values())
    quantities = ["loss"] + ["accuracy"] * all(one.accuracy is not None for one in surfaces)
    choices = [(quantity, part) for quantity in quantities for part in field.splits(surfaces[0])]
    across = min(ABREAST, len(networks))
    down = math.ceil(len(networks) / across)
    specs: Any = [[{"type": "surface"}] * across for _ in range(down)]
    titles = [_plain(name) for name in networks]
    figure = make_subplots(down, across, specs=specs, subplot_titles=titles, horizontal_spacing=0.02)
    spans = {choice: span_of({str(i): one for i, one in members.items()}, *choice) for choice in choices}
    first = next(iter(groups.values()))
    for choice in choices:
        for k, network in enumerate(networks):
            relief, tiles = traces_of(first.get(network, surfaces[0]), *choice, spans[choice])
            relief.update(showscale=k == 0, colorbar=tiles.colorbar.to_plotly_json())
            relief.update(visible=choice == choices[0], name=network)
            relief.update(_state(first.get(network), surfaces[0], choice, spans[choice][2]))
            figure.add_trace(relief, row=k // across + 1, col=k % across + 1)
    words = shared(surfaces).splitlines()
    figure.frames = [
        _frame(name, found, networks, surfaces[0], choices, spans, words) for name, found in groups.items()
    ]
    _layout(figure, surfaces, list(groups), choices, spans, len(networks))
    return figure


def _state(found: Any, any_of: Any, choice: tuple[str, str], log: bool) -> dict[str, Any]:
    """Return heights and colours of a surface; nothing is seen where there is none."""
    surface = any_of if found is None else found
    height, color = numbers_of(surface, *choice, log)
    if found is None:
        height, color = np.full_like(height, np.nan), np.full_like(color, np.nan)
    return {"x": light(surface.a), "y": light(surface.b), "z": height, "surfacecolor": color}


def _frame(
    name: str, found: dict[str, Any], networks: list[str], any_of: Any, choices: list[tuple[str, str]], spans: Any,
    words: list[str],
) -> Any:  # fmt: skip
    from plotly import graph_objects

    data = [
        {"type": "surface", **_state(found.get(network), any_of, choice, spans[choice][2])}
        for choice in choices for network in networks
    ]  # fmt: skip
    title = {"text": _title(words, name)}
    return graph_objects.Frame(name=name, data=data, traces=list(range(len(data))), layout={"title": title})


def _title(words: list[str], name: str) -> str:
    return "<br>".join([*words, f"<b>{name}</b>"])


def _layout(
    figure: Figure, surfaces: list[Any], names: list[str], choices: list[tuple[str, str]], spans: Any, count: int
) -> None:
    first, start = surfaces[0], choices[0]
    metas = first.declared()
    labels = [metas[dim]["meaning"].removeprefix("step along the ") for dim in "ab"]
    across, up = (ends_of([getattr(one, dim) for one in surfaces]) for dim in "ab")
    figure.update_scenes(
        xaxis={"title": labels[0], "range": across}, yaxis={"title": labels[1], "range": up},
        zaxis=height_of(first, start, spans[start]), uirevision="kept", aspectmode="manual",
        aspectratio={"x": 1, "y": 1, "z": 0.7}, camera={"eye": EYE, "center": {"x": 0, "y": 0, "z": -0.1}},
    )  # fmt: skip
    scenes = [f"scene{k + 1}" if k else "scene" for k in range(count)]
    buttons = [
        {
            "label": " ".join(reversed(choice)), "method": "update",
            "args": [
                {"visible": [other == choice for other in choices for _ in range(count)]},
                {f"{s}.zaxis.{k}": v for s in scenes for k, v in height_of(first, choice, spans[choice]).items()},
            ],
        }
        for choice in choices
    ]  # fmt: skip
    steps = [{"label": name, "method": "animate", "args": [[name], AT_ONCE]} for name in names]
    slider = {"steps": steps, "active": 0, "x": 0.06, "len": 0.88, "y": -0.16, "currentvalue": {"visible": False}}
    figure.update_layout(
        title={"text": figure.frames[0].layout.title.text}, template="plotly_white", sliders=[slider],
        updatemenus=[menu(buttons, x=0, xanchor="left", y=-0.04)], margin={"t": 100, "l": 20, "r": 20, "b": 150},
    )  # fmt: skip


def _measures(result: Comparison) -> Figure:
    """Draw one measure at a time with its errors, which a list chooses."""
    from plotly import graph_objects

    figure, owners, names = graph_objects.Figure(), [], usual_measures(result)
    if not names:
        raise ValueError("Expected a comparison with something measured, got none: measure the networks first.")
    groups = by_width(result)
    for name in names:
        value, error = shown(result, name)
        for k, network in enumerate(dict.fromkeys(result.network.tolist())):
            rows = {width: i for width, found in groups.items() for i in found if result.network[i] == network}
            chosen = list(rows.values())
            figure.add_trace(graph_objects.Scatter(
                x=list(rows), y=light(value[chosen]), name=_plain(network), visible=name == names[0],
                error_y=BARE | {"array": light(error[chosen])}, mode="lines+markers",
                line={"color": COLORS[k % len(COLORS)]}, marker={"symbol": SYMBOLS[k % len(SYMBOLS)], "size": 9},
                hovertemplate=f"%{{x}}: %{{y:.5g}}<extra>{_plain(network)}</extra>",
            ))  # fmt: skip
            owners.append(name)
    choices = [
        {"label": measured.plain(measured.name(name)), "method": "update",
         "args": [{"visible": [owner == name for owner in owners]}, {"yaxis.title.text": _axis(result, name)}]}
        for name in names
    ]  # fmt: skip
    figure.update_xaxes(title="weights", type="category", categoryarray=list(groups))
    figure.update_yaxes(title=_axis(result, names[0]))
    lists = [menu(choices, type="dropdown", direction="up", x=0, xanchor="left")]
    return figure.update_layout(template="plotly_white", margin={"b": 130}, updatemenus=lists)


def _axis(result: Comparison, measure: str) -> str:
    unit = measured.unit(result, measure, str(result.unit[result.measure.tolist().index(measure)]))
    return measured.plain(measured.name(measure)) + (f" [{unit}]" if unit else "")


def _plain(name: str) -> str:
    """Write a name so that plotly shows it as it is: its texts are a kind of HTML."""
    return name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
