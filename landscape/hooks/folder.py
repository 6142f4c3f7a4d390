"""The folder of a trajectory: checkpoints that appear whole, and an index that says what each of them is."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from landscape import checkpoint
from landscape.checkpoint import Checkpoint
from landscape.hooks.points import Point
from landscape.result import replaced

FORMAT = 1
INDEX = "index.json"


class Folder:
    """Checkpoints and their index, written behind the back of a training loop, one after another.

    Parameters
    ----------
    path : path
        Made when it is first needed.
    fail : callable (what, error) -> None
        Told of what could not be written; nothing here raises once a run has begun.

    Attributes
    ----------
    missing : set of str
        Names of checkpoints that could not be written.
    """

    def __init__(self, path: str | os.PathLike, fail: Callable[[str, Exception], Any]) -> None:
        self.path = Path(path)
        self.missing: set[str] = set()
        self._fail = fail
        self._leaving: list[str] = []
        self._written: threading.Event | None = None

    def read(self) -> dict[str, Any]:
        """Return what the index says: ``every``, ``stride`` and ``points``; nothing where there is no trajectory.

        Raises
        ------
        ValueError
            If the index is damaged or newer, or there are checkpoints without one.
        """
        index = self.path / INDEX
        if not index.is_file():
            if count := len(list(self.path.glob("*.pt"))):
                raise ValueError(
                    f"{self.path}: expected a folder of one run, got {count} checkpoints of something else: choose "
                    "another output, move them away, or pass overwrite=True."
                )
            return {}
        try:
            found = json.loads(index.read_text())
            points = [Point(**point) for point in found["points"]]
            known = {"every": str(found["every"]), "stride": int(found["stride"]), "points": points}
        except (ValueError, TypeError, KeyError) as error:
            told = f"{index}: expected an index of checkpoints, got a damaged file: move the folder."
            raise ValueError(told) from error
        if found.get("landscape") != FORMAT:
            raise ValueError(f"{index}: expected format {FORMAT}, got {found.get('landscape')!r:.40}: update.")
        return known

    def clear(self) -> None:
        """Delete the checkpoints and the index of another run, and what it had not finished writing.

        Raises
        ------
        OSError
            If they cannot be deleted.
        """
        for path in [*self.path.glob("*.pt"), *self.path.glob(".*.tmp"), self.path / INDEX]:
            path.unlink(missing_ok=True)

    def change(
        self, index: dict[str, Any], points: Sequence[Point], new: tuple[Point, Callable[[], Checkpoint]] | None = None,
        gone: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """Write a new checkpoint, then the index, then delete what does not stay; another thread does it.

        Waits for the change before, so that no more than one copy of the weights is under way.
        """
        self._leaving += gone  # before anything waits, where a user may interrupt it
        self.wait()
        told = index | {"landscape": FORMAT, "points": [asdict(point) for point in points]}
        leaving, self._leaving, written = self._leaving, [], threading.Event()
        work = threading.Thread(target=self._change, args=(told, new, leaving, written), name="landscape trajectory")
        work.start()
        self._written = written

    def wait(self) -> None:
        """Wait until everything is written.

        Not by joining the thread: in Python 3.11, one that was joined and interrupted counts as over while it runs on.
        """
        if self._written is not None:
            self._written.wait()
            self._written = None

    def _change(
        self, index: dict[str, Any], new: tuple[Point, Callable[[], Checkpoint]] | None, gone: list[str],
        written: threading.Event,
    ) -> None:  # fmt: skip
        try:
            if new is not None:
                self._add(*new)
            index["points"] = [point for point in index["points"] if (self.path / point["file"]).is_file()]
            self._tried(INDEX, lambda: self._index(index))
            for name in gone:  # also where nothing could be written: it makes room
                self._tried(name, (self.path / name).unlink, FileNotFoundError)
        finally:
            written.set()

    def _add(self, point: Point, made: Callable[[], Checkpoint]) -> None:
        if self._tried(point.file, lambda: checkpoint.write(made(), self.path / point.file)):
            self.missing.discard(point.file)
        else:
            self.missing.add(point.file)

    def _index(self, index: dict[str, Any]) -> None:
        with replaced(self.path / INDEX) as part:
            Path(part).write_text(json.dumps(index, indent=1))

    def _tried(self, name: str, act: Callable[[], Any], harmless: type[Exception] | tuple = ()) -> bool:
        try:
            act()
        except harmless:
            return True
        except Exception as error:  # whatever it is, the training goes on
            self._fail(str(self.path / name), error)
            return False
        return True
