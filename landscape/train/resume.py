"""The state of an unfinished run, kept beside the checkpoint it will become."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from landscape.result import replaced
from landscape.train.fit import Run

FORMAT = 1


class Resume:
    """The file ``OUT.resume``: written whole or not at all, read without running code.

    It holds its weights under ``state_dict``, so that it can be looked at like any checkpoint.

    Parameters
    ----------
    path : path
    identity : dict
        Settings, model, data, loss and method (JSON): what must be equal for a run to go on.
    """

    def __init__(self, path: str | os.PathLike, identity: dict[str, Any]) -> None:
        self.path = Path(path)
        self.identity = json.loads(json.dumps(identity))

    def load(self, run: Run, *, force: bool = False) -> bool:
        """Bring a run to where the file left off; False if there is none, or `force` discards another run's.

        Raises
        ------
        ValueError
            If the file belongs to other settings (the message names them) or is damaged.
        """
        if not self.path.is_file():
            return False
        state = self._read()
        different = _different(state["identity"], self.identity)
        if different and force:
            return False
        if different:
            raise ValueError(
                f"{self.path}: expected the state of this very run, got that of another one ({different}): "
                "give the same settings to go on, remove the file, or pass --force to start anew."
            )
        run.load_state_dict(state["run"] | {"state_dict": state["state_dict"]})
        return True

    def save(self, run: Run) -> None:
        """Write the state of a run that stands between two steps.

        Raises
        ------
        OSError
            If the file cannot be written; the earlier one is then left as it was.
        """
        state = run.state_dict()
        weights = state.pop("state_dict")
        content = {"resume": FORMAT, "identity": self.identity, "run": state}
        with replaced(self.path) as part:
            torch.save(content | {"state_dict": weights}, part)

    def __call__(self, run: Run) -> None:
        """Save at the end of every epoch: a `Resume` is the last observer of its run."""
        if run.clock.between_epochs:
            self.save(run)

    def remove(self) -> None:
        """Delete the file, once the checkpoint stands."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, zipfile.BadZipFile, EOFError, RuntimeError, KeyError) as error:
            raise ValueError(f"{self.path}: expected the state of a run, got a damaged file: remove it.") from error
        if not isinstance(state, dict) or state.get("resume") != FORMAT:
            raise ValueError(f"{self.path}: expected the state of a run, got another file: move it away.")
        return state


def _different(there: dict[str, Any], here: dict[str, Any]) -> str:
    keys = [key for key in here.keys() | there.keys() if there.get(key) != here.get(key)]
    return ", ".join(f"{key}: {there.get(key)!r} there, {here.get(key)!r} here" for key in sorted(keys)[:3])
