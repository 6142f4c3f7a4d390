"""Where results go: the options about files, figures and going on after an interruption."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

if TYPE_CHECKING:
    from landscape.parts import Parts
    from landscape.result import Result

OUTPUT = Group("Output", sort_key=4)
SUFFIXES = ("pdf", "png", "svg", "html")


@dataclass(frozen=True, kw_only=True)
class Output:
    """What is written, and what may be overwritten."""

    output: Annotated[Path | None, Parameter(name=["--output", "-o"], group=OUTPUT)] = None
    "The result; CHECKPOINT.PROBE.h5 by default."
    plot: Annotated[str, Parameter(group=OUTPUT)] = "pdf,png"
    "Figures beside it: pdf, png, svg, html, separated by commas; or none."
    force: Annotated[bool, Parameter(group=OUTPUT, negative="")] = False
    "Replace a result or unfinished work of another origin."
    dry_run: Annotated[bool, Parameter(group=OUTPUT, negative="")] = False
    "Say what would be done, and what it costs; measure nothing."

    def formats(self) -> list[str]:
        """Return the suffixes of the figures."""
        asked = [part.strip().lstrip(".") for part in self.plot.split(",") if part.strip()]
        if asked == ["none"]:
            return []
        if wrong := [part for part in asked if part not in SUFFIXES]:
            raise ValueError(f"Expected --plot among {', '.join(SUFFIXES)} or none, got {', '.join(wrong)}.")
        return asked

    def path(self, checkpoint: Path, probe: str) -> Path:
        """Return where the result goes."""
        path = self.output or checkpoint.with_name(f"{checkpoint.stem}.{probe}.h5")
        if path.suffix not in (".h5", ".hdf5"):
            raise ValueError(f"Expected an output that ends in .h5, got {path}.")
        return path

    def finished(self, path: Path, identity: dict) -> Result | None:
        """Return the result that is already there, if it is the one asked for.

        Raises
        ------
        ValueError
            If something else is there, and may not be replaced.
        """
        if not path.exists() or self.force:
            return None
        import json

        from landscape.result import load

        try:
            found = load(path)
        except (ValueError, OSError) as error:
            raise ValueError(f"{path}: expected to write here, got a file that is not of this run ({error}): pass --force.") from error
        other = [key for key, value in json.loads(json.dumps(identity)).items() if found.origin.get(key) != value]
        if other:
            raise ValueError(
                f"{path}: expected to write here, got a result of another origin (its {', '.join(other)} differ): "
                "pass -o for another file, or --force to replace it."
            )
        return found

    def store(self, path: Path, identity: dict) -> Callable[[Callable[[], dict]], Parts]:
        """Return what opens the part files of a result."""
        from landscape.parts import Parts

        def opened(plan: Callable[[], dict]) -> Parts:
            if self.force:
                shutil.rmtree(f"{path}.parts", ignore_errors=True)
            return Parts(path, identity, plan)

        return opened

    def draw(self, result: Result, path: Path) -> list[Path]:
        """Draw a result in every format asked for, and return the files."""
        return [drawn(result, path.with_suffix(f".{suffix}")) for suffix in self.formats()]


def drawn(result: Result, path: Path, **style: Any) -> Path:
    """Draw a result into a file, by its suffix."""
    if path.suffix == ".html":
        from landscape.plots.interactive import interactive

        interactive(result, path)
        return path
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    from landscape.plots import save
    from landscape.plots.figure import figure

    made = figure(result, **style)
    try:
        save(made, path)
    finally:
        plt.close(made)
    return path


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show progress with an estimate of what is left: a bar on a terminal, else a line every ten seconds."""
    import sys
    import time

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(label, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    begun = said = time.monotonic()
    at_first = None

    def tell(done: int, total: int) -> None:
        nonlocal said, at_first
        now = time.monotonic()
        at_first = done if at_first is None else at_first
        if now - said >= 10 and done > at_first:
            said = now
            left = (now - begun) / (done - at_first) * (total - done)
            print(f"{label}: {done} of {total} points, about {left:.0f} s left", file=sys.stderr, flush=True)

    yield tell
