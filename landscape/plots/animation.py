"""Training as a moving picture: runs that walk over a plane, checkpoint by checkpoint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import MARK, field, marked
from landscape.plots.marking import looks
from landscape.plots.style import Venue, casing, number

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from landscape.probes.surface import Surface

MOMENT, LAST = 0.4, 2.0  # seconds that a checkpoint is shown, and the last one
DPI = 160
COLORS = 128  # of one palette for all pictures: what does not move then has the same bytes, and takes no room
LISTED = 3  # runs whose losses have room in the title
WIDEST = 36  # letters of losses with the names of their runs that have room, too


def animation(
    result: Surface,
    path: str | os.PathLike,
    *,
    quantity: str = "loss",
    split: str | None = None,
    venue: str | Venue | None = None,
    title: str | None = None,
    **style: Any,
) -> None:
    """Write an animated picture of the runs on a surface, whole or not at all, the same bytes every time.

    Parameters
    ----------
    result : Surface
        With a run: a trajectory that was projected on it.
    path : path
        Ends in ``.gif``.
    quantity, split : str, optional
        What is drawn; the loss of the first split by default.
    venue : str, optional
        Width of a column and size of type of a venue.
    title : str, optional
        By default what was measured; empty for none.
    **style
        Knobs of `landscape.plots.surface.surface`: levels, log, clip, cmap.

    Raises
    ------
    ValueError
        If the result has no run, the name does not end in ``.gif``, or a knob has no such value.
    OSError
        If the file cannot be written; a file already at `path` is then left as it was.

    Notes
    -----
    Where checkpoints are numbered, as in ``epoch-0005``, runs keep time by these numbers, else by their order. The
    loss that is told is that of the plane, where a run is projected, not that of the run: they differ by what lies
    off the plane. The surface is drawn once; a picture costs a few milliseconds.
    """
    from landscape.result import replaced

    if Path(path).suffix.lower() != ".gif":
        raise ValueError(f"{path}: expected a name ending in .gif, got {Path(path).suffix!r}: rename the output.")
    tracks = marked.runs(result) if type(result).__name__ == "Surface" else []
    if not tracks:
        raise ValueError(
            f"Expected a surface with a run to animate, got a {type(result).__name__.lower()} without: measure it with "
            "--trajectory FOLDER."
        )
    pictures = _pictures(result, tracks, quantity, split, venue, title, style)
    first, *others = _on_one_palette(pictures)
    spell = [round(1000 * seconds) for seconds in [MOMENT] * (len(pictures) - 1) + [LAST]]
    with replaced(path) as part:
        first.save(
            part, format="GIF", save_all=True, append_images=others, duration=spell, loop=0, comment=MARK.encode(),
            optimize=False,
        )  # fmt: skip


def _pictures(
    result: Surface, tracks: list[marked.Track], quantity: str, split: str | None, venue: str | Venue | None,
    title: str | None, style: dict[str, Any],
) -> list[Image]:  # fmt: skip
    """Draw the surface once, and the runs over it at every moment."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    from landscape.plots.style import style as look

    values = field.field(result, quantity, split)
    with look(venue) as page:
        figure, ax, caption = _scene(result, page, quantity, split, title, style)
        canvas, found = FigureCanvasAgg(figure), []
        figure.set_dpi(DPI * 8.5 / page.size)  # of the same size in pixels at every size of type
        lines, dots = _artists(ax, tracks)
        canvas.draw()
        behind = canvas.copy_from_bbox(figure.bbox)
        for name, counts in marked.steps(tracks):
            caption.set_text(_told(result, tracks, name, counts, values, quantity))
            for track, count, line, dot in zip(tracks, counts, lines, dots, strict=True):
                line.set_data(track.a[:count], track.b[:count])
                dot.set_data(track.a[max(count - 1, 0) : count], track.b[max(count - 1, 0) : count])
            canvas.restore_region(behind)
            for artist in [*lines, *dots]:
                ax.draw_artist(artist)
            ax.draw_artist(caption)
            found.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"))
    return found


def _scene(
    result: Surface, page: Any, quantity: str, split: str | None, title: str | None, style: dict[str, Any]
) -> tuple[Figure, Axes, Artist]:
    """Draw what does not move, with room for a caption; return the figure, its axes and the caption."""
    from matplotlib.figure import Figure

    from landscape.plots import draw, marking, overlay
    from landscape.plots.figure import heading, wrapped

    width = page.single
    figure = Figure(figsize=(width, 0.85 * width + 0.06 * page.size), layout="constrained")
    ax = figure.add_subplot()
    draw(result, ax, quantity=quantity, split=split, landmarks=False, legend=False, title=False, **style)
    words = heading(result) if title is None else title
    if words:
        figure.suptitle(wrapped(words, width, page), fontsize="medium", linespacing=1.0, parse_math=title is not None)
    marking.drawn(ax, result, moving=True)
    overlay.legend(ax)
    caption = ax.set_title("\n", fontsize="medium", linespacing=1.1)  # two lines of room
    figure.draw_without_rendering()
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
    figure.set_layout_engine("none")
    caption.set_animated(True)
    return figure, ax, caption


def _artists(ax: Axes, tracks: list[marked.Track]) -> tuple[list[Any], list[Any]]:
    """Make the line and the head of every run."""
    lines, dots = [], []
    for look in looks(tracks):
        shared = {"color": look.color, "animated": True, "path_effects": casing(2.4)}
        lines += ax.plot([], [], marker=".", markersize=3, zorder=5, **shared)
        dots += ax.plot([], [], marker=look.marker, linestyle="none", zorder=6, **shared)
    return lines, dots


def _told(
    result: Surface, tracks: list[marked.Track], name: str, counts: list[int], values: np.ndarray, quantity: str
) -> str:
    """Say which moment it is, and what the surface is where each run stands, if they are few."""
    if len(tracks) > LISTED:
        return f"{name}\n"
    read = []
    for track, count in zip(tracks, counts, strict=True):
        here = slice(max(count - 1, 0), count)
        found = marked.height(result, values, track.a[here], track.b[here])
        read.append(number(found[0]) if found.size and np.isfinite(found[0]) else "–")
    unit = field.unit(result, quantity).strip("[]")
    whose = [f"{track.name.replace('$', '')} {value}" for track, value in zip(tracks, read, strict=True)]
    told = ", ".join(whose if len(tracks) > 1 and sum(map(len, whose)) <= WIDEST else read)
    return f"{name}\n{quantity} on the plane: {told} {unit}".rstrip()


def _on_one_palette(pictures: list[Image]) -> list[Image]:
    """Bring pictures to the colours of the last one, in which all runs are drawn, and the first."""
    from PIL import Image

    both = Image.new("RGB", (pictures[0].width, 2 * pictures[0].height))
    both.paste(pictures[0], (0, 0))
    both.paste(pictures[-1], (0, pictures[0].height))
    palette = both.quantize(COLORS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
