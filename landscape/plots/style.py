"""The look of figures: one style sheet, the column widths of the venues, colours that everyone can tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

SHEET = Path(__file__).with_name("paper.mplstyle")
SERIF, SANS = "STIXGeneral", "DejaVu Sans"  # both come with matplotlib, so that a figure is the same everywhere
COLORS = {"loss": "viridis", "accuracy": "cividis", "loss_error": "magma", "accuracy_error": "magma", "spread": "magma"}
BLUE, ORANGE, GREEN, GRAY = "#0072B2", "#D55E00", "#009E73", "#666666"  # Okabe & Ito


class Venue(NamedTuple):
    """Widths in inches of one column and of the whole text, size of type in points, family of type."""

    column: float
    text: float
    size: float
    family: str = SERIF


VENUES = {
    "neurips": Venue(5.5, 5.5, 8.0),
    "iclr": Venue(5.5, 5.5, 8.0),
    "icml": Venue(3.25, 6.75, 8.0),
    "cvpr": Venue(3.28, 6.875, 8.0),
    "thesis": Venue(5.9, 5.9, 9.5),
    "slides": Venue(8.0, 12.0, 18.0, SANS),
}
DEFAULT = Venue(3.5, 7.0, 8.5)


def venue(name: str | None = None) -> Venue:
    """Look a venue up by name; without one, the page of a plain report.

    Raises
    ------
    ValueError
        If the name is unknown; the error lists the names.
    """
    if name is None:
        return DEFAULT
    if name not in VENUES:
        raise ValueError(f"Expected a venue, one of {', '.join(VENUES)}, got {name!r}: choose one or leave it out.")
    return VENUES[name]


@contextmanager
def style(name: str | None = None) -> Iterator[Venue]:
    """Draw within the project's style sheet, at the size of a venue.

    The user's own settings of matplotlib come back afterwards.

    Parameters
    ----------
    name : {"neurips", "iclr", "icml", "cvpr", "thesis", "slides"}, optional

    Yields
    ------
    Venue
        Widths in inches and size of type in points.

    Examples
    --------
    >>> with style("icml") as page:
    ...     page.column
    3.25
    """
    page = venue(name)
    rc = {"font.size": page.size, "font.family": page.family, "figure.figsize": (page.column, 0.75 * page.column)}
    grown = page.size / DEFAULT.size
    rc |= {"lines.linewidth": 1.2 * grown, "lines.markersize": 4 * grown, "axes.linewidth": 0.6 * grown}
    if page.family == SANS:
        rc["mathtext.fontset"] = "dejavusans"
    with matplotlib.rc_context(rc=rc, fname=SHEET):
        yield page


def casing(width: float = 2.0, color: str = "white") -> list[Any]:
    """Path effects that set lines and letters off from whatever lies under them."""
    from matplotlib import patheffects

    return [patheffects.withStroke(linewidth=width, foreground=color)]


def number(value: float, digits: int = 3) -> str:
    r"""Write a number for a label: plain where that is short, else as a power of ten.

    Examples
    --------
    >>> number(0.05), number(200.0), number(3e-7)
    ('0.05', '200', '$3\\times10^{-7}$')
    """
    if value == 0 or 1e-4 < abs(value) < 1e5:
        return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:.0f}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    power = f"10^{{{int(exponent)}}}"
    if mantissa in ("1", "-1"):
        return f"${mantissa.removesuffix('1')}{power}$"
    return f"${mantissa}\\times{power}$"
