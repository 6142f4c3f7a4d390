"""How negative the curvature of every class is: bars by class frequency, with errors, groups and their means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landscape.plots.style import BLUE, GRAY, GREEN, ORANGE, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.saddle import Saddle

COLORS = {"head": BLUE, "medium": GREEN, "tail": ORANGE}
FEW, NAMED = 12, 40  # classes: up to here names lie flat over their counts, stand upright, are left out
OPEN = "an end has not converged"


def saddle(result: Saddle, ax: Axes, *, sort: bool = True, errors: bool = True, legend: bool = True) -> Axes:
    r"""Draw a `Saddle`: :math:`-\lambda_{\min} / \lambda_{\max}` of every class, the most frequent class first.

    Parameters
    ----------
    result : Saddle
    ax : matplotlib.axes.Axes
    sort : bool, default=True
        Sort classes by their number of examples; else they stay in the order of the data.
    errors : bool, default=True
        Draw one standard error over examples to both sides, or the interval over resamples where there is one.
    legend : bool, default=True

    Returns
    -------
    matplotlib.axes.Axes
        Bars of classes in head, medium and tail differ in colour, where classes differ in size by a factor of two; a
        dashed line is the mean of a group, its band one standard error over the classes. Hatched bars have an end that
        did not converge. A dot below a bar is a certificate that no eigenvalue lies below -tau.
    """
    order = np.argsort(-result.count, kind="stable") if sort else np.arange(len(result.count))
    group = result.group
    place = np.arange(len(order))
    _bars(ax, result, order, place, group)
    if errors:
        _errors(ax, result, order, place)
    if group is not None and sort:
        _means(ax, result, group[order], place)
    ax.axhline(0, color="black", linewidth=0.6)
    _certificates(ax, result, order, place)
    _names(ax, result, order, place)
    ax.set_xlim(-0.7, len(place) - 0.3)
    ax.yaxis.set_major_formatter(_tick)
    ax.set_ylabel(r"$-\lambda_{\min}\,/\,\lambda_{\max}$ of the class Hessian")
    if legend:
        _legend(ax, group is not None)
    return ax


def _tick(value: float, _: int) -> str:
    """Write a number beside the axis: a factor over the axis would run into the legend."""
    words = number(value)
    return words if "$" in words else words.replace("-", "\N{MINUS SIGN}")


def _legend(ax: Axes, grouped: bool) -> None:
    handles = sorted(ax.get_legend_handles_labels()[0], key=lambda handle: handle.get_label().startswith("none"))
    if handles:
        words = "mean of classes ± its standard error" if grouped else None
        ax.legend(
            handles=handles, loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=2, handlelength=1.2, title=words,
            title_fontsize="small",
        )  # fmt: skip


def _bars(ax: Axes, result: Saddle, order: np.ndarray, place: np.ndarray, group: np.ndarray | None) -> None:
    done = (result.lambda_min_converged & result.lambda_max_converged)[order]
    heights = result.ratio[order]
    kinds = np.full(len(order), "") if group is None else group[order]
    for kind in [k for k in (*COLORS, "") if (kinds == k).any()]:
        inside = (kinds == kind) & np.isfinite(heights)
        words = f"{kind}: {_mean(result, kind)}" if kind else None
        ax.bar(place[inside], heights[inside], 0.75, color=COLORS.get(kind, BLUE), label=words, zorder=1)
    late = ~done & np.isfinite(heights)
    if late.any():
        ax.bar(
            place[late], heights[late], 0.75, facecolor="none", edgecolor="white", hatch="////", linewidth=0, zorder=1.5
        )
        ax.bar(place[late][:1], 0, facecolor=GRAY, edgecolor="white", hatch="////", linewidth=0, label=OPEN)
    for x in place[result.count[order] == 0]:
        ax.annotate(
            "no examples", (x, 0), xytext=(0, 3), textcoords="offset points", rotation=90, ha="center", va="bottom",
            fontsize="x-small", color=GRAY,
        )  # fmt: skip


def _mean(result: Saddle, kind: str) -> str:
    mean, error = result.by_group("ratio")[kind]
    return number(mean, 2) + ("" if np.isnan(error) else f" ± {number(error, 1)}")


def _errors(ax: Axes, result: Saddle, order: np.ndarray, place: np.ndarray) -> None:
    ratio = result.ratio[order]
    if result.ratio_low is not None and result.ratio_high is not None:
        reach = np.stack([ratio - result.ratio_low[order], result.ratio_high[order] - ratio])
    else:
        reach = np.stack([result.ratio_error[order]] * 2)
    known = np.isfinite(reach).all(0) & np.isfinite(ratio)
    ax.errorbar(
        place[known], ratio[known], np.maximum(reach[:, known], 0), fmt="none", ecolor="black", elinewidth=0.7,
        capsize=1.5 if len(place) <= NAMED else 0, capthick=0.7, zorder=3,
    )  # fmt: skip


def _means(ax: Axes, result: Saddle, group: np.ndarray, place: np.ndarray) -> None:
    for kind, (mean, error) in result.by_group("ratio").items():
        where = place[group == kind]
        if not len(where) or np.isnan(mean):
            continue
        sides = np.array([where.min() - 0.5, where.max() + 0.5])
        ax.plot(sides, [mean, mean], color="black", linewidth=0.8, linestyle=(0, (4, 2)), zorder=2)
        if not np.isnan(error):
            ax.fill_between(sides, mean - error, mean + error, color="black", alpha=0.13, linewidth=0, zorder=0.5)


def _certificates(ax: Axes, result: Saddle, order: np.ndarray, place: np.ndarray) -> None:
    sure = result.certified()[order]
    if sure.any():
        words = rf"none below $-{number(float(result.tau), 2)}\,\lambda_{{\max}}$ ($p\leq 0.01$)"
        ax.plot(
            place[sure], np.full(sure.sum(), 0.02), "o", color="white", markeredgecolor="black", markersize=3,
            markeredgewidth=0.6, transform=ax.get_xaxis_transform(), label=words, zorder=4, clip_on=False,
        )  # fmt: skip


def _names(ax: Axes, result: Saddle, order: np.ndarray, place: np.ndarray) -> None:
    counts = result.count[order].astype(int)
    names = [str(result.class_[i]) for i in order]
    short = max(map(len, names)) * len(names) <= 5 * FEW
    if len(names) <= FEW and short:
        ax.set_xticks(place, [f"{name}\n{count}" for name, count in zip(names, counts, strict=True)])
        ax.set_xlabel("class, and its number of examples")
    elif len(names) <= NAMED:
        words = [f"{name} ({count})" for name, count in zip(names, counts, strict=True)]
        ax.set_xticks(place, words, rotation=90)
        ax.set_xlabel("class (its number of examples)")
    else:
        ax.set_xticks([])
        ax.set_xlabel(f"class, from {counts.max()} examples to {counts.min()}")
    for words in ax.get_xticklabels():
        words.set_parse_math(False)
    ax.tick_params(axis="x", length=0, labelsize="x-small" if len(names) > FEW // 2 else "small")
