"""What a probe goes along, or between: the options about curves and further checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from landscape.cli._axes import Axes
from landscape.cli._curves import read, require_files

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.cli._source import Loaded
    from landscape.curves import Curve

CURVES = Group("Curves", sort_key=2)


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Which curves a probe goes along, beside the segment to a second checkpoint."""

    curve: Annotated[list[Path] | None, Parameter(group=CURVES, consume_multiple=True, negative="")] = None
    "Curves between the checkpoints: results of landscape connect or tree."
    trajectory: Annotated[list[Path] | None, Parameter(group=CURVES, consume_multiple=True, negative="")] = None
    "Runs, each a polygonal chain: a folder of checkpoints is a run, and files by themselves are one, in order."

    def given(self, loaded: Loaded, others: Sequence[Path]) -> dict[str, Curve]:
        """Return the curves that the options and the further checkpoints ask for, by name.

        Raises
        ------
        ValueError
            If there is none, more than two checkpoints, or a curve belongs to other networks.
        """
        import torch

        from landscape.cli.plot import named
        from landscape.curves import Curve, segment

        if len(others) > 1:
            raise ValueError(f"Expected two checkpoints at most, got {len(others) + 1}: a segment has two ends.")
        found: dict[str, Curve] = {}
        theta, ends = loaded.objective.theta, loaded.vectors(others)
        require_different([Path(loaded.checkpoint.path), *others], [theta, *ends])
        if ends:
            found["segment"] = segment(theta, ends[0])
        curves = {name: read(path, theta, *ends) for name, path in named(self.curve or ()).items()}
        for name, curve in curves.items():
            found[_new(found, name if len(curves) > 1 else curve.name)] = curve
        for run, paths in Axes(trajectory=self.trajectory).runs().items():
            found[_new(found, run)] = Curve("chain", torch.stack(loaded.vectors(_several(run, paths))))
        if not found:
            raise ValueError("Expected a curve, got one checkpoint: add a second, --curve or --trajectory.")
        return found

    def check(self) -> None:
        """Look for the files that the options name, before anything is loaded.

        Raises
        ------
        OSError
            If a curve or a checkpoint of the trajectory is missing.
        """
        require_files(self.curve or ())
        Axes(trajectory=self.trajectory).check()

    def files(self) -> list[Path]:
        """List the files that decide the curves, beside the checkpoints that are arguments."""
        return [*(self.curve or ()), *Axes(trajectory=self.trajectory).trajectory_paths()]

    def record(self) -> dict[str, Any]:
        """Return the options as plain JSON, with absolute paths."""
        return {name: paths and [str(path.resolve()) for path in paths] for name, paths in asdict(self).items()}


def require_different(paths: Sequence[Path], thetas: Sequence[Tensor]) -> None:
    """Refuse the same weights twice.

    Raises
    ------
    ValueError
        If two checkpoints have the same weights; both are named.
    """
    for k, theta in enumerate(thetas):
        for path, other in zip(paths[:k], thetas[:k], strict=True):
            if bool((theta == other).all()):
                raise ValueError(f"{paths[k]}: expected another network, got the weights of {path}: give two minima.")


def _several(run: str, paths: list[Path]) -> list[Path]:
    if len(paths) < 2:
        raise ValueError(f"{paths[0]}: expected a run of several checkpoints, got the only one of {run!r}: give more.")
    return paths


def _new(taken: dict[str, Any], name: str) -> str:
    """Return a name, or where it is taken the first that is free of it and a number."""
    free, number = name, 2
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free
