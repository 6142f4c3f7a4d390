"""Any result by its dimensions: each quantity over one or two axes, with its errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import label
from landscape.plots.interactive._numbers import BARE, SERIES, alone, light, menu

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

ERRORS = ("_error", "_residual")


def by_dimensions(results: dict[str, Any]) -> Figure:
    """Draw points with error bars over one axis, tiles over two; a list chooses the quantity.

    Raises
    ------
    ValueError
        If no quantity lies over one or two axes.
    """
    from plotly import graph_objects

    first = next(iter(results.values()))
    shown = sorted((n for n in first.quantities() if _drawable(first, n)), key=lambda n: not _errors(first, n))
    if not shown:
        raise ValueError(f"{type(first).__name__}: expected a quantity over one or two axes, got none.")
    figure, owners = graph_objects.Figure(), []
    for index, (words, result) in enumerate(results.items()):
        for name in shown:
            solid = len(first.declared()[name]["dims"]) == 2
            if (solid and index) or getattr(result, name) is None:
                continue  # tiles of several results would cover each other
            figure.add_trace(_tiles(result, name) if solid else _points(result, name, words, index))
            owners.append(name)
    for trace, owner in zip(figure.data, owners, strict=True):
        trace.visible = owner == shown[0]
    choices = [
        {"label": name, "method": "update", "args": [{"visible": [o == name for o in owners]}, _labels(first, name)]}
        for name in shown
    ]
    figure.update_layout({key.replace(".", "_"): value for key, value in _labels(first, shown[0]).items()})
    figure.update_layout(
        title=alone(results), template="plotly_white", margin={"b": 130},
        updatemenus=[menu(choices, type="dropdown", direction="up", x=0, xanchor="left")],
    )  # fmt: skip
    return figure


def _drawable(result: Any, name: str) -> bool:
    """Say whether a quantity is neither a coordinate nor an error, and lies over one or two axes."""
    meta = result.quantities()[name]
    plain = name.endswith(ERRORS) or meta["dims"] in ((name,), (meta["name"],))
    return not plain and len(meta["dims"]) in (1, 2) and getattr(result, name).dtype.kind in "iufb"


def _errors(result: Any, name: str) -> list[str]:
    """Names of the errors that a result has of a quantity: those of the quantities that matter come first."""
    return [name + end for end in ERRORS if getattr(result, name + end, None) is not None]


def _points(result: Any, name: str, words: str, index: int) -> Any:
    from plotly import graph_objects

    values, (dim,) = getattr(result, name), result.declared()[name]["dims"]
    errors = getattr(result, next(iter(_errors(result, name)), ""), None)
    return graph_objects.Scatter(
        x=_coordinate(result, dim, len(values)), y=light(values), mode="markers", name=words,
        marker={"size": 8, "color": SERIES[index % len(SERIES)]},
        error_y=None if errors is None else BARE | {"array": light(errors)},
        hovertemplate="%{x}: %{y:.5g}<extra>" + words + "</extra>",
    )  # fmt: skip


def _tiles(result: Any, name: str) -> Any:
    from plotly import graph_objects

    values, dims = getattr(result, name), result.declared()[name]["dims"]
    x, y = (_coordinate(result, dim, size) for dim, size in zip(dims, values.shape, strict=True))
    return graph_objects.Heatmap(x=x, y=y, z=light(values.T), colorscale="Viridis", hoverongaps=False)


def _coordinate(result: Any, dim: str, size: int) -> Any:
    steps = next((steps for n in (dim, f"{dim}_") if (steps := getattr(result, n, None)) is not None), np.arange(size))
    return steps if steps.dtype.kind in "iuf" else [str(step) for step in steps]


def _labels(result: Any, name: str) -> dict[str, Any]:
    """Titles of both axes, as plotly's dotted paths."""
    metas = result.declared()
    dims = metas[name]["dims"]
    across, up = (_dimension(metas, dim) for dim in (dims[0], dims[-1]))
    return {"xaxis.title.text": across, "yaxis.title.text": up if len(dims) == 2 else label(metas[name])}


def _dimension(metas: Any, dim: str) -> str:
    meta = metas.get(dim) or metas.get(f"{dim}_")
    return label(meta) if meta else dim
