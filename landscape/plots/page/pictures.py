"""Pictures of results that are no surfaces: interactive twins, several results over one another where that reads."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from landscape.plots import kinds
from landscape.plots.figure import heading
from landscape.plots.interactive import interactive
from landscape.plots.page.entries import Entry, told
from landscape.plots.page.words import sentence

OVERLAID = {"Spectrum", "Eigen", "Path", "Bits", "Saddle"}  # kinds that read well over one another
SEVERAL = 8  # of them in one picture
TALL, ROW, COLUMN = 460, 300, 200  # pixels: of a picture, of each row of several, the least of a column
NARROW = 540


@dataclass(frozen=True)
class Picture:
    """What is drawn, as plotly reads it or as an SVG image in base64; `told` says it in a sentence."""

    label: str
    told: str
    height: int
    width: int
    figure: dict[str, Any] | None = None
    image: str = ""
    missing: str = ""


def pictures(entries: Sequence[Entry]) -> list[Picture]:
    """Draw results of one kind: overlaid where the kind allows it, else one by one; of saddles every class too."""
    if "Saddle" not in kinds.lineage(entries[0].result):
        return [_picture(label, group, interactive) for label, group in _grouped(entries)]
    from landscape.plots.interactive import saddle

    over = [_picture(label, group, saddle.ratios) for label, group in _grouped(entries)]
    return over + [_picture(f"{entry.name}, class by class", [entry], saddle.grid) for entry in entries]


def _grouped(entries: Sequence[Entry]) -> Iterable[tuple[str, list[Entry]]]:
    """Choose which results share a picture: all, if there are few; else those of one width."""
    if not OVERLAID & set(kinds.lineage(entries[0].result)):
        return [(entry.name, [entry]) for entry in entries]
    if len(entries) <= SEVERAL:
        return [(", ".join(dict.fromkeys(entry.label for entry in entries)), list(entries))]
    widths = sorted({entry.bits for entry in entries}, reverse=True)
    parts = [(told(width), [entry for entry in entries if entry.bits == width]) for width in widths]
    return [
        (f"{label} ({i // SEVERAL + 1})" if len(part) > SEVERAL else label, part[i : i + SEVERAL])
        for label, part in parts for i in range(0, len(part), SEVERAL)
    ]  # fmt: skip


def _picture(label: str, entries: Sequence[Entry], drawn: Callable[[dict[str, Any]], Any]) -> Picture:
    """Draw results with plotly; what has no such twin as a static image; what cannot be drawn is told.

    Files are not trusted to hold what plots expect: whatever goes wrong is no more than a missing picture.
    """
    words = sentence(entries)
    try:
        figure = drawn({name: entry.result for name, entry in _named(entries).items()})
        return Picture(label, words, *_size(figure), _bare(figure, [heading(entry.result) for entry in entries]))
    except Exception:
        try:
            return Picture(label, words, TALL, NARROW, image=_static(entries[0].result))
        except Exception as error:
            return Picture(label, words, 0, 0, missing=" ".join(str(error).split()) or type(error).__name__)


def _named(entries: Sequence[Entry]) -> dict[str, Entry]:
    """Name results in a legend by network and width, or wholly where these do not tell them apart."""
    labels = [entry.label for entry in entries]
    names = [label if labels.count(label) == 1 else entry.name for label, entry in zip(labels, entries, strict=True)]
    return {escape(name, quote=False): entry for name, entry in zip(names, entries, strict=True)}


def _size(figure: Any) -> tuple[int, int]:
    """Return how tall a figure has to be for its rows of panels, and the least width for its columns, in pixels."""
    rows = {tuple(axis.domain) for axis in figure.select_yaxes() if axis.domain}
    columns = {tuple(axis.domain) for axis in figure.select_xaxes() if axis.domain}
    return int(figure.layout.height or max(TALL, ROW * len(rows))), max(NARROW, COLUMN * len(columns))


def _bare(figure: Any, headings: Sequence[str]) -> dict[str, Any]:
    """Return a figure as plain JSON without colours of a page and headings, which a page has of its own."""
    made = json.loads(figure.to_json())
    layout = made["layout"]
    for name in ("template", "title", "height", "width", "margin"):
        layout.pop(name, None)
    above = {words.replace("\n", "<br>") for words in headings}
    layout["annotations"] = [note for note in layout.get("annotations", ()) if note.get("text") not in above]
    return {"data": made["data"], "layout": layout}


def _static(result: Any) -> str:
    """Draw a result as an SVG image, in base64."""
    from landscape.plots import save
    from landscape.plots.figure import figure

    with TemporaryDirectory() as folder:
        file = Path(folder) / "picture.svg"
        save(figure(result), file)
        return b64encode(file.read_bytes()).decode("ascii")
