"""Where results go: the options about files, figures and going on after an interruption."""

from __future__ import annotations

import glob
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

if TYPE_CHECKING:
    from landscape.parts import Parts
    from landscape.result import Result

OUTPUT = Group("Output", sort_key=5)
FIGURES = ("pdf", "png", "svg", "html")


@dataclass(frozen=True, kw_only=True)
class Output:
    """What is written, and what may be overwritten."""

    output: Annotated[Path | None, Parameter(name=["--output", "-o"], group=OUTPUT)] = None
    "The result; CHECKPOINT.PROBE.h5 by default."
    plot: Annotated[str, Parameter(group=OUTPUT)] = "pdf,png"
    "Figures beside it: pdf, png, svg, html, separated by commas; or none."
    force: Annotated[bool, Parameter(group=OUTPUT, negative="")] = False
    "Replace a result or unfinished work of another origin, and measure again what is there."
    dry_run: Annotated[bool, Parameter(group=OUTPUT, negative="")] = False
    "Say what would be done, and what it costs; write nothing."

    def formats(self) -> list[str]:
        """Return the suffixes of the figures."""
        asked = [part.strip().lstrip(".") for part in self.plot.split(",") if part.strip()]
        if asked == ["none"]:
            return []
        if wrong := [part for part in asked if part not in FIGURES]:
            raise ValueError(f"Expected --plot among {', '.join(FIGURES)} or none, got {', '.join(wrong)}.")
        return asked

    def path(self, checkpoint: Path, probe: str) -> Path:
        """Return where the result goes."""
        path = self.output or checkpoint.with_name(f"{checkpoint.stem}.{probe}.h5")
        return ending(path, (".h5", ".hdf5"))

    def finished(self, path: Path, identity: dict) -> Result | None:
        """Return the result that is already there, if it is the one asked for.

        Raises
        ------
        ValueError
            If something else is there, and may not be replaced.
        """
        if self.force or not path.exists():
            return None
        from landscape.result import standing

        found = standing(path, "pass -o for another file, or --force to replace it.")
        here, there = decisive(identity), decisive(found.origin)
        other = [key for key in here if there.get(key) != here[key]]
        if other:
            raise ValueError(
                f"{path}: expected to write here, got a result of another origin (its {', '.join(other)} differ): "
                "pass -o for another file, or --force to replace it."
            )
        return found

    def figures(self, path: Path) -> list[Path]:
        """Return where the figures of a result go.

        Raises
        ------
        ValueError
            If a file that is no figure of ours is there, and may not be replaced.
        """
        return [drawable(path.with_suffix(f".{suffix}"), self.force) for suffix in self.formats()]

    def draw(self, result: Result, path: Path) -> list[Path]:
        """Draw a result in every format asked for, and return the files."""
        return [drawn(result, figure) for figure in self.figures(path)]


class Store:
    """The unfinished work beside a result: opened when a probe asks for it, removed when the result stands.

    Parameters
    ----------
    path : Path
        The result.
    identity : dict
        What the work is; work of another identity is not touched, unless `force` discards it.
    """

    def __init__(self, path: Path, identity: dict, *, force: bool = False) -> None:
        self.path, self.identity, self.force = path, decisive(identity), force

    def __call__(self, plan: Callable[[], dict]) -> Parts:
        """Open the part files; `plan` is asked only if there are none yet."""
        from landscape.parts import Parts

        try:
            return Parts(self.path, self.identity, plan)
        except ValueError:
            if not self.force:
                raise
        shutil.rmtree(f"{self.path}.parts", ignore_errors=True)
        return Parts(self.path, self.identity, plan)

    def sweep(self) -> None:
        """Delete what work that has failed has left, if none of it was done: only finished parts are worth keeping."""
        folder = Path(f"{self.path}.parts")
        if folder.is_dir() and [path.name for path in folder.iterdir()] == ["manifest.json"]:
            self.remove()

    def remove(self) -> None:
        """Delete what this work, or a kill in the middle of it, has left beside the result."""
        manifest = Path(f"{self.path}.parts") / "manifest.json"
        if manifest.is_file() and json.loads(manifest.read_text())["identity"] == self.identity:
            shutil.rmtree(manifest.parent, ignore_errors=True)
        for leftover in self.path.parent.glob(f".{glob.escape(self.path.name)}.*.tmp"):
            leftover.unlink(missing_ok=True)


def decisive(origin: dict) -> dict:
    """Return what of an origin decides the numbers, in plain JSON: hashes, not the places where files lie."""
    found = json.loads(json.dumps(origin))
    for file in [found.get("checkpoint"), *(found.get("others") or ())]:
        if isinstance(file, dict):
            file.pop("path", None)
    if isinstance(found.get("source"), dict):
        found["source"].pop("trust", None)
    return found


def ending(path: Path, suffixes: tuple[str, ...]) -> Path:
    """Return a path that ends as it must.

    Raises
    ------
    ValueError
        If it does not.
    """
    if path.suffix not in suffixes:
        raise ValueError(f"Expected an output that ends in {' or '.join(suffixes)}, got {path}.")
    return path


def require_once(files: Sequence[Path], what: str) -> None:
    """Refuse a file that is given twice, by whatever path.

    Raises
    ------
    ValueError
        If one is; `what` says what it is.
    """
    places = [file.resolve() for file in files]
    if twice := [str(file) for file, place in zip(files, places, strict=True) if places.count(place) > 1]:
        raise ValueError(f"Expected every {what} once, got {twice[0]} twice: leave one out.")


def free(path: Path, force: bool) -> Path:
    """Return a path where nothing is yet, or may be replaced.

    Raises
    ------
    ValueError
        If a file is there and `force` is not given.
    """
    if path.exists() and not force:
        raise ValueError(f"{path}: expected to write here, got a file that exists: pass -o for another, or --force.")
    return path


def drawable(path: Path, force: bool) -> Path:
    """Return a path where nothing is yet, or a figure of ours that can be drawn again.

    Raises
    ------
    ValueError
        If another file is there and `force` is not given.
    """
    from landscape.plots import ours

    return path if path.is_file() and ours(path) else free(path, force)


def drawn(result: Result | Mapping[str, Result], path: Path, **style: Any) -> Path:
    """Draw a result, or several of one kind by name, into a file, by its suffix."""
    if path.suffix == ".html":
        from landscape.plots.interactive import interactive

        interactive(result, path)
        return path
    from landscape.plots import save
    from landscape.plots.figure import figure

    save(figure(result, **style), path)
    return path
