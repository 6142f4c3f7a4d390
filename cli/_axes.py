"""Which directions a line or a plane takes: the options about axes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from landscape.discovery import did_you_mean

if TYPE_CHECKING:
    from landscape.cli._source import Loaded
    from landscape.directions import Frame

AXES = Group("Directions", sort_key=2)
WEIGHTS = (".pt", ".pth", ".th", ".t7", ".safetensors")
KINDS = ("random", "between", "principal", "gradient", "eigen")


@dataclass(frozen=True, kw_only=True)
class Axes:
    """Where the axes point, and which checkpoints are shown on them."""

    directions: Annotated[str | None, Parameter(group=AXES)] = None
    "random, between (checkpoints given), principal (of a trajectory), gradient, eigen (largest), or a file of vectors."
    trajectory: Annotated[list[Path] | None, Parameter(group=AXES, consume_multiple=True, negative="")] = None
    "Checkpoints of a run, in order, or folders of them: projected and drawn, with their distance from the plane."

    def frame(self, loaded: Loaded, others: Sequence[Path], count: int, knobs: dict[str, Any]) -> Frame | None:
        """Make the frame that the options ask for; None where the probe's own random directions will do.

        Raises
        ------
        ValueError
            If checkpoints are missing, or too many for the kind.
        """
        from landscape import directions

        path = self.trajectory_paths()
        if loaded.rounding.plane:
            loaded.rounding.refuse_axes(others, self.directions, path)
            self._heed("bitplane", knobs)
            return loaded.rounding.frame(loaded.objective, loaded.model, loaded.original.quantization)
        kind = self.directions or ("between" if others else "principal" if path else "random")
        self._fit(kind, others, path)
        self._heed(kind, knobs)
        objective = loaded.objective
        names, thetas = [p.stem for p in path], loaded.vectors(path)
        if kind == "between":
            ends = [Path(loaded.checkpoint.path), *others]
            vectors = [objective.theta, *loaded.vectors(others)]
            named = [p.stem for p in ends]
            return directions.between(objective, vectors, named, count=count, seed=knobs.get("seed", 0))
        if kind == "principal":
            if not (thetas and bool((thetas[-1] == objective.theta).all())):  # else it would count twice
                names, thetas = [*names, "end"], [*thetas, objective.theta]
            return directions.principal(objective, thetas, names, count=count)
        if kind == "gradient":
            found = directions.gradient(objective, count, seed=knobs.get("seed", 0))
        elif kind == "eigen":
            found = directions.eigen(objective, count, seed=knobs.get("seed", 0))
        elif kind != "random":
            found = directions.load(kind, objective, count)
        elif path:
            chosen = {name: knobs[name] for name in ("normalization", "include", "seed") if name in knobs}
            found = directions.random(objective, count, norms=loaded.norms, **chosen)
        else:
            return None
        return found.project(names, thetas) if path else found

    def files(self) -> list[Path]:
        """List the files that decide the axes, beside the checkpoints that are arguments."""
        vectors = [Path(self.directions)] if self.directions and self.directions not in KINDS else []
        return [*self.trajectory_paths(), *vectors]

    def trajectory_paths(self) -> list[Path]:
        """List the checkpoints of the trajectory: a folder stands for its checkpoints, by name, 9 before 10."""
        found: list[Path] = []
        for path in self.trajectory or ():
            inside = [p for p in path.iterdir() if p.suffix in WEIGHTS] if path.is_dir() else [path]
            if not inside:
                raise ValueError(f"{path}: expected a folder of checkpoints, got none in it.")
            found += sorted(inside, key=_numbered)
        return found

    def record(self) -> dict[str, Any]:
        """Return the options as plain JSON, with absolute paths."""
        found = asdict(self)
        found["trajectory"] = self.trajectory and [str(p.resolve()) for p in self.trajectory]
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
            If a checkpoint of the trajectory is missing.
        """
        if self.directions and self.directions not in KINDS and not Path(self.directions).is_file():
            raise ValueError(
                f"Expected --directions among {', '.join(KINDS)}, or a file of vectors, got {self.directions!r}"
                f"{did_you_mean(self.directions, list(KINDS))}."
            )
        for path in self.trajectory_paths():
            if not path.is_file():
                raise FileNotFoundError(f"{path}: expected a checkpoint or a folder of them, got no such file.")

    @staticmethod
    def _heed(kind: str, knobs: dict[str, Any]) -> None:
        """Refuse knobs of random directions that other axes would not heed."""
        from landscape import directions

        usual = inspect.signature(directions.random).parameters
        here = [name for name in ("normalization", "include") if name in knobs]
        idle = [name for name in here if knobs[name] != usual[name].default]
        if idle and kind != "random":
            raise ValueError(f"Expected --{idle[0]} with random directions alone, got it with {kind}: leave it out.")

    def _fit(self, kind: str, others: Sequence[Path], path: Sequence[Path]) -> None:
        if others and kind != "between":
            raise ValueError(f"Expected one checkpoint with --directions {kind}, got {len(others) + 1}: use between.")
        if path and kind == "between":
            raise ValueError("Expected a trajectory or several checkpoints, got both: leave out --trajectory.")


def _numbered(path: Path) -> list[tuple[int, str]]:
    """Cut a name into words and numbers, so that it is sorted as people count."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]
