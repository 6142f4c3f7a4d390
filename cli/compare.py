"""``landscape compare``: checkpoints at several widths, measured alike, in one file, one figure and one table."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from landscape.cli._output import Output, require_once
from landscape.cli._quantized import Rounding
from landscape.cli._source import Source
from landscape.cli.train import Repeated

if TYPE_CHECKING:
    from landscape.cli._comparing import Row
    from landscape.cli._measure import Job
    from landscape.cli._source import Loaded
    from landscape.comparison.comparison import Comparison
    from landscape.result import Result

COMPARISON = Group("Comparison", sort_key=0)
RESULTS = (".h5", ".hdf5")
TABLES = (".csv", ".tex", ".md")
SOURCE, OUTPUT = Source(), Output()  # frozen: what the options are, unless given


def compare(
    *files: Path,
    bits: Annotated[str, Parameter(group=COMPARISON)] = "32",
    probe: Annotated[Repeated, Parameter(group=COMPARISON)] = None,
    without: Annotated[str, Parameter(group=COMPARISON)] = "",
    scheme: Annotated[str, Parameter(group=COMPARISON)] = "",
    models: Annotated[str | None, Parameter(group=COMPARISON)] = None,
    source: Annotated[Source, Parameter(name="*")] = SOURCE,
    output: Annotated[Output, Parameter(name="*")] = OUTPUT,
) -> None:
    """Compare checkpoints at several widths: one file, one figure, one table of numbers with errors.

    The same probes with the same examples, knobs, seeds and directions (in each network's own filter norm). What is
    measured already, in RESULT.h5 files, beside the checkpoints or in an earlier comparison, is not measured again.

    Parameters
    ----------
    files : Path
        Checkpoints, the one that others are compared with first; quantized ones have the width that they have. Or
        results of commands, which are put together if they were measured alike.
    bits : str
        Widths, 32 for full precision and from 1 to 8, separated by commas; weights are rounded to nearest.
    probe : list of str, optional
        A probe with its knobs, such as surface:points=21 or spectrum; in the place of the usual one of that name, or
        added; repeat for more. Usual: evaluate, surface, eigen, trace, sharpness, bits, barriers.
    without : str
        Probes to leave out, separated by commas, such as surface,bits.
    scheme : str
        How weights are rounded, such as family=narrow,calibration=minmax,channels=false.
    models : str, optional
        Networks of foreign checkpoints that differ, separated by commas, as in resnet20,resnet32.
    source : Source
        Networks, data and arithmetic, the same for all.
    output : Output
        compare.h5 beside the first checkpoint unless given; tables .csv, .tex and .md stand beside it.
    """
    from landscape import result
    from landscape.cli import _comparing
    from landscape.cli._output import ending, free
    from landscape.cli.show import whole
    from landscape.comparison.plan import changed

    _require_files(files)
    path = ending(output.output or files[0].with_name("compare.h5"), RESULTS)
    output.figures(path)  # a file in the way is no reason to measure first
    for table in tables(path) if not path.exists() else ():
        free(table, output.force)
    begun = time.monotonic()
    given = {str(file): result.load(file) for file in files if file.suffix in RESULTS}
    checkpoints = [file for file in files if file.suffix not in RESULTS]
    if checkpoints:
        probes = changed(probe or [], [word.strip() for word in without.split(",") if word.strip()])
        sources = _comparing.models(models, source, len(checkpoints))
        rows = _comparing.rows(checkpoints, sources, _widths(bits), scheme)
        record = {"bits": list(_widths(bits)), "probes": probes, "scheme": scheme, "models": models}
        record |= {"source": source.record(), "checkpoints": _told(checkpoints), "results": _told(map(Path, given))}
        found = _measured(rows, given, path, output, record)
    else:
        _refuse(bits=bits != "32", probe=bool(probe), without=bool(without), scheme=bool(scheme), models=bool(models))
        if source != SOURCE:
            raise ValueError("Expected no options about networks or data with results alone, got some: leave them out.")
        with whole(files):
            found = _put_together(given, path, output)
    if found is not None:
        _tell(found, path, output, time.monotonic() - begun)


def _measured(
    rows: Sequence[Row], given: Mapping[str, Result], path: Path, output: Output, record: dict
) -> Comparison | None:
    """Measure what is not there, put everything together and write it; None for a dry run."""
    from landscape.cli import GO_ON
    from landscape.cli._comparing import job, networks
    from landscape.cli._shelf import INSTEAD, Shelf, beside, require_grown, standing
    from landscape.comparison.comparison import gathered
    from landscape.comparison.plan import plan
    from landscape.result import versions

    tasks = plan(networks(rows), record["probes"], alike=len({row.shapes for row in rows}) == 1)
    jobs = {task.name: job(task, rows, record["scheme"]) for task in tasks}
    shelf, old = Shelf(path, output.force), standing(path, output.force)
    require_grown(path, old, jobs)
    _examine(jobs)
    shelf.add((name, member) for name, one in given.items() for member in _singles(one))
    shelf.add(old.members.items() if old is not None else ())
    shelf.add([*shelf.kept(), *beside(row.path for row in rows)])
    members: dict[str, Result] = {}
    try:
        for name, one, loaded, identity in _loaded(jobs):
            known = shelf.find(identity)
            if known is None and old is not None and name in old.members:
                raise ValueError(f"{path}: expected to write here, got another {name} (its origin differs): {INSTEAD}")
            if output.dry_run:
                print(f"{name}: {'there already' if known else one.cost(loaded)}")
            else:
                members[name] = known or shelf.measured(name, one, loaded, identity)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(GO_ON) from None
    for name in given.keys() - shelf.used:
        warnings.warn(f"{name} was not used, since it is not what is measured here; give results alone.", stacklevel=2)
    if output.dry_run:
        return None
    found = gathered(members, origin={"command": "compare", "versions": versions("landscape", "numpy")} | record)
    found.save(path)
    shelf.remove()
    return found


def _examine(jobs: Mapping[str, Job]) -> None:
    """See that all networks are of the same data, and that knobs fit, before anything is measured."""
    from landscape.comparison.comparable import require_shared

    each = {(job.checkpoints[0], *job.knobs.items()): replace(job, rounding=Rounding()) for job in jobs.values()}
    seen: dict[str, dict] = {}
    for _, job, loaded, _ in _loaded({str(key): job for key, job in each.items()}):
        job.counted(loaded)
        seen.setdefault(str(job.checkpoints[0]), {}).update(loaded.objective.record())
    require_shared(seen)


def _loaded(jobs: Mapping[str, Job]) -> Iterator[tuple[str, Job, Loaded, dict]]:
    """Load what each job measures, one network after another, and say what it is."""
    key, loaded = None, None
    for name, job in jobs.items():
        job.check()
        if loaded is None or key != (job.checkpoints[0], job.rounding, job.source):
            key = job.checkpoints[0], job.rounding, job.source
            loaded = job.source.load(job.checkpoints[0], job.rounding)
        yield name, job, loaded, job.identity(loaded)


def _put_together(given: Mapping[str, Result], path: Path, output: Output) -> Comparison | None:
    """Compare results that are there; None for a dry run."""
    from landscape.cli._shelf import filed, require_grown, standing
    from landscape.comparison.comparison import gathered
    from landscape.comparison.measures import read
    from landscape.result import versions

    members, old = filed(given), standing(path, output.force)
    require_grown(path, old, members)
    record = {"command": "compare", "versions": versions("landscape", "numpy"), "results": _told(map(Path, given))}
    found = gathered(members, origin=record)
    if len(found.rows) > 1 and not any(len(found.of(read(name)[1])) > 1 for name in members):
        raise ValueError("Expected results of one probe on several networks, got nothing that two have in common.")
    if output.dry_run:
        print("\n".join(f"{name}: there already" for name in members))
        return None
    found.save(path)
    return found


def _told(files: Iterable[Path]) -> list[dict[str, str]]:
    """Say which files were read."""
    from landscape.weights import sha256

    return [{"path": str(file.resolve()), "sha256": sha256(file)} for file in files]


def _singles(result: Result) -> list[Result]:
    from landscape.result import Collection

    return list(result.members.values()) if isinstance(result, Collection) else [result]


def _tell(found: Comparison, path: Path, output: Output, seconds: float) -> None:
    """Print the table, and write figures and tables beside the file."""
    from landscape.plots import export

    print(export.table(found))
    print(f"time    {seconds:.1f} s")
    for table in tables(path):
        {".csv": export.csv, ".tex": export.latex, ".md": export.markdown}[table.suffix](found, table)
    for name in [path, *tables(path), *output.draw(found, path)]:
        print("written:", name)


def tables(path: Path) -> list[Path]:
    """Name the tables beside the file of a comparison."""
    return [path.with_suffix(suffix) for suffix in TABLES]


def _widths(text: str) -> tuple[int, ...]:
    """Read widths such as ``32,4,2``."""
    from landscape.comparison.comparison import FULL
    from landscape.quantize.scheme import HIGHEST, LOWEST

    words = [word.strip() for word in text.split(",") if word.strip()]
    found = [int(word) for word in words if word.isdecimal()]
    if not found or len(found) != len(words) or not all(bits == FULL or LOWEST <= bits <= HIGHEST for bits in found):
        raise ValueError(f"Expected --bits such as 32,4,2: 32, or from {LOWEST} to {HIGHEST}, got {text!r}.")
    return tuple(sorted(found, reverse=True))


def _require_files(files: Sequence[Path]) -> None:
    """Look for what is plainly wrong before anything is loaded."""
    if not files:
        raise ValueError("Expected checkpoints or results to compare, got none: landscape compare A.pt B.pt.")
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"{file}: expected a file, got {'a folder' if file.is_dir() else 'no such file'}.")
    require_once(files, "file")


def _refuse(**given: bool) -> None:
    """Refuse options that have nothing to do where nothing is measured."""
    if wrong := [name for name, there in given.items() if there]:
        raise ValueError(f"Expected --{wrong[0]} with checkpoints, got results alone, measured already: leave it out.")
