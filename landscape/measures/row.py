"""One measured value of sharpness, with what it means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import nan

Tick = Callable[[], None]  # called after every gradient, evaluation and product


@dataclass(frozen=True)
class Row:
    """One line of a table of sharpness.

    Attributes
    ----------
    measure : str
        Its name, one word.
    value : float
    definition : str
        What it is, in words or as a formula.
    paper : str
        Where it was defined: authors, year, arXiv.
    error : float, default=NaN
        How good the value is, as `kind` says.
    kind : {"standard error", "residual", "exact", "lower bound"}
        A standard error over random vectors, groups or examples; a bound of the error, by residuals; exact to rounding,
        with error 0; or a maximum that was searched for, of which the error is not known (NaN).
    setting : str, default=""
        The numbers it was measured with, such as ``rho=0.05 m=128``.
    unit : str, default="nat"
    """

    measure: str
    value: float
    definition: str
    paper: str
    error: float = nan
    kind: str = "lower bound"
    setting: str = ""
    unit: str = "nat"
