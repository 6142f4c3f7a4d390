"""``landscape show``: what a result holds, in words and numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from landscape.result import Result


def show(*results: Path, origin: bool = False) -> None:
    """Tell what is in a result: its numbers with their errors, its arrays, and where it comes from.

    Parameters
    ----------
    results : Path
        HDF5 files.
    origin : bool
        Print the whole origin, as JSON.
    """
    if not results:
        raise ValueError("Expected a result: landscape show RESULT.h5.")
    from landscape.plots.export import table

    for path in results:
        found = read(path)
        print(json.dumps(found.origin, indent=2, sort_keys=True) if origin else f"{path}\n{table(found)}\n{found!r}")


def read(path: Path) -> Result:
    """Read a result of ours, or a surface that Li et al.'s scripts wrote."""
    from landscape.hdf5 import opened
    from landscape.result import load

    with opened(path) as file:
        theirs = "kind" not in file.attrs and "xcoordinates" in file
    if theirs:
        from landscape.importing import goldstein

        return goldstein(path)
    return load(path)
