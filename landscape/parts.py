"""Part files: finished chunks of long work, kept until the whole result is written."""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from landscape.result import replaced

DAMAGE = (ValueError, TypeError, AttributeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)  # as NumPy has it


class Parts:
    """A folder ``OUT.parts/`` of finished chunks beside the result that they will become.

    HDF5 written in place is damaged by a kill even when flushed; a small file that appears whole, by one
    rename, is not. Leftovers of a kill (temporary files) are ignored and swept.

    Parameters
    ----------
    path : path of the result
    identity : dict
        What the work is (JSON). Parts with another identity are never mixed in.
    plan : callable () -> dict
        How the work is cut and computed (JSON); asked for once and kept, so that a resumed run repeats the
        arithmetic of the first one bit for bit.

    Raises
    ------
    ValueError
        If the folder holds parts of another identity.
    OSError
        If the folder cannot be written, or its manifest is damaged.
    """

    def __init__(self, path: str | os.PathLike, identity: dict, plan: Callable[[], dict]) -> None:
        self.folder = Path(f"{path}.parts")
        self.manifest = self.folder / "manifest.json"
        if not self.manifest.is_file():
            self._begin(json.dumps({"identity": identity, "plan": plan()}, sort_keys=True))
        self.text, there, self.plan = self._read_manifest()
        difference = _difference(there, json.loads(json.dumps(identity)))
        if difference:
            raise ValueError(
                f"{self.folder}: expected parts of this very run, got parts of another one "
                f"({difference}): finish it, remove the folder, or pass --force."
            )
        for leftover in self.folder.glob(".*.tmp"):
            leftover.unlink(missing_ok=True)

    def done(self) -> set[int]:
        """Indices of the finished chunks."""
        found = (re.fullmatch(r"part-(\d+)\.npz", path.name) for path in self.folder.iterdir())
        return {int(match[1]) for match in found if match}

    def write(self, index: int, arrays: dict[str, np.ndarray]) -> None:
        """Keep the arrays of one chunk, whole or not at all.

        Raises
        ------
        OSError
            If it cannot be written, or another process has begun or finished the same result meanwhile.
        """
        if not self.manifest.is_file() or self.manifest.read_text() != self.text:
            raise OSError(f"{self.folder}: expected one process at this result, got another one: let it finish.")
        with replaced(self._file(index)) as part, open(part, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def read(self, index: int) -> dict[str, np.ndarray]:
        """Return the arrays of one finished chunk."""
        try:
            with open(self._file(index), "rb") as file, np.load(file, allow_pickle=False) as archive:
                return dict(archive)
        except DAMAGE as error:
            raise OSError(f"{self._file(index)}: expected a part file, got a damaged one: remove it.") from error

    def remove(self) -> None:
        """Delete the folder, once the result stands."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _begin(self, text: str) -> None:
        """Write a manifest; parts without one are of unknown work, such as those of a removal that was killed."""
        if self.manifest.is_file():  # choosing a plan took a while: another process was quicker
            return
        for index in self.done() if self.folder.is_dir() else ():
            self._file(index).unlink(missing_ok=True)
        with replaced(self.manifest) as part:
            Path(part).write_text(text)

    def _read_manifest(self) -> tuple[str, dict, dict]:
        try:
            text = self.manifest.read_text()
            found = json.loads(text)
            return text, found["identity"], found["plan"]
        except (ValueError, KeyError, TypeError) as error:
            raise OSError(
                f"{self.manifest}: expected a manifest of parts, got a damaged one: remove the folder."
            ) from error

    def _file(self, index: int) -> Path:
        return self.folder / f"part-{index:06d}.npz"


def _difference(there: dict, here: dict) -> str:
    """Name up to three keys whose values differ, compared as they are written: NaN equals NaN."""
    text = {key: (json.dumps(there.get(key), sort_keys=True), json.dumps(here.get(key), sort_keys=True))
            for key in there.keys() | here.keys()}
    keys = sorted(key for key, (one, other) in text.items() if one != other)
    return ", ".join(f"{k}: {there.get(k)!r} there, {here.get(k)!r} here" for k in keys[:3])
