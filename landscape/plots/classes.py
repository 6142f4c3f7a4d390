"""Small multiples: every class on a scale of its own data, all on one scale of colours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import field, overlay, scale
from landscape.plots.along import COLORS as CURVES
from landscape.plots.style import BLUE, COLORS, ORANGE, Venue, number, style
from landscape.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

QUANTITIES = ("class_loss", "class_accuracy")
MANY = 20  # from here on panels are too small for ticks, and a vector file of contours too large
FLOOR = 0.02  # of the losses may share the lowest colour: a class that wins everywhere would stretch the scale


def classes(
    result: Result,
    quantity: str = "class_loss",
    split: str | None = None,
    *,
    venue: str | Venue | None = None,
    log: bool | str = "auto",
    clip: float | None = None,
    title: str | None = None,
) -> Figure:
    """Draw one panel per class, with one scale for all of them.

    Parameters
    ----------
    result : Surface, Line or Path
    quantity : {"class_loss", "class_accuracy"}
    split : str, optional
        Part of the data. By default the first one for surfaces, all of them for lines and paths.
    venue : str, optional
        Width of the page and size of type: see `landscape.plots.style.style`.
    log : bool or "auto"
        Logarithmic loss; "auto" where positive values span more than a factor of 30.
    clip : float, optional
        Highest level of a surface; what lies above shares one colour.
    title : str, optional
        The name of the quantity by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If the quantity is unknown or was not measured, or the split is unknown.
    """
    from matplotlib.figure import Figure

    if quantity not in QUANTITIES:
        raise ValueError(f"Expected a quantity, one of {', '.join(QUANTITIES)}, got {quantity!r}: choose one of these.")
    values = getattr(result, quantity, None)
    if values is None:
        raise ValueError(f"Expected a result with `{quantity}`, got one without: measure it on labelled classes.")
    values = values * field.percent(quantity)
    names = _names(result, values.shape[result.declared()[quantity]["dims"].index("class")])
    solid = "b" in result.declared()
    with style(venue) as page:
        columns, rows = _layout(len(names), page.whole)
        tall = rows * page.whole / columns * (0.95 if solid else 0.8) + 0.09 * page.size
        many = len(names) > MANY
        figure = Figure(figsize=(page.whole, tall), layout="none" if many else "constrained")
        axes = figure.subplots(rows, columns, sharex=not many, sharey=not many, squeeze=False)
        for ax in axes.flat[len(names) :]:
            ax.set_axis_off()
        panels = list(axes.flat[: len(names)])
        if many:
            _arrange(figure, page.size, rows)
        _titles(panels, names, page.whole / columns, page.size)
        if solid:
            _surfaces(figure, panels, result, values[field.position(result, split)], quantity, log, clip)
        else:
            _lines(figure, panels, result, values, quantity, split, log)
        _outer(figure, panels, columns, result, solid)
        _heading(figure, result, quantity, split, title, solid)
    return figure


def _along(result: Any) -> bool:
    """Say whether a result lies along curves."""
    return "t" in result.declared()["loss"]["dims"]


def _names(result: Any, count: int) -> list[str]:
    return [str(name) for name in (range(count) if result.class_ is None else result.class_)]


def _layout(count: int, width: float) -> tuple[int, int]:
    """Columns and rows: five abreast for few classes, near square for many."""
    columns = min(count, 5) if count <= MANY else min(math.ceil(math.sqrt(count)), max(5, int(width / 0.55)))
    return columns, math.ceil(count / columns)


def _arrange(figure: Figure, size: float, rows: int) -> None:
    """Place many panels by hand: the constrained layout takes seconds over a hundred of them."""
    line = 1.5 * size / 72
    width, height = figure.get_size_inches()
    figure.subplots_adjust(
        left=2.1 * line / width, right=1 - 5 * line / width, bottom=1.4 * line / height, top=1 - 2.6 * line / height,
        wspace=0.08, hspace=1.1 * line / (height / rows - 1.1 * line),
    )  # fmt: skip


def _titles(panels: list[Axes], names: list[str], width: float, size: float) -> None:
    """Write class names as large as the longest one fits its panel."""
    longest = max(len(name) for name in names)
    fitting = 0.85 * width * 72 / (0.5 * longest)
    for ax, name in zip(panels, names, strict=True):
        ax.set_title(name, fontsize=min(size, max(fitting, 0.5 * size)), pad=2, parse_math=False)


def _surfaces(
    figure: Figure, panels: list[Axes], result: Any, values: np.ndarray, quantity: str, log: Any, clip: Any
) -> None:
    finite = values[np.isfinite(values)]
    floor = np.quantile(finite, FLOOR) if finite.size and quantity == "class_loss" else -np.inf
    steps, ratio = scale.scaled(np.maximum(values, floor), quantity, log, clip)
    look = {"norm": scale.norm(steps, ratio), "cmap": COLORS[quantity.removeprefix("class_")]}
    extend = scale.beyond(values, steps)
    for ax, grid in zip(panels, values, strict=True):
        drawn = ax.contourf(result.a, result.b, np.ma.masked_invalid(grid.T), levels=steps, extend=extend, **look)
        drawn.set_edgecolor("face")
        drawn.set_linewidth(0.3)
        drawn.set_rasterized(len(panels) > MANY)
        ax.set_box_aspect(1)
        if not np.isfinite(grid).all():
            overlay.hatch(ax)
    label = quantity.replace("_", " ") + " " + field.unit(result, quantity)
    if len(panels) > MANY:
        right, middle = figure.subplotpars.right, (figure.subplotpars.top + figure.subplotpars.bottom) / 2
        bar = figure.add_axes([right + 0.015, middle - 0.2, 0.015, 0.4])
        scale.colorbar(drawn, panels, steps, label, cax=bar)
    else:
        scale.colorbar(drawn, panels, steps, label, ax=panels, aspect=30, pad=0.02)


def _series(result: Any, values: np.ndarray, quantity: str) -> list[tuple[np.ndarray, np.ndarray, str, str]]:
    """Return what a panel shows: axis, numbers (split, class, points), colour and name of each curve."""
    if not _along(result):
        return [(result.a, values, ORANGE if "accuracy" in quantity else BLUE, "")]
    colors = [CURVES[c % len(CURVES)] for c in range(len(values))]
    return [(result.t, *one) for one in zip(values, colors, [f"{name}, " for name in result.curve], strict=True)]


def _lines(
    figure: Figure, panels: list[Axes], result: Any, values: np.ndarray, quantity: str, split: Any, log: Any
) -> None:
    parts = field.splits(result) if split is None else [split]
    series = _series(result, values, quantity)
    for label, ax in enumerate(panels):
        for x, numbers, color, name in series:
            for index, part in enumerate(parts):
                curve = numbers[field.position(result, part), label]
                finite = np.where(np.isfinite(curve), curve, np.nan)
                ax.plot(x, finite, ("-", "--", ":")[index % 3], color=color, label=name + part)
        ax.margins(x=0)
    shown = np.stack([one[[field.position(result, part) for part in parts]] for _, one, _, _ in series])
    finite = shown[np.isfinite(shown)]
    ratio = "accuracy" not in quantity and field.logarithmic(finite, log)
    for ax in panels if len(panels) > MANY else panels[:1]:  # few panels share their axes already
        if ratio:
            ax.set(yscale="log", ylim=(finite.min() / 1.2, finite.max() * 1.2))
        elif "accuracy" in quantity or not finite.size:
            ax.set_ylim(-2, 102)
        else:
            room = 0.05 * (float(np.ptp(finite)) or 1.0)
            ax.set_ylim(finite.min() - room, finite.max() + room)
    words = quantity.replace("_", " ") + " " + field.unit(result, quantity)
    if len(panels) > MANY:  # panels without ticks: say what their height spans
        low, high = panels[0].get_ylim()
        words += f", every panel from {number(low, 2)} to {number(high, 2)}" + ", logarithmic" * ratio
    figure.supylabel(words, fontsize="medium")
    if len(parts) * len(series) > 1:
        place = "upper right" if len(panels) > MANY else "outside right upper"
        figure.legend(handles=panels[0].get_legend_handles_labels()[0], loc=place)


def _outer(figure: Figure, panels: list[Axes], columns: int, result: Any, solid: bool) -> None:
    """Label the outer sides only; small panels lose their ticks."""
    for index, ax in enumerate(panels):
        if len(panels) > MANY:
            ax.tick_params(labelleft=False, labelbottom=False, length=0, which="both")
            ax.set(xticks=[], yticks=[])
        else:
            ax.locator_params(axis="x", nbins=3)
            ax.tick_params(labelbottom=index + columns >= len(panels))
    figure.supxlabel(result.declared()["t" if _along(result) else "a"]["meaning"], fontsize="medium")
    if solid:
        figure.supylabel(result.declared()["b"]["meaning"], fontsize="medium")


def _heading(figure: Figure, result: Result, quantity: str, split: str | None, title: str | None, solid: bool) -> None:
    part = field.splits(result)[field.position(result, split)] + " " if solid or split else ""
    figure.suptitle(title or part + quantity.removeprefix("class_") + " of every class", fontsize="large")
