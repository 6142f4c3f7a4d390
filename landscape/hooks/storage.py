"""How a trajectory stores its parameters, and what is lost by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from landscape.hooks import snapshot

SHARE = 0.1  # of the way between two checkpoints: a larger error of rounding is seen in a plot of the trajectory


class Storage:
    """Exact, or rounded to 16 bits with the error told.

    Parameters
    ----------
    name : {"exact", "float16", "bfloat16"}
    tell : callable (problem) -> None
        Told once, if the error of rounding is no longer small beside the way from one checkpoint to the next.

    Raises
    ------
    ValueError
        If there is no such storage.
    """

    def __init__(self, name: str, tell: Callable[[str], Any]) -> None:
        if name not in snapshot.STORAGES:
            raise ValueError(f"Expected storage among {', '.join(snapshot.STORAGES)}, got {name!r}: choose one.")
        self.name, self._dtype, self._tell = name, snapshot.STORAGES[name], tell
        self._before: dict[str, Tensor] | None = None
        self._told = False

    def stored(self, found: dict[str, Tensor], names: set[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return a state as it is stored, and what the record tells of that.

        Parameters
        ----------
        found : dict of str to Tensor
        names : set of str
            Of the parameters.

        Returns
        -------
        state, record
            The record has ``rounding``: the format; ``error``, the L2 norm of what rounding changed; ``way``, the
            distance from the checkpoint before, if there was one.
        """
        if self._dtype is None:
            return found, {}
        made, error = snapshot.rounded(found, names, self._dtype)
        told: dict[str, Any] = {"storage": self.name, "error": error}
        if self._before is not None:
            told["way"] = snapshot.distance(made, self._before, names)
            self._compare(error, told["way"])
        self._before = made
        return made, {"rounding": told}

    def _compare(self, error: float, way: float) -> None:
        if error > SHARE * way and not self._told:
            self._told = True
            self._tell(
                f"storage={self.name!r} moves the weights by {error:.3g}, where they are {way:.3g} from the checkpoint "
                "before: choose a longer period or storage='exact'"
            )
