"""Surfaces of one network at several widths: one relief and one heat map, with a slider over bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import field, scale
from landscape.plots.figure import shared
from landscape.plots.interactive._grid import EYE
from landscape.plots.interactive._numbers import light, menu
from landscape.plots.quantized import ordered
from landscape.plots.widths import named

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MAPS = {"loss": "Viridis", "accuracy": "Cividis"}


def slider(results: Mapping[str, Any]) -> Figure:
    """Draw surfaces one at a time; buttons choose quantity, split and scale.

    Axes and colours stay as they are while the slider moves, and so does the camera: those of all widths together.
    """
    from plotly.subplots import make_subplots

    shown = ordered(results)
    first = next(iter(shown.values()))
    quantities = ["loss"] + ["accuracy"] * all(result.accuracy is not None for result in shown.values())
    choices = [(quantity, part) for quantity in quantities for part in field.splits(first)]
    figure = make_subplots(1, 2, specs=[[{"type": "surface"}, {"type": "xy"}]], column_widths=[0.58, 0.42])
    spans = {choice: span_of(shown, *choice) for choice in choices}
    for index, choice in enumerate(choices):
        for column, trace in enumerate(traces_of(first, *choice, spans[choice]), start=1):
            trace.visible = index == 0
            figure.add_trace(trace, row=1, col=column)
    names = named(shown)
    titles = {name: _title(shown, words, shown[name]) for name, words in names.items()}
    figure.frames = [_frame(name, result, titles[name], choices, spans) for name, result in shown.items()]
    _layout(figure, shown, names, choices, spans)
    return figure


Span = tuple[float, float, bool, Any]  # lowest and highest value, whether colours are logarithmic, ticks


def span_of(results: Mapping[str, Any], quantity: str, part: str) -> Span:
    """Return the range of a quantity over all widths."""
    values = np.concatenate([field.field(result, quantity, part).ravel() for result in results.values()])
    steps, log = scale.scaled(values, quantity, "auto", None)
    return float(steps[0]), float(steps[-1]), log, scale.ticks(steps)


def traces_of(result: Any, quantity: str, part: str, span: Span) -> list[Any]:
    """Make a relief and a heat map of a quantity, coloured over the span."""
    from plotly import graph_objects

    low, high, log, ticks = span
    ends = np.log10([low, high]) if log else np.array([low, high])
    digits = ".2f" if quantity == "accuracy" else ".4g"
    told = f"{part} {quantity} %{{customdata:{digits}}}<extra></extra>"
    where = "a %{x:.3f}<br>b %{y:.3f}<br>"
    colors = {"colorscale": MAPS[quantity], "cmin": ends[0], "cmax": ends[1]}
    bar = {
        "title": f"{part} {quantity} {field.unit(result, quantity)}", "len": 0.8,
        "tickvals": list(np.log10(ticks) if log else ticks), "ticktext": [f"{tick:.6g}" for tick in ticks],
    }  # fmt: skip
    numbers = numbers_of(result, quantity, part, log)
    relief = graph_objects.Surface(
        x=light(result.a), y=light(result.b), z=numbers[0], surfacecolor=numbers[1], showscale=False,
        connectgaps=False, hovertemplate=f"{where}{told.replace('customdata', 'z')}", **colors,
    )  # fmt: skip
    tiles = graph_objects.Heatmap(
        x=light(result.a), y=light(result.b), z=numbers[1], customdata=numbers[0], colorscale=MAPS[quantity],
        zmin=ends[0], zmax=ends[1], colorbar=bar, hoverongaps=False, hovertemplate=where + told,
    )  # fmt: skip
    return [relief, tiles]


def numbers_of(result: Any, quantity: str, part: str, log: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return heights and what is coloured by them; plotly's first array axis is y, ours is a."""
    values = field.field(result, quantity, part).T
    with np.errstate(divide="ignore", invalid="ignore"):
        return light(values), light(np.log10(values) if log else values)


