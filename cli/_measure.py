"""What every command of a probe does: measure once, write, draw; go on after an interruption."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.cli import EXPECTED
from landscape.cli._axes import Axes
from landscape.cli._output import Output, Store
from landscape.cli._price import price
from landscape.cli._quantized import Rounding
from landscape.cli._source import Loaded, Source
from landscape.discovery import member
from landscape.probes import _contract

if TYPE_CHECKING:
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
    """A probe on checkpoints, as options describe it; `axes` is None for a probe without directions."""

    probe: str
    checkpoints: tuple[Path, ...]
    source: Source
    axes: Axes | None
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
        self._check()
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

        given, known = dict(self.knobs), _contract.parameters(self.probe)
        if self.axes is not None:
            count = _contract.axes(self.probe)
            given["directions"] = self.axes.frame(loaded, self.checkpoints[1:], count, self.knobs)
            if given["directions"] is None and "norms" in known:
                given["norms"] = loaded.norms
        with meter(f"{self.probe} of {self.checkpoints[0].name}") as shown:
            given |= {name: value for name, value in (("store", store), ("progress", shown)) if name in known}
            try:
                result = member(_contract.PACKAGE, self.probe)(loaded.objective, **given)
            except KeyboardInterrupt as error:
                if _contract.resumes(self.probe):
                    raise
                raise KeyboardInterrupt(STOPPED) from error
        gap = loaded.gap() if self.axes is not None else {}
        return replace(result, origin=result.origin | identity | ({"gap_to_hard": gap} if gap else {}))

    def identity(self, loaded: Loaded) -> dict:
        """Say what the work is: all that decides the numbers, and that `reproduce` needs to do it again."""
        from landscape.result import versions
        from landscape.weights import sha256

        others = [*self.checkpoints[1:], *(self.axes.files() if self.axes else ())]
        return loaded.record() | {
            "command": self.probe,
            "others": [{"path": str(path.resolve()), "sha256": sha256(path)} for path in others],
            "checkpoints": len(self.checkpoints),
            "axes": self.axes and self.axes.record(),
            "knobs": {name: list(value) if isinstance(value, tuple) else value for name, value in self.knobs.items()},
            "versions": versions("landscape", "torch", "numpy"),
        }

    def _check(self) -> None:
        """Look for what is plainly wrong before anything is loaded."""
        self.output.formats()
        self.rounding.check(self.axes is not None and _contract.axes(self.probe) == 2)
        if self.axes is None and len(self.checkpoints) > 1:
            raise ValueError(
                f"Expected one checkpoint, got {len(self.checkpoints)}: {self.probe} looks at one at a time."
            )
        for checkpoint in self.checkpoints:
            if not checkpoint.is_file():
                told = "a folder" if checkpoint.is_dir() else "no such file"
                raise FileNotFoundError(f"{checkpoint}: expected a checkpoint, got {told}.")
        if self.axes is not None:
            self.axes.check()

    def cost(self, loaded: Loaded) -> str:
        """Say what the work costs, without doing it."""
        return price(self.probe, loaded.objective, _contract.cost(self.probe, loaded.objective, self.knobs))
