"""``landscape topology``: basins of measured losses, how they merge, and which of them are told from noise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from landscape.result import Result

TABLES = (".csv", ".tex")
FLOODED = ("Surface", "Line", "Path")  # kinds of members that have a topology


def topology(
    *surfaces: Path,
    neighbours: int = 8,
    z: float | None = None,
    threshold: float | None = None,
    loops: bool = False,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    plot: str = "pdf,png",
    force: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Find the basins of measured surfaces, how they merge, and which are told from noise.

    Of each surface A.surface.h5 the topology is written to A.topology.h5. One has its figure beside it; several have
    one figure and one table together, on one scale.

    Parameters
    ----------
    surfaces : Path
        Results of landscape surface, line, path or compare, or surfaces that Li et al.'s scripts wrote.
    neighbours : int
        Of a point of the grid, 4 or 8: eight, so that a narrow valley aslant of the axes is one basin.
    z : float, optional
        Standard errors that a loss may be off by; by default those that hold at all points at once at 95 %.
    threshold : float, optional
        Count basins that persist longer than so many nats instead, whatever the errors.
    loops : bool
        Find loops around hills too (needs gudhi: pip install 'landscape[topology]').
    output : Path, optional
        Of one surface the result, A.topology.h5 by default; of several the table, topology.csv by default, with the
        LaTeX table and the figures beside it.
    plot : str
        Figures beside it: pdf, png, svg, html, separated by commas; or none.
    force : bool
        Replace results of another origin, and tables that are there.
    """
    from landscape.basins.topology import topology as found_in
    from landscape.cli._output import Output, drawn, ending, free, require_once
    from landscape.cli.plot import named
    from landscape.plots.topology_table import csv, latex, topology_table
    from landscape.result import replaced

    first = next(iter(surfaces), None)
    if first is None:
        raise ValueError("Expected a surface: landscape topology RESULT.surface.h5.")
    require_once(surfaces, "surface")
    files = named(surfaces)
    flooded = {label: (path, one) for name, path in files.items() for label, one in _within(path, name).items()}
    many = len(flooded) > 1
    joint = ending(output or (Path("topology.csv") if many else beside(first)), (".csv",) if many else (".h5",))
    written = Output(output=None if many else joint, plot=plot, force=force)
    figures = written.figures(joint)
    tables = [free(joint.with_suffix(suffix), force) for suffix in TABLES] if many else []
    results, paths = {}, {}
    for name, (path, one) in flooded.items():
        with _naming(path):
            results[name] = found_in(one, neighbours=neighbours, z=z, threshold=threshold, loops=loops)
        if name in files:
            paths[name] = beside(path) if many else joint
    if len(set(paths.values())) < len(paths):
        raise ValueError(f"Expected surfaces of different names, got several for {beside(first)}: rename them.")
    kept = {name: written.finished(path, results[name].origin) for name, path in paths.items()}
    print(topology_table(results))
    for name, path in paths.items():
        if kept[name] is None:
            results[name].save(path)
        print("data:   ", path, "" if kept[name] is None else "(as it was)")
    if many:
        csv(results, tables[0])
        with replaced(tables[1]) as part:
            Path(part).write_text(latex(results) + "\n", encoding="utf-8")
    for path in tables:
        print("table:  ", path)
    for path in figures:
        print("figure: ", drawn(results if many else results[next(iter(results))], path))


def beside(surface: Path) -> Path:
    """Return where the topology of a surface goes: A.topology.h5 for A.surface.h5, and for any other A.h5."""
    stem = surface.stem
    for kind in (".surface", ".line", ".path", ".connect"):
        stem = stem.removesuffix(kind)
    return surface.with_name(f"{stem}.topology.h5")


def _within(path: Path, name: str) -> dict[str, Result]:
    """Read what a file holds: the surfaces, lines and paths of a comparison, or the one result that it is."""
    from landscape.cli.show import read
    from landscape.result import Collection

    found = read(path)
    if not isinstance(found, Collection):
        return {name: found}
    surfaces = {label: one for label, one in found.members.items() if type(one).__name__ in FLOODED}
    if not surfaces:
        raise ValueError(f"{path}: expected surfaces, lines or paths in it, got none: measure one.")
    return surfaces


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let errors name the file that they are about."""
    from landscape.cli.show import whole

    try:
        with whole([path]):
            yield
    except ValueError as error:
        raise ValueError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
