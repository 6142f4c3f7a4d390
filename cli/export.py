"""``landscape export``: a result for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def export(
    result: Path,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    log: bool = False,
    clip: float | None = None,
    force: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Write a result as a table (.csv, .tex, .md) or as a surface for ParaView (.vts).

    Parameters
    ----------
    result : Path
        An HDF5 file of landscape, or of Li et al.'s scripts.
    output : Path, optional
        The file: .csv; .tex for comparisons, studies and tables of sharpness; .md for comparisons; .vts for surfaces;
        RESULT.csv by default.
    log : bool
        Height is the logarithm of the loss (.vts).
    clip : float, optional
        Largest height (.vts).
    force : bool
        Replace a file that is there.
    """
    from landscape.cli._output import ending, free
    from landscape.cli.show import read, whole
    from landscape.plots import export as write

    path = ending(output or result.with_suffix(".csv"), (".csv", ".tex", ".md", ".vts"))
    if path.suffix != ".vts" and (log or clip is not None):
        raise ValueError(f"Expected --log and --clip with a .vts surface, got {path}: leave them out.")
    free(path, force)
    with whole([result]):
        if path.suffix == ".vts":
            write.vtk(read(result), path, log=log, clip=clip)
        else:
            {".csv": write.csv, ".tex": write.latex, ".md": write.markdown}[path.suffix](read(result), path)
    print("data:   ", path)
