"""A tree of curves between networks: in the plane, as a matrix of saddles, and the loss along each edge."""

from __future__ import annotations

from os.path import commonprefix
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots import marking, scale
from landscape.plots.along import mark, plain
from landscape.plots.pairs import beside, tiles
from landscape.plots.style import GRAY, casing, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.tree import Tree

VIEWS = ("graph", "matrix", "loss")
LABEL = "saddle [nat]"
BESIDE = 0.5  # share of the way along an edge at which its number stands
LONG = 8  # letters of a name, above which it is drawn in brief beside others


def tree(
    result: Tree,
    ax: Axes,
    *,
    view: str | None = None,
    split: str | None = None,
    log: bool = False,
    cmap: str = "viridis",
    colorbar: bool = True,
    legend: bool = True,
) -> Axes:
    """Draw a `Tree`.

    Parameters
    ----------
    result : Tree
    ax : matplotlib.axes.Axes
    view : {"graph", "matrix", "loss"}, optional
        The networks in a plane that keeps their distances as well as one can, edges in the colour of their saddles,
        those that are not in the tree dotted; the saddles between all pairs, along segments below the diagonal and
        along the tree above it; or the loss along each edge, with bands of one standard error. Without one, the graph,
        and the matrix beside it if the axes are alone in their figure.
    split : str, optional
        One part of the data, of the loss along edges; the first unless given.
    log : bool, default=False
        Space saddles by ratio.
    cmap : str, default="viridis"
    colorbar, legend : bool, default=True

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the view or the split is unknown.
    """
    if view is not None and view not in VIEWS:
        raise ValueError(f"Expected a view, one of {', '.join(VIEWS)}, got {view!r}: choose one of these.")
    if view == "loss":
        return _loss(result, ax, split, log, cmap, legend)
    axes = beside(ax, 2) if view is None else [ax]
    steps = _steps(result, log, matrix=view == "matrix" or len(axes) > 1)
    if view != "matrix":
        _graph(result, axes[0], steps, log, cmap, colorbar and len(axes) == 1)
    if view == "matrix" or len(axes) > 1:
        _matrix(result, axes[-1], steps, log, cmap, colorbar)
    return ax


def layout(distance: np.ndarray) -> tuple[np.ndarray, float]:
    r"""Lay points out in the plane by classical scaling of their distances.

    Parameters
    ----------
    distance : ndarray of shape (N, N)

    Returns
    -------
    position : ndarray of shape (N, 2)
        Along the two largest eigenvectors of the doubly centred squared distances.
    residual : float
        :math:`\sqrt{\sum (d - \hat d)^2 / \sum d^2}` over all pairs: 0 where the plane keeps all distances.

    References
    ----------
    Torgerson (1952), Multidimensional scaling I, Psychometrika 17; Kruskal (1964), Psychometrika 29 (the residual).
    """
    count = len(distance)
    center = np.eye(count) - 1 / count
    values, vectors = np.linalg.eigh(-0.5 * center @ distance**2 @ center)
    flat = np.zeros((count, 2))
    kept = min(2, count)
    flat[:, :kept] = (vectors * np.sqrt(np.clip(values, 0, None)))[:, ::-1][:, :kept]
    for k in range(2):  # eigenvectors have no sign
        flat[:, k] *= np.sign(flat[np.abs(flat[:, k]).argmax(), k]) or 1
    apart = np.linalg.norm(flat[:, None] - flat, axis=-1)
    return flat, float(np.sqrt(((distance - apart) ** 2).sum() / (distance**2).sum()))


def brief(names: list[str]) -> list[str]:
    """Leave out of long names the whole words that all of them begin with and end with."""
    first = _words(names)
    last = _words([name[first:][::-1] for name in names])
    short = [name[first : len(name) - last] for name in names]
    return short if max(map(len, names)) > LONG and all(short) else names


def _words(names: list[str]) -> int:
    """Count the letters of the words, with what parts them, that all names begin with."""
    shared = commonprefix(names)
    return max((k + 1 for k, letter in enumerate(shared) if not letter.isalnum()), default=0)


