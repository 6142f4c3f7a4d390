"""Curves between networks, read from the results that hold them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.curves import Curve


def read(path: Path, first: Tensor, last: Tensor | None = None) -> Curve:
    """Read a connecting curve, and see that it connects these networks; turned around, if it runs the other way.

    Raises
    ------
    ValueError
        If the file is another result, or the curve does not end at these networks.
    """
    from landscape import result
    from landscape.curves import Curve
    from landscape.probes.connect import Connect

    found = result.load(path)
    if not isinstance(found, Connect):
        kind = type(found).__name__.lower()
        raise ValueError(f"{path}: expected a curve that landscape connect found, got a {kind}.")
    curve = found.trained()
    curve = Curve(curve.shape, curve.points.to(first))
    if curve.points.shape[1] != len(first):
        raise ValueError(
            f"{path}: expected a curve of {len(first)} parameters, got one of {curve.points.shape[1]}: it belongs to "
            "another network."
        )
    for turned in (curve, curve.reversed()):
        ends = turned.points[[0, -1]]
        if bool((ends[0] == first).all()) and (last is None or bool((ends[1] == last).all())):
            return turned
    raise ValueError(f"{path}: expected a curve between these networks, got one between others: give its own ends.")
