"""A network across bit widths: what rounding costs, of what that consists, and how the rounded networks lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from landscape.plots import bits_curves, bits_parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.bits import Bits

CURVES = ("loss", "accuracy", "change", "measure")
ALONE = {"parts": bits_parts.parts, "sharpness": bits_curves.sharpness, "layers": bits_parts.layers,
         "segments": bits_parts.segments}  # fmt: skip
VIEWS = (*CURVES, *ALONE)
ONE = ("loss", "accuracy", "parts", "sharpness", "layers", "segments")
MANY = ("loss", "accuracy", "loss_change", "bin_sharpness", "flip_mean", "scaled")  # for several, one quantity a panel


def bits(
    result: Bits, ax: Axes, *, view: str = "loss", quantity: str | None = None, split: str | None = None,
    legend: bool = True,
) -> Axes:  # fmt: skip
    """Draw one view of a `Bits`, over widths from wide to narrow. Bands and bars are two errors to both sides.

    Parameters
    ----------
    result : Bits
    ax : matplotlib.axes.Axes
    view : {"loss", "accuracy", "change", "parts", "sharpness", "layers", "segments", "measure"}
        Loss or accuracy, full precision being the dashed level; the change of the loss, or its parts side by side,
        hatched where the expansion fails; measures of sharpness; measured against predicted sensitivity of every
        weight, hollow where one of both is negative; losses from each width to the next, with the barriers.
    quantity : str, optional
        Of the view "measure": any array over widths, such as ``bin_sharpness``.
    split : str, optional
        One part of the data; all by default. Parts, sharpness and layers are of the first one.
    legend : bool, default=True

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no such view, quantity or split, or it was not measured.
    """
    return several({"": result}, ax, view=view, quantity=quantity, split=split, legend=legend)


def several(
    results: Mapping[str, Bits], ax: Axes, *, view: str = "loss", quantity: str | None = None,
    split: str | None = None, legend: bool = True,
) -> Axes:  # fmt: skip
    """Draw one view of several networks by name, a colour for each: a curve over widths; see `bits`.

    Raises
    ------
    ValueError
        If there is no such view, quantity or split, it was not measured, or a view is of one network alone.
    """
    if quantity is not None and view == "loss":
        view = "measure"
    if view not in VIEWS:
        raise ValueError(f"Expected a view, one of {', '.join(VIEWS)}, got {view!r}: choose one of these.")
    if view in ALONE and len(results) > 1:
        raise ValueError(
            f"Expected one network for the view {view}, got {len(results)}: choose {', '.join(CURVES)}, or draw them "
            "one by one."
        )
    if view == "measure" and quantity is None:
        raise ValueError("Expected --quantity with the view measure, got none: give one such as bin_sharpness.")
    first = next(iter(results.values()))
    if view in ("parts", "sharpness", "layers"):
        ALONE[view](first, ax)
    elif view == "segments":
        bits_parts.segments(first, ax, split)
    else:
        name = {"change": "loss_change", "measure": quantity}.get(view, view)
        bits_curves.curves(results, ax, str(name), split)
    if legend and len(ax.get_legend_handles_labels()[0]) > 1:
        ax.legend(loc="best", fontsize="small")
    return ax


def usual(result: Bits) -> list[list[dict[str, str]]]:
    """Return the panels of a whole figure: all views that have been measured."""
    return [[{"view": name} for name in panels({"": result})]]


def panels(results: Mapping[str, Bits]) -> list[str]:
    """Name the panels that the results have numbers for."""
    if len(results) > 1:
        return [name for name in MANY if all(getattr(one, name) is not None for one in results.values())]
    (result,) = results.values()
    missing = {"accuracy": result.accuracy, "layers": result.tensor_change}
    return [name for name in ONE if missing.get(name, result.loss) is not None]
