"""What a probe goes along, or between: the options about curves and further checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from landscape.cli._axes import Axes

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.cli._source import Loaded
    from landscape.curves import Curve

CURVES = Group("Curves", sort_key=2)


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Which curves a probe goes along, beside the segment to a second checkpoint."""

    curve: Annotated[list[Path] | None, Parameter(group=CURVES, consume_multiple=True, negative="")] = None
    "Curves between the checkpoints: results of landscape connect."
    trajectory: Annotated[list[Path] | None, Parameter(group=CURVES, consume_multiple=True, negative="")] = None
    "Checkpoints of a run, in order, or a folder of them: a polygonal chain through them."

    def given(self, loaded: Loaded, others: Sequence[Path]) -> dict[str, Curve]:
        """Return the curves that the options and the further checkpoints ask for, by name.

        Raises
        ------
        ValueError
            If there is none, more than two checkpoints, or a curve belongs to other networks.
        """
        from landscape.curves import Curve, segment

        if len(others) > 1:
            raise ValueError(f"Expected two checkpoints at most, got {len(others) + 1}: a segment has two ends.")
        found: dict[str, Curve] = {}
        theta, ends = loaded.objective.theta, loaded.vectors(others)
        require_different([Path(loaded.checkpoint.path), *others], [theta, *ends])
        if ends:
            found["segment"] = segment(theta, ends[0])
        for path in self.curve or ():
            curve = read(path, theta, *ends)
            found[_new(found, curve.name)] = curve
        if self.trajectory:
            import torch

            points = loaded.vectors(Axes(trajectory=self.trajectory).trajectory_paths())
            found[_new(found, self.trajectory[0].stem)] = Curve("chain", torch.stack(points))
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
        for path in self.curve or ():
            if not path.is_file():
                raise FileNotFoundError(f"{path}: expected a result of landscape connect, got no such file.")
        Axes(trajectory=self.trajectory).check()

    def files(self) -> list[Path]:
        """List the files that decide the curves, beside the checkpoints that are arguments."""
        return [*(self.curve or ()), *Axes(trajectory=self.trajectory).trajectory_paths()]

    def record(self) -> dict[str, Any]:
        """Return the options as plain JSON, with absolute paths."""
        return {name: paths and [str(path.resolve()) for path in paths] for name, paths in asdict(self).items()}


def read(path: Path, first: Tensor, last: Tensor | None = None) -> Curve:
    """Read a connecting curve, and see that it connects these networks; turned around, if it runs the other way.

    Raises
    ------
    ValueError
        If the file is another result, or the curve does not end at these networks.
    """
    import torch

    from landscape import result
    from landscape.curves import Curve

    found = result.load(path)
    control = getattr(found, "control", None)
    if control is None:
        kind = type(found).__name__.lower()
        raise ValueError(f"{path}: expected a curve that landscape connect found, got a {kind}.")
    curve = Curve(found.origin["trained"]["shape"], torch.tensor(control).to(first))
    if curve.points.shape[1] != len(first):
        raise ValueError(
            f"{path}: expected a curve of {len(first)} parameters, got one of {curve.points.shape[1]}: it belongs to "
            "another network."
        )
    for turned in (curve, curve.reversed()):
        ends = turned.points[[0, -1]]
        if bool((ends[0] == first).all()) and (last is None or bool((ends[1] == last).all())):
            return turned
    raise ValueError(f"{path}: expected a curve between these networks, got one between others: give its own ends.")


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


def _new(taken: dict[str, Any], name: str) -> str:
    number = 2
    while name in taken:
        name, number = f"{name.rstrip('0123456789')}{number}", number + 1
    return name