def _frame(
    name: str, result: Any, title: str, choices: list[tuple[str, str]], spans: Mapping[tuple[str, str], Span]
) -> Any:
    """Make the state of the slider in which a width is shown, whatever the buttons say."""
    from plotly import graph_objects

    data, steps = [], {"x": light(result.a), "y": light(result.b)}
    for choice in choices:
        height, color = numbers_of(result, *choice, spans[choice][2])
        data += [{"type": "surface", "z": height, "surfacecolor": color, **steps}]
        data += [{"type": "heatmap", "z": color, "customdata": height, **steps}]
    return graph_objects.Frame(name=name, data=data, traces=list(range(len(data))), layout={"title": {"text": title}})


def _layout(
    figure: Figure, shown: Mapping[str, Any], names: Mapping[str, str], choices: list[tuple[str, str]],
    spans: Mapping[tuple[str, str], Span],
) -> None:  # fmt: skip
    results = list(shown.values())
    metas = results[0].declared()
    across, up = (ends_of([getattr(result, dim) for result in results]) for dim in "ab")
    labels = [metas[dim]["meaning"].removeprefix("step along the ") for dim in "ab"]
    figure.update_scenes(
        xaxis={"title": labels[0], "range": across}, yaxis={"title": labels[1], "range": up},
        zaxis=height_of(results[0], choices[0], spans[choices[0]]), uirevision="kept",
        aspectmode="manual", aspectratio={"x": 1, "y": 1, "z": 0.7},
        camera={"eye": EYE, "center": {"x": 0, "y": 0, "z": -0.1}},
    )  # fmt: skip
    figure.update_xaxes(title=labels[0], range=across, constrain="domain")
    figure.update_yaxes(title=labels[1], range=up)
    steps = [{"label": words, "method": "animate", "args": [[name], AT_ONCE]} for name, words in names.items()]
    figure.update_layout(
        title={"text": figure.frames[0].layout.title.text}, template="plotly_white",
        sliders=[{"steps": steps, "active": 0, "x": 0.06, "len": 0.88, "y": -0.2, "currentvalue": {"visible": False}}],
        updatemenus=[_choices(results[0], choices, spans)], margin={"t": 100, "l": 20, "r": 20, "b": 150},
    )  # fmt: skip


AT_ONCE = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}


def _choices(result: Any, choices: list[tuple[str, str]], spans: Mapping[tuple[str, str], Span]) -> dict[str, Any]:
    """Make the buttons that choose quantity and split, with the height that goes with it."""
    buttons = [
        {
            "label": f"{part} {quantity}",
            "method": "update",
            "args": [
                {"visible": [choice == (quantity, part) for choice in choices for _ in range(2)]},
                {f"scene.zaxis.{k}": v for k, v in height_of(result, (quantity, part), spans[quantity, part]).items()},
            ],
        }
        for quantity, part in choices
    ]
    return menu(buttons, x=0, xanchor="left", y=-0.06)


def height_of(result: Any, choice: tuple[str, str], span: Span) -> dict[str, Any]:
    """Lay out the vertical axis of a quantity: the same for all widths."""
    low, high, log, _ = span
    ends = np.log10([low, high]) if log else [low, high]
    return {
        "title": {"text": f"{choice[0]} {field.unit(result, choice[0])}".strip()},
        "type": "log" if log else "linear",
        "range": [float(end) for end in ends],
        "dtick": 1 if log else None,
    }


def ends_of(axes: list[np.ndarray]) -> list[float]:
    return [float(min(axis.min() for axis in axes)), float(max(axis.max() for axis in axes))]


def _title(results: Mapping[str, Any], words: str, result: Any) -> str:
    """Write what all have in common; then the width that is shown, and its loss at the center."""
    middle, part = field.center(result), field.splits(result)[0]
    unit = field.unit(result, "loss").strip("[]")
    value = "" if middle is None else f": {part} loss {field.field(result)[middle]:.4g} {unit} at the center"
    return "<br>".join([*shared(list(results.values())).splitlines(), f"<b>{words}</b>{value}"])
