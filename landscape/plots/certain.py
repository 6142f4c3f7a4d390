"""Numbers with their errors: as many digits as the error leaves, in LaTeX, in Unicode, and for a figure."""

from __future__ import annotations

import math
from typing import NamedTuple

DIGITS = 2  # of an error
ALONE = 4  # of a value without one
VISIBLE = 1e-4  # error relative to the value, below which it is not written
PLAIN = -4, 5  # powers of ten between which a value needs none
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MINUS, MISSING = "\N{MINUS SIGN}", "\N{EN DASH}"


class Certain(NamedTuple):
    """A rounded number: value and error as they are written, both times a power of ten.

    Attributes
    ----------
    value : str
        Empty where there is none.
    error : str
        Empty where none is written.
    power : int
    """

    value: str
    error: str = ""
    power: int = 0


def certain(value: float, error: float = math.nan, *, least: float = VISIBLE) -> Certain:
    """Round a value to the last digit of its error, which keeps two.

    Parameters
    ----------
    value : float
    error : float, optional
        Zero where the value is exact; NaN where nothing is known. Neither is written, nor is an error below a share
        `least` of the value: four digits of the value are then certain or asked for.
    least : float, default=1e-4

    Examples
    --------
    >>> certain(12.3456, 0.123), certain(5321.0, 321.0)
    (Certain(value='12.35', error='0.12', power=0), Certain(value='5320', error='320', power=0))
    >>> certain(-2.1e-6, 1.8e-5), certain(0.57213, 1e-7)
    (Certain(value='-0.2', error='1.8', power=-5), Certain(value='0.5721', error='', power=0))
    """
    if math.isnan(value):
        return Certain("")
    if math.isinf(value):
        return Certain("inf" if value > 0 else "-inf")
    if not math.isfinite(error) or error <= max(0.0, least * abs(value)):
        power = _power(abs(value))
        last = 0 if value == 0 else _exponent(value, ALONE) - ALONE + 1
        words = _digits(value / 10.0**power, last - power)
        return Certain(_trimmed(words) if float(words) * 10.0**power == value else words, "", power)
    last = _exponent(error, DIGITS) - DIGITS + 1
    power = _power(max(abs(value), error))
    return Certain(_digits(value / 10.0**power, last - power), _digits(error / 10.0**power, last - power), power)


def latex(one: Certain, *, bold: bool = False) -> str:
    r"""Write a number in LaTeX: an en dash where there is none.

    Examples
    --------
    >>> print(latex(certain(12.3456, 0.123)), latex(certain(-2.1e-6, 1.8e-5), bold=True), latex(certain(math.nan)))
    $12.35 \pm 0.12$ $\mathbf{(-0.2 \pm 1.8) \times 10^{-5}}$ --
    """
    if not one.value:
        return "--"
    value = one.value.replace("inf", r"\infty")
    words = _powered(rf"{value} \pm {one.error}" if one.error else value, one, rf" \times 10^{{{one.power}}}")
    return rf"$\mathbf{{{words}}}$" if bold else f"${words}$"


def plain(one: Certain) -> str:
    """Write a number in Unicode: an en dash where there is none.

    Examples
    --------
    >>> plain(certain(12.3456, 0.123)), plain(certain(-2.1e-6, 1.8e-5)), plain(certain(3e7))
    ('12.35 ± 0.12', '(−0.2 ± 1.8)×10⁻⁵', '3×10⁷')
    """
    if not one.value:
        return MISSING
    value = one.value.replace("inf", "∞").replace("-", MINUS)
    power = f"×10{str(one.power).translate(SUPERSCRIPT)}"
    return _powered(f"{value} ± {one.error}" if one.error else value, one, power)


def _powered(words: str, one: Certain, power: str) -> str:
    if not one.power:
        return words
    return f"({words}){power}" if one.error else f"{words}{power}"


def _exponent(number: float, digits: int) -> int:
    """Return the power of ten of a number once it is rounded to some digits: that of 9.96 is one at two digits."""
    return int(f"{abs(number):.{digits - 1}e}".partition("e")[2])


def _power(size: float) -> int:
    """Return the power of ten that is taken out of a number."""
    exponent = _exponent(size, ALONE) if size else 0
    return exponent if not PLAIN[0] < exponent < PLAIN[1] else 0


def _digits(number: float, last: int) -> str:
    """Round to a power of ten, and write no digits behind it."""
    return f"{round(number, -last) + 0.0:.{max(0, -last)}f}"


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
