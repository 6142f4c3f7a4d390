"""``landscape show``: what a result holds, in words and numbers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
        with whole([path]):
            found = read(path)
            whence = json.dumps(found.origin, indent=2, sort_keys=True)
            told = whence if origin else f"{path}\n{table(found)}\n{found!r}"
        print(told)


@contextmanager
def whole(results: Sequence[Path]) -> Iterator[None]:
    """Say in one line that results are not what their kinds promise, where showing them stumbles over it.

    Files are not trusted: arrays may be of any shape and kind that can be stored. ``LANDSCAPE_DEBUG=1`` shows where.

    Raises
    ------
    ValueError
        If it does.
    """
    try:
        yield
    except (TypeError, IndexError, KeyError, AttributeError, ArithmeticError) as error:
        if os.environ.get("LANDSCAPE_DEBUG"):
            raise
        names = ", ".join(map(str, results))
        told = f"{names}: expected whole results, got what cannot be shown ({error!r}): measure again."
        raise ValueError(told) from error


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
