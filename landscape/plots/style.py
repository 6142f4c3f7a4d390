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
WIDTHS = ("column", "text")
GROWING = ("axes.labelpad", "axes.titlepad", *(f"{axis}tick.major.{what}" for axis in "xy" for what in ("size", "pad")))
LEAST = 5.0  # points of the smallest type of a figure


class Venue(NamedTuple):
    """The page that a figure is made for.

    Attributes
    ----------
    column, text : float
        Widths in inches of one column and of the whole text.
    size : float
        Type in points, somewhat less than that of the captions.
    family : str
        Of type.
    width : {"column", "text"}, optional
        What a figure is as wide as, whatever it shows. Without one, several panels are as wide as the text, and a
        single one as wide as a column, but no wider than it needs to be.
    latex : bool
        Whether texts are set by LaTeX.
    """

    column: float
    text: float
    size: float
    family: str = SERIF
    width: str | None = None
    latex: bool = False

    @property
    def single(self) -> float:
        """Width of a figure of one panel."""
        return getattr(self, self.width) if self.width else min(self.column, 0.45 * self.size)

    @property
    def whole(self) -> float:
        """Width of a figure of several panels."""
        return getattr(self, self.width) if self.width else self.text


VENUES = {
    "neurips": Venue(5.5, 5.5, 8.0),
    "iclr": Venue(5.5, 5.5, 8.0),
    "icml": Venue(3.25, 6.75, 8.0),
    "cvpr": Venue(3.28125, 6.875, 8.0),
    "thesis": Venue(5.9, 5.9, 9.5),
    "slides": Venue(8.0, 12.0, 18.0, SANS),
}
DEFAULT = Venue(3.5, 7.0, 8.5)


def venue(name: str | Venue | None = None, *, width: str | None = None, latex: bool = False) -> Venue:
    r"""Look a venue up by name; without one, the page of a plain report.

    Parameters
    ----------
    name : {"neurips", "iclr", "icml", "cvpr", "thesis", "slides"} or Venue, optional
    width : {"column", "text"}, optional
        What a figure is as wide as: see `Venue`.
    latex : bool, default=False
        Let LaTeX set texts: see `landscape.plots.latex`.

    Raises
    ------
    ValueError
        If the name or the width is unknown; the error lists what there is.

    Notes
    -----
    All four conferences set papers in 10 point Times, and captions in 9 or 10 point. Figures have 8 point, with tick
    labels of 6.7 and numbers within panels of 5.5 point, and no type below `LEAST`.

    References
    ----------
    NeurIPS: ``neurips_2026.sty``, ``textwidth=5.5in``. ICLR: ``iclr2026_conference.sty``
    (github.com/ICLR/Master-Template), ``\textwidth 5.5 true in``. ICML: "Submission and Formatting Instructions for
    ICML", text 6.75 inches wide with 0.25 inches between its two columns, captions of 9 point. CVPR: ``cvpr.sty``
    (github.com/cvpr-org/author-kit), ``\textwidth`` 6.875in and ``\columnsep`` 0.3125in, which leaves columns of
    3.28125 inches (its instructions say 3 1/4), captions of 9 point. A thesis is A4 with margins of 30 mm; slides are
    13.33 by 7.5 inches, as those of presentation programs at 16:9, with room at the sides.
    """
    if isinstance(name, Venue):
        found = name
    elif name is None:
        found = DEFAULT
    elif name in VENUES:
        found = VENUES[name]
    else:
        raise ValueError(f"Expected a venue, one of {', '.join(VENUES)}, got {name!r}: choose one or leave it out.")
    if width not in (None, *WIDTHS):
        raise ValueError(f"Expected a width, one of {', '.join(WIDTHS)}, got {width!r}: choose one or leave it out.")
    return found._replace(width=width or found.width, latex=latex or found.latex)


@contextmanager
def style(name: str | Venue | None = None) -> Iterator[Venue]:
    """Draw within the project's style sheet, at the size of a venue.

    The user's own settings of matplotlib come back afterwards.

    Parameters
    ----------
    name : {"neurips", "iclr", "icml", "cvpr", "thesis", "slides"} or Venue, optional

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
    with matplotlib.rc_context(fname=SHEET):  # marks of ticks, and the room around them, grow with the type
        rc |= {name: grown * matplotlib.rcParams[name] for name in GROWING}
    if page.family == SANS:
        rc["mathtext.fontset"] = "dejavusans"
    if page.latex:
        from landscape.plots import latex

        rc |= latex.settings("sans-serif" if page.family == SANS else "serif")
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
