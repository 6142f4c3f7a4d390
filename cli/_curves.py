"""Curves between networks, read from the results that hold them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.curves import Curve


def require_files(paths: Iterable[Path]) -> None:
    """Look for results that hold curves, before anything is loaded.

    Raises
    ------
    FileNotFoundError
        If one is missing, or is a folder.
    """
    for path in paths:
        if not path.is_file():
            told = "a folder" if path.is_dir() else "no such file"
            raise FileNotFoundError(f"{path}: expected a result of landscape connect or tree, got {told}.")


def read(path: Path, first: Tensor, last: Tensor | None = None) -> Curve:
    """Read a connecting curve that begins at one network, and ends at another if that is given.

    It is turned around if it runs the other way. Of a tree it is the edge between these networks.

    Raises
    ------
    ValueError
        If the file is another result, none of its curves connects these networks, or several edges do.
    """
    held = _held(path)
    found = {name: curve for name, one in held.items() if (curve := _between(path, one, first, last)) is not None}
    if len(found) > 1:
        raise ValueError(
            f"{path}: expected one curve from this network, got {', '.join(found)}: give the other network too."
        )
    if not found:
        several = f"those of {', '.join(held)}" if len(held) > 1 else "one between others"
        raise ValueError(f"{path}: expected a curve between these networks, got {several}: give its own ends.")
    return next(iter(found.values()))


def _held(path: Path) -> dict[str, Curve]:
    """Return the curves that a result holds, by name."""
    from landscape import result
    from landscape.probes.connect import Connect
    from landscape.probes.tree import Tree

    found = result.load(path)
    if isinstance(found, Connect):
        return {"curve": found.trained()}
    if isinstance(found, Tree):
        return found.curves()
    kind = type(found).__name__.lower()
    raise ValueError(f"{path}: expected a curve that landscape connect or tree found, got a {kind}.")


def _between(path: Path, curve: Curve, first: Tensor, last: Tensor | None) -> Curve | None:
    """Return a curve as it runs from one network to another; None where it does not."""
    from landscape.curves import Curve

    if curve.points.shape[1] != len(first):
        raise ValueError(
            f"{path}: expected a curve of {len(first)} parameters, got one of {curve.points.shape[1]}: it belongs to "
            "another network."
        )
    curve = Curve(curve.shape, curve.points.to(first))
    for turned in (curve, curve.reversed()):
        begin, end = turned.ends
        if bool((begin == first).all()) and (last is None or bool((end == last).all())):
            return turned
    return None
