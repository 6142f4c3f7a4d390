"""A whole figure for a result: what the command line writes, ready for a page."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rcParams

from landscape.plots import draw, field, overlay, scale
from landscape.plots.bits_grid import BANDS, bits_grid
from landscape.plots.kinds import lineage
from landscape.plots.path_grid import path_grid
from landscape.plots.quantized import bits, quantized
from landscape.plots.saddle_grid import saddle_grid
from landscape.plots.style import SANS, Venue
from landscape.plots.summary import part_of
from landscape.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = {
    "random": "random directions",
    "between": "plane through checkpoints",
    "principal": "principal directions of the trajectory",
    "gradient": "gradient direction",
    "eigen": "eigenvectors of the Hessian",
    "bitplane": "plane through w and its quantizations",
}


OVERLAYS = {"Spectrum": "spectra", "Bits": "several"}  # functions that draw several results over one pair of axes
PANELS = {  # views of a kind that stand side by side
    "Ensemble": ("loss", "accuracy", "reliability"),
    "Ensembling": ("accuracy", "loss", "calibration"),
}
ROWS = {"Ensembling": "curve"}  # of which every one has a row of such views


def figure(
    result: Result | Mapping[str, Result],
    *,
    venue: str | None = None,
    title: str | None = None,
    classes: bool = False,
    **style: Any,
) -> Figure:
    """Draw a result as a finished figure.

    A surface becomes a row of panels: the loss on every split, on one scale, and the accuracy. If `view`, `quantity`
    or `split` is given, that one panel is drawn. A line becomes one panel with loss and accuracy. Any other result
    is drawn by `landscape.plots.draw`; a saddle by class becomes a grid of spectra, an ensemble a row of its views, and
    networks asked together along curves a row for each curve.
    Several surfaces stand side by side with the same levels: see `landscape.plots.widths.widths`.

    Parameters
    ----------
    result : Result, or several of one kind by name
        Several spectra share one pair of axes; several surfaces one scale.
    venue : {"neurips", "iclr", "icml", "cvpr", "thesis", "slides"}, optional
        Width of the page and size of type.
    title : str, optional
        By default the model, the data and the directions, as far as the result knows them; empty for none.
    classes : bool, default=False
        Draw one panel per class instead: see `landscape.plots.classes.classes`.
    **style
        Knobs of the plot of that kind.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If a knob has no such value, or a quantity was not measured.
    """
    from landscape.plots import style as look  # the knobs below are called style

    if isinstance(result, Mapping):
        if len(result) > 1:
            return _several(result, venue, title, classes, style)
        (result,) = result.values()
    if classes and type(result).__name__ == "Saddle":
        return saddle_grid(result, venue=venue, title=title, **style)  # pyright: ignore
    if type(result).__name__ == "Bits" and not {"view", "quantity"} & style.keys():
        words = f"{heading(result)}\n{BANDS}" if title is None else title
        return bits_grid({"": result}, venue=venue, title=words, **style)  # pyright: ignore
    if classes:
        return _classes(result, venue, title, style)
    if "Path" in lineage(result) and "quantity" not in style:
        with look.style(venue) as page:
            words = wrapped(heading(result) if title is None else title, page.text, page)
        return path_grid(result, venue=venue, title=words, **style)
    chosen = {"view", "quantity", "split"} & style.keys()
    many = type(result).__name__ == "Surface" and not chosen
    with look.style(venue) as page:
        words = heading(result) if title is None else title
        views = PANELS.get(type(result).__name__, ()) if "view" not in style else ()
        drawn = _row(result, page, style) if many else _views(result, views, page, style)
        if words:
            lines = wrapped(words, drawn.get_figwidth(), page)
            drawn.suptitle(lines, fontsize="medium", linespacing=1.0, parse_math=title is not None)
        _fit(drawn)
    return drawn


def named(results: list) -> dict[str, Result]:
    """Name several results by model and data, and by a number where these do not tell them apart."""
    found = [heading(result).partition("\n")[0] for result in results]
    return {
        name if name and found.count(name) == 1 else f"{name} ({index})".strip(): result
        for index, (name, result) in enumerate(zip(found, results, strict=True), start=1)
    }


def heading(result: Result, *, seen: str | None = None) -> str:
    """Say in one or two lines what was measured: model and data, then directions and grid.

    Of a quantized network, which surface it is too, unless `seen` says what to write of it.
    """
    origin = result.origin
    model, data = (_name(origin.get(key)) for key in ("model", "data"))
    first = " on ".join(part for part in (model, data) if part)
    words = [*_directions(origin.get("directions")), _grid(result), _part(result), *_between(result)]
    if type(result).__name__ == "Line":
        words[0] = words[0].replace("plane", "line").replace("directions", "direction")
    second = " · ".join(word for word in words if word)
    seen = quantized(result) if seen is None else seen
    return "\n".join(line for line in (" · ".join(word for word in (first, seen) if word), second) if line)


def wrapped(words: str, width: float, page: Venue) -> str:
    """Break lines that are too long for a width in inches in the type of a page."""
    letter = (0.54 if page.family == SANS else 0.45) * page.size / 72  # mean advance of the two families
    long = max(int(width / letter), 12)
    pieces = (piece for line in words.splitlines() for piece in textwrap.wrap(line, long))
    return "\n".join(piece.removesuffix(" ·").removeprefix("· ") for piece in pieces)


def _several(
    results: Mapping[str, Result], venue: str | None, title: str | None, classes: bool, style: dict[str, Any]
) -> Figure:
    """Draw several results of one kind over one pair of axes, or surfaces side by side."""
    from matplotlib.figure import Figure

    from landscape.plots import style as look

    kinds = sorted({type(result).__name__ for result in results.values()})
    if kinds == ["Surface"] and not classes:
        return _surfaces(results, venue, title, style)
    if len(kinds) > 1 or kinds[0] not in OVERLAYS or classes:
        raise ValueError(
            f"Expected one result, or several of {', '.join(sorted({*OVERLAYS, 'Surface'}))}, got {len(results)} of "
            f"{', '.join(kinds)}: draw them one by one."
        )
    if kinds == ["Bits"] and not {"view", "quantity"} & style.keys():
        return bits_grid(results, venue=venue, title=BANDS if title is None else title, **style)  # pyright: ignore
    overlay = getattr(import_module(f"landscape.plots.{kinds[0].lower()}"), OVERLAYS[kinds[0]])
    with look.style(venue) as page:
        width = min(page.column, 0.45 * page.size)
        drawn = Figure(figsize=(width, 0.75 * width + 0.06 * page.size), layout="constrained")
        overlay(results, drawn.add_subplot(), **style)
        if title:
            drawn.suptitle(wrapped(title, width, page), fontsize="medium")
    return drawn


def _surfaces(results: Mapping[str, Any], venue: str | None, title: str | None, style: dict[str, Any]) -> Figure:
    """Draw surfaces side by side; the title says what they have in common."""
    from landscape.plots import style as look
    from landscape.plots.widths import widths

    with look.style(venue) as page:
        drawn = widths(results, page, **style)
        words = shared(list(results.values())) if title is None else title
        if words:
            lines = wrapped(words, drawn.get_figwidth(), page)
            drawn.suptitle(lines, fontsize="medium", linespacing=1.0, parse_math=title is not None)
        _legend(drawn, drawn.axes[: len(results)])
        _fit(drawn)
    return drawn


def shared(results: list[Any]) -> str:
    """Say in one or two lines what all results have in common."""
    kinds = {quantized(result, widths=False) for result in results if bits(result)}
    seen = kinds.pop() if len(kinds) == 1 else ""
    lines = [[line.split(" · ") for line in heading(result, seen=seen).splitlines()] for result in results]
    first, *others = lines
    kept = [[w for w in words if all(any(w in line for line in other) for other in others)] for words in first]
    return "\n".join(" · ".join(words) for words in kept if words)


def _classes(result: Result, venue: str | None, title: str | None, style: dict[str, Any]) -> Figure:
    from landscape.plots.classes import classes

    unknown = style.keys() - {"quantity", "split", "log", "clip"}
    if unknown:
        raise ValueError(
            f"Expected quantity, split, log or clip for classes, got {sorted(unknown)[0]!r}: leave it out."
        )
    knobs = {key: style[key] for key in ("log", "clip") if key in style}
    quantity = "class_" + style.get("quantity", "loss").removeprefix("class_")
    return classes(result, quantity, style.get("split"), venue=venue, title=title, **knobs)


def _row(result: Any, page: Venue, style: dict[str, Any]) -> Figure:
    from matplotlib.figure import Figure

    parts = field.splits(result)
    shown = [("loss", part) for part in parts] + [("accuracy", parts[-1])] * (result.accuracy is not None)
    width = page.text if len(shown) > 1 else page.column
    drawn = Figure(figsize=(width, width / len(shown) + 0.2 * page.size), layout="constrained")
    drawn.get_layout_engine().set(wspace=0.05)  # the last tick label of a panel stays clear of the next one's first
    axes = drawn.subplots(1, len(shown), squeeze=False)[0]
    style = dict(style)
    levels = style.pop("levels", None)
    if levels is None:
        levels = scale.shared_levels([result], "loss", parts, **{k: style[k] for k in ("log", "clip") if k in style})
    for ax, (quantity, part) in zip(axes, shown, strict=True):
        _panel(result, ax, quantity, part, levels, style)
        ax.locator_params(nbins=max(2, int(width / len(shown) * 72 / (4.5 * page.size))))
    for ax in axes[1:]:
        ax.set_ylabel("")
        ax.tick_params(labelleft=False)
    _bars(result, axes, len(parts), levels)
    _legend(drawn, axes)
    return drawn


def _panel(result: Any, ax: Axes, quantity: str, part: str, levels: Any, style: dict[str, Any]) -> None:
    """Draw one panel without the colour bar and the legend that it shares."""
    knobs = {"split": part, "colorbar": False, "legend": False, **style}
    if quantity == "accuracy":
        kept = {key: knobs[key] for key in ("split", "colorbar", "legend", "landmarks") if key in knobs}
        knobs = kept | {"quantity": "accuracy", "view": "heat"}
        levels = scale.shared_levels([result], "accuracy", part)
    draw(result, ax, levels=levels, **knobs)
    if style.get("title", True):
        ax.set_title(f"{part} {quantity}")
    overlay.axis_labels(ax, result, field.missing(field.field(result, quantity, part)), short=True)
    ax.set(xlim=result.a[[0, -1]], ylim=result.b[[0, -1]], box_aspect=1)


def _bars(result: Any, axes: Any, count: int, levels: Any) -> None:
    """One colour bar for all losses, one for the accuracy."""
    filled = next(c for c in axes[0].collections if c.get_array() is not None)
    scale.colorbar(filled, axes[:count], np.asarray(levels, dtype=float), f"loss {field.unit(result, 'loss')}")
    if len(axes) > count:
        steps = scale.levels(field.field(result, "accuracy", field.splits(result)[-1]), log=False)
        scale.colorbar(axes[-1].collections[0], axes[-1], steps, "accuracy [%]")


def _fit(drawn: Figure) -> None:
    """Take from the height of a figure what its square panels leave empty.

    The figure comes in tall, so that its panels are as wide as the page allows. What they and the texts around
    them measure then is the height it needs.
    """
    panels = [ax for ax in drawn.axes if ax.name != "3d" and ax.get_box_aspect() == 1]
    if not panels:
        return
    drawn.draw_without_rendering()
    texts = [*drawn.texts, *drawn.legends]
    places = [ax.get_subplotspec() for ax in panels]
    rows = len({place.rowspan.start if place else 0 for place in places})
    around = sum(text.get_window_extent().height for text in texts)
    tall = rows * max(ax.get_tightbbox().height for ax in panels) + around
    pad = 2 * drawn.get_layout_engine().get()["h_pad"] * (1 + rows + len(texts))
    drawn.set_figheight(tall / drawn.dpi + pad + 0.5 * rcParams["font.size"] / 72)
    drawn.draw_without_rendering()  # names that stand aslant have their room from the second pass on


def _legend(drawn: Figure, axes: Any) -> None:
    """Explain the marks of all panels once, below them."""
    handles = {}
    for ax in axes:
        for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault("minimum, where it is not the center" if name.startswith("minimum") else name, handle)
    if len(handles) > 1:
        drawn.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3 if len(handles) > 4 else 4)


def _views(result: Result, views: Sequence[str], page: Venue, style: dict[str, Any]) -> Figure:
    """Draw several views of a result side by side, or its own plot where there are none."""
    from matplotlib.figure import Figure

    if not views:
        return _single(result, page, style)
    axis = ROWS.get(type(result).__name__)
    rows = [{}] if axis is None or axis in style else [{axis: name} for name in getattr(result, axis).tolist()]
    height = 0.9 * page.text / len(views) * len(rows) + 0.09 * page.size
    drawn = Figure(figsize=(page.text, height), layout="constrained")
    axes = drawn.subplots(len(rows), len(views), squeeze=False)
    for row, chosen in zip(axes, rows, strict=True):
        for ax, view in zip(row, views, strict=True):
            draw(result, ax, **({"legend": False} | chosen | style), view=view)
    if style.get("legend", True):
        _legend(drawn, axes.ravel())
    return drawn


def _single(result: Result, page: Venue, style: dict[str, Any]) -> Figure:
    from matplotlib.figure import Figure

    solid = style.get("view") == "3d"
    width = min(page.column, 0.45 * page.size)
    drawn = Figure(figsize=(width, (0.8 if solid else 0.75) * width + 0.06 * page.size), layout="constrained")
    draw(result, drawn.add_subplot(projection="3d" if solid else None), **style)
    return drawn


def _name(entry: Any) -> str:
    """Name a network or data without its folder, which is nobody's business on a page."""
    name = entry.get("name") if isinstance(entry, dict) else entry
    return PurePath(str(name)).name if name else ""


