"""Pictures of results that are no surfaces: interactive twins, several results over one another where that reads."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from landscape.plots import kinds
from landscape.plots.figure import heading
from landscape.plots.interactive import interactive
from landscape.plots.page.entries import Entry, told
from landscape.plots.page.tables import joined
from landscape.plots.page.together import together
from landscape.plots.page.words import sentence

OVERLAID = {"Spectrum", "Eigen", "Path", "Bits", "Saddle"}  # kinds that read well over one another
NUMBERS = {"Sharpness"}  # kinds that are a table of numbers: of several results, a picture too
PARTS = {"Trace": "Layer by layer", "Evaluate": "Class by class"}  # what is in a picture of one result
SEVERAL = 8  # of them in one picture
TALL, ROW, COLUMN = 460, 300, 200  # pixels: of a picture, of each row of several, the least of a column
NARROW = 320


@dataclass(frozen=True)
class Picture:
    """What is drawn, as plotly reads it or as an SVG image in base64; `told` says it in a sentence.

    A page finds the figure by its key.
    """

    label: str
    told: str
    height: int
    width: int
    figure: dict[str, Any] | None = None
    image: str = ""
    missing: str = ""
    key: str = ""


@dataclass(frozen=True)
class Slot:
    """A place for pictures of which one is seen at a time: a list named `choice` chooses, where there are several."""

    label: str
    pictures: list[Picture]
    choice: str = ""


def slots(entries: Sequence[Entry], networks: Sequence[str] = ()) -> list[Slot]:
    """Draw results of one kind: their numbers together, then overlaid where the kind allows it, else one at a time.

    However many results there are, few pictures stand below one another. Of saddles, every class is drawn too.
    Networks have the colours of their places among `networks`.
    """
    from landscape.plots.interactive import saddle

    kinds_of = kinds.lineage(entries[0].result)
    overlaid = OVERLAID & set(kinds_of)
    alike = len({entry.bits for entry in entries}) == 1
    found = [] if overlaid and alike and len(entries) <= SEVERAL else _together(entries, networks)
    if overlaid:
        drawn = interactive
        if "Saddle" in kinds_of:
            drawn = saddle.ratios
        found += _chosen([_picture(label, group, drawn) for label, group in _grouped(entries)], "Widths", "Overlaid")
    if "Saddle" in kinds_of:
        grids = [_picture(label, [entry], saddle.grid) for label, entry in _labelled(entries).items()]
        return found + _chosen(grids, "Network", "Class by class")
    if overlaid or NUMBERS & set(kinds_of):
        return found
    drawn = [_picture(label, [entry], interactive) for label, entry in _labelled(entries).items()]
    return found + _chosen(drawn, "Result", PARTS.get(entries[0].kind, ""))


def _together(entries: Sequence[Entry], networks: Sequence[str]) -> list[Slot]:
    """Draw in one picture what several results boil down to."""
    if len(entries) < 2:
        return []
    figure = together(joined(distinct(entries), ""), networks)
    if figure is None:
        return []
    across = len({entry.bits for entry in entries}) > 1
    label = f"{len(entries)} results together{', over the bits of a weight' * across}"
    return [Slot(label, [Picture(label, sentence(entries), *_size(figure), _bare(figure, []))])]


def _chosen(drawn: list[Picture], choice: str, label: str) -> list[Slot]:
    """Put pictures into one slot, called by what it shows."""
    if len(drawn) == 1:
        return [Slot(f"{label}: {drawn[0].label}" if label == "Class by class" else drawn[0].label, drawn)]
    return [Slot(label or "One result at a time", drawn, choice)]


def distinct(entries: Sequence[Entry]) -> list[Entry]:
    """Give each result a network that no other one at its width has: else its whole name."""
    places = [(entry.network, entry.bits) for entry in entries]
    return [
        entry if places.count(place) == 1 else replace(entry, network=entry.name)
        for place, entry in zip(places, entries, strict=True)
    ]


def _grouped(entries: Sequence[Entry]) -> Iterable[tuple[str, list[Entry]]]:
    """Choose which results share a picture: all, if there are few; else those of one width."""
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
    """Name results in a legend, whose texts are a kind of HTML."""
    return {escape(label, quote=False): entry for label, entry in _labelled(entries).items()}


def _labelled(entries: Sequence[Entry]) -> dict[str, Entry]:
    """Name results by network and width, or wholly where these do not tell them apart."""
    labels = [entry.label for entry in entries]
    return {
        label if labels.count(label) == 1 else entry.name: entry for label, entry in zip(labels, entries, strict=True)
    }


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
