"""``landscape report``: everything that was measured on one page, which needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def report(
    *results: Path,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("report.html"),  # noqa: B008 (frozen)
    title: str = "",
    force: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Put results of any kinds on one page: tables, surfaces that turn together, spectra, origins.

    The page is one file that works offline. Every result has its section, with the command that measures it again.

    Parameters
    ----------
    results : Path
        HDF5 files of landscape, or of Li et al.'s scripts: results of any kinds, comparisons and collections.
    output : Path
        The page: .html.
    title : str
        Of the page; the names of the networks by default.
    force : bool
        Replace a file that is there and that landscape did not write.
    """
    from landscape.cli._output import drawable, ending
    from landscape.cli.plot import named
    from landscape.cli.show import read, whole
    from landscape.plots.page import ENDINGS
    from landscape.plots.page import report as written

    if not results:
        raise ValueError("Expected a result: landscape report RESULT.h5 [RESULT.h5 ...].")
    drawable(ending(output, ENDINGS), force)
    _require_files(results)
    files = named(results)
    found = {name: read(path) for name, path in files.items()}
    with whole(results):
        written(found, output, title=title, files={name: str(path) for name, path in files.items()})
    print("page:   ", output)


def _require_files(paths: Sequence[Path]) -> None:
    """Look for what is plainly wrong before anything is read.

    Raises
    ------
    ValueError
        If a file is given twice.
    OSError
        If one is a folder, or is not there.
    """
    from landscape.cli._output import require_once

    for path in paths:
        if not path.is_file():
            told = "a folder: give the files in it" if path.is_dir() else "no such file"
            raise FileNotFoundError(f"{path}: expected a result, got {told}.")
    require_once(paths, "result")
