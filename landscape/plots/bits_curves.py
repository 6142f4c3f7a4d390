"""Quantities over bit widths: a curve for every split and network, with its band of errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rcParams

from landscape.plots.style import BLUE, GRAY, GREEN, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.bits import Bits

SERIES = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe & Ito
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))  # of splits
LEVEL = (0, (5, 3))  # of full precision
MARKS = ("o", "s", "^", "D", "v", "P", "X")
ERRORS = 2  # to both sides
WIDE = 15.0  # ratio of the largest to the smallest value, from which an axis is logarithmic
NAMES = {
    "loss": "loss [nat]", "accuracy": "accuracy [%]", "loss_change": r"$L(Q(w)) - L(w)$ [nat]",
    "accuracy_change": "change of accuracy [%]", "bin_sharpness": "bin sharpness, at least [nat]",
    "flip_mean": "random code flips [nat]", "flip_worst": "worst code flips [nat]", "sam": "SAM sharpness [nat]",
    "scaled": r"$\lambda_{\max}(Q(w))\, \Delta^2$ [nat]", "scaled_full": r"$\lambda_{\max}(w)\, \Delta^2$ [nat]",
    "lambda_max": r"$\lambda_{\max}$ at $Q(w)$ [nat]", "trace": r"$\mathrm{tr}\, H$ at $Q(w)$ [nat]",
    "gradient_norm": r"$\|\nabla L(Q(w))\|$ [nat]",
}  # fmt: skip
MEASURES = {
    "bin_sharpness": r"bins, $|\epsilon| \leq \Delta/2$ ($\geq$)", "flip_worst": "worst code flips",
    "flip_mean": "random code flips", "sam": "SAM at $Q(w)$", "scaled_full": r"$\lambda_{\max}(w)\,\Delta^2$",
    "scaled": r"$\lambda_{\max}(Q(w))\,\Delta^2$",
}  # fmt: skip


def curves(results: Mapping[str, Bits], ax: Axes, quantity: str, split: str | None = None) -> None:
    """Draw a quantity of one or several networks over their widths, full precision as a level where it is known."""
    widths = every_width(results.values())
    drawn, levels = [], []
    for index, (name, result) in enumerate(results.items()):
        places = [widths.index(b) for b in result.bits.tolist()]
        for number, (part, values, errors, level) in enumerate(_rows(result, quantity, split)):
            series = index if len(results) > 1 else number
            look = {"color": SERIES[series % len(SERIES)]}
            dash = DASHES[number % len(DASHES)]
            label = " ".join(word for word in (name, part) if word) or None
            ax.plot(places, values, marker=MARKS[series % len(MARKS)], markersize=0.8 * rcParams["lines.markersize"],
                    linestyle=dash, label=label, **look)  # fmt: skip
            drawn.append((places, values, errors, look["color"]))
            if level is not None and (len(results) == 1 or number == 0):
                levels.append(part)
                ax.axhline(level, linewidth=0.7, linestyle=LEVEL, zorder=0.9, **look)
    if levels:
        of = levels[0] if len(set(levels)) == 1 else "first split"
        label = "full precision" + (f", {of}" if len(results) > 1 and levels[0] else "")
        ax.plot([], [], color=GRAY, linewidth=0.7, linestyle=LEVEL, label=label)
    _scale(ax, quantity, [values for _, values, _, _ in drawn])
    _bands(ax, drawn)
    ticks(ax, widths)
    ax.set_ylabel(label_of(next(iter(results.values())), quantity))


def sharpness(result: Bits, ax: Axes) -> None:
    """Draw measures of sharpness over widths, with bars of two errors; what is not positive has no mark."""
    widths = every_width([result])
    spread = np.linspace(-0.16, 0.16, len(MEASURES))
    for index, (name, label) in enumerate(MEASURES.items()):
        values = getattr(result, name)
        if values is None:
            continue
        errors = ERRORS * _errors(result, name)
        known = np.isfinite(values) & (values > 0)
        below = np.minimum(errors, 0.9 * np.abs(values))  # a bar that reaches 0 has no end on a logarithmic axis
        places = np.arange(len(widths)) + spread[index]
        ax.errorbar(
            places[known], values[known], np.stack([below, errors])[:, known], color=SERIES[index],
            marker=MARKS[index], markersize=0.75 * rcParams["lines.markersize"], elinewidth=0.6, linewidth=0.8,
            label=label,
        )  # fmt: skip
    ax.set_yscale("log")
    ticks(ax, widths)
    ax.set_ylabel(f"sharpness of the {result.split[0]} loss [nat]")


def every_width(results: Iterable[Bits]) -> list[int]:
    """List the widths of all results, from wide to narrow."""
    return sorted({int(b) for result in results for b in result.bits}, reverse=True)


def ticks(ax: Axes, widths: list[int]) -> None:
    """Name the widths below an axis, each as far from the next."""
    ax.set_xticks(range(len(widths)), [str(b) for b in widths])
    ax.set_xlim(-0.4, len(widths) - 0.6)
    ax.set_xlabel("bits of a weight")


def label_of(result: Bits, quantity: str) -> str:
    """Label a quantity: its symbol, or what it means."""
    if quantity in NAMES:
        return NAMES[quantity]
    meta = result.declared()[quantity]
    unit = f" [{meta['unit']}]" if meta["unit"] else ""
    return f"{meta['meaning'].partition(';')[0]}{unit}"


def chosen(result: Bits, split: str | None) -> list[int]:
    """Return the numbers of the splits that are drawn.

    Raises
    ------
    ValueError
        If there is no such split.
    """
    names = result.split.tolist()
    if split is not None and split not in names:
        raise ValueError(f"Expected a split, one of {', '.join(names)}, got {split!r}: choose one of these.")
    return [k for k, name in enumerate(names) if split in (None, name)]


def _rows(result: Any, quantity: str, split: str | None) -> list[tuple[str, np.ndarray, np.ndarray, float | None]]:
    """Return name, values, errors and level of full precision of every curve."""
    meta = result.declared().get(quantity)
    known = [n for n, m in result.quantities().items() if m["dims"] in (("bits",), ("split", "bits"))]
    numbers = [n for n in known if getattr(result, n).dtype.kind == "f" and not n.endswith(("_error", "_residual"))]
    if meta is None or quantity not in numbers:
        raise ValueError(f"Expected a quantity that was measured, one of {', '.join(numbers)}, got {quantity!r}.")
    factor = 100 if quantity.startswith("accuracy") else 1
    values, errors, levels = factor * getattr(result, quantity), factor * _errors(result, quantity), None
    full = getattr(result, f"{quantity}_full", None)
    if meta["dims"] == ("bits",):
        return [("", values, errors, None if full is None or full.ndim else float(full))]
    levels = [None] * len(values) if full is None else (factor * full).tolist()
    return [(str(result.split[k]), values[k], errors[k], levels[k]) for k in chosen(result, split)]


def _errors(result: Any, quantity: str) -> np.ndarray:
    for end in ("_error", "_residual"):
        found = getattr(result, quantity + end, None)
        if found is not None:
            return found
    return np.zeros_like(getattr(result, quantity))


def _scale(ax: Axes, quantity: str, rows: list[np.ndarray]) -> None:
    values = np.concatenate(rows)
    values = values[np.isfinite(values)]
    if quantity.startswith("accuracy") or not values.size:
        return
    if values.min() > 0 and values.max() > WIDE * values.min():
        ax.set_yscale("log")
    elif np.abs(values).max() > WIDE * np.abs(values).min() and values.min() <= 0:
        threshold = 10.0 ** np.floor(np.log10(np.median(np.abs(values[values != 0])))) if values.any() else 1.0
        ax.set_yscale("symlog", linthresh=threshold / 10)


def _bands(ax: Axes, drawn: list[tuple[list[int], np.ndarray, np.ndarray, str]]) -> None:
    """Shade two errors to both sides; on a logarithmic axis they end above 0."""
    for places, values, errors, color in drawn:
        low, high = values - ERRORS * errors, values + ERRORS * errors
        if ax.get_yscale() == "log":
            low = np.maximum(low, 0.02 * values)
        ax.fill_between(places, low, high, color=color, alpha=0.18, linewidth=0, zorder=0.8)


