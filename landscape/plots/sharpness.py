"""A table of sharpness as a dot plot with its numbers beside it, and as LaTeX."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import rcParams

from landscape.plots.style import BLUE, GRAY, ORANGE, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.sharpness import Sharpness

SYMBOLS = {
    "lambda_max": r"$\lambda_{\max}$", "lambda_1/lambda_5": r"$\lambda_1 / \lambda_5$",
    "lambda_max_scaled": r"$\lambda_{\max} \|\theta\|^2$", "trace": r"$\mathrm{tr}\, H$", "sam": "SAM", "asam": "ASAM",
    "asam_filter": "ASAM, filters", "epsilon_sharpness": r"$\epsilon$-sharpness", "random_mean": "random, mean",
    "random_worst": "random, worst", "random_filter_mean": "random filters, mean",
    "random_filter_worst": "random filters, worst", "low_pass": "low-pass loss", "gradient_norm": "gradient norm",
    "fisher_rao": "Fisher-Rao norm", "fisher_rao_model": "Fisher-Rao norm, model",
}  # fmt: skip
LETTERS = {"rho": r"\rho", "sigma": r"\sigma", "epsilon": r"\epsilon", "m": "m", "radius": "r"}  # settings in labels
LATEX = {"&": r"\&", "%": r"\%", "_": r"\_", "±": r"$\pm$", "≥": r"$\geq$", "\N{MINUS SIGN}": "$-$"}
HEIGHT = 1.45  # of a row, in heights of type
AROUND = 6  # rows that axis labels, legend and title need


def sharpness(result: Sharpness, ax: Axes, *, errors: bool = True, values: bool = True, legend: bool = True) -> Axes:
    """Draw a `Sharpness` table: a dot for every row on a logarithmic axis, and its value beside it.

    Rows keep their own units. Triangles are maxima that were searched for: the true ones may be larger. Of negative
    values, the modulus is drawn as a hollow dot; zeros and what is not finite have no dot.

    Parameters
    ----------
    result : Sharpness
    ax : matplotlib.axes.Axes
        If it is alone in its figure, the figure becomes as tall as the rows need.
    errors : bool, default=True
        Draw errors as bars, where they are known.
    values : bool, default=True
        Write values and errors beside the rows.
    legend : bool, default=True
        Explain the marks, where there are several kinds.

    Returns
    -------
    matplotlib.axes.Axes
    """
    count = len(result.measure)
    if len(ax.figure.axes) == 1:
        ax.figure.set_figheight((HEIGHT * count + AROUND) * rcParams["font.size"] / 72)
    places = np.arange(count)
    _dots(ax, result, places, errors)
    ax.set_yticks(places, [label(*pair) for pair in zip(result.measure, result.setting, strict=True)])
    ax.tick_params(axis="y", length=0)
    ax.set(ylim=(count - 0.4, -0.6), xlabel="value, each in its own unit")
    for place in np.flatnonzero(result.measure[1:] != result.measure[:-1]):
        ax.axhline(place + 0.5, color=GRAY, linewidth=0.3)
    if values:
        words = [value(*row) for row in zip(result.value, result.error, result.error_kind, result.unit, strict=True)]
        side = ax.secondary_yaxis("right")
        side.set_yticks(places, words)
        side.tick_params(axis="y", length=0)
    if legend and len(ax.get_legend_handles_labels()[0]) > 1:
        ax.figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return ax


def latex(result: Sharpness) -> str:
    r"""Write a table of sharpness in LaTeX, for the package booktabs: measure, value with error, paper.

    Examples
    --------
    >>> from landscape.probes.sharpness import Sharpness
    >>> found = Sharpness(measure=["trace"], value=[12.34], error=[0.56], error_kind=["standard error"], unit=["nat"],
    ...     setting=["probes=20"], definition=["sum of eigenvalues"], paper=["Yao et al. 2020, arXiv:1912.07145"])
    >>> print(latex(found))
    \begin{tabular}{lll}
    \toprule
    measure & value & defined by \\
    \midrule
    $\mathrm{tr}\, H$ & 12.34 $\pm$ 0.56 & Yao et al. 2020, arXiv:1912.07145 \\
    \bottomrule
    \end{tabular}
    """
    columns = (result.measure, result.setting, result.value, result.error, result.error_kind, result.unit, result.paper)
    lines = [
        " & ".join([
            label(measure, setting), _escaped(value(number_, error, kind, unit)), _escaped(paper)
        ]) + r" \\"
        for measure, setting, number_, error, kind, unit, paper in zip(*columns, strict=True)
    ]  # fmt: skip
    head = [r"\begin{tabular}{lll}", r"\toprule", r"measure & value & defined by \\", r"\midrule"]
    return "\n".join([*head, *lines, r"\bottomrule", r"\end{tabular}"])


def label(measure: str, setting: str) -> str:
    r"""Name a row: its symbol and the settings that tell it from its neighbours.

    Examples
    --------
    >>> label("sam", "rho=0.05 m=32"), label("trace", "probes=20")
    ('SAM, $\\rho=0.05$, $m=32$', '$\\mathrm{tr}\\, H$')
    """
    pairs = [word.partition("=")[::2] for word in str(setting).split()]
    shown = [f"${LETTERS[name]}={_upright(text)}$" for name, text in pairs if name in LETTERS]
    return ", ".join([SYMBOLS.get(str(measure), str(measure).replace("_", " ")), *shown])


def value(found: float, error: float, kind: str, unit: str) -> str:
    r"""Write a value with as many digits as its error leaves, and at least so much where it is a lower bound.

    Examples
    --------
    >>> value(12.3456, 0.123, "standard error", "nat"), value(3.21, float("nan"), "lower bound", "%")
    ('12.35 ± 0.12', '≥ 3.21 %')
    >>> value(5321.0, 321.0, "standard error", "nat"), value(-2.1e-6, 1.8e-5, "standard error", "nat")
    ('5320 ± 320', '(−0.2 ± 1.8)$\\times10^{-5}$')
    """
    percent = " %" if unit == "%" else ""
    if not math.isfinite(error) or error <= 0 or not math.isfinite(found):
        return f"{'≥ ' if kind == 'lower bound' else ''}{_short(found)}{percent}"
    last = math.floor(math.log10(error)) - 1  # the error keeps two digits
    if error < 1e-3 * abs(found):
        return f"{_short(found)}{percent}"
    if last < -5:
        power = math.floor(math.log10(max(abs(found), error)))
        digits = power - last
        scaled, spread = (f"{x / 10**power:.{digits}f}" for x in (found, error))
        return f"({_minus(scaled)} ± {spread})$\\times10^{{{power}}}${percent}"
    rounded, spread = (f"{round(x, -last):.{max(0, -last)}f}" for x in (found, error))
    return f"{_minus(rounded)} ± {spread}{percent}"


def _short(found: float) -> str:
    return number(found, 4) if math.isfinite(found) else str(found)


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def _upright(text: str) -> str:
    return text if text.replace(".", "").replace("e-", "").isdigit() else rf"\mathrm{{{text}}}"


def _escaped(text: str) -> str:
    for sign, command in LATEX.items():
        text = str(text).replace(sign, command)
    return text


def _dots(ax: Axes, result: Sharpness, places: np.ndarray, errors: bool) -> None:
    ax.set_xscale("log")
    sizes = np.abs(result.value)
    drawn = np.isfinite(sizes) & (sizes > 0)
    searched, below = result.error_kind == "lower bound", result.value < 0
    known = drawn & np.isfinite(result.error) & (result.error > 0)
    if errors and known.any():
        spread = np.array([np.minimum(result.error, 0.999 * sizes)[known], result.error[known]])
        ax.errorbar(
            sizes[known], places[known], xerr=spread, fmt="none", ecolor="black", elinewidth=0.7, capsize=1.5, zorder=1
        )
    kinds = (
        ("value and its error", drawn & ~searched & ~below, {"marker": "o", "color": BLUE}),
        ("largest value found", drawn & searched & ~below, {"marker": ">", "color": ORANGE}),
        ("negative value", drawn & below, {"marker": "o", "facecolors": "white", "edgecolors": BLUE}),
    )
    for name, chosen, marks in kinds:
        if chosen.any():
            ax.scatter(sizes[chosen], places[chosen], s=2.2 * rcParams["font.size"], zorder=2, label=name, **marks)
    if drawn.any():
        low, high = sizes[drawn].min(), sizes[drawn].max()
        ax.set_xlim(low / 2, high * 2)