def _directions(entry: Any) -> list[str]:
    if not isinstance(entry, dict):
        return []
    kind, normalization, seed = (entry.get(key) for key in ("kind", "normalization", "seed"))
    words = [KINDS.get(str(kind), f"{kind} directions")] if kind else []
    if entry.get("runs", 1) > 1:
        words = [f"principal directions of {entry['runs']} runs"]
    if normalization and str(normalization) != "none":
        words.append(f"{normalization}-normalized")
    return words + ([f"seed {seed}"] if seed is not None and kind == "random" else [])


def _part(result: Any) -> str:
    """Say which part of the data a result is about, and how much was asked of it, where it is not over a grid."""
    if "split" in result.quantities() or not result.origin.get("split"):
        return ""
    count = part_of(result)
    words = [f"{result.origin['split']} split" + (f", {count} examples" if count else "")]
    node = getattr(result, "node", None)
    if node is not None:
        probes, steps = node.shape[-2:]
        words += [f"{probes} probe{'s' * (probes > 1)} of {steps} steps"]
    return " · ".join(word.replace(" ", "\u00a0") for word in words)


def _between(result: Any) -> list[str]:
    """Say at how many points of curves what was measured: on how many examples, with which batch-norm statistics."""
    if "Path" not in lineage(result):
        return []
    splits, policy = result.origin.get("splits"), result.origin.get("batchnorm")
    known = splits if isinstance(splits, dict) else {}
    counts = [f"{name} {known[name]['examples']}" for name in field.splits(result) if name in known]
    words = {"refit": "batch norm refitted at every point", "batch": "batch norm of each batch"}
    found = [f"{len(result.t)} points", ", ".join(counts) + " examples" if counts else "", words.get(str(policy), "")]
    return [word.replace(" ", "\u00a0") for word in found if word]


def _grid(result: Any) -> str:
    sizes = [str(len(getattr(result, dim))) for dim in ("a", "b") if dim in result.quantities()]
    draws = getattr(result, "draw", None)
    many = f" · median of {len(draws)} draws" if draws is not None else ""
    return ("\u00a0×\u00a0".join(sizes) + "\u00a0points" if sizes else "") + many
