"""Pages: figures in one file that needs no network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.plots import MARK
from landscape.result import replaced

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="generator" content="{mark}">
<title>{title}</title><style>body {{ margin: 0; font-family: sans-serif }}</style></head>
<body>
{body}
</body>
</html>
"""


def write_html(figures: Figure | Sequence[Figure], path: str | os.PathLike) -> None:
    """Write one page with one or several figures; it carries plotly.js once and works offline.

    Raises
    ------
    ValueError
        If the name does not end in ``.html``.
    OSError
        If the page cannot be written; a file already at `path` is then left as it was.
    """
    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{path}: expected a name ending in .html, got {Path(path).suffix!r}: rename the output.")
    many: list[Any] = list(figures) if isinstance(figures, (list, tuple)) else [figures]
    divs = [
        figure.to_html(
            full_html=False, include_plotlyjs=index == 0, div_id=f"landscape-{index}", default_height="95vh",
            config={"responsive": True, "displaylogo": False}, auto_play=False,
        )
        for index, figure in enumerate(many)
    ]
    with replaced(path) as part:
        Path(part).write_text(PAGE.format(title="landscape", mark=MARK, body="\n".join(divs)), encoding="utf-8")
