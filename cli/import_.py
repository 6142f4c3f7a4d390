"""``landscape import``: results that other programs wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def import_(
    surface: Path,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    force: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Read an HDF5 surface or line of Li et al.'s scripts, and write it as a result of ours.

    Parameters
    ----------
    surface : Path
        What ``plot_surface.py`` wrote.
    output : Path, optional
        The result; SURFACE.landscape.h5 by default.
    force : bool
        Replace a file that is there.
    """
    from landscape.cli._output import ending, free
    from landscape.importing import goldstein

    path = ending(output or surface.with_name(f"{surface.stem}.landscape.h5"), (".h5", ".hdf5"))
    free(path, force)
    goldstein(surface).save(path)
    print("data:   ", path)
