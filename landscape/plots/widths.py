"""Surfaces side by side, on one scale: a network at several widths, or several networks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import draw, field, overlay, scale
from landscape.plots.fitting import explained
from landscape.plots.panel import abreast
from landscape.plots.quantized import across, bits, ordered, quantized, told
from landscape.plots.style import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from landscape.plots.style import Venue
    from landscape.probes.surface import Surface

ACROSS = 4  # panels that a row has room for


def widths(results: Mapping[str, Surface], page: Venue, **style: Any) -> Figure:
    """Draw one panel for each surface, with the same levels and one colour bar.

    Networks at several widths are sorted from full precision to the fewest bits, and named by them; others by their
    names. Each panel tells its own loss at the center.

    Parameters
    ----------
    results : mapping of str to Surface
    page : Venue
        Width of the page and size of type.
    **style
        Knobs of `landscape.plots.surface.surface`; not a relief, which has no room.

    Raises
    ------
    ValueError
        If a knob has no such value, or a result lacks the split or quantity.
    """
    from matplotlib.figure import Figure

    shown = ordered(results) if across(results) else dict(results)
    if style.get("view") == "3d":
        raise ValueError(
            "Expected contour or heat panels of several surfaces, got view '3d': take .html to turn them, or say with "
            "panels, such as '3d', that there is room."
        )
    quantity, part = style.get("quantity", "loss"), style.get("split")
    knobs = dict(style)
    levels = knobs.pop("levels", None)
    if levels is None:
        chosen = {key: knobs[key] for key in ("log", "clip") if key in knobs}
        levels = scale.shared_levels(shown.values(), quantity, part, **chosen)
    rows = math.ceil(len(shown) / (abreast(page) if page.width else ACROSS))
    columns = math.ceil(len(shown) / rows)
    names = named(shown)
    drawn = Figure(figsize=(page.whole, rows * (page.whole / columns + 0.03 * page.size)), layout="constrained")
    drawn.get_layout_engine().set(wspace=0.03)
    axes = drawn.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for ax in axes[len(shown) :]:
        ax.remove()
    room = {"numbers": False} if columns == ACROSS else {}
    for index, (ax, (name, result)) in enumerate(zip(axes, shown.items(), strict=False)):
        draw(result, ax, levels=levels, **{"colorbar": False, "legend": False, **room, **knobs})
        _label(ax, result, names[name], quantity, part, style)
        _outer(ax, left=index % columns == 0, low=index // columns == rows - 1, below=index + columns >= len(shown))
    _bar(drawn, list(axes[: len(shown)]), next(iter(shown.values())), quantity, part, levels)
    explained(drawn, axes[: len(shown)])
    return drawn


def named(results: Mapping[str, Surface]) -> dict[str, str]:
    """Name panels by their widths, and by their surfaces too where these differ; other surfaces as they are named."""
    if not across(results):
        return {name: name for name in results}
    kinds = {quantized(result, widths=False) for result in results.values() if bits(result)}
    return {name: told(r) if len(kinds) == 1 or not bits(r) else quantized(r) for name, r in results.items()}


def _label(ax: Axes, result: Surface, name: str, quantity: str, part: str | None, style: dict[str, Any]) -> None:
    """Write name and value at the center over a panel."""
    values = field.field(result, quantity, part)
    middle = field.center(result)
    value = "" if middle is None else f"center {number(values[middle])} {field.unit(result, quantity).strip('[]')}"
    if style.get("title", True):
        ax.set_title(f"{name}\n{value}".strip(), linespacing=1.1)
    overlay.axis_labels(ax, result, field.missing(values), short=True)
    ax.set(xlim=result.a[[0, -1]], ylim=result.b[[0, -1]], box_aspect=1)


def _outer(ax: Axes, *, left: bool, low: bool, below: bool) -> None:
    """Keep labels at the outer panels alone, but for the note on missing points; numbers where no panel is below."""
    if not left:
        ax.set_ylabel("")
        ax.tick_params(labelleft=False)
    ax.tick_params(labelbottom=below)
    if not low:
        ax.set_xlabel(ax.get_xlabel().partition("\n")[2])
    ax.locator_params(nbins=3)


def _bar(drawn: Figure, axes: list[Axes], first: Surface, quantity: str, part: str | None, levels: Any) -> None:
    """Add the colour bar of all panels."""
    filled = next(c for c in axes[0].collections if c.get_array() is not None)
    steps = np.asarray(levels, dtype=float) * field.percent(quantity)
    scale.colorbar(filled, axes, steps, field.caption(first, quantity, part), ax=axes, pad=0.02, aspect=25)
