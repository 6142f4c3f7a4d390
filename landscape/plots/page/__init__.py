"""Pages: everything that was measured in one file, with where it comes from; it needs no network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from landscape.result import Result, replaced

ENDINGS = (".html", ".htm")


def report(
    results: Mapping[str, Result], path: str | os.PathLike, *, title: str = "", files: Mapping[str, str] | None = None
) -> None:
    """Write one page about results: tables, surfaces that turn, spectra, and where each number is from.

    Surfaces turn together, and a slider goes over widths or networks. Colours follow the reader's, light or dark.

    Parameters
    ----------
    results : mapping of str to Result
        Of any kinds; collections and comparisons stand for their members, a comparison for its table too.
    path : path ending in ``.html``
    title : str, optional
        Of the page; the names of the networks by default.
    files : mapping of str to str, optional
        The files in which results lie, by the names of the results: for the commands that measure them again.

    Raises
    ------
    ValueError
        If there are no results, or the name has another ending.
    OSError
        If the page cannot be written; a file already at `path` is then left as it was.

    Notes
    -----
    The page carries plotly.js (5 MB) once. A surface of 51 x 51 points with accuracies on two splits and all errors
    adds 0.11 MB. Results that cannot be drawn have their tables.

    Examples
    --------
    >>> report({"flat": landscape.load("flat.h5")}, "report.html")  # doctest: +SKIP
    """
    from landscape.plots.page.contents import contents
    from landscape.plots.page.writing import written

    if not results:
        raise ValueError("Expected results, got none: measure some, or load them with landscape.load.")
    if Path(path).suffix.lower() not in ENDINGS:
        raise ValueError(f"{path}: expected a name ending in .html, got {Path(path).suffix!r}: rename the output.")
    text = written(**_titled(contents(results, files), title))
    with replaced(path) as part:
        Path(part).write_text(text, encoding="utf-8")


def _titled(found: dict[str, Any], title: str) -> dict[str, Any]:
    return found | ({"title": title} if title else {})