def _graph(result: Tree, ax: Axes, steps: np.ndarray, log: bool, cmap: str, colorbar: bool) -> None:
    from matplotlib.collections import LineCollection

    place, residual = layout(result.distance)
    norm = scale.norm(steps, log and bool((steps > 0).all()))
    for chosen, dots, width in ((~result.kept, ":", 1.2), (result.kept, "-", 2.6)):
        pairs = place[result.end[chosen]]
        lines = LineCollection(pairs, linestyles=dots, linewidths=width, cmap=cmap, norm=norm, zorder=1)
        lines.set_array(result.edge_saddle[chosen])
        drawn = ax.add_collection(lines)
    ax.scatter(*place.T, s=22, color="black", zorder=3)
    reach = 1.35 * np.abs(place).max() or 1.0
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ax.set_box_aspect(1)
    spots = np.array([(1 - BESIDE) * place[i] + BESIDE * place[j] for i, j in result.end[result.kept]])
    for k, (x, y) in zip(np.flatnonzero(result.kept), spots, strict=True):
        text = number(float(result.edge_saddle[k]), 2)
        ax.text(x, y, text, ha="center", va="center", fontsize="x-small", path_effects=casing(), zorder=4)
    names = brief(result.network.tolist())
    marking.names(ax, names, place, spots)
    ax.set_xlabel(f"distances in the plane, off by {100 * residual:.1f} %", fontsize="small")
    ax.locator_params(nbins=5)
    ax.set_title("trained curves", fontsize="small")
    if colorbar and np.isfinite(result.edge_saddle).any():
        scale.colorbar(drawn, ax, steps, LABEL)


def _matrix(result: Tree, ax: Axes, steps: np.ndarray, log: bool, cmap: str, colorbar: bool) -> None:
    lower = np.tri(len(result.network), k=-1, dtype=bool)
    values = np.where(lower, result.segment_saddle, result.saddle)
    errors = np.where(lower, result.segment_saddle_error, result.saddle_error)
    drawn = tiles(
        ax, values, result.network.tolist(), steps, errors=errors, log=log and bool((steps > 0).all()), cmap=cmap,
        corner=[number(float(loss), 2) for loss in result.loss[0]],
    )  # fmt: skip
    ax.set_title("below: along segments, above: along the tree", fontsize="small")
    if colorbar:
        scale.colorbar(drawn, ax, steps, LABEL)


def _loss(result: Tree, ax: Axes, split: str | None, log: bool, cmap: str, legend: bool) -> Axes:
    from matplotlib import colormaps

    splits = result.split.tolist()
    if split is not None and split not in splits:
        raise ValueError(f"Expected a split, one of {', '.join(splits)}, got {split!r}: choose one of them.")
    part = 0 if split is None else splits.index(split)
    colors = colormaps[cmap](np.linspace(0, 0.85, len(result.edge)))
    for k, name in enumerate(result.edge.tolist()):
        loss, error = result.edge_loss[k, part], result.edge_loss_error[k, part]
        kept = bool(result.kept[k])
        share = result.arc[k] / result.length[k]
        label, dots = (name, "-") if kept else (f"{name}, dropped", ":")
        look = mark(k, len(share), len(result.edge) > 1)
        ax.plot(share, loss, color=colors[k], linestyle=dots, label=plain(label), **look)
        ax.fill_between(share, loss - error, loss + error, color=colors[k], alpha=0.15, linewidth=0)
    for k in range(len(result.edge)):
        ends = result.loss[part][result.end[k]]
        ax.scatter([0, 1], ends, s=8, color=GRAY, zorder=3)
    if log:
        ax.set_yscale("log")
    ax.set(xlabel="share of the way along the curve", ylabel=f"{splits[part]} loss [nat]", xlim=(-0.02, 1.02))
    if legend:
        ax.legend(fontsize="x-small", labelspacing=0.25, handlelength=1.6)
    return ax


def _steps(result: Tree, log: bool, *, matrix: bool) -> Any:
    """Choose levels that cover what is drawn: the saddles of edges, and of all pairs where the matrix is."""
    apart = ~np.eye(len(result.network), dtype=bool)
    pairs = [result.segment_saddle[apart], result.saddle[apart]] if matrix else []
    values = np.concatenate([result.edge_saddle, *pairs])
    finite = values[np.isfinite(values)]
    ratios = log and bool((finite > 0).all())
    return scale.levels(finite, log=ratios)
