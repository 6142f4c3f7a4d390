"""Spectra as densities of eigenvalues with their bands, both ends marked; one model or several."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rcParams
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import Locator

from landscape.plots.style import BLUE, GRAY, GREEN, ORANGE, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.spectrum import Spectrum

MATRICES = {
    "hessian": "Hessian", "gauss_newton": "Gauss-Newton matrix", "fisher": "empirical Fisher matrix",
    "gradient_covariance": "gradient covariance",
}  # fmt: skip
SCALES = ("linear", "log")
COLORS, DASHES = (BLUE, ORANGE, GREEN, GRAY), ("-", "--", ":", "-.")
FINE, MOST = 5, 20_000  # points of a curve for each width of the smoothing, and in all
REACH = 3.5  # widths that a curve goes on beyond its ends
LOWEST = 0.05  # of the peak that a single eigenvalue makes, which few probes may weigh too little: the axis begins here
SURE = 1e-2  # relative residual up to which an end is written without a sign of doubt
LINEAR, LABELS = 0.5, 4  # decades that zero takes to one side of a logarithmic axis; labels of a sign, at most
WIDE = 3.0  # of a label, in sizes of its type
NEAREST = 0.7  # of a step: zero, whose label is narrow, may be that close to the first power
PER_DECADE = 60  # points of a logarithmic curve


def spectrum(
    result: Spectrum,
    ax: Axes,
    *,
    scale: str = "linear",
    width: float | None = None,
    decades: float = 6.0,
    band: bool = True,
    ends: bool = True,
    color: str = BLUE,
    dash: str = "-",
    name: str | None = None,
) -> Axes:
    """Draw the density of eigenvalues of a `Spectrum`, on a logarithmic axis of densities.

    Parameters
    ----------
    result : Spectrum
    ax : matplotlib.axes.Axes
    scale : {"linear", "log"}
        Of the eigenvalues: "log" draws negative and positive ones over the decades of their modulus.
    width : float, optional
        Standard deviation of the smoothing: in nats (by default `Spectrum.width`), in decades (0.1) where `scale` is
        "log".
    decades : float, default=6
        How far below the largest modulus a logarithmic axis reaches; what lies closer to zero is left out.
    band : bool, default=True
        Shade one standard error over probes to both sides.
    ends : bool, default=True
        Mark and write the smallest and the largest eigenvalue.
    color, dash : str
        Of the curve.
    name : str, optional
        Of the curve, for a legend.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the scale is unknown.

    Notes
    -----
    Ticks at the foot are outliers that were taken out. An end whose residual is above a hundredth of it is written with
    the sign of an inequality: the true end lies there or further out.
    """
    if scale not in SCALES:
        raise ValueError(f"Expected a scale, one of {', '.join(SCALES)}, got {scale!r}: choose one of these.")
    if scale == "linear":
        wide = result.width if width is None else width
        curves, lowest = [_linear(result, wide)], _single(result, wide)
    else:
        wide = {} if width is None else {"width": width}
        curves, lowest = _logarithmic(result, decades, wide), _single(result, width or 0.1)
    for index, (x, density, error) in enumerate(curves):
        ax.plot(x, _drawn(density, lowest), color=color, linestyle=dash, label=None if index else name)
        if band and np.isfinite(error).all():
            low, high = np.maximum(density - error, lowest), np.maximum(density + error, lowest)
            ax.fill_between(x, low, high, color=color, alpha=0.25, linewidth=0, where=high > lowest)
    reach = float(curves[0][0][0]), float(curves[0][0][-1])
    _axes(ax, result, scale, decades, reach, lowest, max(float(density.max()) for _, density, _ in curves))
    _outliers(ax, result, color)
    if ends:
        _ends(ax, result, color, scale, written=name is None)
    return ax


def spectra(results: Mapping[str, Spectrum], ax: Axes, **knobs: Any) -> Axes:
    """Draw the densities of several models on the same axes, by name; the legend tells their ends.

    Parameters
    ----------
    results : mapping of names to Spectrum
    ax : matplotlib.axes.Axes
    **knobs
        As `spectrum`, but for colour, dash and name; the smoothing is the same for all, by default the widest.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no result, or more than can be told apart.
    """
    if not 1 <= len(results) <= len(COLORS):
        raise ValueError(f"Expected 1 to {len(COLORS)} spectra on the same axes, got {len(results)}: draw them apart.")
    if knobs.get("scale", "linear") == "linear" and knobs.get("width") is None:
        knobs["width"] = max(result.width for result in results.values())  # else heights would not compare
    limits = []
    for (name, result), color, dash in zip(results.items(), COLORS, DASHES, strict=False):
        told = f"{name}: {_end(result, 'smallest')} to {_end(result, 'largest')} nat"
        spectrum(result, ax, color=color, dash=dash, name=told, **knobs)
        limits.append((*ax.get_xlim(), *ax.get_ylim()))
    left, right, low, high = zip(*limits, strict=True)
    ax.set(xlim=(min(left), max(right)), ylim=(min(low), max(high)))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), borderaxespad=0.3)
    return ax


several = spectra


def _linear(result: Spectrum, width: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    low, high = float(result.smallest) - REACH * width, float(result.largest) + REACH * width
    grid = np.linspace(low, high, min(MOST, math.ceil(FINE * (high - low) / width) + 1))
    return grid, *result.density(grid, width)


def _logarithmic(
    result: Spectrum, decades: float, wide: dict[str, float]
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return a curve for each sign that occurs."""
    top = math.log10(result.scale)
    modulus = 10 ** np.linspace(top - decades, top + 0.5, int(PER_DECADE * (decades + 0.5)))
    density, error = result.log_density(modulus, **wide)
    signs = [(row, sign) for row, sign in ((0, -1), (1, 1)) if density[row].any()]
    return [(sign * modulus, density[row], error[row]) for row, sign in signs]


