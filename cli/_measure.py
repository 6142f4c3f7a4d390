"""What every command of a probe does: measure once, write, draw; go on after an interruption."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.cli import EXPECTED
from landscape.cli._axes import Axes
from landscape.cli._between import Curves, require_different
from landscape.cli._output import Output, Store
from landscape.cli._price import price
from landscape.cli._quantized import Rounding
from landscape.cli._source import Loaded, Source
from landscape.cli.plot import named
from landscape.discovery import member
from landscape.probes import _contract

if TYPE_CHECKING:
    from landscape.probes._cost import Cost
    from landscape.result import Result

STOPPED = "interrupted; nothing is kept of this probe: run the same command again to start over."


@dataclass(frozen=True)
class Measured:
    """A result, and where it lies; `seconds` is the time that measuring it took now, None if it was there already."""

    result: Result
    path: Path
    figures: list[Path]
    seconds: float | None

    def __str__(self) -> str:
        from landscape.plots.export import table

        lines = [table(self.result)]
        if self.seconds is None:
            lines += [f"{self.path} was there already, with this very origin: drawn again, not measured again."]
        else:
            lines += [f"time    {self.seconds:.1f} s"]
        return "\n".join([*lines, f"data:    {self.path}", *(f"figure:  {figure}" for figure in self.figures)])


@dataclass(frozen=True)
class Job:
    """A probe on checkpoints, as options describe it; `along` is None for one without directions or curves."""

    probe: str
    checkpoints: tuple[Path, ...]
    source: Source
    along: Axes | Curves | None
    output: Output
    knobs: dict[str, Any]
    rounding: Rounding = Rounding()  # noqa: RUF009 (frozen)

    def run(self) -> Measured | None:
        """Measure, write and draw; a result that is already there is drawn again. None for a dry run.

        Raises
        ------
        ValueError
            If an option does not fit, or something else is where the result goes.
        OSError
            If a file is missing or cannot be written.
        """
        self.check()
        path = self.output.path(self.checkpoints[0], self.probe)
        self.output.figures(path)  # a file in the way is no reason to measure first
        loaded = self.source.load(self.checkpoints[0], self.rounding)
        identity = self.identity(loaded)
        found = self.output.finished(path, identity)
        if self.output.dry_run:
            print(f"{path} is there already, with this very origin." if found else self.cost(loaded))
            return None
        store = Store(path, identity, force=self.output.force)
        begun = time.monotonic()
        try:
            result = found or self.measure(loaded, identity, store)
        except EXPECTED:
            store.sweep()
            raise
        seconds = None if found else time.monotonic() - begun
        if not found:
            result.save(path)
        store.remove()
        return Measured(result, path, self.output.draw(result, path), seconds)

    def again(self) -> Result:
        """Measure once more, as `landscape reproduce` does."""
        loaded = self.source.load(self.checkpoints[0], self.rounding)
        return self.measure(loaded, self.identity(loaded))

    def measure(self, loaded: Loaded, identity: dict, store: Store | None = None) -> Result:
        """Run the probe, and let its result say where it comes from."""
        from landscape.train.observers.progress import meter

        given, known = self.knobs | self._between(loaded), _contract.parameters(self.probe)
        with meter(f"{self.probe} of {self.checkpoints[0].name}") as shown:
            given |= {name: value for name, value in (("store", store), ("progress", shown)) if name in known}
            try:
                result = member(_contract.PACKAGE, self.probe)(loaded.objective, **given)
            except KeyboardInterrupt as error:
                if _contract.resumes(self.probe):
                    raise
                raise KeyboardInterrupt(STOPPED) from error
        gap = loaded.gap() if isinstance(self.along, Axes) else {}
        return replace(result, origin=result.origin | identity | ({"gap_to_hard": gap} if gap else {}))

    def _between(self, loaded: Loaded) -> dict[str, Any]:
        """Return what the probe moves along, or between, as its arguments: directions, curves, an end, networks."""
        known, others = _contract.parameters(self.probe), self.checkpoints[1:]
        if self.along is not None and isinstance(self.along, Axes):
            frame = self.along.frame(loaded, others, _contract.axes(self.probe), self.knobs)
            return {"directions": frame} | ({"norms": loaded.norms} if frame is None and "norms" in known else {})
        if self.along is not None:
            return {"curves": self.along.given(loaded, others)}
        if not _contract.between(self.probe):
            return {}
        thetas = [loaded.objective.theta, *loaded.vectors(others)]
        require_different(self.checkpoints, thetas)
        if "end" in known:
            return {"end": thetas[1]}
        return {"thetas": thetas, "names": list(named(self.checkpoints))}

    def identity(self, loaded: Loaded) -> dict:
        """Say what the work is: all that decides the numbers, and that `reproduce` needs to do it again."""
        from landscape.result import versions
        from landscape.weights import sha256

        others = [*self.checkpoints[1:], *(self.along.files() if self.along else ())]
        return loaded.record() | {
            "command": self.probe,
            "others": [{"path": str(path.resolve()), "sha256": sha256(path)} for path in others],
            "checkpoints": len(self.checkpoints),
            "axes": self.along and self.along.record(),
            "knobs": {name: list(value) if isinstance(value, tuple) else value for name, value in self.knobs.items()},
            "versions": versions("landscape", "torch", "numpy"),
        }

    def check(self) -> None:
        """Look for what is plainly wrong before anything is loaded.

        Raises
        ------
        ValueError, OSError
            If an option does not fit, there are too many checkpoints or too few, or one is missing.
        """
        self.output.formats()
        self.rounding.check(isinstance(self.along, Axes) and _contract.axes(self.probe) == 2)
        self._count()
        for checkpoint in self.checkpoints:
            if not checkpoint.is_file():
                told = "a folder" if checkpoint.is_dir() else "no such file"
                raise FileNotFoundError(f"{checkpoint}: expected a checkpoint, got {told}.")
        if self.along is not None:
            self.along.check()

    def _count(self) -> None:
        """See that there are as many checkpoints as the probe looks at."""
        count, known = len(self.checkpoints), _contract.parameters(self.probe)
        if "end" in known and count != 2:
            raise ValueError(f"Expected two checkpoints, got {count}: {self.probe} goes from one to the other.")
        if "thetas" in known and count < 2:
            raise ValueError(f"Expected several checkpoints, got {count}: {self.probe} looks at all pairs of them.")
        if count > 1 and self.along is None and not _contract.between(self.probe):
            raise ValueError(f"Expected one checkpoint, got {count}: {self.probe} looks at one at a time.")

    def cost(self, loaded: Loaded) -> str:
        """Say what the work costs, without doing it."""
        return price(self.probe, loaded.objective, self.counted(loaded))

    def counted(self, loaded: Loaded) -> Cost:
        """Count what the work takes; knobs that cannot be are refused.

        Raises
        ------
        ValueError
            If one is out of range.
        """
        given = self._between(loaded) if isinstance(self.along, Curves) else {}
        counted = self.knobs | {name: len(curves) for name, curves in given.items()}
        if "thetas" in _contract.parameters(self.probe):
            counted["thetas"] = len(self.checkpoints)
        return _contract.cost(self.probe, loaded.objective, counted)
