"""The files of a run: its checkpoint, its state while it is not finished, its trajectory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from landscape import checkpoint
from landscape.checkpoint import Checkpoint
from landscape.train.fit import Diverged, Interrupted, Run, fit
from landscape.train.observers.trajectory import trajectory
from landscape.train.record import Record
from landscape.train.resume import Resume


class Files:
    """What stands beside ``OUT.pt``: ``OUT.resume`` until the run is done, ``OUT.trajectory`` and ``OUT.kept``.

    The last folder holds the weights that a method kept: the last iterate of an average, members of an ensemble.

    Parameters
    ----------
    output : path
        Where the checkpoint goes.
    identity : dict
        What must be equal for a run to go on: see `landscape.train.record.Record.identity`.
    every : int
        Epochs between checkpoints of the trajectory; 0 writes none.
    force : bool
        Overwrite what is there.

    Raises
    ------
    ValueError
        If the period is negative, or the checkpoint exists and may not be overwritten.
    """

    def __init__(
        self, output: str | os.PathLike, identity: dict[str, Any], *, every: int = 0, force: bool = False
    ) -> None:
        if every < 0:
            raise ValueError(f"Expected a period of at least 0 epochs, got {every}: change --every.")
        self.output, self.every, self.force = Path(output), every, force
        self.folder, self.members = beside(self.output, ".trajectory"), beside(self.output, ".kept")
        self.resume = Resume(beside(self.output, ".resume"), identity)
        require_new(self.output, force=force)

    def open(self, run: Run, record: Record) -> None:
        """Bring the run to where an unfinished one stood, if there is one, and let it keep its files from here on.

        Raises
        ------
        ValueError
            If there are files of another run and `force` does not say to discard them.
        OSError
            If the files cannot be written.
        """

        def write(run: Run, path: Path) -> None:
            checkpoint.write(record.checkpoint(run), path)

        if self.every:
            run.observers = [*run.observers, trajectory(self.folder, write, epochs=self.every)]
        run.observers = [*run.observers, self.resume]
        if not self.resume.load(run, force=self.force):
            self._clear(self.folder if self.every else None)
            self._clear(self.members)
            self.resume.save(run)

    def keep(self, run: Run) -> None:
        """Fit the run, and say where its state is if it does not get to its end.

        Raises
        ------
        Interrupted
            If it was stopped between two steps: that state is kept.
        Diverged
            If it left the finite numbers: the state of the last good epoch is kept.
        """
        try:
            self._fit(run)
        except Interrupted as stopped:
            self.resume.save(run)
            raise Interrupted(f"{stopped}; kept in {self.resume.path}: the same command goes on") from None
        except Diverged as error:
            raise Diverged(f"{error} The weights of the last good epoch are kept in {self.resume.path}.") from None
        except ValueError:
            if run.clock.step == 0:  # nothing is worth going on from
                self.resume.remove()
                if self.every:
                    self._clear(self.folder, force=True)
            raise

    def _fit(self, run: Run) -> None:
        try:
            fit(run)
        except BaseException:
            self.resume.save_held()
            raise

    def close(self, found: Checkpoint, members: Mapping[str, Checkpoint]) -> Checkpoint:
        """Write the checkpoint and what was kept, remove the state that led there; return it with path and hash."""
        for name, member in members.items():
            checkpoint.write(member, self.members / f"{name}.pt")
        found = replace(found, path=str(self.output), sha256=checkpoint.write(found, self.output))
        self.resume.remove()
        return found

    def _clear(self, folder: Path | None, *, force: bool = False) -> None:
        stale = sorted(folder.glob("*.pt")) if folder is not None else []
        if stale and not (self.force or force):
            raise ValueError(
                f"{folder}: expected a new folder, got {len(stale)} checkpoints of another run: "
                "move them away, choose another -o, or pass --force."
            )
        for path in stale:
            path.unlink()
        if folder is not None and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def require_new(output: str | os.PathLike, *, force: bool = False) -> None:
    """Refuse a checkpoint that exists.

    Raises
    ------
    ValueError
        Unless `force` allows to overwrite it.
    """
    if Path(output).exists() and not force:
        raise ValueError(f"{output}: expected a new file, got one that exists: choose another -o, or pass --force.")


def beside(output: Path, suffix: str) -> Path:
    """Name a file beside ``OUT.pt``, as ``OUT`` with a suffix; any other ending is a part of OUT."""
    return output.with_name(output.name.removesuffix(".pt") + suffix)
