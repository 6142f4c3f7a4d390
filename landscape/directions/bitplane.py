"""The plane through a network and two of its quantizations, and where those of other widths lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor

from landscape.directions.attaching import attached
from landscape.directions.through import between
from landscape.frame import Frame, exact

if TYPE_CHECKING:
    from landscape.objective import Objective

NEAR = 0.1  # of the distance of the coarsest: a quantization that lies closer is no direction to speak of


def bitplane(
    objective: Objective, rounded: Mapping[int, Tensor], *, spanning: tuple[int, int] | None = None
) -> Frame:
    """Lay a plane through the full-precision weights w and two of their quantizations.

    Its axes are orthonormal, with the origin at w: the first points to the coarser of the two, the second to the other
    one, made orthogonal. Every width is projected by least squares; how far it lies from the plane is kept.

    Parameters
    ----------
    objective : Objective
        Of the full-precision network: its parameters are w.
    rounded : mapping of int to Tensor of shape (D,)
        The quantized weights by bits, two widths or more.
    spanning : pair of int, optional
        The widths that span the plane. By default 4 and 2 if they are there; else the coarsest, and the finest one
        that lies at least a tenth as far from w.

    Returns
    -------
    Frame
        ``record`` has the widths that span it, and how far from w each lies.

    Raises
    ------
    ValueError
        If there are fewer than two widths, or they span no plane.
    """
    if len(rounded) < 2:
        raise ValueError(f"Expected two widths or more to span a plane, got {len(rounded)}: give more, as in 8,4,3,2.")
    center = attached(objective, None)
    far = {bits: float((exact(theta) - exact(center)).norm()) for bits, theta in rounded.items()}
    fine, coarse = sorted(spanning or _spanning(far), reverse=True)
    thetas = [center, rounded[coarse], rounded[fine]]
    frame = between(objective, thetas, ["w", f"Q{coarse}", f"Q{fine}"])
    widths = sorted(rounded, reverse=True)
    names, points = ["w", *(f"Q{bits}" for bits in widths)], [center, *(rounded[bits] for bits in widths)]
    frame = replace(frame, marks=None, spanned=len(names)).project(names, points)
    record = {"kind": "bitplane", "spanning": [fine, coarse], "distance": {str(bits): far[bits] for bits in widths}}
    return replace(frame, record=frame.record | record, labels=(f"toward Q{coarse}", f"toward Q{fine}, orthogonalized"))


def _spanning(far: Mapping[int, float]) -> tuple[int, int]:
    """Choose the widths that span a plane, from how far from w they lie."""
    if 4 in far and 2 in far:
        return 4, 2
    coarse, *finer = sorted(far)
    wide = [bits for bits in finer if far[bits] >= NEAR * far[coarse]]
    return (wide or finer[:1])[-1], coarse
