"""What a notebook shows of a result: its numbers with their errors, its figure, its arrays, where it comes from."""

from __future__ import annotations

import base64
import io
import json
import math
from html import escape
from typing import Any

import numpy as np

from landscape.plots.card import card, folded, paragraph, table
from landscape.plots.summary import head
from landscape.result import Result

DPI = 110, 72, 48  # of the picture: the finest that is light enough
LIGHT = 150_000  # bytes of a picture: notebooks carry all of them
TEXT = 20_000  # letters of an origin; the whole one is `result.origin`
FEW, MANY = 6, 14  # arrays and results that are listed unfolded; numbers that stand above the figure
NUMBERS = ("", "value", "error", "unit", "meaning")


def notebook(result: Result) -> str:
    """Show a result as a piece of HTML that needs nothing else: what IPython calls as ``_repr_html_``.

    Parameters
    ----------
    result : Result

    Returns
    -------
    str
        At most some 250 kB. Every name and text of the result is escaped. A result without a plot, or one whose
        drawing fails, has no picture; of a failure the reason is told.

    Notes
    -----
    Cost: one figure, drawn without pyplot: neither the backend nor the settings of matplotlib change.
    """
    from landscape.plots.heading import heading  # imports matplotlib, which a first look at the room does not need

    scalars = [name for name, meta in result.quantities().items() if not meta["dims"]]
    arrays = [name for name in result.quantities() if name not in scalars]
    numbers, drawn = _numbers(result, scalars), picture(result)
    return card(
        head(result),
        None,
        table(NUMBERS, numbers) if len(numbers) <= MANY else "",
        *[paragraph(line) for line in result.remarks()],
        drawn,
        folded(f"{len(numbers)} numbers", table(NUMBERS, numbers)) if len(numbers) > MANY else "",
        _members(result),
        folded(f"{len(arrays)} arrays", _arrays(result, arrays), unfolded=len(arrays) <= FEW),
        folded("origin", _origin(result)),
        under=[] if "<img" in drawn else heading(result).splitlines(),  # a figure bears it as its title
    )


def picture(result: Result) -> str:
    """Draw a result as an image for a page; empty if it has no plot, words instead if it cannot be drawn."""
    from landscape.plots import drawable

    if not drawable(result):
        return ""
    try:
        from landscape.plots.figure import figure
        from landscape.plots.style import style

        drawn = figure(result)
        for dpi in DPI:
            with style():
                drawn.savefig(file := io.BytesIO(), format="png", dpi=dpi)
            if len(file.getbuffer()) <= LIGHT:
                break
    except Exception as error:  # whatever it is: a result that cannot be drawn still has its numbers
        return paragraph(f"not drawn: {' '.join(str(error).split()) or type(error).__name__}")
    words = escape(f"figure of a {type(result).__name__}", quote=True)
    width = round(drawn.get_figwidth() * DPI[0])
    code = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="{words}" width="{width}" src="data:image/png;base64,{code}">'


def _numbers(result: Result, scalars: list[str]) -> list[tuple[str, ...]]:
    """Tell what the result boils down to, and what else of it is a single number."""
    found, metas = result.figures(), result.quantities()
    rows = [(name, *_told(value, error), "", "") for name, (value, error) in found.items()]
    for name in [name for name in scalars if name not in found and not _is_error(name, scalars)]:
        value, error = getattr(result, name)[()], getattr(result, f"{name}_error", None)
        sure = f"± {float(error):.2g}" if error is not None and math.isfinite(error) else ""
        rows.append((metas[name]["name"] or name, _text(value), sure, metas[name]["unit"], metas[name]["meaning"]))
    return rows


def _is_error(name: str, scalars: list[str]) -> bool:
    return name.endswith("_error") and name.removesuffix("_error") in scalars


def _told(value: float, error: float) -> tuple[str, str]:
    """Write a number and how sure it is, as `Result.figures` has them."""
    return _text(value), "exact" if error == 0 else "not known" if math.isnan(error) else f"± {error:.2g}"


def _text(value: Any) -> str:
    return f"{value:.5g}" if np.asarray(value).dtype.kind == "f" else str(value)


def _members(result: Result) -> str:
    """List the results that a collection holds."""
    members = getattr(result, "members", None)
    rows = [(name, type(one).__name__) for name, one in members.items()] if isinstance(members, dict) else []
    return folded(f"{len(rows)} results", table(("name", "kind"), rows), unfolded=len(rows) <= FEW)


def _arrays(result: Result, names: list[str]) -> str:
    """Tell name, axes, unit and meaning of every array."""
    rows = []
    for name in names:
        meta, shape = result.quantities()[name], getattr(result, name).shape
        axes = ", ".join(f"{dim}: {size}" for dim, size in zip(meta["dims"], shape, strict=True))
        rows.append((name, axes, meta["unit"], meta["meaning"]))
    return table(("array", "axes", "unit", "meaning"), rows, most=len(rows))


def _origin(result: Result) -> str:
    if not result.origin:
        return ""
    text = json.dumps(result.origin, indent=2, sort_keys=True, default=str)
    rest = f"\n… {len(text) - TEXT} more letters: see result.origin" if len(text) > TEXT else ""
    return f"<pre>{escape(text[:TEXT] + rest)}</pre>"