def _single(result: Spectrum, width: float) -> float:
    """Tell the least density that is drawn, from the peak of a single eigenvalue."""
    return LOWEST / (float(result.dimension) * width * math.sqrt(2 * math.pi))


def _drawn(density: np.ndarray, lowest: float) -> np.ndarray:
    return np.where(density >= lowest, density, np.nan)


def _axes(
    ax: Axes, result: Spectrum, scale: str, decades: float, reach: tuple[float, float], lowest: float, highest: float
) -> None:
    ax.set_xlabel(f"eigenvalue of the {MATRICES[result.origin.get('matrix', 'hessian')]} [nat]")
    ax.set_yscale("log")
    ax.set_ylim(lowest, highest * (highest / lowest) ** 0.08)
    if scale == "linear":
        ax.set_xlim(reach)
        ax.set_ylabel("density [1/nat]")
        return
    floor = math.floor(math.log10(result.scale) - decades)
    ax.set_xscale("symlog", linthresh=10.0**floor, linscale=LINEAR)
    signs = [sign for sign, there in ((-1, float(result.smallest) < 0), (1, float(result.largest) > 0)) if there]
    ax.xaxis.set_major_locator(Powers(math.ceil(math.log10(result.scale)), floor, signs))
    ax.minorticks_off()
    ax.yaxis.minorticks_on()
    far = 10 ** (math.log10(result.scale) + 0.5)
    near = 10.0**floor
    ax.set_xlim(-far if float(result.smallest) < 0 else -near, far if float(result.largest) > 0 else near)
    ax.set_ylabel("density [1/decade]")


class Powers(Locator):
    """Zero, and powers of ten of one sign or both, as many as the axis has room for when it is drawn."""

    def __init__(self, top: int, floor: int, signs: list[int]) -> None:
        self.top, self.floor, self.signs = top, floor, signs
        self.wide = WIDE * FontProperties(size=rcParams["xtick.labelsize"]).get_size_in_points() / 72

    def __call__(self) -> list[float]:
        """Return the places of the ticks."""
        count = int(self.axis.axes.bbox.width / self.axis.axes.figure.dpi / self.wide)
        room = max(1, min(LABELS, (count - 1) // max(1, len(self.signs))))
        step = max(1, -(-(self.top - self.floor) // room))
        last = self.floor - LINEAR + NEAREST * step
        powers = [power for power in range(self.top, self.floor, -step) if power >= last]
        return sorted([0.0, *(sign * 10.0**power for power in powers or [self.top] for sign in self.signs)])

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        """Return the same whatever the limits are."""
        return self()


def _outliers(ax: Axes, result: Spectrum, color: str) -> None:
    if result.outlier is not None and len(result.outlier):
        ax.plot(
            result.outlier, np.full(len(result.outlier), 0.03), linestyle="none", marker="|", markersize=8,
            markeredgewidth=1, color=color, transform=ax.get_xaxis_transform(), gid="outliers", zorder=4,
        )  # fmt: skip


def _ends(ax: Axes, result: Spectrum, color: str, scale: str, *, written: bool) -> None:
    for which in ("smallest", "largest"):
        value = float(getattr(result, which))
        ax.axvline(value, color=color, linewidth=0.7, linestyle=(0, (1, 1.5)), gid=which, zorder=1)
        if written:
            ax.annotate(
                _end(result, which), (value, 1), xycoords=("data", "axes fraction"), xytext=(0, 2),
                textcoords="offset points", ha="center", va="bottom", fontsize="small", color=color,
            )  # fmt: skip


def _end(result: Spectrum, which: str) -> str:
    value, residual = float(getattr(result, which)), float(getattr(result, f"{which}_residual"))
    doubt = {"smallest": r"$\leq$", "largest": r"$\geq$"}[which] if residual > SURE * abs(value) else ""
    return doubt + number(value).replace("-", "\N{MINUS SIGN}")
