"""What lines and surfaces share: several of them side by side, under one row of buttons."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from landscape.plots import field
from landscape.plots.interactive._numbers import menu, title

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

EYE = {"x": 1.5, "y": 1.5, "z": 1.1}  # far enough for the axis titles to stay in view


def side_by_side(shown: list, traces: Callable[[Any, str, str, bool], list], *, solid: bool) -> Figure:
    """Draw every quantity and split of some results; `traces` makes those of one (result, quantity, split, last)."""
    from plotly.subplots import make_subplots

    spec = [[{"type": "surface"} if solid else {"secondary_y": False}] * len(shown)]
    titles = [title(result) for result in shown]
    figure = make_subplots(1, len(shown), specs=spec, subplot_titles=titles, horizontal_spacing=0.04 if solid else 0.1)
    groups: list[tuple[str, str]] = []  # the button that each trace belongs to: quantity, split
    for column, result in enumerate(shown, start=1):
        for quantity in ["loss"] + ["accuracy"] * (result.accuracy is not None):
            for part in field.splits(result):
                for trace in traces(result, quantity, part, column == len(shown)):
                    figure.add_trace(trace, row=1, col=column)
                    groups.append((quantity, part))
    _layout(figure, shown, groups, solid)
    return figure


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
    labels = [metas[dim]["meaning"] for dim in ("a", "b") if dim in metas]
    if solid:
        figure.update_scenes(
            xaxis_title=labels[0], yaxis_title=labels[1], aspectmode="manual", aspectratio={"x": 1, "y": 1, "z": 0.7},
            camera={"eye": EYE, "center": {"x": 0, "y": 0, "z": -0.1}},
        )
    else:
        figure.update_xaxes(title=labels[0])
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
    y = 0 if solid else -0.14
    figure.update_layout(
        updatemenus=[
            menu(pick, x=0, xanchor="left", y=y),
            menu(heights, x=1, xanchor="right", y=y, active=int(log)),
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
