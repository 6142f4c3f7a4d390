"""Which directions a line or a plane takes: the options about axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

if TYPE_CHECKING:
    from landscape.cli._source import Loaded
    from landscape.directions import Frame

AXES = Group("Directions", sort_key=2)
KINDS = ("random", "between", "principal", "gradient")


@dataclass(frozen=True, kw_only=True)
class Axes:
    """Where the axes point, and which checkpoints are shown on them."""

    directions: Annotated[str | None, Parameter(group=AXES)] = None
    "random, between (the checkpoints given), principal (of a trajectory), gradient, or a file of vectors."
    trajectory: Annotated[list[Path] | None, Parameter(group=AXES, consume_multiple=True, negative="")] = None
    "Checkpoints of a run, in order, or folders of them: projected and drawn, with their distance from the plane."

    def frame(self, loaded: Loaded, others: Sequence[Path], count: int, knobs: dict[str, Any]) -> Frame | None:
        """Make the frame that the options ask for; None where the probe's own random directions will do.

        Raises
        ------
        ValueError
            If the kind is unknown, or checkpoints are missing or too many for it.
        """
        from landscape import directions

        path = self.trajectory_paths()
        kind = self.directions or ("between" if others else "principal" if path else "random")
        if others and kind != "between":
            raise ValueError(f"Expected one checkpoint with --directions {kind}, got {len(others) + 1}: use between.")
        objective, names = loaded.objective, [str(p) for p in path]
        if kind == "between":
            return directions.between(
                objective, [objective.theta, *loaded.vectors(others)], [Path(loaded.checkpoint.path).stem, *(p.stem for p in others)],
                count=count, seed=knobs["seed"],
            )
        thetas = loaded.vectors(path)
        if kind == "principal":
            return directions.principal(objective, [*thetas, objective.theta], [*(p.stem for p in path), "end"], count=count)
        if kind == "random" and not path:
            return None
        if kind == "random":
            random = {name: knobs[name] for name in ("normalization", "include", "seed")}
            found = directions.random(objective, count, **random)
        elif kind == "gradient":
            found = directions.gradient(objective, count, seed=knobs["seed"])
        else:
            self._require_file(kind)
            found = directions.load(kind, objective, count)
        return found.project([Path(name).stem for name in names], thetas) if path else found

    def trajectory_paths(self) -> list[Path]:
        """List the checkpoints of the trajectory: a folder stands for its checkpoints, by name."""
        found: list[Path] = []
        for path in self.trajectory or ():
            inside = sorted(p for p in path.iterdir() if p.suffix in (".pt", ".pth", ".th", ".t7", ".safetensors")) if path.is_dir() else [path]
            if not inside:
                raise ValueError(f"{path}: expected a folder of checkpoints, got none in it.")
            found += inside
        return found

    def record(self) -> dict[str, Any]:
        """Return the options as plain JSON, with absolute paths."""
        found = asdict(self)
        found["trajectory"] = self.trajectory and [str(p.resolve()) for p in self.trajectory]
        if self.directions and self.directions not in KINDS:
            found["directions"] = str(Path(self.directions).resolve())
        return found

    def _require_file(self, kind: str) -> None:
        from landscape.discovery import did_you_mean

        if not Path(kind).is_file():
            raise ValueError(
                f"Expected --directions among {', '.join(KINDS)}, or a file of vectors, got {kind!r}"
                f"{did_you_mean(kind, list(KINDS))}."
            )
