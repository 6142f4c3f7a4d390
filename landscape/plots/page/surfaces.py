"""Surfaces as one store of numbers: networks by widths, of which a page shows a row or a column at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from landscape.plots import field, marked
from landscape.plots.interactive._numbers import light
from landscape.plots.marking import SEGMENT, looks
from landscape.plots.page.entries import Entry, told
from landscape.plots.page.words import surface as sentence
from landscape.plots.style import ORANGE

INK = "ink"  # a colour that a page turns into that of its letters
STEPS = 4  # significant digits of coordinates in words


def groups(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Put together surfaces that can be looked at together.

    They are of one collection, or of none; on the same splits, over axes of the same kind.
    """
    found: dict[tuple, list[Entry]] = {}
    for entry in entries:
        directions = entry.result.origin.get("directions")
        kind = directions.get("kind") if isinstance(directions, dict) else None
        alike = entry.collection, str(kind), field.unit(entry.result, "loss"), *field.splits(entry.result)
        found.setdefault(alike, []).append(entry)
    return list(found.values())


def store(entries: Sequence[Entry]) -> dict[str, Any]:
    """Lay surfaces out by network and width, with all that a page needs to draw any of them.

    Returns
    -------
    dict
        ``networks``, ``widths`` (words, in order), ``choices`` (quantity, split and unit), ``axes`` (titles), and
        ``surfaces``, from ``"network,width"`` (numbers of both) to arrays, marks and words.

    Notes
    -----
    Numbers are float32: 14 kB for each quantity and split of 51 x 51 points, and as much for its errors. Values that
    are not finite are gaps.
    """
    places = _places(entries)
    networks = list(dict.fromkeys(network for network, _ in places))
    widths = sorted({width for _, width in places}, reverse=True)
    first = entries[0].result
    quantities = ["loss"] + ["accuracy"] * all(entry.result.accuracy is not None for entry in entries)
    choices = [(quantity, part) for part in field.splits(first) for quantity in quantities]
    metas = first.declared()
    return {
        "networks": networks,
        "widths": [told(width) for width in widths],
        "choices": [[quantity, part, field.unit(first, quantity).strip("[]")] for quantity, part in choices],
        "axes": [metas[dim]["meaning"].removeprefix("step along the ") for dim in "ab"],
        "surfaces": {
            f"{networks.index(network)},{widths.index(width)}": _surface(entry, choices)
            for (network, width), entry in zip(places, entries, strict=True)
        },
    }


def _places(entries: Sequence[Entry]) -> list[tuple[str, int]]:
    """Give every surface a network and a width of its own: where these are taken, its name stands for the network."""
    found: list[tuple[str, int]] = []
    for entry in entries:
        place = entry.network, entry.bits
        found.append(place if place not in found else (entry.name, entry.bits))
    return found


def _surface(entry: Entry, choices: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return arrays as plotly reads them: its first axis is b, ours is a."""
    result, values, errors = entry.result, [], []
    for quantity, part in choices:
        values.append(packed(field.field(result, quantity, part).T))
        known = getattr(result, f"{quantity}_error") is not None
        errors.append(packed(field.field(result, f"{quantity}_error", part).T) if known else None)
    return {
        "name": entry.label, "told": sentence(entry), "a": packed(result.a), "b": packed(result.b), "values": values,
        "errors": errors, "marks": _marks(result, choices),
    }  # fmt: skip


def packed(values: Any) -> dict[str, Any]:
    """Encode an array of numbers as plotly does: float32 in base64."""
    from base64 import b64encode

    array = light(values)
    shape = {"shape": ", ".join(map(str, array.shape))} if array.ndim > 1 else {}
    return {"dtype": "f4", "bdata": b64encode(array.astype("<f4").tobytes()).decode("ascii")} | shape


def _marks(result: Any, choices: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """List runs, single checkpoints and curves on a surface, each with its heights for every choice."""
    paths = marked.runs(result)
    pairs = zip(paths, looks(paths), strict=True)
    found = [_mark(result, track, look.color, "lines+markers", choices) for track, look in pairs]
    found += [_mark(result, track, INK if paths else ORANGE, "markers", choices) for track in marked.alone(result)]
    for track in marked.curves(result):
        dash = "dash" if track.name == SEGMENT else "solid"
        found.append(_mark(result, track, INK, "lines", choices) | {"dash": dash})
    return found


def _mark(
    result: Any, track: marked.Track, color: str, mode: str, choices: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    fields = [field.field(result, quantity, part) for quantity, part in choices]
    heights = [marked.height(result, values, track.a, track.b) for values in fields]
    names = track.names or [track.name] * len(track.a)
    off = [f", {r:.3g} off the plane" if away else "" for r, away in zip(track.residual, track.away, strict=True)]
    return {
        "name": track.name or "checkpoints", "color": color, "mode": mode, "a": _digits(track.a), "b": _digits(track.b),
        "heights": [_digits(values) for values in heights],
        "text": [name + words for name, words in zip(names, off, strict=True)] if track.names else [],
    }  # fmt: skip


def _digits(values: np.ndarray) -> list[float | None]:
    return [float(f"{value:.{STEPS + 1}g}") if np.isfinite(value) else None for value in values]
