"""An interactive twin of a figure: turn it, read values off it, switch what it shows. One file, no network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import MARK, field, scale
from landscape.plots.figure import heading
from landscape.plots.style import BLUE, ORANGE
from landscape.result import Result, replaced

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

EYE = {"x": 1.5, "y": 1.5, "z": 1.1}  # far enough for the axis titles to stay in view
MAPS = {"loss": "Viridis", "accuracy": "Cividis"}
PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="generator" content="{mark}">
<title>{title}</title><style>body {{ margin: 0; font-family: sans-serif }}</style></head>
<body>
{body}
</body>
</html>
"""


def interactive(results: Result | Sequence[Result], path: str | os.PathLike | None = None) -> Figure:
    """Draw surfaces in three dimensions, or lines, with values under the pointer and buttons to choose from.

    Parameters
    ----------
    results : Surface, Line, or a sequence of one of them
        Several stand side by side and follow the same buttons.
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
    from plotly.subplots import make_subplots

    shown = [results] if isinstance(results, Result) else list(results)
    kinds = {type(result).__name__ for result in shown}
    if kinds not in ({"Surface"}, {"Line"}):
        raise ValueError(f"Expected surfaces or lines, one kind at a time, got {sorted(kinds)}: draw them separately.")
    solid = kinds == {"Surface"}
    spec = [[{"type": "surface"} if solid else {"secondary_y": False}] * len(shown)]
    titles = [heading(result).replace("\n", "<br>") for result in shown]
    figure = make_subplots(1, len(shown), specs=spec, subplot_titles=titles, horizontal_spacing=0.04 if solid else 0.1)
    groups: list[tuple[str, str]] = []  # the button that each trace belongs to: quantity, split
    for column, result in enumerate(shown, start=1):
        for quantity, part, trace in _traces(result, solid, last=column == len(shown)):
            figure.add_trace(trace, row=1, col=column)
            groups.append((quantity, part))
    _layout(figure, shown, groups, solid)
    if path is not None:
        write_html(figure, path)
    return figure


def write_html(figures: Figure | Sequence[Figure], path: str | os.PathLike) -> None:
    """Write one page with one or several figures; it carries plotly.js once and works offline.

    Raises
    ------
    ValueError
        If the name does not end in ``.html``.
    OSError
        If the page cannot be written; a file already at `path` is then left as it was.
    """
    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{path}: expected a name ending in .html, got {Path(path).suffix!r}: rename the output.")
    many: list[Any] = list(figures) if isinstance(figures, (list, tuple)) else [figures]
    divs = [
        figure.to_html(
            full_html=False, include_plotlyjs=index == 0, div_id=f"landscape-{index}", default_height="95vh",
            config={"responsive": True, "displaylogo": False},
        )
        for index, figure in enumerate(many)
    ]
    with replaced(path) as part:
        Path(part).write_text(PAGE.format(title="landscape", mark=MARK, body="\n".join(divs)), encoding="utf-8")


def _traces(result: Any, solid: bool, *, last: bool) -> list[tuple[str, str, Any]]:
    quantities = ["loss"] + ["accuracy"] * (result.accuracy is not None)
    found = []
    for quantity in quantities:
        for part in field.splits(result):
            if solid:
                found += [(quantity, part, trace) for trace in _relief(result, quantity, part, last)]
            else:
                found += [(quantity, part, trace) for trace in _curve(result, quantity, part, last)]
    return found


def _relief(result: Any, quantity: str, part: str, last: bool) -> list[Any]:
    from plotly import graph_objects

    values = field.field(result, quantity, part)
    steps, log = scale.scaled(values, quantity, "auto", None)
    height = _light(values.T)  # plotly's first array axis is y, ours is a
    ticks = scale.ticks(steps)
    with np.errstate(divide="ignore", invalid="ignore"):
        color = _light(np.log10(values.T)) if log else None
    bar = {
        "title": f"{quantity} {field.unit(result, quantity)}",
        "tickvals": list(np.log10(ticks) if log else ticks),
        "ticktext": [f"{tick:.6g}" for tick in ticks],
        "len": 0.6,
    }
    digits = ".2f" if quantity == "accuracy" else ".4g"
    relief = graph_objects.Surface(
        x=_light(result.a), y=_light(result.b), z=height, surfacecolor=color, colorscale=MAPS[quantity], colorbar=bar,
        showscale=last, name=f"{part} {quantity}", connectgaps=False,
        hovertemplate=f"a %{{x:.3f}}<br>b %{{y:.3f}}<br>{part} {quantity} %{{z:{digits}}}<extra></extra>",
    )  # fmt: skip
    return [relief, *_path(result, values, f"{part} {quantity}")]


def _path(result: Any, values: np.ndarray, name: str) -> list[Any]:
    """Checkpoints on the relief, each at the height of the nearest grid point of the plane."""
    from plotly import graph_objects

    path = field.trajectory(result)
    if path is None or path["b"] is None:
        return []
    nearest = [
        np.abs(axis[None] - steps[:, None]).argmin(1) for axis, steps in ((result.a, path["a"]), (result.b, path["b"]))
    ]
    residual = path["residual"] if path["residual"] is not None else np.full(len(path["a"]), np.nan)
    off = [f"<br>{r:.3g} off the plane" if np.isfinite(r) else "" for r in residual]
    return [
        graph_objects.Scatter3d(
            x=_light(path["a"]),
            y=_light(path["b"]),
            z=_light(values[tuple(nearest)]),
            name=f"checkpoints, {name}",
            mode="lines+markers" if path["path"] else "markers",
            marker={"size": 3, "color": ORANGE},
            line={"color": ORANGE, "width": 4},
            text=[n + o for n, o in zip(path["names"], off, strict=True)],
            hovertemplate="checkpoint %{text}<extra></extra>",
            showlegend=False,
        )  # fmt: skip
    ]


def _curve(result: Any, quantity: str, part: str, last: bool) -> list[Any]:
    from plotly import graph_objects

    values = field.field(result, quantity, part)
    error = getattr(result, f"{quantity}_error", None)
    errors = None if error is None else _light(field.field(result, f"{quantity}_error", part))
    return [
        graph_objects.Scatter(
            x=_light(result.a),
            y=_light(values),
            name=f"{part} {quantity}",
            connectgaps=False,
            showlegend=last,
            error_y=None if errors is None else {"array": errors, "thickness": 0.7, "width": 0},
            line={"color": ORANGE if quantity == "accuracy" else BLUE, "dash": _dash(result, part)},
            mode="lines+markers",
            marker={"size": 3},
            hovertemplate=f"a %{{x:.3f}}<br>{part} {quantity} %{{y:.4g}}<extra></extra>",
        )  # fmt: skip
    ]


def _dash(result: Any, part: str) -> str:
    return ("solid", "dash", "dot", "dashdot")[field.position(result, part) % 4]


def _light(values: Any) -> np.ndarray:
    """float32, with NaN for everything that is not finite."""
    with np.errstate(over="ignore"):
        small = np.ascontiguousarray(values, dtype=np.float32)
    return np.where(np.isfinite(small), small, np.float32("nan"))


def _layout(figure: Figure, shown: list[Any], groups: list[tuple[str, str]], solid: bool) -> None:
    """Add the buttons and label the axes. Lines show all splits of a quantity at once."""
    choices = list(dict.fromkeys(groups if solid else [(quantity, "") for quantity, _ in groups]))
    first = choices[0]
    visible = {
        choice: [group == choice or (not solid and group[0] == choice[0]) for group in groups] for choice in choices
    }
    figure.for_each_trace(lambda trace: trace.update(visible=True))
    for trace, on in zip(figure.data, visible[first], strict=True):
        trace.visible = on
    log = bool(field.logarithmic(shown[0].loss))
    axes = ("scene" if i == 0 else f"scene{i + 1}" for i in range(len(shown)))
    values = (
        [f"{axis}.zaxis" for axis in axes]
        if solid
        else ["yaxis" if i == 0 else f"yaxis{i + 1}" for i in range(len(shown))]
    )
    metas = shown[0].declared()
    x, y = metas["a"]["meaning"], metas["b"]["meaning"] if solid else ""
    if solid:
        figure.update_scenes(
            xaxis_title=x, yaxis_title=y, aspectmode="manual", aspectratio={"x": 1, "y": 1, "z": 0.7},
            camera={"eye": EYE, "center": {"x": 0, "y": 0, "z": -0.1}},
        )
    else:
        figure.update_xaxes(title=x)
    start = _axis(values, first[0], shown[0], log)
    figure.update_layout({key.replace(".", "_"): value for key, value in start.items()})
    pick = [
        {
            "label": " ".join(filter(None, (choice[1], choice[0]))),
            "method": "update",
            "args": [{"visible": visible[choice]}, _axis(values, choice[0], shown[0], log and choice[0] == "loss")],
        }
        for choice in choices
    ]
    heights = [
        {"label": name, "method": "relayout", "args": [{f"{a}.{k}": v for a in values for k, v in kind.items()}]}
        for name, kind in (("linear", {"type": "linear", "dtick": None}), ("logarithmic", {"type": "log", "dtick": 1}))
    ]
    common = {"type": "buttons", "direction": "right", "yanchor": "top", "y": 0 if solid else -0.14, "showactive": True}
    figure.update_layout(
        updatemenus=[
            {**common, "x": 0, "xanchor": "left", "buttons": pick},
            {**common, "x": 1, "xanchor": "right", "buttons": heights, "active": int(log)},
        ],
        margin={"t": 70, "l": 20 if solid else 70, "r": 20, "b": 90 if solid else 130},
        template="plotly_white",
    )


def _axis(values: list[str], quantity: str, result: Any, log: bool) -> dict[str, Any]:
    """Title, type and ticks of every value axis, as plotly's dotted paths."""
    title = f"{quantity} {field.unit(result, quantity)}".strip()
    return {
        f"{axis}.{key}": value
        for axis in values
        for key, value in (("title.text", title), ("type", "log" if log else "linear"), ("dtick", 1 if log else None))
    }
