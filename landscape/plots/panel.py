"""The panels of a figure in words: ``2x3``, ``train loss, test loss, accuracy``, ``loss, accuracy / 3d``."""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any, NamedTuple

from landscape.plots import kinds
from landscape.plots.style import Venue
from landscape.result import Result

SHAPE = re.compile(r"\s*(\d+)\s*[x×]\s*(\d+)\s*(?::\s*(.*))?", re.DOTALL)
LISTED = {"view": "VIEWS", "quantity": "QUANTITIES"}  # knobs, and the names of what a plot's file says they may be
MEASURED = ("split", "curve", "measure")  # knobs that name a part of the result itself
ROOM = 13  # widths of the type that a panel needs
HINT = "write ROWSxCOLUMNS, or panels as in 'train loss, accuracy / 3d'"


class Layout(NamedTuple):
    """What was asked for.

    Attributes
    ----------
    shape : (int, int), optional
        Rows and columns.
    rows : list of list of str
        The panels in words, row by row; none where only the shape was given.
    """

    shape: tuple[int, int] | None
    rows: list[list[str]]


def read(text: str) -> Layout:
    """Read a layout.

    Parameters
    ----------
    text : str
        ``ROWSxCOLUMNS``, or panels with commas between them and a slash between rows, or both: ``2x2: loss, accuracy,
        spread, 3d``. A panel is any of a view, a quantity and a part of the data, in any order.

    Raises
    ------
    ValueError
        If it is empty, has a panel without words, or more panels than places, or leaves a row of places empty.

    Examples
    --------
    >>> read("2x3")
    Layout(shape=(2, 3), rows=[])
    >>> read("train loss, 3d / accuracy").rows
    [['train loss', '3d'], ['accuracy']]
    """
    found = SHAPE.fullmatch(text)
    shape = (int(found[1]), int(found[2])) if found else None
    words = (found[3] or "") if found else text
    rows = [[cell.strip() for cell in row.split(",")] for row in words.split("/")] if words.strip() else []
    if shape is None and not rows or any(not cell for row in rows for cell in row) or shape and not min(shape):
        raise ValueError(f"Expected panels, got {text!r}: {HINT}.")
    if shape and len(rows) > 1:
        raise ValueError(f"Expected rows by ROWSxCOLUMNS or by slashes, got both in {text!r}: {HINT}.")
    return Layout(shape, rows)


def places(counts: list[int], shape: tuple[int, int] | None, page: Venue) -> tuple[int, int, list[int]]:
    """Say where panels stand.

    Parameters
    ----------
    counts : list of int
        Panels of every row. A single row is broken where the page, or the shape, has no more room.
    shape : (int, int), optional
    page : Venue

    Returns
    -------
    rows, columns : int
    place : list of int
        Of every panel, counted row by row.

    Raises
    ------
    ValueError
        If panels do not fit the shape, or leave a row of it empty.
    """
    count = sum(counts)
    if shape is None and len(counts) > 1:
        columns = max(counts)
        return len(counts), columns, [row * columns + k for row, size in enumerate(counts) for k in range(size)]
    if shape is None:
        rows = -(-count // abreast(page))
        shape = rows, -(-count // rows)
    rows, columns = shape
    if not (rows - 1) * columns < count <= rows * columns:
        raise ValueError(f"Expected {rows}x{columns} panels, got {count}: choose rows and columns that these fill.")
    return rows, columns, list(range(count))


def abreast(page: Venue) -> int:
    """Count the panels that a page has room for in one row."""
    return max(1, int(72 * page.whole / page.size / ROOM))


def knobs(result: Result, words: str) -> dict[str, str]:
    """Translate a panel in words into knobs of the plot of a result.

    Raises
    ------
    ValueError
        If a word is none of those, or two of them choose between the same; the error lists what may be said.
    """
    known, found, rest = choices(result), {}, " ".join(words.split())
    while rest:
        every = ((knob, value) for knob, values in known.items() for value in values)
        spoken = (pair for pair in every if f"{rest} ".startswith(f"{pair[1]} "))
        knob, value = max(spoken, key=lambda pair: len(pair[1]), default=("", ""))
        if not knob or knob in found:
            listed = "; ".join(f"{knob}: {', '.join(values)}" for knob, values in known.items()) or "nothing to choose"
            wrong = f"a second {knob}" if knob else repr(rest.split()[0])
            kind = type(result).__name__
            raise ValueError(f"Expected panels of a {kind} ({listed}), got {wrong} in {words!r}: {HINT}.")
        found[knob], rest = value, rest[len(value) :].strip()
    return found


def choices(result: Result) -> dict[str, list[str]]:
    """List what may be said about panels of a result: for every knob of its plot that chooses, its values."""
    plot = kinds.own("landscape.plots", result)
    taken = inspect.signature(plot).parameters if plot else {}
    file = sys.modules[plot.__module__] if plot else None
    found = {knob: [str(value) for value in getattr(file, name, ())] for knob, name in LISTED.items() if knob in taken}
    parts = {knob: getattr(result, knob, None) for knob in MEASURED if knob in taken}
    found |= {knob: [str(value) for value in values] for knob, values in parts.items() if values is not None}
    return {knob: values for knob, values in found.items() if values}


def usual(result: Result) -> list[list[dict[str, Any]]]:
    """Return the panels of a result when none are asked for, row by row, as knobs of its plot.

    The file of its plot says so in a function of this name; else there is one.
    """
    told = kinds.own("landscape.plots", result, "usual")
    return told(result) if told else [[{}]]
