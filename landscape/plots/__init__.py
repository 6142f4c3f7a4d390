"""Plots: functions from a result to matplotlib axes. Nothing here evaluates a model or imports torch."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from landscape.result import Result

FORMATS = (".pdf", ".png", ".svg")
MARK = "landscape: loss surfaces of neural networks"  # by which a figure of ours is known, and may be drawn again


def draw(result: Result, ax: Axes | None = None, **style: Any) -> Axes:
    """Draw any result: with its own plot if it has one, else by its dimensions.

    A file ``plots/<kind>.py`` with a function ``<kind>(result, ax, **style)`` is preferred, that of the
    nearest kind that the result is. Otherwise the first
    quantity that is not a coordinate is drawn, as a line over one axis or as filled contours over two.

    Parameters
    ----------
    result : Result
    ax : matplotlib.axes.Axes, optional
        Where to draw. Without one a new figure is made, in the project's own style.
    **style
        Knobs of the plot of that kind: see `landscape.plots.surface.surface`, `landscape.plots.line.line`.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the plot of that kind has no such knob, or the result has neither a plot of its own nor a quantity over
        one or two axes.
    """
    from landscape.plots import kinds
    from landscape.plots import style as look

    plot = kinds.own(__name__, result) or _by_dimensions
    known = inspect.signature(plot).parameters
    unknown = [] if "style" in known else [name for name in style if name not in known]
    if unknown:
        knobs = ", ".join(list(known)[2:])
        raise ValueError(
            f"Expected a knob of the plot of a {type(result).__name__}, one of {knobs}, "
            f"got {unknown[0]!r}: leave it out."
        )
    with look.style() if ax is None else nullcontext():
        if ax is None:
            ax = _axes("3d" if style.get("view") == "3d" else None)
        return plot(result, ax, **style)


def drawable(result: Result) -> bool:
    """Say whether a result has a plot of its own, or a quantity that is drawn by its dimensions."""
    from landscape.plots import kinds

    return kinds.own(__name__, result) is not None or any(_drawable(result, name) for name in result.quantities())


def label(meta: Mapping[str, Any]) -> str:
    """Axis label of a quantity: its meaning, then its unit in brackets."""
    return f"{meta['meaning']} [{meta['unit']}]" if meta["unit"] else meta["meaning"]


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Write a figure whole or not at all, with embedded fonts, the same bytes every time.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : path
        The suffix chooses the format: ``.pdf``, ``.png`` or ``.svg``.

    Raises
    ------
    ValueError
        If the suffix is none of these.
    OSError
        If the file cannot be written; a file already at `path` is then left as it was.
    """
    from landscape.plots.latex import set_by_latex
    from landscape.plots.style import style
    from landscape.result import replaced

    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f"{path}: expected a name ending in {', '.join(FORMATS)}, got {suffix!r}: rename the output.")
    undated = {
        ".pdf": {"Creator": MARK, "CreationDate": None},
        ".png": {"Software": MARK},
        ".svg": {"Creator": MARK, "Date": None},
    }[suffix]
    with style(), set_by_latex(figure), replaced(path) as part:
        figure.savefig(part, format=suffix[1:], metadata=undated)


def ours(path: str | os.PathLike) -> bool:
    """Say whether a file is a figure that this package drew, by the mark it carries."""
    return MARK.encode() in Path(path).read_bytes()


def _axes(projection: str | None) -> Axes:
    import matplotlib.pyplot as plt

    return plt.figure().add_subplot(projection=projection)


def _by_dimensions(result: Result, ax: Axes, **style: Any) -> Axes:
    metas = result.quantities()
    name = next((name for name in metas if _drawable(result, name)), None)
    if name is None:
        kind = type(result).__name__
        raise ValueError(
            f"{kind}: expected a quantity over one or two axes, got none: write landscape/plots/{kind.lower()}.py."
        )
    dims, values = metas[name]["dims"], getattr(result, name)
    steps = [_coordinate(result, dim, size) for dim, size in zip(dims, values.shape, strict=True)]
    if len(dims) == 1:
        ax.plot(*steps, values, **style)
        ax.set_ylabel(label(metas[name]))
    else:
        # matplotlib's first array axis is the vertical one, ours is the horizontal one
        drawn = ax.contourf(*steps, values.T, **style) if min(values.shape) > 1 else ax.pcolormesh(*steps, values.T)
        ax.figure.colorbar(drawn, ax=ax, label=label(metas[name]))
        ax.set_ylabel(_dimension(metas, dims[1]))
    ax.set_xlabel(_dimension(metas, dims[0]))
    return ax


def _drawable(result: Result, name: str) -> bool:
    meta = result.quantities()[name]
    coordinate = meta["dims"] in ((name,), (meta["name"],))
    return not coordinate and len(meta["dims"]) in (1, 2) and getattr(result, name).dtype.kind in "iufb"


def _coordinate(result: Result, dim: str, size: int) -> Any:
    for name in (dim, f"{dim}_"):
        steps = getattr(result, name, None)
        if steps is not None and steps.shape == (size,) and steps.dtype.kind in "iuf":
            return steps
    return range(size)


def _dimension(metas: Mapping[str, Any], dim: str) -> str:
    meta = metas.get(dim) or metas.get(f"{dim}_")
    return label(meta) if meta else dim
