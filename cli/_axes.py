"""Which directions a line or a plane takes: the options about axes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from landscape.cli._curves import require_files
from landscape.discovery import did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.cli._source import Loaded
    from landscape.curves import Curve
    from landscape.directions import Frame

AXES = Group("Directions", sort_key=2)
WEIGHTS = (".pt", ".pth", ".th", ".t7", ".safetensors")
LOOSE = "trajectory"  # the run of checkpoints that are given one by one
KINDS = ("random", "between", "principal", "gradient", "eigen")


@dataclass(frozen=True, kw_only=True)
class Axes:
    """Where the axes point, and which checkpoints and curves are shown on them."""

    directions: Annotated[str | None, Parameter(group=AXES)] = None
    "random, between (checkpoints given), principal (of a trajectory), gradient, eigen (largest), or a file of vectors."
    trajectory: Annotated[list[Path] | None, Parameter(group=AXES, consume_multiple=True, negative="")] = None
    "Runs to project and draw: a folder of checkpoints is a run, and files by themselves are one, in order."
    mark: Annotated[list[Path] | None, Parameter(group=AXES, consume_multiple=True, negative="")] = None
    "Single checkpoints to project and draw, not joined by a line; a folder stands for its checkpoints."
    curve: Annotated[list[Path] | None, Parameter(group=AXES, consume_multiple=True, negative="")] = None
    "Curves to draw on a plane, by default through their ends and the first bend: results of landscape connect or tree."

    def frame(self, loaded: Loaded, others: Sequence[Path], count: int, knobs: dict[str, Any]) -> Frame | None:
        """Make the frame that the options ask for; None where the probe's own random directions will do.

        Raises
        ------
        ValueError
            If checkpoints are missing, or too many for the kind.
        """
        if loaded.rounding.plane:
            loaded.rounding.refuse_axes(others, self.directions, self._drawn())
            self._heed("bitplane", knobs)
            return loaded.rounding.frame(loaded.objective, loaded.model, loaded.original.quantization)
        if self.curve and count < 2:
            raise ValueError("Expected --curve with a plane, got a line: use landscape path for what lies along it.")
        usual = "between" if others or self.curve else "principal" if self.trajectory else "random"
        kind = self.directions or usual
        self._fit(kind, others)
        self._heed(kind, knobs)
        ends = loaded.vectors(others)
        curves = self._curves(loaded, ends)
        if kind == "between":
            found = self._between(loaded, others, ends, curves, count, knobs.get("seed", 0))
        elif kind == "principal":
            found = self._principal(loaded, count)
        elif kind == "random" and not (self.trajectory or self.mark or curves):
            return None
        else:
            found = _local(kind, loaded, count, knobs)
        return self._shown(found, loaded, curves, trajectory=kind != "principal")

    def runs(self) -> dict[str, list[Path]]:
        """List the checkpoints of every run, by name; those of a folder 9 before 10."""
        from landscape.cli.plot import named

        given = self.trajectory or ()
        found = {name: _inside(folder) for name, folder in named([p for p in given if p.is_dir()]).items()}
        loose = [path for path in given if not path.is_dir()]
        return found | ({LOOSE if LOOSE not in found else "files": loose} if loose else {})

    def trajectory_paths(self) -> list[Path]:
        """List the checkpoints of all runs."""
        return [path for paths in self.runs().values() for path in paths]

    def mark_paths(self) -> list[Path]:
        """List the single checkpoints."""
        return [inside for path in self.mark or () for inside in _inside(path)]

    def _drawn(self) -> list[Path]:
        """List the files that are drawn on the axes."""
        return [*self.trajectory_paths(), *self.mark_paths(), *(self.curve or ())]

    def files(self) -> list[Path]:
        """List the files that decide the axes, beside the checkpoints that are arguments."""
        vectors = [Path(self.directions)] if self.directions and self.directions not in KINDS else []
        return [*self._drawn(), *vectors]

    def record(self) -> dict[str, Any]:
        """Return the options as plain JSON, with absolute paths."""
        found = asdict(self)
        for name in ("trajectory", "mark", "curve"):
            found[name] = found[name] and [str(p.resolve()) for p in found[name]]
        if self.directions and self.directions not in KINDS:
            found["directions"] = str(Path(self.directions).resolve())
        return found

    def check(self) -> None:
        """Look for the files that the options name, before anything is loaded.

        Raises
        ------
        ValueError
            If the kind is unknown.
        OSError
            If a checkpoint or a curve is missing.
        """
        if self.directions and self.directions not in KINDS and not Path(self.directions).is_file():
            raise ValueError(
                f"Expected --directions among {', '.join(KINDS)}, or a file of vectors, got {self.directions!r}"
                f"{did_you_mean(self.directions, list(KINDS))}."
            )
        for path in [*self.trajectory_paths(), *self.mark_paths()]:
            if not path.is_file():
                raise FileNotFoundError(f"{path}: expected a checkpoint or a folder of them, got no such file.")
        require_files(self.curve or ())

    @staticmethod
    def _heed(kind: str, knobs: dict[str, Any]) -> None:
        """Refuse knobs of random directions that other axes would not heed."""
        from landscape import directions

        usual = inspect.signature(directions.random).parameters
        here = [name for name in ("normalization", "include") if name in knobs]
        idle = [name for name in here if knobs[name] != usual[name].default]
        if idle and kind != "random":
            raise ValueError(f"Expected --{idle[0]} with random directions alone, got it with {kind}: leave it out.")

    @staticmethod
    def _fit(kind: str, others: Sequence[Path]) -> None:
        if others and kind != "between":
            raise ValueError(
                f"Expected one checkpoint with --directions {kind}, got {len(others) + 1}: use between, or --mark the "
                "others."
            )

    def _curves(self, loaded: Loaded, ends: Sequence[Tensor]) -> dict[str, Curve]:
        """Read the curves, by name; they begin at the first checkpoint, and end at one of the others, if there are."""
        from landscape.cli._curves import read
        from landscape.cli.plot import named

        theta, found = loaded.objective.theta, named(self.curve or ())
        curves = {name: read(path, theta, ends[0] if len(ends) == 1 else None) for name, path in found.items()}
        return {curve.name: curve for curve in curves.values()} if len(curves) == 1 else curves

    @staticmethod
    def _between(
        loaded: Loaded,
        others: Sequence[Path],
        ends: Sequence[Tensor],
        curves: dict[str, Curve],
        count: int,
        seed: int,
    ) -> Frame:
        """Lay a line or plane through the checkpoints; what lacks, the first curve gives: its end, then its bend."""
        from landscape import directions

        names = [p.stem for p in (Path(loaded.checkpoint.path), *others)]
        thetas = [loaded.objective.theta, *ends]
        for curve in list(curves.values())[:1]:
            further = [("end", curve.points[-1])] * (not ends) + [("bend", curve.points[1])]
            missing = further[: 3 - len(thetas)]
            names, thetas = [*names, *(name for name, _ in missing)], [*thetas, *(point for _, point in missing)]
        return directions.between(loaded.objective, thetas, names, count=count, seed=seed)

    def _principal(self, loaded: Loaded, count: int) -> Frame:
        """Find the principal directions of all runs, through the checkpoint; it is the end of a single run."""
        from landscape import directions

        center, paths, names, thetas, runs = loaded.objective.theta, self.runs(), [], [], []
        for run, found in paths.items():
            names += [p.stem for p in found]
            thetas += loaded.vectors(found)
            runs += [run] * len(found)
        if len(paths) < 2 and not (thetas and bool((thetas[-1] == center).all())):  # else it would count twice
            names, thetas, runs = [*names, "end"], [*thetas, center], [*runs, *(paths or [LOOSE])]
        return directions.principal(loaded.objective, thetas, names, count=count, runs=runs, center=center)

    def _shown(self, frame: Frame, loaded: Loaded, curves: dict[str, Curve], *, trajectory: bool) -> Frame:
        """Mark the runs, if they are not yet, and the single checkpoints; draw the curves and their segment."""
        from landscape.curves import segment

        for run, paths in (self.runs() if trajectory else {}).items():
            frame = frame.project([p.stem for p in paths], loaded.vectors(paths), [run] * len(paths))
        for path in self.mark or ():
            inside = _inside(path)
            names = [f"{path.stem}/{p.stem}" if path.is_dir() else p.stem for p in inside]
            frame = frame.project(names, loaded.vectors(inside))
        if not curves:
            return frame
        ends = next(iter(curves.values())).ends
        return frame.traced({"segment": segment(*ends)} | curves)


def _local(kind: str, loaded: Loaded, count: int, knobs: dict[str, Any]) -> Frame:
    """Make the directions at one checkpoint, or read them from a file."""
    from landscape import directions

    objective, seed = loaded.objective, knobs.get("seed", 0)
    if kind == "gradient":
        return directions.gradient(objective, count, seed=seed)
    if kind == "eigen":
        return directions.eigen(objective, count, seed=seed)
    if kind != "random":
        return directions.load(kind, objective, count)
    chosen = {name: knobs[name] for name in ("normalization", "include", "seed") if name in knobs}
    return directions.random(objective, count, norms=loaded.norms, **chosen)


def _inside(path: Path) -> list[Path]:
    """List the checkpoints of a folder by name, 9 before 10; a file stands for itself."""
    if not path.is_dir():
        return [path]
    found = sorted((p for p in path.iterdir() if p.suffix in WEIGHTS), key=_numbered)
    if not found:
        raise ValueError(f"{path}: expected a folder of checkpoints, got none in it.")
    return found


def _numbered(path: Path) -> list[tuple[int, str]]:
    """Cut a name into words and numbers, so that it is sorted as people count."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]
