"""Paths between networks: loss and accuracy along curves, over what lies straight between the ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from landscape.plots import field
from landscape.plots.along import COLORS, across, color, dash, finite, knots, mark, plain
from landscape.plots.path_barriers import OVER, barriers, straight
from landscape.plots.path_barriers import height as barrier_of
from landscape.plots.path_curvature import curvature
from landscape.plots.path_overlay import several
from landscape.plots.style import GRAY

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from landscape.probes.path import Path

QUANTITIES = ("loss", "accuracy", "disagreement", "curvature", "training")
VIEWS = ("t", "arc")
__all__ = ["handles", "latex", "panels", "path", "several", "usual"]
SHORT = 6  # letters of the name of a split that fits into a line with more
ROOM = 0.1  # of the height of the axes, left free above the curves


def path(
    result: Path,
    ax: Axes,
    *,
    quantity: str = "loss",
    view: str = "t",
    split: str | None = None,
    log: bool | str = "auto",
    band: bool = True,
    barrier: bool = True,
    numbers: bool = True,
    legend: bool = True,
) -> Axes:
    """Draw one quantity of a `Path` along its curves: a colour for each curve, a dash for each split.

    Parameters
    ----------
    result : Path
        Or another result along curves, such as a `Connect`.
    ax : matplotlib.axes.Axes
    quantity : {"loss", "accuracy", "disagreement", "curvature", "training"}
        ``disagreement`` is that of one split with both ends; ``training`` is what a trained curve's training minimized.
    view : {"t", "arc"}
        Position along the curve, or length of the curve so far.
    split : str, optional
        One part of the data; all of them by default.
    log : bool or "auto"
        Logarithmic loss; "auto" where it is positive and spans more than a factor of 30.
    band : bool, default=True
        Shade one standard error over examples to both sides.
    barrier : bool, default=True
        Dot the interpolation of the ends, and mark how far the first split drawn departs from it.
    numbers : bool, default=True
        Write how far, with one standard error, beside its mark.
    legend : bool, default=True

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If a knob has no such value or the quantity was not measured.
    """
    if quantity not in QUANTITIES:
        raise ValueError(f"Expected a quantity, one of {', '.join(QUANTITIES)}, got {quantity!r}: choose one of these.")
    if view not in VIEWS:
        raise ValueError(f"Expected a view, t or arc, got {view!r}: choose one of these.")
    if quantity not in panels(result):
        raise ValueError(f"Expected a result with {quantity}, got one without: choose {', '.join(panels(result))}.")
    parts = range(len(result.split)) if split is None else [field.position(result, split)]
    if quantity == "training":
        return _training(result, ax, log)
    if quantity == "curvature":
        curvature(result, ax, COLORS, view=view, log=log, legend=legend)
    elif quantity == "disagreement":
        _disagreement(result, ax, parts[-1] if split is None else parts[0], view, legend)
    else:
        _curves(result, ax, quantity, view, parts, band)
        _vertical(result, ax, quantity, parts, log)
        if barrier and getattr(result, OVER[quantity]) is not None:
            straight(result, ax, quantity, view, parts)
            barriers(result, ax, quantity, view, parts[0], numbers=numbers)
        if legend:
            ax.legend(handles=handles(result, parts, barrier), loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    _horizontal(result, ax, view)
    return ax


def panels(result: Any) -> list[str]:
    """Name the quantities that a result has."""
    there = {
        "accuracy": result.accuracy, "disagreement": result.disagreement_first, "curvature": result.lambda_max,
        "training": getattr(result, "objective", None),
    }  # fmt: skip
    return [name for name in QUANTITIES if there.get(name, result.loss) is not None]


def usual(result: Any) -> list[list[dict[str, str]]]:
    """Return the panels of a whole figure: every quantity that was measured."""
    return [[{"quantity": name} for name in panels(result)]]


def handles(result: Any, parts: Any, barrier: bool = True, *, heights: tuple[str, ...] = ()) -> list[Artist]:
    """Return what a legend explains: curves by colour, splits by dash, and the interpolation of the ends.

    Of some quantities it tells the barriers, `heights`, on the first part.
    """
    told = [[barrier_of(result, name, c, parts[0]) for name in heights] for c in range(len(result.curve))]
    names = [
        plain(name) + (f" ({result.split[parts[0]]} barrier {', '.join(filter(None, high))})" if any(high) else "")
        for name, high in zip(result.curve.tolist(), told, strict=True)
    ]
    found = [Line2D([], [], color=color(c), label=name, **mark(c, 1, len(names) > 1)) for c, name in enumerate(names)]
    if len(parts) > 1:
        found += [Line2D([], [], color="black", linestyle=dash(s), label=str(result.split[s])) for s in parts]
    if barrier:
        found.append(Line2D([], [], color=GRAY, linestyle=":", linewidth=0.9, label="interpolation of the ends"))
    if any(knots(result, name) is not None for name in result.curve.tolist()):
        found.append(Line2D([], [], color=GRAY, linestyle="", marker="|", markersize=6, label="checkpoints"))
    return found


def latex(result: Path) -> str:
    r"""Write the barriers of every curve as a table for the package booktabs."""
    barrier = [result.barrier(), result.error_barrier()] if result.drop is not None else [result.barrier()]
    names = ("loss [nat]", r"error [\%]")[: len(barrier)]
    split = [str(name) for name in result.split]
    heads = [f"{name}, {part}" for name in names for part in split]
    rows = []
    for c, curve in enumerate(result.curve.tolist()):
        cells = [
            f"${unit * height[c, s]:.3g} \\pm {unit * error[c, s]:.2g}$"
            for unit, (height, error, _) in zip((1, 100), barrier, strict=False)
            for s in range(len(split))
        ]
        rows.append(" & ".join([_escaped(curve), f"{result.length[c]:.4g}", *cells]) + r" \\")
    lines = [
        rf"\begin{{tabular}}{{lr{'r' * len(heads)}}}",
        r"\toprule",
        " & ".join(["curve", "length", *heads]) + r" \\",
    ]
    return "\n".join([*lines, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}"])


def _escaped(name: str) -> str:
    for letter in "_%&#$":
        name = name.replace(letter, f"\\{letter}")
    return name


def _curves(result: Any, ax: Axes, quantity: str, view: str, parts: Any, band: bool) -> None:
    unit = field.percent(quantity)
    for c in range(len(result.curve)):
        x = across(result, c, view)
        for s in parts:
            values = finite(unit * getattr(result, quantity)[c, s])
            label = f"{plain(str(result.curve[c]))}, {result.split[s]}"
            look = mark(c, len(x), len(result.curve) > 1)
            ax.plot(x, values, color=color(c), linestyle=dash(s), label=label, zorder=3, **look)
            error = unit * getattr(result, f"{quantity}_error")[c, s]
            if band and np.isfinite(error).any():
                with np.errstate(invalid="ignore"):
                    low, high = values - error, values + error
                    low = np.where((low <= 0) & (values > 0), 1e-3 * values, low)  # zero has no place on a log axis
                ax.fill_between(x, low, high, color=color(c), alpha=0.2, linewidth=0)


def _vertical(result: Any, ax: Axes, quantity: str, parts: Any, log: bool | str) -> None:
    values = field.percent(quantity) * getattr(result, quantity)[:, list(parts)]
    known = values[np.isfinite(values)]
    if quantity == "loss" and known.size and field.logarithmic(known, log):
        ratio = max(known.max() / known.min(), 1.1)
        ax.set(yscale="log", ylim=(known.min() / ratio**0.05, known.max() * ratio**ROOM))
    elif known.size:
        error = field.percent(quantity) * getattr(result, f"{quantity}_error")[:, list(parts)]
        error = np.where(np.isfinite(error), error, 0.0)
        low = np.min(values - error, where=np.isfinite(values), initial=np.inf)
        high = np.max(values + error, where=np.isfinite(values), initial=-np.inf)
        low = 0.0 if quantity == "loss" and known.min() >= 0 else low
        reach = (high - low) or 1.0
        ax.set_ylim(low - (0.05 * reach if low else 0), high + ROOM * reach)
    ax.set_ylabel(f"{quantity} {field.unit(result, quantity)}".strip())


def _disagreement(result: Any, ax: Axes, split: int, view: str, legend: bool) -> None:
    for c in range(len(result.curve)):
        for end, line in (("first", "-"), ("last", "--")):
            values, error = (100 * getattr(result, f"disagreement_{end}{e}")[c, split] for e in ("", "_error"))
            x = across(result, c, view)
            ax.plot(x, values, color=color(c), linestyle=line, **mark(c, len(x), len(result.curve) > 1))
            ax.fill_between(x, values - error, values + error, color=color(c), alpha=0.2, linewidth=0)
    ax.set_ylim(bottom=0)
    part = str(result.split[split])
    ax.set_ylabel(f"answers that differ,{chr(10) if len(part) > SHORT else ' '}{plain(part)} [%]")
    if legend:
        ends = (("-", "from the first end's"), ("--", "from the last end's"))
        marks = [Line2D([], [], color="black", linestyle=line, label=words) for line, words in ends]
        ax.legend(handles=marks, loc="lower center", bbox_to_anchor=(0.5, 1.0))  # no wider than a panel among three


def _training(result: Any, ax: Axes, log: bool | str) -> Axes:
    ax.plot(result.epoch, finite(result.objective), color="black", marker="." if len(result.epoch) < 20 else None)
    if field.logarithmic(result.objective, log):
        ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set(xlabel="epoch of the curve's training", ylabel="mean objective of the epoch [nat]")
    return ax


def _horizontal(result: Any, ax: Axes, view: str) -> None:
    ax.set_xlabel("position along the curve, t" if view == "t" else "length of the curve so far")
    ax.margins(x=0)
    for c, name in enumerate(result.curve.tolist()):
        at = knots(result, name)
        if at is None:
            continue
        x = at if view == "t" else np.interp(at, result.t, result.arc[c])
        y, above = np.full(len(x), 0.02 + 0.035 * c), ax.get_xaxis_transform()
        ax.plot(x, y, "|", color=color(c), markersize=6, transform=above, clip_on=False, zorder=4)
